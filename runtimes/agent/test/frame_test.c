#include "frame.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

/* More than a megabyte of reader does not belong on a stack. */
static struct frame_reader reader;
static struct failure failure;

static void start(void)
{
    memset(&reader, 0, sizeof reader);
    memset(&failure, 0, sizeof failure);
}

static void give(const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        size_t room;
        uint8_t *space = frame_reader_space(&reader, &room);
        size_t taken = count < room ? count : room;
        CHECK(room > 0);
        memcpy(space, bytes, taken);
        frame_reader_added(&reader, taken);
        bytes += taken;
        count -= taken;
    }
}

static size_t put(uint8_t *at, enum frame_type type, bool last, const void *payload, size_t length)
{
    frame_write_header(at, type, last, length);
    if (length > 0)
        memcpy(at + FRAME_HEADER_BYTES, payload, length);
    return FRAME_HEADER_BYTES + length;
}

TEST(numbers, "numbers in frames are big-endian")
{
    uint8_t bytes[4];
    frame_write_u32(bytes, 0x81F203FFu);
    CHECK(memcmp(bytes, "\x81\xF2\x03\xFF", 4) == 0);
    CHECK(frame_u32(bytes) == 0x81F203FFu);
    CHECK(frame_u16(bytes) == 0x81F2);
}

TEST(header, "a frame's header is type, flags, two zero bytes and the length")
{
    uint8_t bytes[FRAME_HEADER_BYTES];
    frame_write_header(bytes, FRAME_FILE, true, 0x010203);
    CHECK(memcmp(bytes, "\x85\x01\0\0\0\x01\x02\x03", sizeof bytes) == 0);
    frame_write_header(bytes, FRAME_STDOUT, false, 0);
    CHECK(memcmp(bytes, "\x82\0\0\0\0\0\0\0", sizeof bytes) == 0);
}

/* Every type and flag that there is, with content that looks like headers. */
static size_t conversation(uint8_t *bytes)
{
    size_t length = 0;
    length += put(bytes + length, FRAME_FILES, false, "\x03\x01\0\0\0\0\0\x01", 8);
    length += put(bytes + length, FRAME_FILES, true, NULL, 0);
    length += put(bytes + length, FRAME_START, false, "{}", 2);
    length += put(bytes + length, FRAME_CREDIT, false, "\xFF\xFF\xFF\xFF", 4);
    length += put(bytes + length, FRAME_STDIN, false, "\0", 1);
    length += put(bytes + length, FRAME_STDIN, true, "abc", 3);
    length += put(bytes + length, FRAME_SIGNAL, false, "\0\0\0\x02", 4);
    length += put(bytes + length, FRAME_RESIZE, false, "\0\x18\0\x50", 4);
    length += put(bytes + length, FRAME_COLLECT, false, "{\"globs\":[]}", 12);
    length += put(bytes + length, FRAME_RESET, false, "\0\0\x27\x12", 4);
    return length;
}

static size_t take_all(struct frame *last)
{
    size_t count = 0;
    while (frame_reader_next(&reader, last, &failure))
        count++;
    CHECK(failure.code == NULL);
    return count;
}

TEST(every_split, "frames come out the same wherever the stream is cut")
{
    uint8_t bytes[256];
    size_t length = conversation(bytes);
    struct frame frame;
    for (size_t first = 0; first <= length; first++) {
        for (size_t second = first; second <= length; second++) {
            start();
            give(bytes, first);
            size_t count = take_all(&frame);
            give(bytes + first, second - first);
            count += take_all(&frame);
            give(bytes + second, length - second);
            count += take_all(&frame);
            CHECK_CASE(count == 10, "cut at %zu and %zu: %zu frames", first, second, count);
        }
    }
    CHECK(frame.type == FRAME_RESET && frame_u32(frame.payload) == 10002);
}

TEST(byte_by_byte, "a stream that comes byte by byte is put together again")
{
    uint8_t bytes[256], again[256];
    size_t length = conversation(bytes), rebuilt = 0;
    struct frame frame;
    start();
    for (size_t i = 0; i < length; i++) {
        give(bytes + i, 1);
        if (frame_reader_next(&reader, &frame, &failure))
            rebuilt += put(again + rebuilt, frame.type, frame.last, frame.payload, frame.length);
    }
    CHECK(failure.code == NULL);
    CHECK(rebuilt == length && memcmp(bytes, again, length) == 0);
}

