#include "frame.h"

#include <string.h>

uint32_t frame_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

uint16_t frame_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

void frame_write_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

void frame_write_header(uint8_t header[FRAME_HEADER_BYTES], enum frame_type type, bool last, size_t length)
{
    header[0] = (uint8_t)type;
    header[1] = last ? FRAME_LAST : 0;
    header[2] = header[3] = 0;
    frame_write_u32(header + 4, (uint32_t)length);
}

/* What each type from the daemon may carry. */
struct form {
    uint8_t flags;
    uint32_t shortest, longest;
};

static const struct form *form_of(uint8_t type)
{
    static const struct form forms[] = {
        [FRAME_FILES] = {FRAME_LAST, 0, FRAME_MAX_PAYLOAD},
        [FRAME_START] = {0, 2, FRAME_MAX_PAYLOAD},
        [FRAME_STDIN] = {FRAME_LAST, 0, FRAME_MAX_PAYLOAD},
        [FRAME_SIGNAL] = {0, 4, 4},
        [FRAME_RESIZE] = {0, 4, 4},
        [FRAME_CREDIT] = {0, 4, 4},
        [FRAME_COLLECT] = {0, 2, FRAME_MAX_PAYLOAD},
        [FRAME_RESET] = {0, 4, 4},
    };
    return type >= FRAME_FILES && type <= FRAME_RESET ? &forms[type] : NULL;
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *room)
{
    if (reader->start > 0) {
        memmove(reader->bytes, reader->bytes + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    *room = sizeof reader->bytes - reader->end;
    return reader->bytes + reader->end;
}

void frame_reader_added(struct frame_reader *reader, size_t count)
{
    reader->end += count;
}

bool frame_reader_next(struct frame_reader *reader, struct frame *frame, struct failure *failure)
{
    const uint8_t *header = reader->bytes + reader->start;
    size_t available = reader->end - reader->start;
    if (available < FRAME_HEADER_BYTES)
        return false;
    uint8_t type = header[0], flags = header[1];
    uint32_t length = frame_u32(header + 4);
    const struct form *form = form_of(type);
    if (form == NULL)
        return failure_set(failure, FAIL_PROTOCOL_ERROR, "There is no frame of type 0x%02x.", type);
    if ((flags & ~form->flags) != 0 || header[2] != 0 || header[3] != 0)
        return failure_set(failure, FAIL_PROTOCOL_ERROR, "A frame of type 0x%02x has unknown flags.", type);
    if (length < form->shortest || length > form->longest)
        return failure_set(failure, FAIL_PROTOCOL_ERROR, "A frame of type 0x%02x cannot have %u bytes.", type, length);
    if (available < FRAME_HEADER_BYTES + length)
        return false;
    frame->type = type;
    frame->last = (flags & FRAME_LAST) != 0;
    frame->payload = header + FRAME_HEADER_BYTES;
    frame->length = length;
    reader->start += FRAME_HEADER_BYTES + length;
    return true;
}
