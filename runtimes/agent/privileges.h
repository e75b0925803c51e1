/*
 * Who the agent is. It stays uid 0 with the three capabilities that it needs (SETUID, SETGID, KILL) and no others, but touches files only
 * with the run user's rights; the program is that user and nothing more.
 */
#ifndef CODERUNNER_PRIVILEGES_H
#define CODERUNNER_PRIVILEGES_H

#include "failure.h"

#include <sys/types.h>

struct identity {
    uid_t uid;
    gid_t gid;
};

/*
 * Checks that this is the first process of a container that lets it do its work, drops everything else, and puts itself out of the
 * program's reach. The workspace becomes the run users' where the engine left it to root. From here on the process opens and creates files
 * as the run user.
 */
bool privileges_prepare(struct identity run_user, const char *workspace, struct failure *failure);

/* Opens and creates files as another run user from here on. False where the kernel has no way to. */
bool privileges_change(struct identity run_user);

/* In a child: becomes the run user for good. False with errno. */
bool privileges_become(struct identity run_user);

/* In a child: stays uid 0, able to become any run user and nothing else. False with errno. */
bool privileges_become_parent(void);

/*
 * In a child: may signal who is of the run user and nobody else, and cannot be signalled by them. False with errno.
 */
bool privileges_become_killer(struct identity run_user);

/* In a child, before that: opens files as uid 0 again, as a file below /proc needs it. */
void privileges_use_own_rights(void);

#endif
