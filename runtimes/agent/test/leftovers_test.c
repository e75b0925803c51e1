#include "check.h"
#include "leftovers.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The kernel's tables as a test has them: it cannot make the real ones disagree with each other. */
static struct table {
    const char *path, *text;
    int opened;
} kernel[] = {
    {.path = "/proc/sysvipc/shm"},  {.path = "/proc/sysvipc/sem"},   {.path = "/proc/sysvipc/msg"},
    {.path = "/proc/net/sockstat"}, {.path = "/proc/net/sockstat6"}, {.path = "/proc/net/unix"},
    {.path = "/proc/net/tcp"},      {.path = "/proc/net/tcp6"},      {.path = "/proc/net/udp"},
};

static struct table *find(const char *path)
{
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++)
        if (strcmp(kernel[i].path, path) == 0)
            return kernel[i].text ? &kernel[i] : NULL;
    return NULL;
}

static FILE *open_table(const char *path)
{
    struct table *table = find(path);
    if (table == NULL) {
        errno = ENOENT;
        return NULL;
    }
    table->opened++;
    return fmemopen((void *)(uintptr_t)table->text, strlen(table->text), "r");
}

static int look_for_table(const char *path)
{
    return find(path) ? 0 : -1;
}

/* There are no terminals: those of whoever runs the tests are none of theirs. */
static DIR *open_folder(void)
{
    errno = ENOENT;
    return NULL;
}

/* Included, so that what it opens are these. */
#define fopen(path, mode) open_table(path)
#define access(path, mode) look_for_table(path)
#define opendir(path) open_folder()
#include "leftovers.c"

#define TITLE "a title\n"
#define TITLE_AND_LINE TITLE "a line\n"
#define SOCKETS(used, tcp, waiting) "sockets: used " used "\nTCP: inuse " tcp " orphan 0 tw " waiting " alloc 3 mem 0\nUDP: inuse 0 mem 0\n"
#define SOCKETS6(tcp) "TCP6: inuse " tcp "\nUDP6: inuse 0\n"

enum { OWN_SOCKETS = 2 };

static void set(const char *path, const char *text)
{
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++)
        if (strcmp(kernel[i].path, path) == 0)
            kernel[i].text = text;
}

/* Nothing is left but the agent's own sockets. */
static void set_clean(void)
{
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++) {
        kernel[i].text = TITLE;
        kernel[i].opened = 0;
    }
    set("/proc/net/sockstat", SOCKETS("2", "0", "0"));
    set("/proc/net/sockstat6", SOCKETS6("0"));
    set("/proc/net/unix", TITLE "own\nown\n");
}

static bool are_none(void)
{
    struct failure failure = {0};
    return leftovers_are_none(OWN_SOCKETS, &failure) || !failure_is(&failure, FAIL_NOT_CLEAN);
}

TEST(no_leftovers, "where the kernel counts no socket but the agent's own, its tables of TCP are not gone through")
{
    set_clean();
    CHECK(are_none());
    CHECK(find("/proc/net/tcp")->opened == 0 && find("/proc/net/tcp6")->opened == 0 && find("/proc/net/udp")->opened == 1);
}

TEST(counters_of_sockets, "a connection is found where any one of the kernel's counters does not say that there is none")
{
    static const struct {
        const char *counters, *text;
    } cases[] = {
        {"/proc/net/sockstat", SOCKETS("3", "0", "0")},
        {"/proc/net/sockstat", SOCKETS("1", "0", "0")},
        {"/proc/net/sockstat", SOCKETS("2", "1", "0")},
        {"/proc/net/sockstat", SOCKETS("2", "0", "1")},
        {"/proc/net/sockstat", "TCP: inuse 0 tw 0\n"},
        {"/proc/net/sockstat", "sockets: used 2\n"},
        {"/proc/net/sockstat", NULL},
        {"/proc/net/sockstat6", SOCKETS6("1")},
        {"/proc/net/sockstat6", NULL},
    };
    static const char *const connections[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t j = 0; j < sizeof connections / sizeof *connections; j++) {
            set_clean();
            set(cases[i].counters, cases[i].text);
            CHECK_CASE(are_none(), "without a connection, %s: %s", cases[i].counters, cases[i].text);
            set(connections[j], TITLE_AND_LINE);
            CHECK_CASE(!are_none(), "%s is not looked at, %s: %s", connections[j], cases[i].counters, cases[i].text);
        }
}

TEST(tables_of_leftovers, "whatever is in any other table is left, and so is one that cannot be read")
{
    static const char *const paths[] = {"/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg", "/proc/net/udp"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        set_clean();
        set(paths[i], TITLE_AND_LINE);
        CHECK_CASE(!are_none(), "%s", paths[i]);
        set(paths[i], NULL);
        CHECK_CASE(!are_none(), "%s is missing", paths[i]);
    }
    set_clean();
    set("/proc/net/unix", TITLE "own\nown\nanother\n");
    CHECK(!are_none());
}

TEST(no_version_6, "a kernel without version 6 of the protocols has nothing left of it")
{
    set_clean();
    set("/proc/net/sockstat6", NULL);
    set("/proc/net/tcp6", NULL);
    CHECK(are_none());
    CHECK(find("/proc/net/tcp")->opened == 0);
}
