// A game: the answer comes at once, because what you type goes straight to the program.
import java.util.Random;
import java.util.Scanner;

public class Guess {
    public static void main(String[] args) {
        int number = new Random().nextInt(1, 21);
        Scanner input = new Scanner(System.in);
        System.out.println("I think of a number from 1 to 20.");
        for (int tries = 1; ; ) {
            System.out.print("Your guess: ");
            if (!input.hasNextLine()) {
                System.out.println("\nIt was " + number + ".");
                return;
            }
            int guess;
            try {
                guess = Integer.parseInt(input.nextLine().strip());
            } catch (NumberFormatException notANumber) {
                System.out.println("A whole number, please.");
                continue;
            }
            if (guess == number) {
                System.out.println("Right, after " + tries + (tries == 1 ? " try!" : " tries!"));
                return;
            }
            System.out.println(guess < number ? "Higher!" : "Lower!");
            tries++;
        }
    }
}
