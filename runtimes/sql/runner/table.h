/*
 * Result sets in a terminal or a file: a table with borders, or one line a column. Rows come one after the other; the first of them are held
 * back until it is known how wide the columns are, so a result of any length takes a bounded amount of memory.
 */
#ifndef CODERUNNER_SQL_TABLE_H
#define CODERUNNER_SQL_TABLE_H

#include "cell.h"

#include <stdio.h>

struct table_column {
    const char *name;
    size_t name_length;
    bool number; /* to the right */
    bool binary;
};

struct table {
    FILE *out;
    const struct table_column *columns;
    size_t column_count;
    size_t screen_columns; /* a table that is wider is shown line by line; 0: of any width */
    bool vertical;
    bool begun; /* the widths are settled */
    size_t *widths;
    struct cell *names;
    struct cell *cells; /* of the rows that wait */
    size_t cells_room;
    size_t waiting; /* rows */
    size_t printed; /* rows */
    struct arena arena;
    struct arena names_arena;
};

void table_open(struct table *table, FILE *out, const struct table_column *columns, size_t count, size_t screen_columns, bool vertical);

/* NULL among the values is NULL. */
void table_row(struct table *table, const char *const *values, const unsigned long *lengths);

/* Prints what waits and the last border. */
void table_close(struct table *table);

#endif
