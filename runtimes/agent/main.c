/*
 * The agent: the first process of a sandbox. It takes files, starts programs, carries their input and output, and tells how they ended.
 * One thread, one loop over poll; nothing in it waits for the program. docs/protocol.md, section 1.
 */
#include "clock.h"
#include "collect.h"
#include "leftovers.h"
#include "places.h"
#include "processes.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_VERSION "1.0.0"
#define PROTOCOL_VERSION 1

/* How long the daemon may take to read the reason before the agent exits. */
#define FAIL_PATIENCE_MS 1000

/* How long what a run left may take to go, once the agent has done its part; and how often it is looked. */
#define RESET_PATIENCE_MS 2000
#define RESET_AGAIN_MS 20

struct options {
    const char *workspace;
    struct identity user;
    uint64_t warm_ready_ms, answer_ms;
    struct services services;
    bool warm_forks;
    const char *const *warm_argv; /* ends with NULL; empty: none */
};

struct agent {
    struct stage_host host;
    struct session session;
    struct frame_reader reader;
    struct outbox outbox;
    struct workspace workspace;
    struct tar_reader archive;
    struct stage stage;
    struct collect collect;
    struct stdin_ring stdin_ring;
    size_t stdin_passed;          /* and not acknowledged yet */
    uint64_t credit;              /* output bytes that may be sent */
    const char *const *warm_argv; /* of each run's interpreter; NULL where there is none */
    bool warm_missing;            /* it is to be started, or forked */
    bool warm_forks;              /* from the second run on it is forked, by a parent */
    bool parent_started;
    bool used_before; /* another run was here */
    uint64_t warm_ready_ms, warm_deadline_ns;
    bool announced; /* READY was sent */
    uint64_t answer_ms, answer_deadline_ns; /* until when somebody has to answer the first of them; none once the daemon has said anything */
    struct places places;
    struct identity next_user; /* of the run after RESET */
    bool removed;              /* what can be: the rest goes by itself, or not at all */
    uint64_t reset_deadline_ns;
    int signals;
    struct failure failure;
};

static struct agent agent;

static bool parse_number(const char *text, uint64_t largest, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && value <= largest;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"workspace", required_argument, NULL, 'w'}, {"uid", required_argument, NULL, 'u'},
        {"gid", required_argument, NULL, 'g'},       {"warm-ready-ms", required_argument, NULL, 'r'},
        {"answer-ms", required_argument, NULL, 'a'}, {"warm-forks", no_argument, NULL, 'f'},
        {"service", required_argument, NULL, 's'},   {"version", no_argument, NULL, 'v'},
        {0},
    };
    uint64_t number;
    *options = (struct options){.workspace = "/workspace", .user = {10001, 10001}, .warm_ready_ms = 10000, .answer_ms = 60000};
    for (int option; (option = getopt_long(argc, argv, "+", known, NULL)) != -1;) {
        switch (option) {
        case 'w':
            options->workspace = optarg;
            break;
        case 'u':
        case 'g':
            if (!parse_number(optarg, INT32_MAX, &number))
                return false;
            *(option == 'u' ? &options->user.uid : &options->user.gid) = (uid_t)number;
            break;
        case 'r':
            if (!parse_number(optarg, 3600000, &options->warm_ready_ms))
                return false;
            break;
        case 'a':
            if (!parse_number(optarg, 3600000, &options->answer_ms))
                return false;
            break;
        case 'f':
            options->warm_forks = true;
            break;
        case 's':
            if (optarg[0] != '/' || !services_add(&options->services, optarg))
                return false;
            break;
        case 'v':
            puts("coderunner-agent " AGENT_VERSION);
            exit(EXIT_SUCCESS);
        default:
            return false;
        }
    }
    options->warm_argv = (const char *const *)argv + optind;
    return options->workspace[0] == '/';
}

static bool open_signals(struct failure *failure)
{
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGTERM);
    agent.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK); /* they are blocked: privileges.c */
    return agent.signals >= 0 || failure_set_errno(failure, "listening to signals");
}

