// Draws a coloured progress bar over and over on the same line: output shows as it is printed.
public class Progress {
    static final int WIDTH = 30;
    static final int STEPS = 25;
    static final String GREEN = "\u001b[32m";
    static final String PLAIN = "\u001b[0m";

    public static void main(String[] args) throws InterruptedException {
        for (int step = 0; step <= STEPS; step++) {
            int filled = WIDTH * step / STEPS;
            String bar = GREEN + "█".repeat(filled) + PLAIN + "░".repeat(WIDTH - filled);
            System.out.printf("\r%s %3d %%", bar, 100 * step / STEPS);
            Thread.sleep(40);
        }
        System.out.println("\nDone.");
    }
}
