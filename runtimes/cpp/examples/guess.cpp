// A game: the answer comes at once, because what you type goes straight to the program.
#include <iostream>
#include <random>
#include <sstream>
#include <string>

int main() {
  std::random_device random;
  const int number = std::uniform_int_distribution{1, 20}(random);
  std::cout << "I think of a number from 1 to 20.\n";
  int tries = 0;
  for (std::string line;;) {
    std::cout << "Your guess: " << std::flush;
    if (!std::getline(std::cin, line)) {
      std::cout << "\nIt was " << number << ".\n";
      break;
    }
    int guess;
    if (!(std::istringstream{line} >> guess)) {
      std::cout << "A whole number, please.\n";
      continue;
    }
    tries++;
    if (guess == number) {
      std::cout << "Right, after " << tries << (tries == 1 ? " try" : " tries") << "!\n";
      break;
    }
    std::cout << (guess < number ? "Higher!" : "Lower!") << '\n';
  }
}
