// Draws a coloured progress bar over and over on the same line: output shows as it is printed.
#include <chrono>
#include <iomanip>
#include <iostream>
#include <string>
#include <thread>

constexpr int WIDTH = 30;
constexpr int STEPS = 25;
constexpr const char* GREEN = "\x1b[32m";
constexpr const char* PLAIN = "\x1b[0m";

std::string repeated(const std::string& text, int times) {
  std::string all;
  while (times-- > 0) all += text;
  return all;
}

int main() {
  using namespace std::chrono_literals;
  for (int step = 0; step <= STEPS; step++) {
    const int filled = WIDTH * step / STEPS;
    std::cout << '\r' << GREEN << repeated("█", filled) << PLAIN << repeated("░", WIDTH - filled) << ' '
              << std::setw(3) << 100 * step / STEPS << " %" << std::flush;
    std::this_thread::sleep_for(40ms);
  }
  std::cout << "\nDone.\n";
}
