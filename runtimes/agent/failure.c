#include "failure.h"

#include "path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A FAIL is JSON, so its message is UTF-8: it ends before a character that was cut, here or where a part of it comes from. */
static void end_at_whole_character(char *message)
{
    size_t length = strlen(message), kept = 0;
    for (size_t count; (count = utf8_character_bytes(message + kept, length - kept)) > 0;)
        kept += count;
    message[kept] = '\0';
}

__attribute__((format(printf, 3, 0))) static void set_message(struct failure *failure, const char *code, const char *format, va_list arguments)
{
    failure->code = code;
    failure->path_length = 0;
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    end_at_whole_character(failure->message);
}

bool failure_set(struct failure *failure, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_message(failure, code, format, arguments);
    va_end(arguments);
    return false;
}

bool failure_set_path(struct failure *failure, const char *code, const char *path, size_t path_length, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_message(failure, code, format, arguments);
    va_end(arguments);
    failure->path_length = path_length < sizeof failure->path ? path_length : sizeof failure->path;
    memcpy(failure->path, path, failure->path_length);
    return false;
}

bool failure_set_errno(struct failure *failure, const char *doing)
{
    return failure_set(failure, FAIL_INTERNAL, "The agent failed at %s: %s.", doing, strerror(errno));
}
