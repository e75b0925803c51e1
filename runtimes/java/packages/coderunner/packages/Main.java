package coderunner.packages;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * What the daemon asks instead of Maven, which would bring a hundred plugins to find some jars: `registries` says where packages come from;
 * `install` puts the jars that the pom.xml in the present folder needs into the folder `packages` beside it. What is needed is worked out as
 * Maven does it: the version nearest to the project counts, what it prescribes (`dependencyManagement`) counts everywhere, `test` and what is
 * optional for others is left out. Ranges of versions and snapshots are refused.
 */
public final class Main {
  /** Maven's own defaults, as Debian packages them. */
  private static final Path DEFAULTS = Path.of("/opt/coderunner/pom-4.0.0.xml");

  private static final Set<String> SCOPES = Set.of("", "compile", "runtime");
  private static final Pattern REPOSITORY = Pattern.compile("<repository>.*?<url>(https://[^<]+)</url>", Pattern.DOTALL);

  private final URI repository;
  private final Http http;
  private final Map<Artifact, byte[]> poms = new HashMap<>();

  private Main(URI repository, Http http) {
    this.repository = repository;
    this.http = http;
  }

  public static void main(String[] args) throws IOException, InterruptedException, GeneralSecurityException {
    if (args[0].equals("registries")) {
      System.out.println(defaultRepository());
      return;
    }
    String mirror = System.getenv("CODERUNNER_REGISTRY");
    URI repository = URI.create((mirror.isEmpty() ? defaultRepository() : mirror).replaceAll("/*$", "/"));
    Http http = new Http(URI.create(System.getenv("HTTP_PROXY")), Path.of(System.getenv("CODERUNNER_CA")));
    try {
      new Main(repository, http).install(Path.of("pom.xml"), Files.createDirectories(Path.of("packages")));
    } catch (Problem problem) {
      System.err.println("coderunner: " + problem.getMessage());
      System.exit(1);
    }
  }

  private static String defaultRepository() throws IOException {
    var found = REPOSITORY.matcher(Files.readString(DEFAULTS));
    if (!found.find()) throw new IllegalStateException(DEFAULTS + " names no repository");
    return found.group(1);
  }

  /** Something to look at: a dependency of somebody, and what that somebody does not want from it. */
  private record Wanted(Pom.Dependency dependency, Artifact artifact, Set<String> exclusions) {}

  private void install(Path manifest, Path folder) throws IOException, InterruptedException {
    Pom project = new Pom(Files.readAllBytes(manifest), manifest.toString(), this::pom);
    Queue<Wanted> queue = new ArrayDeque<>();
    for (Pom.Dependency one : project.dependencies)
      if (SCOPES.contains(one.scope()) || one.scope().equals("provided")) queue.add(wanted(one, project, project, Set.of()));
    Set<String> seen = new HashSet<>();
    for (Wanted next = queue.poll(); next != null; next = queue.poll()) {
      Artifact artifact = next.artifact();
      if (!seen.add(artifact.key())) continue;
      Pom pom = new Pom(pom(artifact), artifact.toString(), this::pom);
      if (next.dependency().type().equals("jar")) download(artifact, folder);
      for (Pom.Dependency one : pom.dependencies) {
        boolean isExcluded = next.exclusions().stream().anyMatch(exclusion -> matches(exclusion, one));
        if (SCOPES.contains(one.scope()) && !one.optional() && !isExcluded) queue.add(wanted(one, pom, project, next.exclusions()));
      }
    }
  }

  /** With the version that the project prescribes, else its own, else that of the pom that wants it. */
  private static Wanted wanted(Pom.Dependency one, Pom pom, Pom project, Set<String> inherited) {
    Pom.Dependency prescribed = project.managed.get(one.key());
    Pom.Dependency usual = pom.managed.get(one.key());
    String own = one.version().isEmpty() && usual != null ? usual.version() : one.version();
    String version = prescribed == null || (pom == project && !one.version().isEmpty()) ? own : prescribed.version();
    if (version.isEmpty()) throw new Problem("pom.xml names no version of %s:%s".formatted(one.group(), one.name()));
    if (version.matches("[\\[(].*") || version.endsWith("-SNAPSHOT"))
      throw new Problem("%s:%s is wanted in version %s, but only exact, published versions are installed here".formatted(one.group(), one.name(), version));
    Set<String> exclusions = new HashSet<>(inherited);
    exclusions.addAll(one.exclusions());
    if (usual != null) exclusions.addAll(usual.exclusions());
    return new Wanted(one, new Artifact(one.group(), one.name(), version, one.classifier()), exclusions);
  }

  private static boolean matches(String exclusion, Pom.Dependency one) {
    String[] parts = exclusion.split(":", 2);
    return (parts[0].equals("*") || parts[0].equals(one.group())) && (parts[1].equals("*") || parts[1].equals(one.name()));
  }

  private byte[] pom(Artifact artifact) throws IOException, InterruptedException {
    byte[] known = poms.get(artifact);
    if (known != null) return known;
    byte[] bytes = fetch(artifact, "pom");
    poms.put(artifact, bytes);
    return bytes;
  }

  private void download(Artifact artifact, Path folder) throws IOException, InterruptedException {
    byte[] jar = fetch(artifact, "jar");
    Path name = Path.of(artifact.path("jar")).getFileName();
    Path file = folder.resolve(name);
    // Two projects may call theirs the same.
    Files.write(Files.exists(file) ? folder.resolve(artifact.group() + "." + name) : file, jar);
    System.out.printf("%s (%d KiB)%n", artifact, (jar.length + 1023) / 1024);
  }

  /** A file of the repository, checked against the checksum beside it. */
  private byte[] fetch(Artifact artifact, String ending) throws IOException, InterruptedException {
    URI address = repository.resolve(artifact.path(ending));
    byte[] bytes = http.get(address);
    if (bytes == null) throw new Problem("the Maven repository has no %s".formatted(artifact));
    byte[] checksum = http.get(URI.create(address + ".sha1"));
    if (checksum != null && !new String(checksum, StandardCharsets.US_ASCII).strip().toLowerCase().startsWith(sha1(bytes)))
      throw new Problem("%s is not what the Maven repository says: its checksum differs".formatted(artifact));
    return bytes;
  }

  private static String sha1(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(bytes));
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException(error);
    }
  }
}
