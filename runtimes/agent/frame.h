/* Frames between daemon and agent: docs/protocol.md, section 1. This file knows their form, session.c when they make sense. */
#ifndef CODERUNNER_FRAME_H
#define CODERUNNER_FRAME_H

#include "failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_BYTES 8
#define FRAME_MAX_PAYLOAD 65536
#define FRAME_MAX_BYTES (FRAME_HEADER_BYTES + FRAME_MAX_PAYLOAD)

/* With this much of a program's output a frame fills a pipe just as it is: no rest of a few bytes travels, at the price of many, after it. */
#define FRAME_OUTPUT_PAYLOAD (65536 - FRAME_HEADER_BYTES)

enum frame_type {
    FRAME_FILES = 0x01,
    FRAME_START = 0x02,
    FRAME_STDIN = 0x03,
    FRAME_SIGNAL = 0x04,
    FRAME_RESIZE = 0x05,
    FRAME_CREDIT = 0x06,
    FRAME_COLLECT = 0x07,
    FRAME_RESET = 0x08,

    FRAME_READY = 0x81,
    FRAME_STDOUT = 0x82,
    FRAME_STDERR = 0x83,
    FRAME_EXIT = 0x84,
    FRAME_FILE = 0x85,
    FRAME_FAIL = 0x86,
    FRAME_STDIN_CREDIT = 0x87,
};

/* END of FILES and FILE, EOF of STDIN. */
#define FRAME_LAST 0x01

struct frame {
    enum frame_type type;
    bool last;
    const uint8_t *payload; /* into the reader's buffer, valid until the next frame is asked for */
    size_t length;
};

/* Gathers bytes until they are a frame. Starts zeroed. */
struct frame_reader {
    size_t start, end;                /* what has arrived and was not taken yet */
    uint8_t bytes[2 * FRAME_MAX_BYTES]; /* so that what follows a large frame comes with the same read */
};

/* Where the next bytes go, and how many fit (never none after frame_reader_next said there is no frame). */
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *room);

/* `count` bytes were put there. */
void frame_reader_added(struct frame_reader *reader, size_t count);

/* Takes the next frame. False without one: more bytes are needed, or `failure` says what is wrong; then the reader must not be used again. */
bool frame_reader_next(struct frame_reader *reader, struct frame *frame, struct failure *failure);

void frame_write_header(uint8_t header[FRAME_HEADER_BYTES], enum frame_type type, bool last, size_t length);

uint32_t frame_u32(const uint8_t *bytes);
uint16_t frame_u16(const uint8_t *bytes);
void frame_write_u32(uint8_t *bytes, uint32_t value);

#endif
