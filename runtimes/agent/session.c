#include "session.h"

static enum session_verdict refuse(struct failure *failure, const char *why)
{
    failure_set(failure, FAIL_PROTOCOL_ERROR, "%s", why);
    return SESSION_REFUSE;
}

static enum session_verdict take_stdin(struct session *session, const struct frame *frame, struct failure *failure)
{
    if (session->stdin_ended)
        return refuse(failure, "STDIN after its end.");
    if (frame->length > STDIN_WINDOW_BYTES - session->stdin_pending)
        return refuse(failure, "More of STDIN than its window allows.");
    session->stdin_pending += frame->length;
    session->stdin_ended = frame->last;
    return SESSION_ACCEPT;
}

enum session_verdict session_take(struct session *session, const struct frame *frame, struct failure *failure)
{
    if (session->state == SESSION_RESETTING)
        return refuse(failure, "A frame between RESET and READY.");
    switch (frame->type) {
    case FRAME_FILES:
        if (session->state != SESSION_INTAKE)
            return refuse(failure, "FILES after their end.");
        if (frame->last)
            session->state = SESSION_IDLE;
        return SESSION_ACCEPT;
    case FRAME_START:
        if (session->state != SESSION_IDLE)
            return refuse(failure, "START while files come, a stage runs, or files are collected.");
        session->state = SESSION_STAGE;
        session->had_stage = true;
        session->stdin_ended = false;
        session->stdin_pending = 0;
        return SESSION_ACCEPT;
    case FRAME_COLLECT:
        if (session->state != SESSION_IDLE)
            return refuse(failure, "COLLECT while files come, a stage runs, or files are collected.");
        session->state = SESSION_COLLECTING;
        return SESSION_ACCEPT;
    case FRAME_STDIN:
    case FRAME_SIGNAL:
    case FRAME_RESIZE:
        if (!session->had_stage)
            return refuse(failure, "STDIN, SIGNAL or RESIZE before START.");
        if (frame->type == FRAME_SIGNAL && (frame_u32(frame->payload) < 1 || frame_u32(frame->payload) > 64))
            return refuse(failure, "There is no signal of that number.");
        if (session->state != SESSION_STAGE)
            return SESSION_IGNORE;
        return frame->type == FRAME_STDIN ? take_stdin(session, frame, failure) : SESSION_ACCEPT;
    case FRAME_CREDIT:
        return SESSION_ACCEPT;
    case FRAME_RESET:
        if (session->state != SESSION_IDLE || !session->had_stage)
            return refuse(failure, "RESET before a stage has ended, or while files are collected.");
        session->state = SESSION_RESETTING;
        return SESSION_ACCEPT;
    default:
        return refuse(failure, "A frame that only the agent sends.");
    }
}

void session_idle(struct session *session)
{
    session->state = SESSION_IDLE;
}

void session_begin(struct session *session)
{
    *session = (struct session){0};
}
