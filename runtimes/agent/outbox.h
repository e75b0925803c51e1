/* What is on its way to the daemon. Never blocks: what the pipe does not take now waits here, and the event loop asks for POLLOUT. */
#ifndef CODERUNNER_OUTBOX_H
#define CODERUNNER_OUTBOX_H

#include "frame.h"

/*
 * Frames of streams (program output, collected files) are only added while less than half a frame's bytes wait here. So more than half of
 * the outbox is always free for the rare other frames, FAIL among them, and a short program's output and its EXIT leave with one write.
 */
#define OUTBOX_FRAMES 4

struct outbox {
    int fd; /* non-blocking */
    size_t start, end;
    uint8_t bytes[OUTBOX_FRAMES * FRAME_MAX_BYTES];
};

bool outbox_is_empty(const struct outbox *outbox);

/* Whether a frame of a stream may be added. */
bool outbox_takes_stream(const struct outbox *outbox);

/* Whether a small frame may be added without touching the room kept for FAIL. */
bool outbox_has_slack(const struct outbox *outbox);

/* Room for a payload of FRAME_MAX_PAYLOAD bytes to be read into; outbox_commit turns it into a frame. */
uint8_t *outbox_reserve(struct outbox *outbox);
void outbox_commit(struct outbox *outbox, enum frame_type type, bool last, size_t length);

/* Adds a frame. False if there is no room: the daemon broke the rules of the conversation by not reading. */
bool outbox_put(struct outbox *outbox, enum frame_type type, bool last, const void *payload, size_t length);

/* Writes what the pipe takes. False when nobody reads it any more. */
bool outbox_flush(struct outbox *outbox);

#endif
