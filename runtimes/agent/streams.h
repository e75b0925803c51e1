/* The three pipes between the agent and a program. */
#ifndef CODERUNNER_STREAMS_H
#define CODERUNNER_STREAMS_H

#include "failure.h"

#include <stdbool.h>

/* One side's ends; -1: closed. */
struct streams {
    int in, out, err;
};

#define STREAMS_CLOSED ((struct streams){-1, -1, -1})

/* Opens the pipes. Our ends do not block, the program's do. */
bool streams_open(struct streams *ours, struct streams *program, struct failure *failure);

void streams_close(struct streams *streams);

/* Closes a descriptor unless that was done, and notes it. */
void streams_close_one(int *fd);

#endif
