/* Everything else that lives in the container. The agent is its first process: all others are descendants, and orphans become its children. */
#ifndef CODERUNNER_PROCESSES_H
#define CODERUNNER_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* SIGKILL to all but `spared` (0: none). Returns how many may still be alive; 0 only if none is. */
size_t processes_kill_all_but(pid_t spared);

/* CPU time that living processes and those they waited for have used, except `spared` (0: none). In whole clock ticks. */
uint64_t processes_cpu_ns(pid_t spared);

/* CPU time of one process, exact. 0 if it is gone. */
uint64_t process_cpu_ns(pid_t pid);

#endif
