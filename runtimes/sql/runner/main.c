/*
 * Runs SQL scripts against the sandbox's MariaDB:
 *   sql [--on-error=stop|continue] [--rows=NUMBER|all] ENTRY [ARGUMENT…]
 *   sql --wait      connects, waits for a run, and is then given such a command line
 * Ends with 0, or with 1 where a statement failed.
 */
#include "memory.h"
#include "message.h"
#include "prelude.h"
#include "session.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

/* Takes options off the command line. Returns the entry and what follows it, or NULL. */
static char **take_options(struct session *session, char **argv)
{
    static const char on_error[] = "--on-error=", rows[] = "--rows=";
    for (argv++; *argv && strncmp(*argv, "--", 2) == 0; argv++) {
        if (strncmp(*argv, on_error, strlen(on_error)) == 0)
            session->continues = strcmp(*argv + strlen(on_error), "continue") == 0;
        else if (strncmp(*argv, rows, strlen(rows)) == 0)
            session->most_rows = strtoull(*argv + strlen(rows), NULL, 10);
        else
            return NULL;
    }
    return *argv ? argv : NULL;
}

static void run_quietly(void *context, const char *path)
{
    struct session *session = context;
    if (session->ended)
        return;
    session->quiet = true;
    session_run_file(session, path);
    session->quiet = false;
}

/* The width of the terminal, where the output goes to one. */
static size_t screen_columns(void)
{
    struct winsize size;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int main(int argc, char **argv)
{
    struct session session = {0};
    bool waits = argc == 2 && strcmp(argv[1], "--wait") == 0;
    setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of characters */
    if (!session_connect(&session))
        return EXIT_FAILURE;
    char **entry = take_options(&session, waits ? message_wait() : argv);
    if (entry == NULL) {
        fputs("usage: sql [--on-error=stop|continue] [--rows=NUMBER|all] ENTRY [ARGUMENT…]\n", stderr);
        return EXIT_USAGE;
    }
    session.screen_columns = screen_columns();
    results_open(&session.results);
    session_set_arguments(&session, entry + 1);
    prelude_each(*entry, run_quietly, &session);
    if (!session.ended)
        session_run_file(&session, *entry);
    results_close(&session.results);
    session_close(&session);
    return session.errors > 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
