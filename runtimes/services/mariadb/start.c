/*
 * Starts the database server of a sandbox: puts its data where it can be written, becomes the server, and tells the agent once that serves.
 * The agent starts this as the run user with one end of a socket as descriptor 3 and waits for a byte R on it.
 */
#include <errno.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPLATE "/opt/coderunner/mariadb"
#define HOME "/tmp/mariadb"
#define NOTIFICATIONS HOME "/notify.sock"
#define OPTIONS "/etc/coderunner/mariadb.cnf"

enum { CONTROL = 3 };

extern char **environ;

static _Noreturn void die(const char *doing)
{
    fprintf(stderr, "mariadb: %s: %s\n", doing, strerror(errno));
    exit(EXIT_FAILURE);
}

/* The logs of the template are mostly empty; holes in them take no memory. */
static void copy_template(void)
{
    char *const argv[] = {"cp", "-r", "--sparse=always", TEMPLATE, HOME, NULL};
    pid_t copying;
    int status;
    errno = posix_spawnp(&copying, argv[0], NULL, NULL, argv, environ);
    if (errno != 0)
        die("starting cp");
    if (waitpid(copying, &status, 0) < 0)
        die("waiting for cp");
    if (status != 0) {
        fprintf(stderr, "mariadb: its data could not be put into " HOME ".\n");
        exit(EXIT_FAILURE);
    }
}

static int listen_for_notifications(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = NOTIFICATIONS};
    int notifications = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notifications < 0 || bind(notifications, (const struct sockaddr *)&address, sizeof address) != 0)
        die("making " NOTIFICATIONS);
    return notifications;
}

/* The server says what it is doing in datagrams, the way that it does for systemd; one of them has the line READY=1. */
static void pass_on_readiness(int notifications)
{
    char text[4096];
    for (;;) {
        ssize_t length = recv(notifications, text, sizeof text - 1, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            die("hearing from the server");
        text[length] = '\0';
        if (strncmp(text, "READY=1", 7) != 0 && strstr(text, "\nREADY=1") == NULL)
            continue;
        unlink(NOTIFICATIONS);
        if (write(CONTROL, "R", 1) != 1)
            die("telling the agent");
        return;
    }
}

/* In a grandchild, which the agent reaps: the server takes this process, and knows of no children. */
static void pass_on_readiness_aside(int notifications)
{
    pid_t child = fork();
    if (child < 0)
        die("forking");
    if (child > 0) {
        if (waitpid(child, NULL, 0) < 0)
            die("forking");
        return;
    }
    pid_t grandchild = fork();
    if (grandchild == 0)
        pass_on_readiness(notifications);
    _exit(grandchild < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int main(void)
{
    copy_template();
    pass_on_readiness_aside(listen_for_notifications());
    close(CONTROL);
    if (setenv("NOTIFY_SOCKET", NOTIFICATIONS, 1) != 0)
        die("setting NOTIFY_SOCKET");
    execl("/usr/sbin/mariadbd", "mariadbd", "--defaults-file=" OPTIONS, (char *)NULL);
    die("starting mariadbd");
}