static bool prepare(const struct options *options, struct failure *failure)
{
    agent.outbox.fd = STDOUT_FILENO;
    agent.host = (struct stage_host){
        .user = options->user,
        .workspace = options->workspace,
        .services = options->services,
        .parent = WARM_NONE,
        .warm = WARM_NONE,
    };
    if (!privileges_prepare(options->user, options->workspace, failure) || !workspace_open(&agent.workspace, options->workspace, failure) ||
        !launch_prepare(failure) || !open_signals(failure))
        return false;
    if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) != 0 || fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK) != 0)
        return failure_set_errno(failure, "preparing its pipes");
    cgroup_open(&agent.host.cgroup);
    places_find(&agent.places, options->user);
    agent.warm_argv = options->warm_argv[0] ? options->warm_argv : NULL;
    agent.warm_missing = agent.warm_argv != NULL;
    agent.warm_forks = options->warm_forks && agent.warm_argv;
    agent.warm_ready_ms = options->warm_ready_ms;
    agent.answer_ms = options->answer_ms;
    agent.warm_deadline_ns = UINT64_MAX;
    return services_start(&agent.host.services, options->user, options->workspace, failure);
}

/* A refused name may hold any bytes; JSON holds characters. */
static json_t *path_as_json(const char *path, size_t length)
{
    static char text[3 * FAILURE_PATH_BYTES];
    size_t used = 0;
    for (size_t at = 0, count; at < length; at += count ? count : 1) {
        count = utf8_character_bytes(path + at, length - at);
        const char *character = count ? path + at : "\xef\xbf\xbd"; /* U+FFFD */
        memcpy(text + used, character, count ? count : 3);
        used += count ? count : 3;
    }
    return json_stringn(text, used);
}

static void put_failure(const struct failure *failure)
{
    json_t *json = json_pack("{s:s, s:s}", "code", failure->code, "message", failure->message);
    if (failure->path_length > 0)
        json_object_set_new(json, "path", path_as_json(failure->path, failure->path_length));
    char *text = json_dumps(json, JSON_COMPACT);
    if (text)
        outbox_put(&agent.outbox, FRAME_FAIL, false, text, strlen(text));
    free(text);
    json_decref(json);
}

static void take_stdin(const struct frame *frame)
{
    struct stdin_ring *ring = &agent.stdin_ring;
    size_t end = (ring->start + ring->count) % sizeof ring->bytes, straight = sizeof ring->bytes - end;
    size_t first = frame->length < straight ? frame->length : straight; /* session.c saw to it that all fits */
    memcpy(ring->bytes + end, frame->payload, first);
    memcpy(ring->bytes, frame->payload + first, frame->length - first);
    ring->count += frame->length;
    ring->ends = ring->ends || frame->last;
}

static bool take_files(const struct frame *frame)
{
    struct tar_sink sink = workspace_sink;
    sink.context = &agent.workspace;
    if (!tar_reader_feed(&agent.archive, frame->payload, frame->length, &sink, &agent.failure))
        return false;
    if (!frame->last)
        return true;
    workspace_intake_done(&agent.workspace);
    return tar_reader_finish(&agent.archive, &agent.failure);
}

static bool start_stage(const struct frame *frame)
{
    struct stdin_ring *ring = &agent.stdin_ring;
    ring->start = ring->count = 0;
    ring->ends = false;
    ring->after_newline = true;
    agent.stdin_passed = 0;
    return stage_start(&agent.stage, &agent.host, frame, &agent.failure);
}

