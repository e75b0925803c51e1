// Writes a file: what a program produces can be taken out of the sandbox.
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

public class Report {
    public static void main(String[] args) throws IOException {
        StringBuilder table = new StringBuilder("number,square\r\n");
        for (int n = 1; n <= 10; n++) table.append(n).append(',').append(n * n).append("\r\n");
        Files.writeString(Path.of("report.csv"), table);
        System.out.println("Wrote report.csv");
    }
}
