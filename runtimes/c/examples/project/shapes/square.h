double square_area(double side);
