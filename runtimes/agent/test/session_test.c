#include "session.h"

#include "check.h"

#include <string.h>

static struct failure failure;

static enum session_verdict take(struct session *session, enum frame_type type, bool last, const char *payload, size_t length)
{
    struct frame frame = {type, last, (const uint8_t *)payload, length};
    failure.code = NULL;
    return session_take(session, &frame, &failure);
}

static enum session_verdict take_number(struct session *session, enum frame_type type, uint32_t number)
{
    uint8_t payload[4];
    frame_write_u32(payload, number);
    return take(session, type, false, (const char *)payload, sizeof payload);
}

TEST(states, "every frame is accepted, ignored or refused by the state the conversation is in")
{
    enum { AFTER_STAGE = SESSION_RESETTING + 1, STATES };
    static const struct {
        const char *name;
        enum frame_type type;
        const char *verdicts; /* in intake, idle before any stage, in a stage, collecting, resetting, idle after a stage */
    } rows[] = {
        {"FILES", FRAME_FILES, "arrrrr"},     {"START", FRAME_START, "rarrra"},   {"STDIN", FRAME_STDIN, "rrairi"},
        {"SIGNAL", FRAME_SIGNAL, "rrairi"},   {"RESIZE", FRAME_RESIZE, "rrairi"}, {"CREDIT", FRAME_CREDIT, "aaaara"},
        {"COLLECT", FRAME_COLLECT, "rarrra"}, {"RESET", FRAME_RESET, "rrrrra"},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        for (unsigned state = 0; state < STATES; state++) {
            struct session session = {0};
            session.state = state == AFTER_STAGE ? SESSION_IDLE : (enum session_state)state;
            session.had_stage = state > SESSION_IDLE;
            enum session_verdict verdict = take_number(&session, rows[row].type, 1);
            CHECK_CASE("ria"[verdict] == rows[row].verdicts[state], "%s in state %u is judged %c", rows[row].name, state, "ria"[verdict]);
            if (verdict == SESSION_REFUSE)
                CHECK(failure_is(&failure, FAIL_PROTOCOL_ERROR));
            else
                CHECK(failure.code == NULL);
        }
    }
}

TEST(life, "files, two stages and a collection follow each other")
{
    struct session session = {0};
    CHECK(take(&session, FRAME_FILES, false, "", 0) == SESSION_ACCEPT && session.state == SESSION_INTAKE);
    CHECK(take(&session, FRAME_FILES, true, "", 0) == SESSION_ACCEPT && session.state == SESSION_IDLE);
    for (int stage = 0; stage < 2; stage++) {
        CHECK(take(&session, FRAME_START, false, "{}", 2) == SESSION_ACCEPT && session.state == SESSION_STAGE);
        CHECK(take(&session, FRAME_STDIN, true, "x", 1) == SESSION_ACCEPT);
        session_idle(&session);
    }
    CHECK(take(&session, FRAME_COLLECT, false, "{}", 2) == SESSION_ACCEPT && session.state == SESSION_COLLECTING);
    session_idle(&session);
    CHECK(take(&session, FRAME_START, false, "{}", 2) == SESSION_ACCEPT);
}

TEST(again, "after RESET nothing may come until the next run can, which begins like the first")
{
    struct session session = {.state = SESSION_IDLE, .had_stage = true, .stdin_ended = true, .stdin_pending = 5};
    CHECK(take_number(&session, FRAME_RESET, 10002) == SESSION_ACCEPT && session.state == SESSION_RESETTING);
    CHECK(take(&session, FRAME_FILES, true, "", 0) == SESSION_REFUSE);
    session_begin(&session);
    CHECK(session.state == SESSION_INTAKE && !session.had_stage && !session.stdin_ended && session.stdin_pending == 0);
    CHECK(take(&session, FRAME_FILES, true, "", 0) == SESSION_ACCEPT);
    CHECK(take_number(&session, FRAME_RESET, 10003) == SESSION_REFUSE);
}

static struct session in_stage(void)
{
    return (struct session){.state = SESSION_STAGE, .had_stage = true};
}

TEST(stdin_window, "stdin beyond its window is refused, up to its last byte it is not")
{
    static char slice[FRAME_MAX_PAYLOAD];
    struct session session = in_stage();
    for (size_t i = 0; i < STDIN_WINDOW_BYTES / sizeof slice; i++)
        CHECK(take(&session, FRAME_STDIN, false, slice, sizeof slice) == SESSION_ACCEPT);
    CHECK(session.stdin_pending == STDIN_WINDOW_BYTES);
    CHECK(take(&session, FRAME_STDIN, false, slice, 0) == SESSION_ACCEPT);
    struct session full = session;
    CHECK(take(&full, FRAME_STDIN, false, slice, 1) == SESSION_REFUSE && failure_is(&failure, FAIL_PROTOCOL_ERROR));
    session.stdin_pending -= 10; /* acknowledged */
    CHECK(take(&session, FRAME_STDIN, false, slice, 10) == SESSION_ACCEPT);
    CHECK(take(&session, FRAME_STDIN, true, slice, 0) == SESSION_ACCEPT);
}

TEST(stdin_end, "nothing follows the end of stdin, until the next stage")
{
    struct session session = in_stage();
    CHECK(take(&session, FRAME_STDIN, true, "x", 1) == SESSION_ACCEPT);
    struct session ended = session;
    CHECK(take(&ended, FRAME_STDIN, false, "", 0) == SESSION_REFUSE && failure_is(&failure, FAIL_PROTOCOL_ERROR));
    session_idle(&session);
    CHECK(take(&session, FRAME_STDIN, false, "late", 4) == SESSION_IGNORE);
    CHECK(take(&session, FRAME_START, false, "{}", 2) == SESSION_ACCEPT);
    CHECK(session.stdin_pending == 0);
    CHECK(take(&session, FRAME_STDIN, false, "x", 1) == SESSION_ACCEPT);
}

TEST(signals, "only signals that there are can be sent")
{
    static const uint32_t wrong[] = {0, 65, 0x80000000u, 0xFFFFFFFFu};
    for (uint32_t number = 1; number <= 64; number++) {
        struct session session = in_stage();
        CHECK_CASE(take_number(&session, FRAME_SIGNAL, number) == SESSION_ACCEPT, "signal %u", number);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct session session = in_stage();
        CHECK_CASE(take_number(&session, FRAME_SIGNAL, wrong[i]) == SESSION_REFUSE, "signal %u", wrong[i]);
        CHECK(failure_is(&failure, FAIL_PROTOCOL_ERROR));
    }
}