/* From here on nothing is read until what the run left is gone and the next can be taken: go_on. */
static bool start_reset(const struct frame *frame)
{
    uint32_t uid = frame_u32(frame->payload);
    if (agent.host.services.count > 0)
        return failure_set(&agent.failure, FAIL_UNSUPPORTED, "A container with services cannot be reset.");
    if (uid == 0 || uid > INT32_MAX || uid == agent.host.user.uid)
        return failure_set(&agent.failure, FAIL_PROTOCOL_ERROR, "The next run's user must be another one, and not root.");
    agent.next_user = (struct identity){.uid = uid, .gid = agent.host.user.gid};
    agent.reset_deadline_ns = clock_ns(CLOCK_MONOTONIC) + RESET_PATIENCE_MS * NS_PER_MS;
    agent.announced = agent.removed = false;
    if (agent.host.warm.pid > 0)
        warm_discard(&agent.host.warm);
    return true;
}

static bool take(const struct frame *frame)
{
    switch (session_take(&agent.session, frame, &agent.failure)) {
    case SESSION_REFUSE:
        return false;
    case SESSION_IGNORE:
        return true;
    case SESSION_ACCEPT:
        break;
    }
    switch (frame->type) {
    case FRAME_FILES:
        return take_files(frame);
    case FRAME_START:
        return start_stage(frame);
    case FRAME_STDIN:
        take_stdin(frame);
        return true;
    case FRAME_SIGNAL:
        stage_signal(&agent.stage, (int)frame_u32(frame->payload));
        return true;
    case FRAME_RESIZE:
        if (agent.stage.request.tty)
            terminal_resize(&agent.stage.terminal,
                            (struct winsize){.ws_row = frame_u16(frame->payload), .ws_col = frame_u16(frame->payload + 2)});
        return true;
    case FRAME_CREDIT:
        agent.credit += frame_u32(frame->payload); /* 2^32 frames would have to come before it overflows */
        return true;
    case FRAME_COLLECT:
        return collect_start(&agent.collect, &agent.workspace, frame, &agent.failure);
    case FRAME_RESET:
        return start_reset(frame);
    default:
        return failure_set(&agent.failure, FAIL_INTERNAL, "A frame was let through that nobody takes.");
    }
}

/* Takes what has come. False with the failure set, or without one when the daemon is gone. */
static bool read_daemon(void)
{
    size_t room;
    uint8_t *space = frame_reader_space(&agent.reader, &room);
    ssize_t count = read(STDIN_FILENO, space, room);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    if (count == 0)
        return false;
    agent.answer_deadline_ns = UINT64_MAX;
    frame_reader_added(&agent.reader, (size_t)count);
    struct frame frame;
    while (frame_reader_next(&agent.reader, &frame, &agent.failure))
        if (!take(&frame))
            return false;
    return agent.failure.code == NULL;
}

/* False if a service has ended before any program could use it. Later the program finds out for itself. */
static bool service_lives(pid_t pid)
{
    const char *ended = services_reaped(&agent.host.services, pid);
    if (ended == NULL || agent.session.had_stage)
        return true;
    return failure_set(&agent.failure, FAIL_SERVICE_ENDED, "The service %s has ended.", ended);
}

static bool reap(void)
{
    int status;
    pid_t pid;
    struct rusage usage;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        if (pid == agent.host.warm.pid && !agent.host.warm.lent)
            warm_discard(&agent.host.warm);
        if (pid == agent.host.parent.pid)
            warm_discard(&agent.host.parent);
        if (pid == agent.host.parent.discarded)
            agent.host.parent.discarded = 0;
        else if (pid == agent.host.warm.discarded)
            agent.host.warm.discarded = 0;
        else if (!service_lives(pid))
            return false;
        else if (agent.session.state == SESSION_STAGE && !stage_reaped(&agent.stage, &agent.host, pid, status, &usage, &agent.failure))
            return false;
    }
    return true;
}

/* False when the agent is told to end, or with the failure set. */
static bool hear_signals(void)
{
    struct signalfd_siginfo signal;
    while (read(agent.signals, &signal, sizeof signal) == sizeof signal)
        if (signal.ssi_signo == SIGTERM)
            return false;
    return reap();
}

/* A container that is used once has no use for a parent, so the second run's interpreter is the first to be forked. */
static bool is_forked(void)
{
    return agent.warm_forks && agent.used_before;
}

