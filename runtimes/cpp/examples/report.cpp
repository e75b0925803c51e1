// Writes a file: what a program produces can be taken out of the sandbox.
#include <fstream>
#include <iostream>

int main() {
  std::ofstream file{"report.csv"};
  file << "number,square\n";
  for (int n = 1; n <= 10; n++) file << n << ',' << n * n << '\n';
  std::cout << "Wrote report.csv\n";
}
