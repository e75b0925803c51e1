#include "streams.h"

#include <fcntl.h>
#include <unistd.h>

void streams_close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void streams_close(struct streams *streams)
{
    streams_close_one(&streams->in);
    streams_close_one(&streams->out);
    streams_close_one(&streams->err);
}

static bool open_pipe(int *reader, int *writer, int *ours)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *reader = ends[0];
    *writer = ends[1];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

bool streams_open(struct streams *ours, struct streams *program, struct failure *failure)
{
    *ours = *program = STREAMS_CLOSED;
    if (open_pipe(&program->in, &ours->in, &ours->in) && open_pipe(&ours->out, &program->out, &ours->out) &&
        open_pipe(&ours->err, &program->err, &ours->err))
        return true;
    failure_set_errno(failure, "opening pipes");
    streams_close(ours);
    streams_close(program);
    return false;
}
