#include "services.h"

#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

bool services_add(struct services *services, const char *path)
{
    if (services->count == SERVICES_MOST)
        return false;
    services->each[services->count++] = (struct service){.path = path, .control = -1};
    return true;
}

static bool start_one(struct service *service, pid_t *session, struct identity user, const char *workspace, int nothing, struct failure *failure)
{
    int control[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0)
        return failure_set_errno(failure, "opening a service's socket");
    const char *const argv[] = {service->path, NULL};
    const struct launch launching = {
        .user = user,
        .argv = argv,
        .env = (const char *const *)environ,
        .cwd = workspace,
        .in = nothing,
        .out = STDERR_FILENO, /* what it has to say is for whoever reads the container's log */
        .err = STDERR_FILENO,
        .control = control[1],
    };
    *session = launch(&launching, failure);
    close(control[1]);
    service->control = control[0];
    return *session > 0 && (fcntl(control[0], F_SETFL, O_NONBLOCK) == 0 || failure_set_errno(failure, "opening a service's socket"));
}

bool services_start(struct services *services, struct identity user, const char *workspace, struct failure *failure)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0)
        return failure_set_errno(failure, "opening /dev/null");
    services->starting = services->count;
    bool started = true;
    for (size_t i = 0; started && i < services->count; i++)
        started = start_one(&services->each[i], &services->sessions[i], user, workspace, nothing, failure);
    close(nothing);
    return started;
}

bool services_read(struct services *services, size_t index, struct failure *failure)
{
    char answer;
    struct service *service = &services->each[index];
    ssize_t count = read(service->control, &answer, 1);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    streams_close_one(&service->control);
    if (count != 1 || answer != 'R')
        return failure_set(failure, FAIL_SERVICE_ENDED, "The service %s did not get ready.", service->path);
    services->starting--;
    return true;
}

const char *services_reaped(struct services *services, pid_t pid)
{
    for (size_t i = 0; i < services->count; i++) {
        if (services->sessions[i] == pid) {
            services->sessions[i] = 0;
            return services->each[i].path;
        }
    }
    return NULL;
}
