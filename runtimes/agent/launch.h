/* Starting a process as the run user, with nothing of the agent's but what it is given. */
#ifndef CODERUNNER_LAUNCH_H
#define CODERUNNER_LAUNCH_H

#include "privileges.h"
#include "request.h"

#include <sys/types.h>

struct launch {
    struct identity user;
    const char *const *argv; /* argv[0] is looked up in PATH of `env` */
    const char *const *env;
    const char *cwd;
    int in, out, err;
    int control;                 /* becomes descriptor 3; -1: none */
    bool terminal;               /* `in` is one, and becomes the controlling one */
    bool parent;                 /* of interpreters: it keeps uid 0 instead of `user`, to become a run user in each child */
    const struct limits *limits; /* NULL: none yet */
};

/* Prepares launching; once, at boot. */
bool launch_prepare(struct failure *failure);

/*
 * Starts the process, leader of a session and process group of its own. Returns its pid, or -1 with the failure set.
 * That argv[0] cannot be started shows as exit code 127 or 126 with a line on its stderr.
 */
pid_t launch(const struct launch *launch, struct failure *failure);

/* After a launched process has ended: whether it ended in our own code, before the program began; then the failure is set. */
bool launch_failed(struct failure *failure);

/*
 * Sets the limits of a running process of the run user, which has used `cpu_ns` already. Limits that are not `final` can be replaced by
 * higher ones, by the process too.
 */
bool launch_limit(pid_t pid, struct identity user, const struct limits *limits, uint64_t cpu_ns, bool final, struct failure *failure);

#endif
