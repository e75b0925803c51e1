#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* Shared with children until they exec: where one notes that it could not become the program. */
struct report {
    int error;
    char doing[60];
};

static struct report *report;

bool launch_prepare(struct failure *failure)
{
    void *page = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return failure_set_errno(failure, "preparing to launch");
    report = page;
    return true;
}

static _Noreturn void give_up(const char *doing)
{
    report->error = errno;
    strncpy(report->doing, doing, sizeof report->doing - 1);
    _exit(EXIT_NOT_EXECUTABLE);
}

static _Noreturn void cannot_start(const char *program, int error)
{
    bool missing = error == ENOENT || error == ENOTDIR;
    dprintf(STDERR_FILENO, "coderunner: cannot start '%s': %s\n", program, missing ? "not found" : strerror(error));
    _exit(missing ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

static struct rlimit limit_of(int resource, uint64_t value, bool final)
{
    struct rlimit present = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(resource, &present);                                      /* cannot fail for a resource that exists */
    rlim_t limit = value < present.rlim_max ? value : present.rlim_max; /* raising the hard limit is not ours to do */
    return (struct rlimit){limit, final ? limit : present.rlim_max};
}

/* pid 0: this process. */
static bool set_limits(pid_t pid, const struct limits *limits, uint64_t cpu_ns, bool final)
{
    /* A second more than the CPU limit: it stands behind the agent's own count and must not come before it. */
    struct rlimit cpu = limit_of(RLIMIT_CPU, cpu_ns / 1000000000u + limits->cpu_ms / 1000 + 2, final);
    struct rlimit file = limit_of(RLIMIT_FSIZE, limits->file_bytes, final);
    struct rlimit open_files = limit_of(RLIMIT_NOFILE, limits->open_files, final);
    return prlimit(pid, RLIMIT_CPU, &cpu, NULL) == 0 && prlimit(pid, RLIMIT_FSIZE, &file, NULL) == 0 &&
           prlimit(pid, RLIMIT_NOFILE, &open_files, NULL) == 0;
}

/* So that the kernel, out of memory, takes the program and not the agent. Where it cannot be set (gVisor), the kernel chooses. */
static void volunteer_for_oom(void)
{
    privileges_use_own_rights();
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4)
        dprintf(STDERR_FILENO, "coderunner: cannot set oom_score_adj: %s\n", strerror(errno));
    close(fd);
}

static void take_descriptors(const struct launch *launch)
{
    if (dup2(launch->in, STDIN_FILENO) < 0 || dup2(launch->out, STDOUT_FILENO) < 0 || dup2(launch->err, STDERR_FILENO) < 0)
        give_up("passing descriptors");
    if (launch->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0)
        give_up("taking the terminal");
    if (launch->control >= 0 && (launch->control == 3 ? fcntl(3, F_SETFD, 0) : dup2(launch->control, 3)) < 0)
        give_up("passing the control socket");
}

static const char *find_path(const char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return NULL;
}

/* Returns only if it failed, with errno. Never a shell, also not for a script without `#!`. */
static void execute(const struct launch *launch)
{
    const char *program = launch->argv[0], *path = find_path(launch->env);
    char *const *argv = (char *const *)launch->argv, *const *env = (char *const *)launch->env;
    if (strchr(program, '/')) {
        execve(program, argv, env);
        return;
    }
    int error = ENOENT;
    while (path && *program) {
        char file[PATH_MAX];
        size_t length = strcspn(path, ":");
        if ((size_t)snprintf(file, sizeof file, "%.*s%s%s", (int)length, path, length ? "/" : "", program) < sizeof file) {
            execve(file, argv, env);
            if (errno != ENOENT && errno != ENOTDIR) /* as shells do, go on, but remember what was found */
                error = errno;
        }
        path = path[length] == ':' ? path + length + 1 : NULL;
    }
    errno = error;
}

static _Noreturn void become_program(const struct launch *launch)
{
    sigset_t none;
    sigemptyset(&none);
    if (!launch->parent)
        volunteer_for_oom();
    if (setsid() < 0)
        give_up("making a session");
    take_descriptors(launch);
    if (launch->limits && !set_limits(0, launch->limits, 0, true))
        give_up("setting limits");
    if (launch->parent ? !privileges_become_parent() : !privileges_become(launch->user))
        give_up("becoming the run user");
    if (chdir(launch->cwd) != 0)
        cannot_start(launch->cwd, errno);
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        give_up("unblocking signals");
    execute(launch);
    cannot_start(launch->argv[0], errno);
}

pid_t launch(const struct launch *launch, struct failure *failure)
{
    report->error = 0;
    pid_t pid = fork();
    if (pid == 0)
        become_program(launch);
    if (pid < 0)
        failure_set_errno(failure, "starting a process");
    return pid;
}

bool launch_failed(struct failure *failure)
{
    if (report->error == 0)
        return false;
    errno = report->error;
    failure_set_errno(failure, report->doing);
    return true;
}

bool launch_limit(pid_t pid, struct identity user, const struct limits *limits, uint64_t cpu_ns, bool final, struct failure *failure)
{
    /* Only a process of the same user may do it; the agent's ids must not become the program's even for a moment. */
    report->error = 0;
    pid_t setter = fork();
    if (setter == 0) {
        if (!privileges_become(user) || !set_limits(pid, limits, cpu_ns, final))
            give_up("limiting the warm interpreter");
        _exit(0);
    }
    int status;
    if (setter < 0 || waitpid(setter, &status, 0) != setter)
        return failure_set_errno(failure, "limiting the warm interpreter");
    if (launch_failed(failure))
        return false;
    return status == 0 || failure_set(failure, FAIL_INTERNAL, "The agent could not limit the warm interpreter.");
}
