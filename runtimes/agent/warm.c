#include "warm.h"

#include "frame.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* START has at most a frame's size, so the message fits into the socket and sending it never waits. */
#define SOCKET_BUFFER_BYTES (4 * 65536)

extern char **environ;

/* What an interpreter is given, and our ends of it in `warm`. */
struct given {
    struct streams streams;
    int control;
};

static bool open_control(int ends[2])
{
    const int bytes = SOCKET_BUFFER_BYTES;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
           setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0;
}

static bool open_given(struct warm *warm, struct given *given, struct failure *failure)
{
    int control[2];
    *warm = WARM_NONE;
    if (!open_control(control))
        return failure_set_errno(failure, "opening the control socket");
    warm->control = control[0];
    given->control = control[1];
    return streams_open(&warm->streams, &given->streams, failure);
}

static void close_given(struct given *given)
{
    streams_close(&given->streams);
    streams_close_one(&given->control);
}

static bool start(struct warm *warm, struct launch launching, struct failure *failure)
{
    struct given given;
    if (!open_given(warm, &given, failure))
        return false;
    launching.env = (const char *const *)environ;
    launching.in = given.streams.in;
    launching.out = given.streams.out;
    launching.err = given.streams.err;
    launching.control = given.control;
    pid_t pid = launch(&launching, failure);
    close_given(&given);
    warm->pid = pid > 0 ? pid : 0;
    return pid > 0;
}

bool warm_start(struct warm *warm, struct identity user, const char *const *argv, const char *workspace, struct failure *failure)
{
    return start(warm, (struct launch){.user = user, .argv = argv, .cwd = workspace}, failure);
}

bool warm_start_parent(struct warm *parent, const char *const *argv, struct failure *failure)
{
    return start(parent, (struct launch){.parent = true, .argv = argv, .cwd = "/"}, failure);
}

bool warm_fork(struct warm *warm, const struct warm *parent, struct identity user, struct failure *failure)
{
    struct given given;
    const int yes = 1;
    if (!open_given(warm, &given, failure))
        return false;
    if (setsockopt(warm->control, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0)
        return failure_set_errno(failure, "asking who an interpreter is");
    warm->user = user;
    uint8_t order[8];
    const int passed[] = {given.streams.in, given.streams.out, given.streams.err, given.control};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof passed)];
    } rights = {.header = {.cmsg_len = CMSG_LEN(sizeof passed), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&rights.header), passed, sizeof passed);
    frame_write_u32(order, user.uid);
    frame_write_u32(order + 4, user.gid);
    struct iovec bytes = {order, sizeof order};
    const struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t sent = sendmsg(parent->control, &message, MSG_NOSIGNAL);
    bool ordered = sent == (ssize_t)sizeof order || failure_set_errno(failure, "having an interpreter forked");
    close_given(&given);
    return ordered;
}

bool warm_is_starting(const struct warm *warm)
{
    return warm->control >= 0 && !warm->ready;
}

/* What it said on stderr instead of getting ready, for whoever reads the container's log. */
static void report(const struct warm *warm)
{
    char text[4096];
    ssize_t length = read(warm->streams.err, text, sizeof text);
    dprintf(STDERR_FILENO, "coderunner: the warm interpreter did not get ready. %.*s\n", length > 0 ? (int)length : 0, text);
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

/* Of one that was forked, the kernel says who it is. False if it is not of the user that it should have become. */
static bool recognise(struct warm *warm, const struct ucred *sender)
{
    if (warm->pid > 0)
        return true;
    warm->pid = sender->pid;
    return sender->pid > 0 && sender->uid == warm->user.uid && sender->gid == warm->user.gid;
}

/* Reads a byte, and who has sent it where that is told. */
static ssize_t read_from(int control, char *byte, struct ucred *sender)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof *sender)];
    } passed;
    struct iovec bytes = {byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof passed};
    ssize_t count = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = count == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(sender, CMSG_DATA(header), sizeof *sender);
    return count;
}

void warm_read(struct warm *warm)
{
    char answer;
    struct ucred sender = {0};
    if (warm->lent) {
        read_answer(warm);
        return;
    }
    ssize_t count = read_from(warm->control, &answer, &sender);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count == 1 && answer == 'R' && !warm->ready && recognise(warm, &sender)) {
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