static bool parent_is_lost(void)
{
    return agent.parent_started && agent.host.parent.pid == 0;
}

/* Services come first, so that an interpreter can make use of them while it warms up; and a parent before what it forks. */
static bool start_warm(void)
{
    struct stage_host *host = &agent.host;
    agent.warm_deadline_ns = clock_ns(CLOCK_MONOTONIC) + agent.warm_ready_ms * NS_PER_MS;
    if (is_forked() && !agent.parent_started) {
        agent.parent_started = true;
        return warm_start_parent(&host->parent, agent.warm_argv, &agent.failure);
    }
    agent.warm_missing = false;
    return is_forked() ? warm_fork(&host->warm, &host->parent, host->user, &agent.failure)
                       : warm_start(&host->warm, host->user, agent.warm_argv, host->workspace, &agent.failure);
}

/* Only the user whose it is can remove it, whatever its rights. */
static bool remove_as_user(void)
{
    int status;
    pid_t remover = fork();
    if (remover == 0) {
        if (!privileges_become(agent.host.user))
            _exit(EXIT_FAILURE);
        leftovers_remove();
        _exit(places_empty(&agent.places) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (remover < 0 || waitpid(remover, &status, 0) != remover)
        return failure_set_errno(&agent.failure, "removing what the run left");
    return status == 0 || failure_set(&agent.failure, FAIL_NOT_CLEAN, "What the run left could not be removed.");
}

/* Whether nothing is there that was not there before the first run. What the kernel counts as the container's own shows that, too. */
static bool is_clean(struct failure *failure)
{
    if (cgroup_oom_kills(&agent.host.cgroup) > 0)
        return failure_set(failure, FAIL_NOT_CLEAN, "The kernel has ended a process for its memory.");
    int own_sockets = agent.host.parent.control >= 0 ? 2 : 0; /* both ends of its */
    return leftovers_are_none(own_sockets, failure) && places_are_clean(&agent.places, failure);
}

static bool change_user(void)
{
    if (!privileges_change(agent.next_user))
        return failure_set(&agent.failure, FAIL_UNSUPPORTED, "This kernel lets the agent not act for another user.");
    agent.host.user = agent.next_user;
    return true;
}

/* The container is as it was at boot: so is what the agent knows of it. */
static bool begin_again(void)
{
    if (!change_user())
        return false;
    workspace_forget(&agent.workspace);
    agent.archive = (struct tar_reader){0};
    agent.credit = 0;
    agent.used_before = true;
    agent.warm_missing = agent.warm_argv != NULL;
    agent.warm_deadline_ns = UINT64_MAX;
    session_begin(&agent.session);
    return true;
}

/* Goes on with making the container as it was. What is still on its way out, such as a file in a socket that is gone, gets a moment. */
static bool reset(void)
{
    struct failure unclean = {.code = FAIL_NOT_CLEAN, .message = "A process of the run does not end."};
    if (processes_kill_all_but((struct spared){.parent = agent.host.parent.pid}, agent.host.user) == 0) {
        if (!agent.removed && !remove_as_user())
            return false;
        agent.removed = true;
        unclean.code = NULL;
        if (is_clean(&unclean))
            return begin_again();
    }
    if (clock_ns(CLOCK_MONOTONIC) < agent.reset_deadline_ns)
        return true;
    agent.failure = unclean;
    return false;
}

static bool get_ready(void)
{
    struct warm *warm = &agent.host.warm;
    if (agent.session.state == SESSION_RESETTING && (!reset() || agent.session.state == SESSION_RESETTING))
        return agent.failure.code == NULL;
    if (agent.host.services.starting > 0)
        return true;
    if (warm_is_starting(&agent.host.parent) || warm_is_starting(warm)) {
        if (clock_ns(CLOCK_MONOTONIC) < agent.warm_deadline_ns)
            return true;
        dprintf(STDERR_FILENO, "coderunner: the warm interpreter took too long to get ready.\n");
        warm_discard(warm);
    } else if (agent.warm_missing && !parent_is_lost()) {
        return start_warm();
    }
    /* A first run starts cold without it. After that something is wrong here, and the run better off in another container. */
    if (is_forked() && warm->pid == 0)
        return failure_set(&agent.failure, FAIL_INTERNAL, "No interpreter could be forked for the next run.");
    char text[100];
    int length = snprintf(text, sizeof text, "{\"agent\":\"" AGENT_VERSION "\",\"protocol\":%d,\"warm\":%s}", PROTOCOL_VERSION,
                          warm->pid > 0 ? "true" : "false");
    agent.announced = true;
    if (!agent.used_before)
        agent.answer_deadline_ns = clock_ns(CLOCK_MONOTONIC) + agent.answer_ms * NS_PER_MS;
    return outbox_put(&agent.outbox, FRAME_READY, false, text, (size_t)length);
}

static bool acknowledge_stdin(void)
{
    uint8_t payload[4];
    if (agent.stdin_passed == 0 || !outbox_has_slack(&agent.outbox))
        return true;
    frame_write_u32(payload, (uint32_t)agent.stdin_passed);
    agent.session.stdin_pending -= agent.stdin_passed;
    agent.stdin_passed = 0;
    return outbox_put(&agent.outbox, FRAME_STDIN_CREDIT, false, payload, sizeof payload);
}

static bool finish_stage(void)
{
    size_t length;
    char *exit = stage_finish(&agent.stage, &agent.host, &length);
    if (exit == NULL)
        return failure_set(&agent.failure, FAIL_INTERNAL, "There is no memory left to say how the program ended.");
    bool put = outbox_put(&agent.outbox, FRAME_EXIT, false, exit, length);
    free(exit);
    session_idle(&agent.session);
    return put || failure_set(&agent.failure, FAIL_INTERNAL, "There is no room left to say how the program ended.");
}

static bool go_on_with_stage(void)
{
    agent.stdin_passed += stage_pass_stdin(&agent.stage, &agent.stdin_ring);
    stage_pass_output(&agent.stage, &agent.outbox, &agent.credit);
    stage_enforce(&agent.stage, &agent.host);
    if (agent.stage.all_ended) /* until then there is nothing more to read than a moment ago */
        stage_pass_output(&agent.stage, &agent.outbox, &agent.credit);
    acknowledge_stdin();
    return !stage_is_done(&agent.stage) || !outbox_has_slack(&agent.outbox) || finish_stage();
}

/* An engine that is killed while it starts a container may forget it: then nobody speaks to the agent, nor is its stdin ever closed. */
static bool is_forgotten(void)
{
    return agent.announced && clock_ns(CLOCK_MONOTONIC) >= agent.answer_deadline_ns;
}

/* Does whatever can be done without waiting. False when the agent has to end. */
static bool go_on(void)
{
    if (!agent.announced)
        return get_ready();
    if (agent.session.state == SESSION_STAGE)
        return go_on_with_stage();
    if (agent.session.state == SESSION_COLLECTING && collect_pass(&agent.collect, &agent.workspace, &agent.outbox))
        session_idle(&agent.session);
    return true;
}

enum { DAEMON, TO_DAEMON, SIGNALS, WARM, PARENT, STDIN, STDOUT, STDERR, SERVICES, POLLED = SERVICES + SERVICES_MOST };

/* Whether there is something to send that the outbox had no room for before it was flushed. */
static bool has_more_to_send(void)
{
    if (!outbox_is_empty(&agent.outbox))
        return false;
    if (agent.session.state == SESSION_STAGE)
        return agent.stdin_passed > 0 || stage_is_done(&agent.stage);
    return agent.session.state == SESSION_COLLECTING;
}

/* When get_ready is to be called even if nothing happens. */
static uint64_t ready_deadline_ns(void)
{
    if (agent.session.state == SESSION_RESETTING)
        return clock_ns(CLOCK_MONOTONIC) + RESET_AGAIN_MS * NS_PER_MS;
    return agent.warm_deadline_ns;
}

/* Waits until something has happened. */
static void wait_for_events(struct pollfd polled[POLLED])
{
    const struct stage *stage = agent.session.state == SESSION_STAGE ? &agent.stage : NULL;
    bool output = stage && stage_wants_output(stage, &agent.outbox, agent.credit);
    uint64_t deadline_ns = !agent.announced ? ready_deadline_ns() : stage ? stage_deadline_ns(stage) : agent.answer_deadline_ns;
    if (has_more_to_send())
        deadline_ns = 0;
    polled[DAEMON] = (struct pollfd){.fd = STDIN_FILENO, .events = agent.announced ? POLLIN : 0};
    polled[TO_DAEMON] = (struct pollfd){.fd = STDOUT_FILENO, .events = outbox_is_empty(&agent.outbox) ? 0 : POLLOUT};
    polled[SIGNALS] = (struct pollfd){.fd = agent.signals, .events = POLLIN};
    polled[WARM] = (struct pollfd){.fd = agent.host.warm.control, .events = POLLIN};
    polled[PARENT] = (struct pollfd){.fd = agent.host.parent.control, .events = POLLIN};
    polled[STDIN] = (struct pollfd){.fd = stage && stage_wants_stdin(stage, &agent.stdin_ring) ? stage->streams.in : -1, .events = POLLOUT};
    polled[STDOUT] = (struct pollfd){.fd = output ? stage->streams.out : -1, .events = POLLIN};
    polled[STDERR] = (struct pollfd){.fd = output ? stage->streams.err : -1, .events = POLLIN};
    for (size_t i = 0; i < SERVICES_MOST; i++)
        polled[SERVICES + i] = (struct pollfd){.fd = i < agent.host.services.count ? agent.host.services.each[i].control : -1, .events = POLLIN};
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC), wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    const struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u)};
    if (ppoll(polled, POLLED, deadline_ns == UINT64_MAX ? NULL : &wait, NULL) < 0)
        for (int i = 0; i < POLLED; i++)
            polled[i].revents = 0;
}

