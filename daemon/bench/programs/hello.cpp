#include <bits/stdc++.h>

int main()
{
    std::vector<std::string> words{"hello"};
    for (const auto &word : words)
        std::cout << word << std::endl;
}
