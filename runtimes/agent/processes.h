/* Everything else that lives in the container. The agent is its first process: all others are descendants, and orphans become its children. */
#ifndef CODERUNNER_PROCESSES_H
#define CODERUNNER_PROCESSES_H

#include "privileges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who is left alone: two processes, and all of some sessions. */
struct spared {
    pid_t pid;    /* 0: none */
    pid_t parent; /* of interpreters, which is of no run user; 0: none */
    const pid_t *sessions;
    size_t session_count;
};

/*
 * SIGKILL to all but those; `user` is whose they are. Returns how many may still be alive; 0 only if none is. Where
 * nobody but a parent is left alone, all end at once, and who is dead but not waited for counts as well.
 */
size_t processes_kill_all_but(struct spared spared, struct identity user);

/* CPU time that living processes and those they waited for have used, except those. In whole clock ticks. */
uint64_t processes_cpu_ns(struct spared spared);

/* The most memory that one process has had at a time, in bytes. 0 if it is gone. */
uint64_t process_peak_rss_bytes(pid_t pid);

/* CPU time of one process, exact. 0 if it is gone. */
uint64_t process_cpu_ns(pid_t pid);

#endif
