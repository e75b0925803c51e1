#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BECOMING (1u << CAP_SETUID | 1u << CAP_SETGID)
#define NEEDED (BECOMING | 1u << CAP_KILL)

/* No process has this one. */
#define NOBODY 65534

static int set_capabilities(uint32_t effective, uint32_t permitted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = effective, .permitted = permitted}};
    return (int)syscall(SYS_capset, &header, data);
}

/* Nothing but 0, 1 and 2 is ours; an engine that leaks a descriptor must not leak it to the program. */
static void close_inherited(void)
{
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
    struct rlimit files;
    int highest = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ? (int)files.rlim_cur : 65536;
    for (int fd = 3; fd < highest; fd++)
        close(fd);
}

/* Children inherit what is ignored and what is blocked; here it is nothing, and everything until they unblock it. */
static bool take_over_signals(void)
{
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_DFL); /* fails for those that cannot be changed, or that the C library keeps: they are at their default */
    sigset_t all;
    return sigfillset(&all) == 0 && sigprocmask(SIG_SETMASK, &all, NULL) == 0;
}

static bool use_file_rights_of(struct identity user)
{
    setfsgid(user.gid);
    setfsuid(user.uid);
    return setfsgid((gid_t)-1) == (int)user.gid && setfsuid((uid_t)-1) == (int)user.uid;
}

static bool use_rights_of(struct identity user)
{
    if (use_file_rights_of(user))
        return true;
    /* gVisor has no file-system ids. The effective ids give the program no right to signal or trace us either. */
    return setegid(user.gid) == 0 && seteuid(user.uid) == 0 && set_capabilities(NEEDED, NEEDED) == 0;
}

void privileges_use_own_rights(void)
{
    setfsuid(0);
}

/*
 * Podman gives a folder in memory to root, with the rights that it has in the image: then it is for everybody in the container, which
 * are the run users. Whether they can use it is for workspace_open to say.
 */
static void offer_folder_of_root(const char *path)
{
    struct stat folder;
    if (stat(path, &folder) == 0 && folder.st_uid == 0)
        chmod(path, 01777);
}

bool privileges_prepare(struct identity run_user, const char *workspace, struct failure *failure)
{
    if (getpid() != 1)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT,
                           "The agent must be the first process of its container; it ends by killing all others.");
    if (getuid() != 0)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The agent must be started as uid 0, not %u.", getuid());
    if (run_user.uid == 0 || run_user.gid == 0)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The run user must not be root.");
    if (set_capabilities(NEEDED, NEEDED) != 0)
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The container must leave the agent the capabilities SETUID, SETGID and KILL.");
    const struct rlimit no_core = {0, 0};
    close_inherited();
    umask(022);
    offer_folder_of_root(workspace);
    if (!take_over_signals() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &no_core) != 0)
        return failure_set_errno(failure, "its set-up");
    if (setgroups(0, NULL) != 0 || !use_rights_of(run_user))
        return failure_set(failure, FAIL_BAD_ENVIRONMENT, "The agent cannot act for the run user: %s.", strerror(errno));
    /* Last, since a change of ids sets it back: no tracing, no /proc/1/{mem,fd,environ} for the program. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return failure_set_errno(failure, "hiding itself");
    return true;
}

bool privileges_change(struct identity run_user)
{
    return use_file_rights_of(run_user) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

bool privileges_become(struct identity run_user)
{
    return setresgid(run_user.gid, run_user.gid, run_user.gid) == 0 && setresuid(run_user.uid, run_user.uid, run_user.uid) == 0 &&
           set_capabilities(0, 0) == 0;
}

bool privileges_become_parent(void)
{
    return setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0 && set_capabilities(BECOMING, BECOMING) == 0;
}

/* The effective id is the one that signals are sent with, the other two are those that they are received with. */
bool privileges_become_killer(struct identity run_user)
{
    return setresuid(NOBODY, run_user.uid, NOBODY) == 0 && set_capabilities(0, 0) == 0;
}
