/* What a warm interpreter is told: the stage that it does, or the run that it becomes. docs/protocol.md, "Warm interpreter". */
#ifndef CODERUNNER_START_H
#define CODERUNNER_START_H

#include <stddef.h>

/* Strings are UTF-8 and NUL-terminated; lists end with NULL. Everything lives as long as the process. */
struct start {
    char **argv; /* the whole cold command line */
    char *entry;
    char **args;
    char **env; /* "NAME=value" */
    char *cwd;
    char *tty;   /* path of the terminal to run on, or NULL: stay on the pipes */
    char *stage; /* what is to be done without becoming it, or NULL: the run */
};

/*
 * Blocks until the message has come on `fd`.
 * Returns 1 with `start` filled, 0 when the other side has closed (there will be no run), -1 when it is not a START.
 */
int read_start(int fd, struct start *start);

#endif
