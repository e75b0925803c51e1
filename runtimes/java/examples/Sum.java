// Adds up the numbers on its input, one a line.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.DoubleSummaryStatistics;

public class Sum {
    public static void main(String[] args) {
        DoubleSummaryStatistics numbers =
                new BufferedReader(new InputStreamReader(System.in))
                        .lines()
                        .filter(line -> !line.isBlank())
                        .mapToDouble(Double::parseDouble)
                        .summaryStatistics();
        System.out.println(numbers.getCount() + " numbers, sum " + numbers.getSum());
    }
}
