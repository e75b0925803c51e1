#include "circle.hpp"

#include <cmath>

Circle::Circle(double radius) : radius_{radius} {}

std::string Circle::name() const { return "circle"; }

double Circle::area() const { return M_PI * radius_ * radius_; }
