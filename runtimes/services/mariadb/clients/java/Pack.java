import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

/** Makes a jar of a folder's files: {@code java Pack.java JAR FOLDER}. The image has no jar tool. */
class Pack {
  public static void main(String[] args) throws IOException {
    Path folder = Path.of(args[1]);
    try (OutputStream file = Files.newOutputStream(Path.of(args[0])); JarOutputStream jar = new JarOutputStream(file);
        Stream<Path> found = Files.walk(folder)) {
      List<Path> files = found.filter(Files::isRegularFile).sorted().toList();
      for (Path one : files) {
        jar.putNextEntry(new JarEntry(folder.relativize(one).toString()));
        Files.copy(one, jar);
      }
    }
  }
}