/* Serves the run until the daemon is gone, the agent is told to end, or it fails. */
static void serve(void)
{
    struct pollfd polled[POLLED];
    for (;;) {
        if (!go_on() || is_forgotten())
            return;
        if (!outbox_flush(&agent.outbox))
            return;
        wait_for_events(polled);
        if (polled[WARM].revents != 0)
            warm_read(&agent.host.warm);
        if (polled[PARENT].revents != 0)
            warm_read(&agent.host.parent);
        for (size_t i = 0; i < SERVICES_MOST; i++)
            if (polled[SERVICES + i].revents != 0 && !services_read(&agent.host.services, i, &agent.failure))
                return;
        if (polled[SIGNALS].revents != 0 && !hear_signals())
            return;
        if (polled[DAEMON].revents != 0 && !read_daemon())
            return;
        if ((polled[TO_DAEMON].revents & (POLLERR | POLLNVAL)) != 0)
            return;
    }
}

static int fail(void)
{
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
    put_failure(&agent.failure);
    dprintf(STDERR_FILENO, "coderunner: %s: %s\n", agent.failure.code, agent.failure.message);
    while (outbox_flush(&agent.outbox) && !outbox_is_empty(&agent.outbox) && poll(&room, 1, FAIL_PATIENCE_MS) > 0)
        continue;
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!parse_options(argc, argv, &options)) {
        dprintf(
            STDERR_FILENO,
            "usage: coderunner-agent [--workspace /FOLDER] [--uid N] [--gid N] [--warm-ready-ms N] [--answer-ms N] [--warm-forks] "
            "[--service /PATH]... [-- WARM ARGV...]\n");
        return EXIT_FAILURE;
    }
    if (prepare(&options, &agent.failure))
        serve();
    if (getpid() == 1)
        processes_kill_all_but((struct spared){0}, agent.host.user);
    return agent.failure.code ? fail() : EXIT_SUCCESS;
}
