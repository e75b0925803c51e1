#include "circle.h"

#include <math.h>

double circle_area(double radius) {
  return M_PI * radius * radius;
}
