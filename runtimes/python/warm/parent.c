#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "parent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child gets becomes 0, 1, 2 and 3. */
enum { CHILD_DESCRIPTORS = 4 };

struct order {
    uint32_t user, group; /* big-endian */
};

bool is_parent(void)
{
    return getuid() == 0;
}

/* False at the end, and for what is no order to fork. */
static bool read_order(int control, struct order *order, int descriptors[CHILD_DESCRIPTORS])
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CHILD_DESCRIPTORS * sizeof(int))];
    } passed;
    struct iovec bytes = {order, sizeof *order};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &passed, .msg_controllen = sizeof passed};
    ssize_t length;
    do
        length = recvmsg(control, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    const struct cmsghdr *header = length == (ssize_t)sizeof *order ? CMSG_FIRSTHDR(&message) : NULL;
    if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(CHILD_DESCRIPTORS * sizeof(int)))
        return false;
    memcpy(descriptors, CMSG_DATA(header), CHILD_DESCRIPTORS * sizeof(int));
    return true;
}

/* The kernel, short of memory, is to take a run's process and not its parent. */
static bool volunteer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    bool volunteered = fd >= 0 && write(fd, "1000", 4) == 4;
    close(fd);
    return volunteered;
}

/* Not to be traced is right for the parent. A program may be, by those of its own user. */
static bool become_user(const struct order *order)
{
    uid_t user = ntohl(order->user);
    gid_t group = ntohl(order->group);
    return setresgid(group, group, group) == 0 && setresuid(user, user, user) == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

/* The parent's own socket is among what is replaced. */
static bool take_descriptors(const int descriptors[CHILD_DESCRIPTORS])
{
    for (int i = 0; i < CHILD_DESCRIPTORS; i++)
        if (dup2(descriptors[i], i) < 0)
            return false;
    for (int i = 0; i < CHILD_DESCRIPTORS; i++)
        close(descriptors[i]);
    return true;
}

void fork_for_runs(int control)
{
    struct order order;
    int descriptors[CHILD_DESCRIPTORS];
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        _exit(125);
    while (read_order(control, &order, descriptors)) {
        PyOS_BeforeFork();
        /*
         * The child of a child that ends is the agent's, which waits for it as for any other interpreter. The one in between does nothing else,
         * so it needs no memory of its own.
         */
        pid_t between = vfork();
        if (between == 0) {
            if (fork() != 0)
                _exit(0);
            PyOS_AfterFork_Child();
            if (volunteer_for_oom() && take_descriptors(descriptors) && setsid() > 0 && become_user(&order))
                return;
            _exit(125);
        }
        PyOS_AfterFork_Parent();
        for (int i = 0; i < CHILD_DESCRIPTORS; i++)
            close(descriptors[i]);
        /* Whether there is a child the agent hears from it, or finds its end of the socket closed. */
        if (between > 0)
            waitpid(between, NULL, 0);
    }
    _exit(0);
}
