/* Writes a file: what a program produces can be taken out of the sandbox. */
#include <stdio.h>

int main(void) {
  FILE *file = fopen("report.csv", "w");
  if (file == NULL) {
    perror("report.csv");
    return 1;
  }
  fprintf(file, "number,square\n");
  for (int n = 1; n <= 10; n++) fprintf(file, "%d,%d\n", n, n * n);
  fclose(file);
  puts("Wrote report.csv");
}
