/* Reads START: a big-endian u32 length and that many bytes of JSON, of a form that is fixed and known. */
#include "start.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The agent takes START as one frame; more than that cannot come. */
#define MAX_JSON_BYTES 65536

/* Returns 1, 0 at the end of the stream, -1 on an error. */
static int read_fully(int fd, void *buffer, size_t length)
{
    char *at = buffer;
    while (length > 0) {
        ssize_t got = read(fd, at, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 0 : -1;
        at += got;
        length -= (size_t)got;
    }
    return 1;
}

/*
 * The reader goes through the text once and unescapes strings in place: an escape is never shorter than what it stands for, so strings
 * can point into the text. `failed` is sticky; callers look at it once, at the end.
 */
struct reader {
    char *at;
    bool failed;
};

static void skip_space(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')
        r->at++;
}

static bool take(struct reader *r, char wanted)
{
    skip_space(r);
    if (*r->at != wanted)
        return false;
    r->at++;
    return true;
}

static void expect(struct reader *r, char wanted)
{
    if (!take(r, wanted))
        r->failed = true;
}

static uint32_t hex4(struct reader *r)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = *r->at;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A' + 10);
        else {
            r->failed = true;
            return 0;
        }
        value = value << 4 | digit;
        r->at++;
    }
    return value;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

/* After "\u". NUL is refused: no string here could carry it. */
static char *unescape_unicode(struct reader *r, char *out)
{
    uint32_t code = hex4(r);
    if (code >= 0xD800 && code < 0xDC00 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        uint32_t low = hex4(r);
        if (low < 0xDC00 || low > 0xDFFF)
            r->failed = true;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code == 0)
        r->failed = true;
    return put_utf8(out, code);
}

static char *read_string(struct reader *r)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    expect(r, '"');
    char *text = r->at, *out = r->at;
    while (!r->failed && *r->at != '"') {
        if (*r->at == '\0') {
            r->failed = true;
        } else if (*r->at != '\\') {
            *out++ = *r->at++;
        } else if (*++r->at == 'u') {
            r->at++;
            out = unescape_unicode(r, out);
        } else {
            const char *escape = *r->at ? strchr(escapes, *r->at) : NULL;
            if (escape == NULL) {
                r->failed = true;
            } else {
                *out++ = meanings[escape - escapes];
                r->at++;
            }
        }
    }
    if (r->failed)
        return text;
    r->at++;
    *out = '\0';
    return text;
}

struct list {
    char **items;
    size_t length, room;
};

static void append(struct reader *r, struct list *list, char *item)
{
    if (list->length == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        char **items = realloc(list->items, room * sizeof *items);
        if (items == NULL) {
            r->failed = true;
            return;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->length++] = item;
}

static char **read_strings(struct reader *r)
{
    struct list list = {0};
    expect(r, '[');
    if (!take(r, ']')) {
        do
            append(r, &list, read_string(r));
        while (!r->failed && take(r, ','));
        expect(r, ']');
    }
    append(r, &list, NULL);
    return list.items;
}

/* {"NAME":"value"} as "NAME=value". */
static char **read_environment(struct reader *r)
{
    struct list list = {0};
    expect(r, '{');
    if (!take(r, '}')) {
        do {
            char *name = read_string(r);
            size_t name_length = strlen(name);
            expect(r, ':');
            if (r->failed)
                break;
            char *value = read_string(r);
            size_t value_length = strlen(value);
            char *entry = malloc(name_length + value_length + 2);
            if (r->failed || entry == NULL) {
                free(entry);
                r->failed = true;
                break;
            }
            memcpy(entry, name, name_length);
            entry[name_length] = '=';
            memcpy(entry + name_length + 1, value, value_length + 1);
            append(r, &list, entry);
        } while (!r->failed && take(r, ','));
        expect(r, '}');
    }
    append(r, &list, NULL);
    return list.items;
}

static char *read_string_or_null(struct reader *r)
{
    skip_space(r);
    if (strncmp(r->at, "null", 4) == 0) {
        r->at += 4;
        return NULL;
    }
    return read_string(r);
}

static bool parse(char *text, struct start *start)
{
    struct reader r = {.at = text};
    expect(&r, '{');
    do {
        char *key = read_string(&r);
        expect(&r, ':');
        if (r.failed)
            return false;
        if (strcmp(key, "argv") == 0)
            start->argv = read_strings(&r);
        else if (strcmp(key, "entry") == 0)
            start->entry = read_string(&r);
        else if (strcmp(key, "args") == 0)
            start->args = read_strings(&r);
        else if (strcmp(key, "env") == 0)
            start->env = read_environment(&r);
        else if (strcmp(key, "cwd") == 0)
            start->cwd = read_string(&r);
        else if (strcmp(key, "tty") == 0)
            start->tty = read_string_or_null(&r);
        else if (strcmp(key, "stage") == 0)
            start->stage = read_string(&r);
        else
            return false;
    } while (!r.failed && take(&r, ','));
    expect(&r, '}');
    skip_space(&r);
    return !r.failed && *r.at == '\0' && start->argv && start->argv[0] && start->entry && start->args && start->env && start->cwd;
}

int read_start(int fd, struct start *start)
{
    unsigned char header[4];
    int got = read_fully(fd, header, sizeof header);
    if (got <= 0)
        return got;
    uint32_t length = (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
    if (length > MAX_JSON_BYTES)
        return -1;
    char *text = malloc(length + 1);
    if (text == NULL)
        return -1;
    got = read_fully(fd, text, length);
    if (got <= 0)
        return got;
    text[length] = '\0';
    memset(start, 0, sizeof *start);
    return parse(text, start) ? 1 : -1;
}
