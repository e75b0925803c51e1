#include "processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct process {
    pid_t pid, session;
    bool ended;
    uint64_t ticks; /* its own and its waited-for children's */
};

/* `PID (NAME) STATE …`; the name may hold anything, so the last parenthesis counts. False if the process is gone. */
static bool read_process(const char *pid, struct process *process)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%.32s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    const char *after_name = strrchr(text, ')');
    unsigned long own_user, own_system;
    long children_user, children_system, threads;
    int session;
    char state;
    if (after_name == NULL || sscanf(after_name + 1, " %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %ld", &state, &session,
                                     &own_user, &own_system, &children_user, &children_system, &threads) != 7)
        return false;
    /* The state is its first thread's; others may live on. */
    process->ended = (state == 'Z' || state == 'X') && threads <= 1;
    process->pid = (pid_t)strtol(pid, NULL, 10);
    process->session = session;
    process->ticks = own_user + own_system + (unsigned long)children_user + (unsigned long)children_system;
    return true;
}

static bool is_spared(const struct process *process, struct spared spared)
{
    for (size_t i = 0; i < spared.session_count; i++)
        if (process->session == spared.sessions[i])
            return true;
    return process->pid == spared.pid || process->pid == spared.parent;
}

/* Calls `visit` for every process but this one and those spared. False if the list cannot be read. */
static bool for_each(struct spared spared, void (*visit)(const struct process *process, void *context), void *context)
{
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct process process;
        if (isdigit((unsigned char)entry->d_name[0]) && read_process(entry->d_name, &process) && process.pid != getpid() &&
            !is_spared(&process, spared))
            visit(&process, context);
    }
    closedir(folder);
    return true;
}

static void kill_one(const struct process *process, void *count)
{
    if (process->ended)
        return;
    kill(process->pid, SIGKILL); /* gone meanwhile: then the next look does not find it */
    ++*(size_t *)count;
}

/* At once for all of the user, so that no fork escapes. The agent itself could only do so to all of the container. */
static bool kill_all_of(struct identity user)
{
    int status;
    pid_t killer = fork();
    if (killer == 0)
        _exit(privileges_become_killer(user) && (kill(-1, SIGKILL) == 0 || errno == ESRCH || errno == EPERM) ? EXIT_SUCCESS : EXIT_FAILURE);
    return killer > 0 && waitpid(killer, &status, 0) == killer && status == 0;
}

static void count_one(const struct process *process, void *count)
{
    (void)process;
    ++*(size_t *)count;
}

size_t processes_kill_all_but(struct spared spared, struct identity user)
{
    size_t count = 0;
    if (spared.pid == 0 && spared.session_count == 0) {
        if (spared.parent == 0)
            return kill(-1, SIGKILL) == 0; /* at once as well; fails if there is nobody */
        return kill_all_of(user) && for_each(spared, count_one, &count) ? count : 1;
    }
    return for_each(spared, kill_one, &count) ? count : 1;
}

static void add_ticks(const struct process *process, void *total)
{
    *(uint64_t *)total += process->ticks;
}

uint64_t processes_cpu_ns(struct spared spared)
{
    uint64_t ticks = 0;
    for_each(spared, add_ticks, &ticks);
    return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_peak_rss_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %lu kB", &kib) != 1)
        continue;
    fclose(status);
    return (uint64_t)kib * 1024;
}

uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
