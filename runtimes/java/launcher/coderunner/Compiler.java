package coderunner;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.Writer;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.lang.model.SourceVersion;
import javax.tools.ForwardingJavaFileObject;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Compiles a program by its entry: that file may have any name whatever its classes are called, other files are found where their
 * packages belong below the same folder, and the first class of the entry with a `main` is the one to run, as with `java File.java`. What
 * the compiler prints and its exit code are those of `javac`.
 */
final class Compiler {
  private static final int OK = 0;
  private static final int ERROR = 1;
  private static final int COMMAND_LINE = 2;
  private static final int RESOURCES = 3;

  private static final String PRESENT = String.valueOf(Runtime.version().feature());

  /** Of a project as Maven and Gradle lay it out: what is in the second folder is found as if it lay in the first. */
  private static final Path SOURCES = Path.of("src/main/java");
  private static final Path RESOURCES_BESIDE = Path.of("../resources");
  /** Libraries: those that the project brings, those that were installed for it, and those of the services beside it. */
  private static final List<Path> LIBRARIES = List.of(Path.of("lib"), Path.of("/packages"), Path.of("/opt/coderunner/lib"));

  private final JavaCompiler javac = ToolProvider.getSystemJavaCompiler();
  private final Path output;
  private final PrintWriter messages;

  /**
   * @param output folder that gets `classes/` and `program`, a file of two lines: the main class, and the class path
   */
  Compiler(Path output, PrintStream messages) {
    this.output = output;
    this.messages = new PrintWriter(messages, true, StandardCharsets.UTF_8);
  }

  /**
   * @param arguments `--warnings=usual` or `--warnings=all`, `--release=VERSION` of Java, then the path of the entry
   * @return javac's exit code
   */
  int compile(List<String> arguments) throws IOException {
    Path entry = Path.of(arguments.getLast());
    if (!Files.isRegularFile(entry)) {
      messages.println("error: file not found: " + entry);
      return COMMAND_LINE;
    }
    try {
      return compile(optionsOf(arguments), entry);
    } catch (OutOfMemoryError | StackOverflowError error) {
      messages.println("\n\nThe system is out of resources.\nConsult the following stack trace for details.");
      error.printStackTrace(messages);
      return error instanceof OutOfMemoryError ? ERROR : RESOURCES; // the first is what `outOfMemory` of runtime.json looks for
    } finally {
      messages.flush();
    }
  }

  private static List<String> optionsOf(List<String> arguments) {
    List<String> options = new ArrayList<>();
    if (arguments.contains("--warnings=all")) options.add("-Xlint:all");
    for (String argument : arguments) {
      String release = argument.startsWith("--release=") ? argument.substring("--release=".length()) : PRESENT;
      // The present one by name is taken from a description of it, which takes longer than itself.
      if (!release.equals(PRESENT)) options.addAll(List.of("--release", release));
    }
    return options;
  }

  private int compile(List<String> options, Path entry) throws IOException {
    try (StandardJavaFileManager files = javac.getStandardFileManager(null, null, StandardCharsets.UTF_8)) {
      JavaFileObject source = new AnyName(files.getJavaFileObjects(entry).iterator().next());
      CompilationUnitTree unit = parse(files, source);
      Path root = root(entry, unit);
      List<String> libraries = libraries();
      Path classes = Files.createDirectories(output.resolve("classes"));
      List<String> all = new ArrayList<>(options);
      all.addAll(List.of("-g", "-proc:none", "-d", classes.toString(), "-sourcepath", root.toString()));
      all.addAll(List.of("--class-path", String.join(File.pathSeparator, libraries)));
      // Or javac would load plugins from the class path, which is the workspace where that is empty: nothing of the project runs yet.
      all.addAll(List.of("--processor-path", output.toString()));
      if (!javac.getTask(messages, files, null, all, null, List.of(source)).call()) return ERROR;
      List<String> classPath = new ArrayList<>(List.of(classes.toString(), root.toString()));
      if (root.toAbsolutePath().endsWith(SOURCES)) classPath.add(root.resolve(RESOURCES_BESIDE).normalize().toString());
      classPath.addAll(libraries);
      String main = mainClass(unit, classPath);
      if (main == null) {
        messages.println("error: no class declared in source file");
        return ERROR;
      }
      Files.writeString(output.resolve("program"), main + "\n" + String.join(File.pathSeparator, classPath) + "\n");
      return OK;
    }
  }

