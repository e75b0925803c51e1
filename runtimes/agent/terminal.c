#include "terminal.h"

#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

bool terminal_open(struct terminal *terminal, struct winsize size, struct failure *failure)
{
    int unlock = 0, number;
    terminal->slave = -1;
    terminal->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal->master >= 0 && ioctl(terminal->master, TIOCSPTLCK, &unlock) == 0 && ioctl(terminal->master, TIOCGPTN, &number) == 0 &&
        ioctl(terminal->master, TIOCSWINSZ, &size) == 0) {
        snprintf(terminal->path, sizeof terminal->path, "/dev/pts/%d", number);
        terminal->slave = open(terminal->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    return terminal->slave >= 0 || failure_set_errno(failure, "opening a terminal");
}

void terminal_resize(const struct terminal *terminal, struct winsize size)
{
    ioctl(terminal->master, TIOCSWINSZ, &size); /* cannot fail on an open master */
}

pid_t terminal_foreground(const struct terminal *terminal)
{
    pid_t group = tcgetpgrp(terminal->master);
    return group > 0 ? group : 0;
}

size_t terminal_end_of_input(const struct terminal *terminal, bool after_newline, uint8_t keys[2])
{
    struct termios settings;
    keys[0] = keys[1] = tcgetattr(terminal->master, &settings) == 0 ? settings.c_cc[VEOF] : 4;
    return after_newline ? 1 : 2;
}
