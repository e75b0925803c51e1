/* Greets everyone it is given: try it with the arguments `Ada Grace --shout`. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void greet(const char *name, bool loudly) {
  char greeting[256];
  snprintf(greeting, sizeof greeting, "Hello, %s!", name);
  for (char *letter = greeting; loudly && *letter; letter++) *letter = toupper((unsigned char)*letter);
  puts(greeting);
}

int main(int argc, char **argv) {
  bool shout = false;
  for (int i = 1; i < argc; i++) shout = shout || strcmp(argv[i], "--shout") == 0;

  int greeted = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--shout") == 0) continue;
    greet(argv[i], shout);
    greeted++;
  }
  if (greeted == 0) greet("world", shout);
}
