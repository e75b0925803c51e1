/*
 * Results for programs: a file with one JSON object a line, a line a result, of bounded size. docs/protocol.md says what is in it.
 */
#ifndef CODERUNNER_SQL_RESULTS_H
#define CODERUNNER_SQL_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct results {
    FILE *file; /* NULL: nothing is recorded any more */
    size_t bytes;
    uint64_t rows;    /* of the present result that were recorded */
    uint64_t omitted; /* results that came when the file was full */
    bool recording;   /* the present result */
    bool cut;         /* something of the present result was left out */
};

struct results_statement {
    const char *file;
    unsigned line;
    const char *text;
    size_t length;
};

struct results_column {
    const char *name;
    size_t name_length;
    const char *type;
    bool binary;
};

/* Makes the file; where that fails, says why on stderr and records nothing. */
void results_open(struct results *results);

/* A result begins. Without columns: of a statement that gives no rows. */
void results_begin(struct results *results, const struct results_statement *statement, const struct results_column *columns, size_t count);

void results_row(struct results *results, const struct results_column *columns, const char *const *values, const unsigned long *lengths,
                 size_t count);

/* How a result ended. */
struct results_ending {
    uint64_t row_count;     /* of a result with rows: how many it has */
    uint64_t rows_affected; /* of one without */
    unsigned error_number;  /* 0: none */
    const char *sql_state;
    const char *error;
    double milliseconds;
};

void results_end(struct results *results, const struct results_ending *ending, bool has_rows);

/* Says what was omitted. */
void results_close(struct results *results);

#endif
