/* Adds up the numbers on its input, one a line. */
#include <stdio.h>

int main(void) {
  double number, sum = 0;
  int count = 0;
  while (scanf("%lf", &number) == 1) {
    sum += number;
    count++;
  }
  printf("%d numbers, sum %g\n", count, sum);
}
