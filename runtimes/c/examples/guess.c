/* A game: the answer comes at once, because what you type goes straight to the program. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(void) {
  srand((unsigned)time(NULL));
  const long number = rand() % 20 + 1;
  puts("I think of a number from 1 to 20.");
  char line[64];
  for (int tries = 0;;) {
    printf("Your guess: ");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
      printf("\nIt was %ld.\n", number);
      break;
    }
    char *end;
    long guess = strtol(line, &end, 10);
    if (end == line) {
      puts("A whole number, please.");
      continue;
    }
    tries++;
    if (guess == number) {
      printf("Right, after %d %s!\n", tries, tries == 1 ? "try" : "tries");
      break;
    }
    puts(guess < number ? "Higher!" : "Lower!");
  }
}
