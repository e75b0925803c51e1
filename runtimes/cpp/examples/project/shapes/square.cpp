#include "square.hpp"

Square::Square(double side) : side_{side} {}

std::string Square::name() const { return "square"; }

double Square::area() const { return side_ * side_; }
