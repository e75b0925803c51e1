#include "square.h"

double square_area(double side) {
  return side * side;
}
