"""A program of several files: modules in folders are imported as anywhere."""
from shapes.circle import Circle
from shapes.square import Square

for shape in (Circle(1), Square(2)):
    print(f"{shape.name:8} area {shape.area():.2f}")
