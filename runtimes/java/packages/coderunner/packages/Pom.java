package coderunner.packages;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.xml.sax.SAXException;

/** What a pom.xml says together with its parents: what it needs, in which versions. */
final class Pom {
  /** A `<dependency>`, with its variables replaced; what it does not say is empty. */
  record Dependency(
      String group, String name, String version, String classifier, String type, String scope, boolean optional, Set<String> exclusions) {
    String key() {
      return group + ":" + name + ":" + classifier;
    }
  }

  /** Finds the pom of a parent, or of a list of versions that is imported. */
  interface Source {
    byte[] pom(Artifact artifact) throws IOException, InterruptedException;
  }

  private static final Pattern VARIABLE = Pattern.compile("\\$\\{([^}]+)}");
  private static final int MOST_PARENTS = 32;

  /** The pom itself, then its parents. */
  private final List<Element> chain = new ArrayList<>();

  private final Map<String, String> properties = new HashMap<>();
  private final Source source;

  /** Versions that are prescribed, by {@link Dependency#key}. */
  final Map<String, Dependency> managed = new LinkedHashMap<>();

  final List<Dependency> dependencies = new ArrayList<>();

  Pom(byte[] bytes, String name, Source source) throws IOException, InterruptedException {
    this.source = source;
    Element project = parse(bytes, name);
    for (Element next = project; next != null; ) {
      chain.add(next);
      if (chain.size() > MOST_PARENTS) throw new Problem(name + " has parents without end");
      Element parent = child(next, "parent");
      if (parent == null) break;
      for (String field : List.of("groupId", "artifactId", "version"))
        properties.putIfAbsent("project.parent." + field, text(parent, field));
      Artifact artifact = new Artifact(text(parent, "groupId"), text(parent, "artifactId"), text(parent, "version"), "");
      next = parse(source.pom(artifact), artifact.toString());
    }
    for (Element one : chain.reversed())
      for (Element property : children(child(one, "properties"))) properties.put(property.getTagName(), property.getTextContent().strip());
    for (String field : List.of("groupId", "version")) {
      String own = chain.stream().map(one -> text(one, field)).filter(value -> !value.isEmpty()).findFirst().orElse("");
      String inherited = own.isEmpty() ? properties.getOrDefault("project.parent." + field, "") : own;
      for (String prefix : List.of("project.", "pom.")) properties.put(prefix + field, inherited);
    }
    properties.put("project.artifactId", text(project, "artifactId"));
    readManaged();
    Map<String, Dependency> found = new LinkedHashMap<>();
    for (Element one : chain) for (Dependency next : listed(child(one, "dependencies"))) found.putIfAbsent(next.key(), next);
    dependencies.addAll(found.values());
  }

  private void readManaged() throws IOException, InterruptedException {
    List<Dependency> imports = new ArrayList<>();
    for (Element one : chain) {
      Element management = child(one, "dependencyManagement");
      for (Dependency next : listed(management == null ? null : child(management, "dependencies"))) {
        if (next.scope().equals("import")) imports.add(next);
        else managed.putIfAbsent(next.key(), next);
      }
    }
    for (Dependency one : imports) {
      Artifact list = new Artifact(one.group(), one.name(), one.version(), "");
      new Pom(source.pom(list), list.toString(), source).managed.forEach(managed::putIfAbsent);
    }
  }

  private List<Dependency> listed(Element list) {
    List<Dependency> found = new ArrayList<>();
    for (Element one : children(list)) {
      Set<String> exclusions =
          children(child(one, "exclusions")).stream()
              .map(exclusion -> value(exclusion, "groupId") + ":" + value(exclusion, "artifactId"))
              .collect(Collectors.toSet());
      String type = value(one, "type");
      found.add(
          new Dependency(
              value(one, "groupId"),
              value(one, "artifactId"),
              value(one, "version"),
              value(one, "classifier"),
              type.isEmpty() ? "jar" : type,
              value(one, "scope"),
              value(one, "optional").equals("true"),
              exclusions));
    }
    return found;
  }

  private String value(Element element, String name) {
    String value = text(element, name);
    for (int depth = 0; value.contains("${") && depth < MOST_PARENTS; depth++)
      value = VARIABLE.matcher(value).replaceAll(match -> Matcher.quoteReplacement(properties.getOrDefault(match.group(1), "")));
    return value;
  }

  private static Element parse(byte[] bytes, String name) throws IOException {
    try {
      DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
      // A pom is somebody else's: it must not make us read files.
      factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
      var builder = factory.newDocumentBuilder();
      builder.setErrorHandler(null);
      return builder.parse(new ByteArrayInputStream(bytes)).getDocumentElement();
    } catch (SAXException error) {
      throw new Problem("%s is not XML that can be read: %s".formatted(name, error.getMessage()));
    } catch (ParserConfigurationException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String text(Element element, String name) {
    Element found = child(element, name);
    return found == null ? "" : found.getTextContent().strip();
  }

  private static Element child(Element element, String name) {
    return children(element).stream().filter(one -> one.getTagName().equals(name)).findFirst().orElse(null);
  }

  private static List<Element> children(Element element) {
    List<Element> found = new ArrayList<>();
    for (Node node = element == null ? null : element.getFirstChild(); node != null; node = node.getNextSibling())
      if (node instanceof Element child) found.add(child);
    return found;
  }
}
