package coderunner;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Uses what programs use, so that compiling and starting them finds the compiler and the libraries warm. It leaves nothing behind. */
final class Sample {
  enum Colour {
    RED,
    GREEN
  }

  sealed interface Shape permits Circle, Square {}

  record Circle(double radius) implements Shape {}

  record Square(double side) implements Shape {}

  static final class Counter<T extends Comparable<T>> {
    private final Map<T, Integer> counts = new HashMap<>();

    void add(T item) {
      counts.merge(item, 1, Integer::sum);
    }

    List<T> sorted() {
      List<T> items = new ArrayList<>(counts.keySet());
      items.sort((one, other) -> one.compareTo(other));
      return items;
    }
  }

  private Sample() {}

  static double area(Shape shape) {
    return switch (shape) {
      case Circle(double radius) -> Math.PI * radius * radius;
      case Square(double side) when side > 0 -> side * side;
      case Square square -> 0;
    };
  }

  static void main(PrintStream out) {
    out.println("Hello, " + "world" + '!' + out.hashCode());
    int sum = 0;
    for (int number = 0; number < 10; number++) sum += number % 3 == 0 ? number : -1;
    out.printf("%d %s %.2f%n", sum, Colour.GREEN, area(new Circle(1)) + area(new Square(2)));
    Counter<String> words = new Counter<>();
    try (Scanner scanner = new Scanner("one two\n3\n")) {
      while (scanner.hasNext()) words.add(scanner.next());
    }
    Function<String, Integer> length = String::length;
    out.println(words.sorted().stream().map(length).filter(size -> size > 1).collect(Collectors.toList()));
    out.println(IntStream.range(0, 3).mapToObj(Integer::toString).collect(Collectors.joining(", ", "[", "]")));
    int[] numbers = {3, 1, 2};
    try {
      out.println(numbers[3]);
    } catch (ArrayIndexOutOfBoundsException error) {
      out.println(error.getMessage());
    }
    var text =
        """
        %s and %s
        """
            .formatted(new Circle(2), new Object[] {1L, 2.5f, 'c', true}.length);
    out.print(new StringBuilder(text).reverse());
  }
}
