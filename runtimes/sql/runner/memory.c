#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (memory == NULL) {
        fputs("coderunner: there is no memory left to read the script or its results.\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

void *need(size_t bytes)
{
    return checked(calloc(1, bytes ? bytes : 1));
}

void *need_more(void *old, size_t bytes)
{
    return checked(realloc(old, bytes ? bytes : 1));
}

char *need_copy(const char *bytes, size_t length)
{
    char *copy = need(length + 1);
    memcpy(copy, bytes, length);
    return copy;
}
