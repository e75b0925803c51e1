#ifndef CODERUNNER_GLOB_H
#define CODERUNNER_GLOB_H

#include <stdbool.h>

/*
 * Whether a pattern matches a whole relative path: `*` and `?` within a component, a component `**` across any number of them (also none),
 * `[a-z]`, `[!a-z]`. Names that begin with a dot are names like others. Takes time in proportion to the product of both lengths, at most.
 */
bool glob_matches(const char *pattern, const char *path);

#endif
