square_area() {
  bc <<< "$1 ^ 2"
}
