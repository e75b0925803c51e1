/* Draws a coloured progress bar over and over on the same line: output shows as it is printed. */
#include <stdio.h>
#include <unistd.h>

#define GREEN "\x1b[32m"
#define PLAIN "\x1b[0m"

enum { WIDTH = 30, STEPS = 25 };

static void repeat(const char *text, int times) {
  while (times-- > 0) fputs(text, stdout);
}

int main(void) {
  for (int step = 0; step <= STEPS; step++) {
    int filled = WIDTH * step / STEPS;
    fputs("\r" GREEN, stdout);
    repeat("█", filled);
    fputs(PLAIN, stdout);
    repeat("░", WIDTH - filled);
    printf(" %3d %%", 100 * step / STEPS);
    fflush(stdout);
    usleep(40000);
  }
  puts("\nDone.");
}
