/* Where a program can write: known from the start, emptied between two runs of one owner, and proved to be as it was found. */
#ifndef CODERUNNER_PLACES_H
#define CODERUNNER_PLACES_H

#include "failure.h"
#include "privileges.h"

#include <stdint.h>
#include <sys/stat.h>

enum { PLACES_MOST = 16, PLACE_PATH_BYTES = 256 };

struct place {
    char path[PLACE_PATH_BYTES];
    mode_t mode;
    uid_t owner;
    gid_t group;
    uint64_t blocks, inodes; /* in use in its file system */
};

struct places {
    struct place each[PLACES_MOST];
    size_t count;
    bool all; /* what else is mounted lets the run user write nowhere */
};

/*
 * Finds them, before any program has run. What the run user may not change then, no program can make changeable later: it is root's, and
 * nothing more can be mounted.
 */
void places_find(struct places *places, struct identity user);

/*
 * Removes all that is in them, as the user whose it is: to be called in a child that has become that user. A place of that user's own is left
 * open to its group, which the next user is in. False with errno.
 */
bool places_empty(const struct places *places);

/* Whether they are empty and nothing in them is in use, with the rights that they had or as places_empty leaves them; else the failure is set.
 */
bool places_are_clean(const struct places *places, struct failure *failure);

/* Removes all that is in a folder, however deep, whatever rights folders below it have left to their owner. False with errno. */
bool places_empty_folder(int folder);

#endif
