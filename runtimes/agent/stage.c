#include "stage.h"

#include "clock.h"
#include "processes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program at its CPU limit is looked at this often; it can use no more beyond it than this, times the processors. */
#define CPU_CHECK_NS (5 * NS_PER_MS)

/* How long to wait for killed processes without having heard of the end of one. */
#define KILL_AGAIN_NS (20 * NS_PER_MS)

static uint64_t at_least_zero(uint64_t value, uint64_t minus)
{
    return value > minus ? value - minus : 0;
}

/* A limit may be as large as 2^53 ms: more than there are nanoseconds, and as good as none. */
static uint64_t limit_ns(uint64_t ms)
{
    return ms < UINT64_MAX / 4 / NS_PER_MS ? ms * NS_PER_MS : UINT64_MAX / 4;
}

static uint64_t wall_deadline_ns(const struct stage *stage)
{
    return stage->started_ns + limit_ns(stage->request.limits.wall_ms);
}

/* Who outlives the stage: the interpreter that waits for the next one, its parent, and, until the program itself has ended, the services. */
static struct spared survivors(const struct stage *stage, const struct stage_host *host)
{
    struct spared spared = {.pid = host->warm.pid, .parent = host->parent.pid};
    if (!stage->request.is_run) {
        spared.sessions = host->services.sessions;
        spared.session_count = host->services.count;
    }
    return spared;
}

/* Whose time is not the stage's: the interpreter that waits, unless it is the one that does it. */
static struct spared not_counted(const struct stage *stage, const struct stage_host *host)
{
    return (struct spared){.pid = stage->lent ? 0 : host->warm.pid};
}

/* The control group's count misses nothing, and includes the agent's own, which is known. */
static uint64_t cpu_used_ns(const struct stage *stage, const struct stage_host *host)
{
    uint64_t group_ns;
    if (cgroup_cpu_ns(&host->cgroup, &group_ns)) {
        uint64_t own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - stage->own_cpu_base_ns;
        return at_least_zero(group_ns - stage->cgroup_cpu_base_ns, own_ns);
    }
    return at_least_zero(stage->reaped_cpu_ns + processes_cpu_ns(not_counted(stage, host)), stage->cpu_base_ns);
}

