#pragma once
#include "shape.hpp"

class Circle : public Shape {
 public:
  explicit Circle(double radius);
  std::string name() const override;
  double area() const override;

 private:
  double radius_;
};
