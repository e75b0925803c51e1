package coderunner;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What launcher.c leaves to Java. It is called from native code and loaded by a class loader of its own, so a program finds neither frames
 * nor classes of it. Nothing here may look at the environment: Java keeps a copy from the first look on, and the run's has not come yet.
 */
final class Launcher {
  private static final Path OUTPUT = Path.of(".coderunner/java");

  private Launcher() {}

  /**
   * @param commandLine of launcher.c: itself, `compile`, options of javac, the entry
   * @return the exit code of javac, whose messages it prints as javac does
   */
  static int compile(String[] commandLine) throws IOException {
    int exitCode = new Compiler(OUTPUT, System.err).compile(List.of(commandLine).subList(2, commandLine.length));
    System.err.flush();
    return exitCode;
  }

  /**
   * Compiles and runs a sample, then clears away what that leaves in memory. Once is enough: a second time makes the compiler hardly faster,
   * and takes as long again.
   *
   * @param sample a Java file of the image
   */
  static void prepare(String sample) throws Exception {
    Path output = Files.createTempDirectory("prepare");
    ByteArrayOutputStream messages = new ByteArrayOutputStream();
    int exitCode = new Compiler(output, new PrintStream(messages)).compile(List.of(sample));
    if (exitCode != 0) throw new IllegalStateException("the sample does not compile:\n" + messages);
    Sample.main(new PrintStream(new ByteArrayOutputStream()));
    try (Stream<Path> made = Files.walk(output)) {
      for (Path path : made.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
    }
    System.gc();
  }

  /**
   * Takes apart START of docs/protocol.md, "Warm interpreter".
   *
   * @return in this order: whether it is the stage that compiles, the command line, the working directory, the path of the terminal (or
   *     null) and the environment, all as native code needs them; then the command line and the arguments of the program as Java does
   */
  static Object[] read(byte[] json) {
    Map<?, ?> start = (Map<?, ?>) Json.parse(new String(json, StandardCharsets.UTF_8));
    List<String> argv = strings(start.get("argv"));
    String tty = (String) start.get("tty");
    Stream<String> env = ((Map<?, ?>) start.get("env")).entrySet().stream().map(one -> one.getKey() + "=" + one.getValue());
    return new Object[] {
      "compile".equals(start.get("stage")) ? Boolean.TRUE : null,
      argv.stream().map(Launcher::bytes).toArray(byte[][]::new),
      bytes((String) start.get("cwd")),
      tty == null ? null : bytes(tty),
      env.map(Launcher::bytes).toArray(byte[][]::new),
      argv.toArray(String[]::new),
      strings(start.get("args")).toArray(String[]::new),
    };
  }

  private static List<String> strings(Object list) {
    return ((List<?>) list).stream().map(String.class::cast).toList();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
