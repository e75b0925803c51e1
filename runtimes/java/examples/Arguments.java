// Greets everyone it is given: try it with the arguments `Ada Grace --shout`.
import java.util.ArrayList;
import java.util.List;

public class Arguments {
    public static void main(String[] args) {
        List<String> names = new ArrayList<>(List.of(args));
        boolean shout = names.remove("--shout");
        if (names.isEmpty()) names.add("world");
        for (String name : names) {
            String greeting = "Hello, " + name + "!";
            System.out.println(shout ? greeting.toUpperCase() : greeting);
        }
    }
}
