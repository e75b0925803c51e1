/* Services that run beside every program of a sandbox, such as a database: started at boot, before the warm interpreter. */
#ifndef CODERUNNER_SERVICES_H
#define CODERUNNER_SERVICES_H

#include "launch.h"

enum { SERVICES_MOST = 8 };

struct service {
    const char *path;
    int control; /* our end of its socket; -1 once it serves */
};

struct services {
    struct service each[SERVICES_MOST];
    pid_t sessions[SERVICES_MOST]; /* each leads its own, by its pid; 0 once it has ended */
    size_t count, starting;
};

/* Takes down an executable to be started. False if there are too many. */
bool services_add(struct services *services, const char *path);

/* Starts them all. They serve once `starting` is 0. */
bool services_start(struct services *services, struct identity user, const char *workspace, struct failure *failure);

/* The socket of one has news: it serves. False with the failure set if it says something else, or nothing any more. */
bool services_read(struct services *services, size_t index, struct failure *failure);

/* Whether a process that was reaped is one of them; then its path, else NULL. */
const char *services_reaped(struct services *services, pid_t pid);

#endif
