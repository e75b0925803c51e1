/* When which frame from the daemon makes sense. docs/protocol.md, "Life", as one table. */
#ifndef CODERUNNER_SESSION_H
#define CODERUNNER_SESSION_H

#include "frame.h"

enum session_state {
    SESSION_INTAKE,     /* files come */
    SESSION_IDLE,       /* a stage can start */
    SESSION_STAGE,      /* a program runs, or its last output is under way */
    SESSION_COLLECTING, /* produced files are under way */
    SESSION_RESETTING,  /* all that the run left is being removed; nothing may come */
};

/* What is sent and not acknowledged may be this much. */
#define STDIN_WINDOW_BYTES (256u * 1024)

/* The part of the conversation that is rules, without any effect. Starts zeroed. */
struct session {
    enum session_state state;
    bool had_stage;
    bool stdin_ended;
    size_t stdin_pending; /* bytes of this stage's stdin not acknowledged yet */
};

enum session_verdict { SESSION_REFUSE, SESSION_IGNORE, SESSION_ACCEPT };

/*
 * Judges a frame and notes what it changes, leaving to the caller what it does. SESSION_IGNORE is for what was under way while a stage
 * ended. SESSION_REFUSE comes with the failure.
 */
enum session_verdict session_take(struct session *session, const struct frame *frame, struct failure *failure);

/* The stage's EXIT, or the last FILE, was sent. */
void session_idle(struct session *session);

/* READY was sent: a run can be taken. */
void session_begin(struct session *session);

#endif
