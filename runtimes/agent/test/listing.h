/* What a tar reader gives, as text: a line for each entry. Of long content the fingerprint. */
#ifndef CODERUNNER_LISTING_H
#define CODERUNNER_LISTING_H

#include "fingerprint.h"
#include "tar.h"

struct listing {
    char text[1 << 17];
    size_t used;
    bool in_file;
    uint64_t missing;
    char start[16];
    struct fingerprint print;
};

/* There is one, for the sink below, which fails the test where entries do not begin, go on and end as they should. */
extern struct listing listing;
extern const struct tar_sink listing_sink;

void listing_start(void);

#endif
