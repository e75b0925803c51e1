// Adds up the numbers on its input, one a line.
#include <iostream>
#include <iterator>
#include <numeric>
#include <vector>

int main() {
  const std::vector<double> numbers{std::istream_iterator<double>{std::cin}, {}};
  std::cout << numbers.size() << " numbers, sum " << std::accumulate(numbers.begin(), numbers.end(), 0.0) << '\n';
}
