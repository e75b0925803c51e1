/*
 * The waiting rustc. Loaded into Debian's own rustc by LD_PRELOAD, it takes the place of that program's `main`. By then the compiler's
 * libraries are loaded, which is a third of what a small program takes to compile. For every compilation a copy of this process goes on
 * with the real `main`.
 *
 * rustc keeps the arguments that it was started with, from before any `main`: they name a file to read arguments from, written here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "start.h"

enum {
    CONTROL_FD = 3,
    ARGUMENTS_FD = 9, /* rustc was started with @/proc/self/fd/9 */
    FAILED = 125,
    IS_PACKAGE = 3, /* compile.sh: cargo has to do it */
};

typedef int main_function(int, char **, char **);
static main_function *rustc_main;

static void fail(const char *what)
{
    dprintf(STDERR_FILENO, "coderunner: the waiting rustc could not go on: %s\n", what);
    _exit(FAILED);
}

static void become(char *const *argv)
{
    execvpe(argv[0], argv, environ);
    fail(argv[0]);
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail("waitpid");
    return status;
}

/* Has the cold command write rustc's arguments to ARGUMENTS_FD. @return whether rustc alone can do it */
static bool find_arguments(char **argv)
{
    int file = memfd_create("arguments", MFD_CLOEXEC);
    if (file < 0 || dup3(file, ARGUMENTS_FD, O_CLOEXEC) < 0)
        fail("memfd_create");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        dup2(ARGUMENTS_FD, STDOUT_FILENO);
        setenv("CODERUNNER_PRINT_ARGUMENTS", "1", 1);
        become(argv);
    }
    int status = wait_for(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == IS_PACKAGE)
        return false;
    if (status != 0)
        fail("no arguments");
    return true;
}

static void compile(const struct start *start, int argc, char **argv)
{
    /* What is typed is for the program to come. */
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        fail("/dev/null");
    close(nothing);
    if (!find_arguments(start->argv))
        become(start->argv);
    exit(rustc_main(argc, argv, environ));
}

/* Does a stage in a copy of this process. One that a signal ends ends this one by the same. @return the exit code */
static unsigned char do_stage(const struct start *start, int argc, char **argv)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(CONTROL_FD);
        compile(start, argc, argv);
    }
    int status = wait_for(child);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WIFEXITED(status) ? (unsigned char)WEXITSTATUS(status) : FAILED;
}

static int warm_main(int argc, char **argv, char **envp)
{
    (void)envp;
    if (write(CONTROL_FD, "R", 1) != 1)
        fail("its control socket is closed");
    struct start start;
    int got;
    while ((got = read_start(CONTROL_FD, &start)) > 0) {
        environ = start.env;
        if (chdir(start.cwd) != 0)
            fail("its working directory is not there");
        const unsigned char answer[] = {'E', do_stage(&start, argc, argv)};
        if (write(CONTROL_FD, answer, sizeof answer) != sizeof answer)
            fail("its control socket is closed");
    }
    if (got < 0)
        fail("START was not understood");
    return 0;
}

/* Called by rustc's own start code with rustc's `main`. */
__attribute__((visibility("default"))) int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                                             void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end)
{
    rustc_main = main;
    typeof(&__libc_start_main) real = dlsym(RTLD_NEXT, "__libc_start_main");
    return real(warm_main, argc, argv, init, fini, rtld_fini, stack_end);
}
