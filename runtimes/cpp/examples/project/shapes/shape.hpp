#pragma once
#include <string>

class Shape {
 public:
  virtual ~Shape() = default;
  virtual std::string name() const = 0;
  virtual double area() const = 0;
};
