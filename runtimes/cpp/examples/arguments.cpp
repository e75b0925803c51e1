// Greets everyone it is given: try it with the arguments `Ada Grace --shout`.
#include <cctype>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  bool shout = false;
  std::vector<std::string> names;
  for (const std::string argument : std::vector<std::string>(argv + 1, argv + argc)) {
    if (argument == "--shout") shout = true;
    else names.push_back(argument);
  }
  if (names.empty()) names.push_back("world");

  for (const std::string& name : names) {
    std::string greeting = "Hello, " + name + "!";
    if (shout)
      for (char& letter : greeting) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    std::cout << greeting << '\n';
  }
}
