#pragma once
#include "shape.hpp"

class Square : public Shape {
 public:
  explicit Square(double side);
  std::string name() const override;
  double area() const override;

 private:
  double side_;
};
