// A program of several files: classes in packages are found where their packages say.
import java.util.List;
import java.util.Locale;
import shapes.Circle;
import shapes.Shape;
import shapes.Square;

public class Main {
    public static void main(String[] args) {
        for (Shape shape : List.of(new Circle(1), new Square(2)))
            System.out.println(String.format(Locale.ROOT, "%-8s area %.2f", shape.name(), shape.area()));
    }
}
