#include "warm.h"

#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* START has at most a frame's size, so the message fits into the socket and sending it never waits. */
#define SOCKET_BUFFER_BYTES (4 * 65536)

extern char **environ;

static bool open_control(int ends[2])
{
    const int bytes = SOCKET_BUFFER_BYTES;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
           setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0;
}

bool warm_start(struct warm *warm, struct identity user, const char *const *argv, const char *workspace, struct failure *failure)
{
    int control[2];
    struct streams program;
    *warm = WARM_NONE;
    if (!open_control(control))
        return failure_set_errno(failure, "opening the control socket");
    if (!streams_open(&warm->streams, &program, failure))
        return false;
    const struct launch launching = {
        .user = user,
        .argv = argv,
        .env = (const char *const *)environ,
        .cwd = workspace,
        .in = program.in,
        .out = program.out,
        .err = program.err,
        .control = control[1],
    };
    pid_t pid = launch(&launching, failure);
    streams_close(&program);
    close(control[1]);
    if (pid < 0)
        return false;
    warm->pid = pid;
    warm->control = control[0];
    return true;
}

/* What it said on stderr instead of getting ready, for whoever reads the container's log. */
static void report(const struct warm *warm)
{
    char text[4096];
    ssize_t length = read(warm->streams.err, text, sizeof text);
    dprintf(STDERR_FILENO, "coderunner: the warm interpreter did not get ready; runs start cold. %.*s\n", length > 0 ? (int)length : 0, text);
}

void warm_discard(struct warm *warm)
{
    pid_t pid = warm->pid;
    if (pid > 0)
        kill(pid, SIGKILL);
    streams_close_one(&warm->control);
    streams_close(&warm->streams);
    *warm = WARM_NONE;
    warm->discarded = pid;
}

/* What it says while it is lent. An answer that makes no sense ends it: nothing more can be asked of it. */
static void read_answer(struct warm *warm)
{
    uint8_t byte;
    ssize_t count = read(warm->control, &byte, 1);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count == 1 && warm->answered < sizeof warm->answer && (warm->answered > 0 || byte == 'E')) {
        warm->answer[warm->answered++] = byte;
        return;
    }
    streams_close_one(&warm->control); /* or poll would tell of it until it is reaped */
    kill(warm->pid, SIGKILL);
}

void warm_read(struct warm *warm)
{
    char answer;
    if (warm->lent) {
        read_answer(warm);
        return;
    }
    ssize_t count = read(warm->control, &answer, 1);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count == 1 && answer == 'R' && !warm->ready) {
        warm->ready = true;
        return;
    }
    report(warm);
    warm_discard(warm);
}

/* Sends it the stage. False without a failure when there is none that could do it. */
static bool hand_over(struct warm *warm, struct identity user, const struct start_request *start, const char *terminal, bool final,
                      struct failure *failure)
{
    size_t size;
    if (warm->pid == 0 || warm->control < 0)
        return false;
    if (!launch_limit(warm->pid, user, &start->limits, process_cpu_ns(warm->pid), final, failure))
        return false;
    uint8_t *message = start_request_for_warm(start, terminal, &size);
    ssize_t sent = message ? send(warm->control, message, size, MSG_NOSIGNAL) : -1;
    free(message);
    if (sent < 0 || (size_t)sent != size) { /* it has died: nothing of the stage has happened yet */
        warm_discard(warm);
        return false;
    }
    return true;
}

bool warm_take(struct warm *warm, struct identity user, const struct start_request *start, const char *terminal, pid_t *pid,
               struct streams *streams, struct failure *failure)
{
    if (!hand_over(warm, user, start, terminal, true, failure))
        return false;
    *pid = warm->pid;
    *streams = warm->streams;
    warm->pid = 0;
    warm->streams = STREAMS_CLOSED;
    streams_close_one(&warm->control);
    return true;
}

bool warm_lend(struct warm *warm, struct identity user, const struct start_request *start, pid_t *pid, struct streams *streams,
               struct failure *failure)
{
    if (!hand_over(warm, user, start, NULL, false, failure))
        return false;
    warm->lent = true;
    warm->answered = 0;
    *pid = warm->pid;
    *streams = (struct streams){-1, warm->streams.out, warm->streams.err}; /* its input is that of the program to come */
    return true;
}

bool warm_is_done(const struct warm *warm, int *exit_code)
{
    if (!warm->lent || warm->answered < sizeof warm->answer)
        return false;
    *exit_code = warm->answer[1];
    return true;
}

void warm_return(struct warm *warm)
{
    warm->lent = false;
}

void warm_bury(struct warm *warm)
{
    streams_close_one(&warm->control);
    streams_close_one(&warm->streams.in);
    *warm = WARM_NONE;
}
