/*
 * The conversation: frames and when they make sense. The first byte says in which slices the rest arrives; a CREDIT of an odd number stands
 * for the end of a stage, a STDIN frame is acknowledged in part.
 */
#include "frame.h"
#include "fuzz.h"
#include "session.h"

#include <string.h>

static void take(struct session *session, const struct frame *frame)
{
    static struct failure failure;
    failure.code = NULL;
    size_t pending = session->stdin_pending;
    enum session_state before = session->state;
    enum session_verdict verdict = session_take(session, frame, &failure);
    EXPECT((verdict == SESSION_REFUSE) == (failure.code != NULL));
    EXPECT(session->stdin_pending <= STDIN_WINDOW_BYTES);
    if (verdict != SESSION_ACCEPT)
        EXPECT(session->state == before && session->stdin_pending == pending);
    if (frame->type == FRAME_STDIN && verdict == SESSION_ACCEPT)
        session->stdin_pending -= session->stdin_pending / 3;
    if (frame->type == FRAME_CREDIT && frame->payload[3] % 2 == 1 && (session->state == SESSION_STAGE || session->state == SESSION_COLLECTING))
        session_idle(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct frame_reader reader;
    static struct failure failure;
    struct session session = {0};
    if (count == 0)
        return 0;
    reader.start = reader.end = 0;
    failure.code = NULL;
    size_t slice = bytes[0] < 128 ? bytes[0] + 1u : (bytes[0] - 127u) * 1024;
    const uint8_t *expected = ++bytes; /* where in the input the next frame is */
    count--;
    while (count > 0) {
        size_t room;
        uint8_t *space = frame_reader_space(&reader, &room);
        EXPECT(room > 0 && space + room == reader.bytes + sizeof reader.bytes);
        size_t taken = slice < count ? slice : count;
        taken = taken < room ? taken : room;
        memcpy(space, bytes, taken);
        frame_reader_added(&reader, taken);
        bytes += taken;
        count -= taken;
        for (struct frame frame; frame_reader_next(&reader, &frame, &failure);) {
            uint8_t header[FRAME_HEADER_BYTES];
            EXPECT(frame.length <= FRAME_MAX_PAYLOAD && frame.payload >= reader.bytes && frame.payload + frame.length <= reader.bytes + reader.end);
            frame_write_header(header, frame.type, frame.last, frame.length);
            EXPECT(memcmp(header, expected, sizeof header) == 0);
            EXPECT(memcmp(frame.payload, expected + sizeof header, frame.length) == 0);
            expected += sizeof header + frame.length;
            take(&session, &frame);
        }
        if (failure.code)
            return 0;
    }
    return 0;
}