  /** What the entry declares, as far as it can be read; its errors are told when it is compiled. */
  private CompilationUnitTree parse(StandardJavaFileManager files, JavaFileObject source) throws IOException {
    JavacTask task = (JavacTask) javac.getTask(Writer.nullWriter(), files, problem -> {}, List.of("-proc:none"), null, List.of(source));
    try {
      return task.parse().iterator().next();
    } catch (IllegalStateException error) {
      if (error.getCause() instanceof StackOverflowError overflow) throw overflow;
      throw error;
    }
  }

  /** The folder in which the packages begin; the entry's own where it does not lie as its package says. */
  private static Path root(Path entry, CompilationUnitTree unit) {
    Path folder = entry.getParent() == null ? Path.of(".") : entry.getParent();
    if (unit.getPackageName() == null) return folder;
    Path inside = Path.of(unit.getPackageName().toString().replace('.', '/'));
    if (!folder.endsWith(inside)) return folder;
    Path root = folder;
    for (int level = 0; level < inside.getNameCount(); level++) root = root.getParent();
    return root == null ? Path.of(".") : root;
  }

  private static List<String> libraries() throws IOException {
    List<String> found = new ArrayList<>();
    for (Path folder : LIBRARIES) {
      if (!Files.isDirectory(folder)) continue;
      try (Stream<Path> files = Files.list(folder)) {
        files.map(Path::toString).filter(name -> name.endsWith(".jar")).sorted().forEach(found::add);
      }
    }
    return found;
  }

  /** The first class of the entry that can be run, or else its first; null where it has none. */
  private static String mainClass(CompilationUnitTree unit, List<String> classPath) throws IOException {
    String prefix = unit.getPackageName() == null ? "" : unit.getPackageName() + ".";
    String first = null;
    List<URL> urls = new ArrayList<>();
    for (String element : classPath) urls.add(Path.of(element).toUri().toURL());
    try (URLClassLoader loader = new URLClassLoader(urls.toArray(URL[]::new))) {
      for (Tree declaration : unit.getTypeDecls()) {
        if (!(declaration instanceof ClassTree type)) continue;
        String name = prefix + type.getSimpleName();
        if (first == null) first = name;
        if (hasMain(loader, name)) return name;
      }
    }
    return first;
  }

  private static boolean hasMain(ClassLoader loader, String name) {
    try {
      for (Class<?> type = Class.forName(name, false, loader); type != null; type = type.getSuperclass())
        for (Method method : type.getDeclaredMethods()) if (isMain(method)) return true;
      return false;
    } catch (ClassNotFoundException | LinkageError error) {
      return false;
    }
  }

  private static boolean isMain(Method method) {
    if (!method.getName().equals("main") || method.getReturnType() != void.class) return false;
    if (Modifier.isPrivate(method.getModifiers()) || Modifier.isAbstract(method.getModifiers())) return false;
    Class<?>[] parameters = method.getParameterTypes();
    return parameters.length == 0 || parameters.length == 1 && parameters[0] == String[].class;
  }

  /** A source file in which a public class may have another name than the file. */
  private static final class AnyName extends ForwardingJavaFileObject<JavaFileObject> {
    AnyName(JavaFileObject file) {
      super(file);
    }

    @Override
    public boolean isNameCompatible(String simpleName, Kind kind) {
      return kind == Kind.SOURCE && SourceVersion.isIdentifier(simpleName);
    }
  }
}
