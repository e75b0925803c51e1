/* Names of files as the daemon gives them: which are refused, and how they are written. */
#ifndef CODERUNNER_PATH_H
#define CODERUNNER_PATH_H

#include "failure.h"

#include <stdbool.h>
#include <stddef.h>

#define PATH_MAX_BYTES 4096
#define PATH_MAX_COMPONENT_BYTES 255

/*
 * Checks a relative path and writes it in its one normal form, without `.` components, doubled or trailing slashes, to `normal`
 * (terminated; empty for the workspace itself).
 */
bool path_normalise(const char *path, size_t length, char normal[PATH_MAX_BYTES + 1], struct failure *failure);

/* Whether the bytes are UTF-8 as RFC 3629 has it. */
bool utf8_is_valid(const char *bytes, size_t length);

/* Bytes of the UTF-8 character at the start; 0 if there is none. */
size_t utf8_character_bytes(const char *bytes, size_t length);

#endif