TEST(largest, "the longest frames follow each other without being copied apart")
{
    size_t count = 5;
    uint8_t *bytes = malloc(count * FRAME_MAX_BYTES);
    MUST(bytes != NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t *frame = bytes + i * FRAME_MAX_BYTES;
        frame_write_header(frame, FRAME_STDIN, false, FRAME_MAX_PAYLOAD);
        memset(frame + FRAME_HEADER_BYTES, (int)('a' + i), FRAME_MAX_PAYLOAD);
    }
    start();
    size_t seen = 0;
    for (size_t given = 0; given < count * FRAME_MAX_BYTES;) {
        size_t room, left = count * FRAME_MAX_BYTES - given;
        uint8_t *space = frame_reader_space(&reader, &room);
        size_t taken = room < left ? room : left;
        CHECK(room > 0);
        memcpy(space, bytes + given, taken);
        frame_reader_added(&reader, taken);
        given += taken;
        for (struct frame frame; frame_reader_next(&reader, &frame, &failure); seen++) {
            CHECK(frame.length == FRAME_MAX_PAYLOAD);
            CHECK(frame.payload[0] == 'a' + seen && frame.payload[FRAME_MAX_PAYLOAD - 1] == 'a' + seen);
        }
        CHECK(failure.code == NULL);
    }
    free(bytes);
    CHECK(seen == count);
}

TEST(bad_headers, "what is no frame is refused as soon as its header is there")
{
    static const struct {
        const char *what;
        uint8_t header[FRAME_HEADER_BYTES];
    } cases[] = {
        {"type 0", {0}},
        {"a type after the last", {0x09}},
        {"READY, which only the agent sends", {0x81}},
        {"STDIN_CREDIT, which only the agent sends", {0x87, 0, 0, 0, 0, 0, 0, 4}},
        {"type 0xff", {0xFF}},
        {"an unknown flag of FILES", {FRAME_FILES, 0x02}},
        {"a flag of START, which has none", {FRAME_START, 0x01, 0, 0, 0, 0, 0, 2}},
        {"a flag of SIGNAL, which has none", {FRAME_SIGNAL, 0x01, 0, 0, 0, 0, 0, 4}},
        {"all flags of STDIN", {FRAME_STDIN, 0xFF}},
        {"the first reserved byte", {FRAME_FILES, 0, 1}},
        {"the second reserved byte", {FRAME_FILES, 0, 0, 1}},
        {"one byte too many", {FRAME_FILES, 0, 0, 0, 0, 1, 0, 1}},
        {"the largest length", {FRAME_STDIN, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}},
        {"START without content", {FRAME_START}},
        {"START with one byte", {FRAME_START, 0, 0, 0, 0, 0, 0, 1}},
        {"COLLECT without content", {FRAME_COLLECT}},
        {"SIGNAL without content", {FRAME_SIGNAL}},
        {"SIGNAL of three bytes", {FRAME_SIGNAL, 0, 0, 0, 0, 0, 0, 3}},
        {"SIGNAL of five bytes", {FRAME_SIGNAL, 0, 0, 0, 0, 0, 0, 5}},
        {"RESIZE of two bytes", {FRAME_RESIZE, 0, 0, 0, 0, 0, 0, 2}},
        {"RESIZE of eight bytes", {FRAME_RESIZE, 0, 0, 0, 0, 0, 0, 8}},
        {"CREDIT without content", {FRAME_CREDIT}},
        {"CREDIT of eight bytes", {FRAME_CREDIT, 0, 0, 0, 0, 0, 0, 8}},
        {"RESET without a user", {FRAME_RESET, 0, 0, 0, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct frame frame;
        start();
        give(cases[i].header, FRAME_HEADER_BYTES - 1);
        CHECK_CASE(!frame_reader_next(&reader, &frame, &failure) && failure.code == NULL, "%s: judged before its header was there",
                   cases[i].what);
        give(cases[i].header + FRAME_HEADER_BYTES - 1, 1);
        CHECK_CASE(!frame_reader_next(&reader, &frame, &failure), "%s: accepted", cases[i].what);
        CHECK_CASE(failure_is(&failure, FAIL_PROTOCOL_ERROR), "%s", cases[i].what);
    }
}

TEST(good_before_bad, "frames before a bad one are still taken")
{
    uint8_t bytes[2 * FRAME_HEADER_BYTES + 4];
    struct frame frame;
    size_t length = put(bytes, FRAME_CREDIT, false, "\0\0\0\x01", 4);
    memset(bytes + length, 0xAA, FRAME_HEADER_BYTES);
    start();
    give(bytes, sizeof bytes);
    CHECK(frame_reader_next(&reader, &frame, &failure) && frame.type == FRAME_CREDIT && frame_u32(frame.payload) == 1);
    CHECK(!frame_reader_next(&reader, &frame, &failure) && failure_is(&failure, FAIL_PROTOCOL_ERROR));
}
