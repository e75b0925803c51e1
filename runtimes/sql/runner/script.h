/*
 * A script's text, taken apart into what the server is sent and what is meant for us. It knows MariaDB's quotes and comments, DELIMITER, the
 * terminators \g and \G, and SOURCE; it does not know the grammar.
 */
#ifndef CODERUNNER_SQL_SCRIPT_H
#define CODERUNNER_SQL_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#define LONGEST_DELIMITER 15

struct script {
    const char *text;
    size_t length;
    size_t at;
    unsigned line; /* of `at`, from 1 */
    char delimiter[LONGEST_DELIMITER + 1];
};

enum script_kind {
    SCRIPT_END,
    SCRIPT_STATEMENT, /* text: without its delimiter and without comments before it */
    SCRIPT_SOURCE,    /* text: the path */
    SCRIPT_REFUSED,   /* text: the command's name. A command of the mariadb program that has no meaning here */
    SCRIPT_UNCLOSED,  /* text: what was opened and never closed, such as a quote */
    SCRIPT_BAD_DELIMITER,
    SCRIPT_NOTHING, /* DELIMITER, which was obeyed; nobody is told */
};

struct script_item {
    enum script_kind kind;
    const char *text; /* not terminated; belongs to the script, or is static */
    size_t length;
    unsigned line;
    bool vertical; /* ended with \G: one line a column */
};

void script_open(struct script *script, const char *text, size_t length);

/* The next item. `backslash_escapes`: whether a backslash in a string hides what follows it, which the server's sql_mode says. */
struct script_item script_next(struct script *script, bool backslash_escapes);

#endif
