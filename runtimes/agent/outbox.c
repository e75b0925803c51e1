#include "outbox.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->start == outbox->end;
}

static size_t room(const struct outbox *outbox)
{
    return sizeof outbox->bytes - outbox->end;
}

bool outbox_takes_stream(const struct outbox *outbox)
{
    return outbox->end < FRAME_MAX_BYTES / 2;
}

bool outbox_has_slack(const struct outbox *outbox)
{
    return room(outbox) > FRAME_MAX_BYTES + FRAME_MAX_BYTES / 2;
}

uint8_t *outbox_reserve(struct outbox *outbox)
{
    assert(room(outbox) >= FRAME_MAX_BYTES);
    return outbox->bytes + outbox->end + FRAME_HEADER_BYTES;
}

void outbox_commit(struct outbox *outbox, enum frame_type type, bool last, size_t length)
{
    frame_write_header(outbox->bytes + outbox->end, type, last, length);
    outbox->end += FRAME_HEADER_BYTES + length;
}

bool outbox_put(struct outbox *outbox, enum frame_type type, bool last, const void *payload, size_t length)
{
    if (length > FRAME_MAX_PAYLOAD || room(outbox) < FRAME_HEADER_BYTES + length)
        return false;
    if (length > 0)
        memcpy(outbox->bytes + outbox->end + FRAME_HEADER_BYTES, payload, length);
    outbox_commit(outbox, type, last, length);
    return true;
}

bool outbox_flush(struct outbox *outbox)
{
    while (outbox->start < outbox->end) {
        ssize_t wrote = write(outbox->fd, outbox->bytes + outbox->start, outbox->end - outbox->start);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno == EAGAIN;
        outbox->start += (size_t)wrote;
    }
    outbox->start = outbox->end = 0;
    return true;
}
