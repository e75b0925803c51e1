/* A program of several files: what main.c uses is found, compiled and linked. */
#include <stdio.h>

#include "shapes/circle.h"
#include "shapes/square.h"

int main(void) {
  printf("%-8s area %.2f\n", "circle", circle_area(1));
  printf("%-8s area %.2f\n", "square", square_area(2));
}
