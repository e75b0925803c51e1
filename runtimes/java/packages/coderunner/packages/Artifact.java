package coderunner.packages;

/** A file in a Maven repository; the classifier is empty where there is none. */
record Artifact(String group, String name, String version, String classifier) {
  /** What there can be only one version of. */
  String key() {
    return group + ":" + name + ":" + classifier;
  }

  /** Where it is below the repository. */
  String path(String ending) {
    String suffix = classifier.isEmpty() || ending.equals("pom") ? "" : "-" + classifier;
    return "%s/%s/%s/%s-%s%s.%s".formatted(group.replace('.', '/'), name, version, name, version, suffix, ending);
  }

  @Override
  public String toString() {
    return group + ":" + name + ":" + version;
  }
}
