#include "leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

static void remove_memory(int id)
{
    shmctl(id, IPC_RMID, NULL);
}

static void remove_semaphores(int id)
{
    semctl(id, 0, IPC_RMID);
}

static void remove_queue(int id)
{
    msgctl(id, IPC_RMID, NULL);
}

/* Calls `visit`, where there is one, for each line of a table after its title. Returns how many there are; -1 with errno. */
static int for_each_line(const char *table, void (*visit)(const char *line))
{
    FILE *file = fopen(table, "re");
    if (file == NULL)
        return -1;
    char *line = NULL;
    size_t room = 0;
    int count = -1;
    while (getline(&line, &room, file) > 0)
        if (++count > 0 && visit)
            visit(line);
    bool complete = !ferror(file) && count >= 0;
    free(line);
    fclose(file);
    return complete ? count : -1;
}

/* `KEY ID …` */
static void remove_id(const char *line, void (*remove)(int id))
{
    int id;
    if (sscanf(line, "%*d %d", &id) == 1)
        remove(id);
}

static void remove_memory_of(const char *line)
{
    remove_id(line, remove_memory);
}

static void remove_semaphores_of(const char *line)
{
    remove_id(line, remove_semaphores);
}

static void remove_queue_of(const char *line)
{
    remove_id(line, remove_queue);
}

/* What cannot be removed is found afterwards. */
void leftovers_remove(void)
{
    for_each_line("/proc/sysvipc/shm", remove_memory_of);
    for_each_line("/proc/sysvipc/sem", remove_semaphores_of);
    for_each_line("/proc/sysvipc/msg", remove_queue_of);
}

static bool has_terminals(void)
{
    DIR *terminals = opendir("/dev/pts");
    bool has = terminals == NULL && errno != ENOENT;
    for (struct dirent *entry; terminals && !has && (entry = readdir(terminals)) != NULL;)
        has = isdigit((unsigned char)entry->d_name[0]);
    if (terminals)
        closedir(terminals);
    return has;
}

/* Sockets that only messages to each other hold are looked for by the kernel when one is closed, and only then. It does so in its own time. */
static bool have_lost_sockets_found(void)
{
    int any = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return any >= 0 && close(any) == 0;
}

/* The number that follows `name` in the line of a table of counters that begins with `title`. -1 if there is none. */
static long count_of(const char *table, const char *title, const char *name)
{
    char line[256];
    long number = -1;
    FILE *file = fopen(table, "re");
    while (file && number < 0 && fgets(line, sizeof line, file)) {
        const char *at = strncmp(line, title, strlen(title)) == 0 ? strstr(line, name) : NULL;
        if (at)
            sscanf(at + strlen(name), "%ld", &number);
    }
    if (file)
        fclose(file);
    return number;
}

/*
 * Whether the kernel counts no socket of this network but the agent's own, nor what it keeps of closed ones. Its tables of TCP say no more, but
 * are one for the whole machine, and take it milliseconds to go through.
 */
static bool has_no_tcp(int own_sockets)
{
    static const char counters[] = "/proc/net/sockstat";
    long tcp6 = count_of("/proc/net/sockstat6", "TCP6:", " inuse");
    return count_of(counters, "sockets:", " used") == own_sockets && count_of(counters, "TCP:", " inuse") == 0 &&
           count_of(counters, "TCP:", " tw") == 0 && (tcp6 == 0 || (tcp6 < 0 && access("/proc/net/tcp6", F_OK) != 0));
}

bool leftovers_are_none(int own_sockets, struct failure *failure)
{
    const struct {
        const char *path;
        int own;
        bool may_be_missing, is_of_tcp;
    } tables[] = {
        {.path = "/proc/sysvipc/shm"},
        {.path = "/proc/sysvipc/sem"},
        {.path = "/proc/sysvipc/msg"},
        {.path = "/proc/net/unix", .own = own_sockets},
        {.path = "/proc/net/tcp", .is_of_tcp = true},
        {.path = "/proc/net/udp"},
        {.path = "/proc/net/tcp6", .is_of_tcp = true, .may_be_missing = true},
        {.path = "/proc/net/udp6", .may_be_missing = true},
        {.path = "/proc/net/udplite", .may_be_missing = true},
        {.path = "/proc/net/udplite6", .may_be_missing = true},
        {.path = "/proc/net/raw", .may_be_missing = true},
        {.path = "/proc/net/raw6", .may_be_missing = true},
        {.path = "/proc/net/icmp", .may_be_missing = true},
        {.path = "/proc/net/icmp6", .may_be_missing = true},
    };
    if (!have_lost_sockets_found())
        return failure_set_errno(failure, "opening a socket");
    bool no_tcp = has_no_tcp(own_sockets);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (no_tcp && tables[i].is_of_tcp)
            continue;
        int count = for_each_line(tables[i].path, NULL);
        if (count > tables[i].own || (count < 0 && !(tables[i].may_be_missing && errno == ENOENT)))
            return failure_set(failure, FAIL_NOT_CLEAN, "There is something left in %s.", tables[i].path);
    }
    return !has_terminals() || failure_set(failure, FAIL_NOT_CLEAN, "There is a terminal left.");
}
