#include "outbox.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct outbox outbox;

/* An empty outbox into a new pipe; returns the pipe's other end. */
static int start(void)
{
    int ends[2];
    MUST(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    outbox.fd = ends[1];
    outbox.start = outbox.end = 0;
    return ends[0];
}

static void stop(int reader)
{
    close(reader);
    close(outbox.fd);
}

TEST(outbox_order, "frames leave in the order in which they were put")
{
    uint8_t got[64];
    int reader = start();
    CHECK(outbox_is_empty(&outbox));
    CHECK(outbox_put(&outbox, FRAME_READY, false, "{}", 2));
    CHECK(outbox_put(&outbox, FRAME_FILE, true, NULL, 0));
    memcpy(outbox_reserve(&outbox), "abc", 3);
    outbox_commit(&outbox, FRAME_STDERR, false, 3);
    CHECK(!outbox_is_empty(&outbox));
    CHECK(outbox_flush(&outbox) && outbox_is_empty(&outbox));
    static const char expected[] = "\x81\0\0\0\0\0\0\x02{}\x85\x01\0\0\0\0\0\0\x83\0\0\0\0\0\0\x03"
                                   "abc";
    ssize_t count = read(reader, got, sizeof got);
    stop(reader);
    CHECK(count == sizeof expected - 1 && memcmp(got, expected, sizeof expected - 1) == 0);
}

TEST(outbox_slow_reader, "what a full pipe does not take waits and arrives unharmed")
{
    static uint8_t payload[FRAME_MAX_PAYLOAD], got[OUTBOX_FRAMES * FRAME_MAX_BYTES];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 >> 3);
    int reader = start();
    for (int i = 0; i < OUTBOX_FRAMES; i++)
        CHECK(outbox_put(&outbox, FRAME_STDOUT, false, payload, sizeof payload));
    size_t count = 0, flushes = 0;
    while (!outbox_is_empty(&outbox)) {
        CHECK(outbox_flush(&outbox));
        flushes++;
        for (ssize_t some; (some = read(reader, got + count, 10000)) > 0;)
            count += (size_t)some;
    }
    stop(reader);
    CHECK(flushes > 1);
    CHECK(count == sizeof got);
    for (int i = 0; i < OUTBOX_FRAMES; i++)
        CHECK(memcmp(got + i * FRAME_MAX_BYTES + FRAME_HEADER_BYTES, payload, sizeof payload) == 0);
}

TEST(outbox_full, "a full outbox takes nothing more, and says so before the room for FAIL is touched")
{
    static uint8_t payload[FRAME_MAX_PAYLOAD];
    int reader = start();
    CHECK(!outbox_put(&outbox, FRAME_STDOUT, false, payload, FRAME_MAX_PAYLOAD + 1));
    while (outbox_has_slack(&outbox))
        CHECK(outbox_put(&outbox, FRAME_STDIN_CREDIT, false, payload, 4));
    CHECK(outbox_put(&outbox, FRAME_FAIL, false, payload, FRAME_MAX_PAYLOAD));
    while (outbox_put(&outbox, FRAME_STDIN_CREDIT, false, payload, 4))
        CHECK(outbox.end <= sizeof outbox.bytes);
    CHECK(sizeof outbox.bytes - outbox.end < FRAME_HEADER_BYTES + 4);
    stop(reader);
}

TEST(outbox_streams, "streams leave half of the outbox to other frames")
{
    int reader = start();
    size_t frames = 0;
    for (; outbox_takes_stream(&outbox); frames++) {
        outbox_reserve(&outbox);
        outbox_commit(&outbox, FRAME_STDOUT, false, FRAME_MAX_PAYLOAD);
    }
    CHECK(frames == 1 && outbox_has_slack(&outbox));
    CHECK(outbox.end <= sizeof outbox.bytes / 2);
    stop(reader);
}

TEST(outbox_gone, "a daemon that is gone is noticed")
{
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    int reader = start();
    CHECK(outbox_put(&outbox, FRAME_READY, false, "{}", 2));
    close(reader);
    bool flushed = outbox_flush(&outbox);
    close(outbox.fd);
    signal(SIGPIPE, before);
    CHECK(!flushed);
}