/* No earlier can it have reached its limit, with all processors at work. */
static void plan_cpu_check(struct stage *stage, uint64_t used_ns, uint64_t now_ns)
{
    uint64_t left_ns = at_least_zero(limit_ns(stage->request.limits.cpu_ms), used_ns) / (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    stage->next_cpu_check_ns = now_ns + (left_ns > CPU_CHECK_NS ? left_ns : CPU_CHECK_NS);
}

static bool start_cold(struct stage *stage, const struct stage_host *host, struct failure *failure)
{
    struct streams program = STREAMS_CLOSED;
    bool terminal = stage->request.tty;
    if (!terminal && !streams_open(&stage->streams, &program, failure))
        return false;
    const struct launch launching = {
        .user = host->user,
        .argv = stage->request.argv,
        .env = stage->request.env,
        .cwd = stage->request.cwd,
        .in = terminal ? stage->terminal.slave : program.in,
        .out = terminal ? stage->terminal.slave : program.out,
        .err = terminal ? stage->terminal.slave : program.err,
        .control = -1,
        .terminal = terminal,
        .limits = &stage->request.limits,
    };
    stage->pid = launch(&launching, failure);
    streams_close(&program);
    return stage->pid > 0;
}

/* A terminal is given once and for all, so a stage that has one is done by a process of its own. */
static bool use_warm(struct stage *stage, struct stage_host *host, struct failure *failure)
{
    const struct start_request *request = &stage->request;
    if (request->is_run)
        return warm_take(&host->warm, host->user, request, request->tty ? stage->terminal.path : NULL, &stage->pid, &stage->streams, failure);
    stage->lent = !request->tty && warm_lend(&host->warm, host->user, request, &stage->pid, &stage->streams, failure);
    return stage->lent;
}

static void use_terminal(struct stage *stage)
{
    streams_close(&stage->streams); /* a warm interpreter's pipes: it has opened the terminal in their place */
    stage->streams = (struct streams){stage->terminal.master, stage->terminal.master, -1};
}

bool stage_start(struct stage *stage, struct stage_host *host, const struct frame *start, struct failure *failure)
{
    *stage = (struct stage){.streams = STREAMS_CLOSED, .terminal = {.master = -1, .slave = -1}, .started_ns = clock_ns(CLOCK_MONOTONIC)};
    struct start_request *request = &stage->request;
    if (!start_request_parse(request, start->payload, start->length, host->workspace, failure))
        return false;
    stage->oom_kills_base = cgroup_oom_kills(&host->cgroup);
    stage->own_cpu_base_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (!cgroup_cpu_ns(&host->cgroup, &stage->cgroup_cpu_base_ns))
        stage->cpu_base_ns = processes_cpu_ns((struct spared){.pid = request->warm ? 0 : host->warm.pid});
    plan_cpu_check(stage, 0, stage->started_ns);
    if (request->tty && !terminal_open(&stage->terminal, request->size, failure))
        return false;
    stage->warm = request->warm && use_warm(stage, host, failure);
    if (request->is_run && !stage->warm)
        warm_discard(&host->warm); /* nothing needs it any more, and its memory is the program's */
    if (failure->code || (!stage->warm && !start_cold(stage, host, failure)))
        return false;
    if (request->tty)
        use_terminal(stage);
    return true;
}

static void close_stdin(struct stage *stage)
{
    if (stage->request.tty)
        stage->streams.in = -1; /* its descriptor is also where output comes from */
    else
        streams_close_one(&stage->streams.in);
}

/* A terminal has no end of file of its own: the key for it is typed. */
static bool type_end_of_input(const struct stage *stage, const struct stdin_ring *ring)
{
    uint8_t keys[2];
    size_t count = terminal_end_of_input(&stage->terminal, ring->after_newline, keys);
    return write(stage->streams.in, keys, count) == (ssize_t)count || errno != EAGAIN;
}

size_t stage_pass_stdin(struct stage *stage, struct stdin_ring *ring)
{
    size_t passed = 0;
    while (ring->count > 0 && stage->streams.in >= 0) {
        size_t straight = sizeof ring->bytes - ring->start, count = ring->count < straight ? ring->count : straight;
        ssize_t wrote = write(stage->streams.in, ring->bytes + ring->start, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno == EAGAIN)
            return passed;
        if (wrote <= 0) { /* nobody reads it any more */
            close_stdin(stage);
            break;
        }
        ring->after_newline = ring->bytes[ring->start + (size_t)wrote - 1] == '\n' || ring->bytes[ring->start + (size_t)wrote - 1] == '\r';
        ring->start = (ring->start + (size_t)wrote) % sizeof ring->bytes;
        ring->count -= (size_t)wrote;
        passed += (size_t)wrote;
    }
    if (stage->streams.in < 0) {
        passed += ring->count;
        ring->count = 0;
    } else if (ring->ends && (!stage->request.tty || type_end_of_input(stage, ring))) {
        close_stdin(stage);
    }
    return passed;
}

bool stage_wants_stdin(const struct stage *stage, const struct stdin_ring *ring)
{
    return stage->streams.in >= 0 && (ring->count > 0 || ring->ends);
}

/* The limit that the program is ended for, or was. */
static enum stage_limit limit_reached(const struct stage *stage)
{
    return stage->exceeded == LIMIT_NONE && stage->output_left ? LIMIT_OUTPUT : stage->exceeded;
}

static void end_for(struct stage *stage, const struct stage_host *host, enum stage_limit limit)
{
    struct spared spared = survivors(stage, host);
    stage->exceeded = limit;
    if (stage->lent)
        spared.pid = 0; /* what it is at cannot be stopped otherwise */
    processes_kill_all_but(spared, host->user);
}

/* At the limit of output: whether there is more. */
static bool is_over(int fd)
{
    int waiting = 0;
    return ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

static void close_output(struct stage *stage, int *fd)
{
    if (stage->request.tty || stage->lent)
        *fd = -1; /* the terminal is closed with the stage; a lent interpreter prints on */
    else
        streams_close_one(fd);
}

/* Until the pipe is empty, the outbox full, or the credit used up. */
static void pass(struct stage *stage, int *fd, enum frame_type type, struct outbox *outbox, uint64_t *credit)
{
    while (*fd >= 0 && outbox_takes_stream(outbox)) {
        uint64_t room = stage->request.limits.output_bytes - stage->output_bytes;
        if (room > 0 && *credit == 0)
            return;
        if (room == 0 && is_over(*fd)) {
            stage->output_left = true;
            return;
        }
        size_t most = room == 0 ? 1 : room < FRAME_OUTPUT_PAYLOAD ? (size_t)room : FRAME_OUTPUT_PAYLOAD; /* a byte, to see the end */
        ssize_t count = read(*fd, outbox_reserve(outbox), *credit < most && room > 0 ? (size_t)*credit : most);
        if (count < 0 && errno == EINTR)
            continue;
        /*
         * A pipe without writers is at its end also where it does not say so: a program can leave its descriptor on its way between two sockets
         * that hold each other. What is in a terminal may still be on its way to us. A lent interpreter had printed all before it said so.
         */
        if (count < 0 && errno == EAGAIN && (!stage->all_ended || stage->request.tty))
            return;
        if (count <= 0) { /* all have closed it; a terminal then says EIO */
            close_output(stage, fd);
            return;
        }
        if (room == 0) { /* it came between the two looks */
            stage->output_left = true;
            return;
        }
        outbox_commit(outbox, type, false, (size_t)count);
        *credit -= (uint64_t)count;
        stage->output_bytes += (uint64_t)count;
    }
}

void stage_pass_output(struct stage *stage, struct outbox *outbox, uint64_t *credit)
{
    pass(stage, &stage->streams.out, FRAME_STDOUT, outbox, credit);
    pass(stage, &stage->streams.err, FRAME_STDERR, outbox, credit);
}

bool stage_wants_output(const struct stage *stage, const struct outbox *outbox, uint64_t credit)
{
    return outbox_takes_stream(outbox) && (credit > 0 || stage->output_bytes == stage->request.limits.output_bytes);
}

void stage_signal(struct stage *stage, int number)
{
    pid_t group = stage->request.tty ? terminal_foreground(&stage->terminal) : stage->pid;
    if ((group <= 0 || kill(-group, number) != 0) && stage->pid > 0)
        kill(stage->pid, number); /* just forked, it does not lead a group yet */
}

static void ended(struct stage *stage, int status)
{
    stage->pid = 0;
    stage->status = status;
    stage->ended_ns = clock_ns(CLOCK_MONOTONIC);
}

bool stage_reaped(struct stage *stage, struct stage_host *host, pid_t pid, int status, const struct rusage *usage, struct failure *failure)
{
    uint64_t rss = (uint64_t)usage->ru_maxrss * 1024;
    if (rss > stage->peak_rss_bytes)
        stage->peak_rss_bytes = rss;
    stage->reaped_cpu_ns += (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000u +
                            (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000u;
    if (stage->lent && pid == host->warm.pid) {
        warm_bury(&host->warm);
        stage->lent = false;
    }
    if (pid != stage->pid)
        return true;
    ended(stage, status);
    return !launch_failed(failure);
}

/* A lent interpreter does not end with the stage: it says that it is done. */
static void hear_lent(struct stage *stage, struct stage_host *host)
{
    int exit_code;
    if (!stage->lent || stage->pid == 0 || !warm_is_done(&host->warm, &exit_code))
        return;
    uint64_t rss = process_peak_rss_bytes(stage->pid);
    if (rss > stage->peak_rss_bytes)
        stage->peak_rss_bytes = rss;
    ended(stage, W_EXITCODE(exit_code, 0));
}

void stage_enforce(struct stage *stage, struct stage_host *host)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    hear_lent(stage, host);
    if (stage->pid == 0) {
        if (stage->lent && stage->output_left) /* what is left of its output must not become the program's */
            end_for(stage, host, LIMIT_OUTPUT);
        if (!stage->all_ended)
            stage->all_ended = processes_kill_all_but(survivors(stage, host), host->user) == 0;
        if (!stage->all_ended)
            return;
        streams_close_one(&stage->terminal.slave); /* now the master can see the end of output */
        if (stage->output_left) {                  /* nobody is left to be ended by SIGPIPE instead */
            close_output(stage, &stage->streams.out);
            close_output(stage, &stage->streams.err);
        }
        return;
    }
    if (limit_reached(stage) != LIMIT_NONE) {
        end_for(stage, host, limit_reached(stage));
    } else if (now_ns >= wall_deadline_ns(stage)) {
        end_for(stage, host, LIMIT_WALL);
    } else if (now_ns >= stage->next_cpu_check_ns) {
        uint64_t used_ns = cpu_used_ns(stage, host);
        if (used_ns >= limit_ns(stage->request.limits.cpu_ms))
            end_for(stage, host, LIMIT_CPU);
        plan_cpu_check(stage, used_ns, now_ns);
    }
}

uint64_t stage_deadline_ns(const struct stage *stage)
{
    if (stage->all_ended)
        return UINT64_MAX;
    if (stage->pid == 0 || stage->exceeded != LIMIT_NONE)
        return clock_ns(CLOCK_MONOTONIC) + KILL_AGAIN_NS;
    uint64_t wall_ns = wall_deadline_ns(stage);
    return wall_ns < stage->next_cpu_check_ns ? wall_ns : stage->next_cpu_check_ns;
}

bool stage_is_done(const struct stage *stage)
{
    return stage->all_ended && stage->streams.out < 0 && stage->streams.err < 0;
}

static const char *cause_of(const struct stage *stage, const struct stage_host *host, uint64_t cpu_ns)
{
    static const char *const limits[] = {[LIMIT_WALL] = "wall", [LIMIT_CPU] = "cpu", [LIMIT_OUTPUT] = "output"};
    bool signalled = WIFSIGNALED(stage->status), succeeded = WIFEXITED(stage->status) && WEXITSTATUS(stage->status) == 0;
    if (!succeeded && cgroup_oom_kills(&host->cgroup) > stage->oom_kills_base)
        return "oom";
    if (limit_reached(stage) != LIMIT_NONE)
        return limits[limit_reached(stage)];
    /* RLIMIT_CPU stands behind the agent's own count. */
    if (signalled && (WTERMSIG(stage->status) == SIGXCPU || WTERMSIG(stage->status) == SIGKILL) &&
        cpu_ns >= limit_ns(stage->request.limits.cpu_ms))
        return "cpu";
    return signalled ? "signal" : "exit";
}

static double milliseconds(uint64_t ns)
{
    return (double)((ns + 500) / 1000) / 1000; /* to the microsecond */
}

char *stage_finish(struct stage *stage, struct stage_host *host, size_t *length)
{
    uint64_t cpu_ns = cpu_used_ns(stage, host);
    bool signalled = WIFSIGNALED(stage->status);
    json_t *exit =
        json_pack("{s:s, s:o, s:o, s:f, s:f, s:I, s:s, s:I, s:b}", "stage", stage->request.stage, "exitCode",
                  signalled ? json_null() : json_integer(WEXITSTATUS(stage->status)), "signal",
                  signalled ? json_integer(WTERMSIG(stage->status)) : json_null(), "wallMs", milliseconds(stage->ended_ns - stage->started_ns),
                  "cpuMs", milliseconds(cpu_ns), "peakRssBytes", (json_int_t)stage->peak_rss_bytes, "cause", cause_of(stage, host, cpu_ns),
                  "outputBytes", (json_int_t)stage->output_bytes, "warm", stage->warm);
    char *text = exit ? json_dumps(exit, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(exit);
    *length = text ? strlen(text) : 0;
    if (stage->lent)
        warm_return(&host->warm);
    if (stage->request.tty)
        streams_close_one(&stage->terminal.master);
    else
        streams_close(&stage->streams);
    start_request_free(&stage->request);
    return text;
}
