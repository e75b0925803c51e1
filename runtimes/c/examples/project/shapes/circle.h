double circle_area(double radius);
