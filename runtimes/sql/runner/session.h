/* A connection to the sandbox's server, and scripts run over it: each statement in order, its results shown, its errors told with file and line.
 */
#ifndef CODERUNNER_SQL_SESSION_H
#define CODERUNNER_SQL_SESSION_H

#include "results.h"
#include "script.h"

#include <mysql.h>
#include <stdbool.h>

struct session {
    MYSQL *server;
    struct results results;
    bool continues;     /* after an error */
    bool quiet;         /* says nothing of statements that give no rows */
    uint64_t most_rows; /* shown of a result; 0: all */
    size_t screen_columns;
    unsigned errors;
    bool ended;     /* nothing more can be run */
    unsigned depth; /* of SOURCE */
};

/* Connects. False, and why on stderr. */
bool session_connect(struct session *session);

/* Makes the program's arguments @arg1, @arg2, … and @args, a JSON array of all. */
void session_set_arguments(struct session *session, char *const *args);

/* Runs a script; `path` is relative to the workspace, which is the present folder. */
void session_run_file(struct session *session, const char *path);

void session_close(struct session *session);

#endif
