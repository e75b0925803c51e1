circle_area() {
  bc --mathlib <<< "4 * a(1) * $1 ^ 2"
}
