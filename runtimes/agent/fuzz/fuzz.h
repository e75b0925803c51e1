/* What the fuzz targets share. Each holds the agent's parser of something to what must be true of whatever it is given. */
#ifndef CODERUNNER_FUZZ_H
#define CODERUNNER_FUZZ_H

#include "failure.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The entry point, as libFuzzer names it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

#define EXPECT(condition)                                                                                                                      \
    do {                                                                                                                                       \
        if (!(condition)) {                                                                                                                    \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                                            \
            abort();                                                                                                                           \
        }                                                                                                                                      \
    } while (0)

#endif
