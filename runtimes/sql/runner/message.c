#include "message.h"
#include "memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTROL = 3 };

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "coderunner: the waiting SQL runner could not take the run: %s\n", what);
    exit(125);
}

static void read_exactly(void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t count = read(CONTROL, (char *)buffer + done, bytes - done);
        if (count == 0)
            exit(EXIT_SUCCESS); /* the agent has gone */
        if (count < 0 && errno != EINTR)
            fail(strerror(errno));
        if (count > 0)
            done += (size_t)count;
    }
}

/* The session has no terminal yet, so the first open makes this one the controlling one. */
static void open_terminal(const char *path)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (open(path, O_RDWR) != fd)
            exit(125);
}

static char **copy_strings(const json_t *list)
{
    size_t count = json_array_size(list);
    char **copies = need((count + 1) * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            fail("its arguments are no strings");
        copies[i] = need_copy(text, strlen(text));
    }
    return copies;
}

char **message_wait(void)
{
    uint32_t length;
    json_error_t error;
    if (write(CONTROL, "R", 1) != 1)
        exit(EXIT_SUCCESS);
    read_exactly(&length, sizeof length);
    length = ntohl(length);
    char *text = need(length);
    read_exactly(text, length);
    close(CONTROL);
    json_t *message = json_loadb(text, length, 0, &error);
    const char *cwd = json_string_value(json_object_get(message, "cwd"));
    const char *terminal = json_string_value(json_object_get(message, "tty"));
    if (cwd == NULL)
        fail("its message is not of the form that is expected");
    if (chdir(cwd) != 0)
        fail(strerror(errno));
    if (terminal)
        open_terminal(terminal);
    char **argv = copy_strings(json_object_get(message, "argv"));
    json_decref(message);
    free(text);
    return argv;
}
