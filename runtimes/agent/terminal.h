#ifndef CODERUNNER_TERMINAL_H
#define CODERUNNER_TERMINAL_H

#include "failure.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

/* A pseudo terminal that belongs to the run user. -1 and -1 when there is none. */
struct terminal {
    int master; /* non-blocking */
    int slave;  /* kept open while the program lives: without any, reading the master fails although the program may open it again */
    char path[32];
};

bool terminal_open(struct terminal *terminal, struct winsize size, struct failure *failure);

/* Tells the program's side, which gets SIGWINCH. */
void terminal_resize(const struct terminal *terminal, struct winsize size);

/* The process group that the terminal's signals go to; 0 if there is none. */
pid_t terminal_foreground(const struct terminal *terminal);

/* What a person types to end the input: twice after an unfinished line. Returns its length, at most 2. */
size_t terminal_end_of_input(const struct terminal *terminal, bool after_newline, uint8_t keys[2]);

#endif
