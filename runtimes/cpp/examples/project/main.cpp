// A program of several files: what main.cpp uses is found, compiled and linked.
#include <iomanip>
#include <iostream>
#include <memory>
#include <vector>

#include "shapes/circle.hpp"
#include "shapes/square.hpp"

int main() {
  std::vector<std::unique_ptr<Shape>> shapes;
  shapes.push_back(std::make_unique<Circle>(1));
  shapes.push_back(std::make_unique<Square>(2));
  for (const auto& shape : shapes)
    std::cout << std::left << std::setw(8) << shape->name() << " area " << std::fixed << std::setprecision(2)
              << shape->area() << '\n';
}
