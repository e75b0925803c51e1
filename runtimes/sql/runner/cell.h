/* A value on its way to a person: what it looks like in one line of a terminal, and how many columns that takes. */
#ifndef CODERUNNER_SQL_CELL_H
#define CODERUNNER_SQL_CELL_H

#include <stdbool.h>
#include <stddef.h>

struct cell {
    const char *text; /* not terminated; NULL: the value is NULL */
    size_t bytes;
    size_t columns;
};

/* Bytes that are kept while a result is shown; all at once let go. */
struct arena {
    struct arena_block *blocks;
    size_t bytes;
};

void arena_clear(struct arena *arena);

/*
 * A value as it is shown, at most so many columns wide (0: as wide as it is; what is cut ends with …). Line ends, tabs and other control
 * characters become visible: nothing in a table may move the cursor. Bytes that are no UTF-8 become U+FFFD.
 */
struct cell cell_text(struct arena *arena, const char *value, size_t length, size_t most_columns);

/* The same for bytes that are no text: 0x1A2B… */
struct cell cell_binary(struct arena *arena, const char *value, size_t length, size_t most_columns);

/* The length of the UTF-8 character that begins here, and its code point; 0 where none does. */
size_t utf8_character(const char *text, size_t length, unsigned *code_point);

#endif
