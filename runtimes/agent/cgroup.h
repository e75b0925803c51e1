/* What the container's control groups know, version 1 or 2. Where there are none to read (gVisor), nothing is known. */
#ifndef CODERUNNER_CGROUP_H
#define CODERUNNER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptors stay open: a counter costs one read. -1 for what is not there. */
struct cgroup {
    int memory_events;
    int cpu_usage;
    bool cpu_in_microseconds;
};

/* Finds the files through /proc/self/cgroup and /proc/self/mountinfo. */
void cgroup_open(struct cgroup *cgroup);

/* How many processes the kernel killed for memory so far; 0 where that is not known. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);

/* CPU time of every process that ever was in the container. False where that is not known. */
bool cgroup_cpu_ns(const struct cgroup *cgroup, uint64_t *cpu_ns);

#endif
