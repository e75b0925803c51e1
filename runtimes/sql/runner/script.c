#include "script.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static char peek(const struct script *script, size_t ahead)
{
    return script->at + ahead < script->length ? script->text[script->at + ahead] : '\0';
}

static bool at_end(const struct script *script)
{
    return script->at >= script->length;
}

static void advance(struct script *script, size_t count)
{
    for (; count > 0 && !at_end(script); count--)
        if (script->text[script->at++] == '\n')
            script->line++;
}

static void skip_line(struct script *script)
{
    while (!at_end(script) && peek(script, 0) != '\n')
        advance(script, 1);
}

static bool is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

static bool starts_line_comment(const struct script *script)
{
    /* Two dashes alone are twice a minus: 1--1 */
    return peek(script, 0) == '#' ||
           (peek(script, 0) == '-' && peek(script, 1) == '-' &&
            (script->at + 2 >= script->length || is_space(peek(script, 2)) || iscntrl((unsigned char)peek(script, 2))));
}

static bool starts_comment(const struct script *script)
{
    return peek(script, 0) == '/' && peek(script, 1) == '*';
}

/* The server runs what is in these: they are no comments. */
static bool starts_executable_comment(const struct script *script)
{
    return starts_comment(script) && (peek(script, 2) == '!' || (peek(script, 2) == 'M' && peek(script, 3) == '!'));
}

/* False where it is never closed. */
static bool skip_comment(struct script *script)
{
    advance(script, 2);
    while (!at_end(script)) {
        if (peek(script, 0) == '*' && peek(script, 1) == '/') {
            advance(script, 2);
            return true;
        }
        advance(script, 1);
    }
    return false;
}

/* A doubled quote is a quote within, and reads as one string that ends and another that begins. */
static bool skip_quoted(struct script *script, bool backslash_escapes)
{
    char quote = peek(script, 0);
    bool escapes = backslash_escapes && quote != '`';
    advance(script, 1);
    while (!at_end(script)) {
        char c = peek(script, 0);
        advance(script, escapes && c == '\\' ? 2 : 1);
        if (c == quote)
            return true;
    }
    return false;
}

static bool at_delimiter(const struct script *script)
{
    size_t length = strlen(script->delimiter);
    return script->length - script->at >= length && strncasecmp(script->text + script->at, script->delimiter, length) == 0;
}

/* White space, comments and delimiters with nothing before them. False where a comment is never closed; `line` is then where it begins. */
static bool skip_to_item(struct script *script, unsigned *line)
{
    while (!at_end(script)) {
        if (is_space(peek(script, 0)))
            advance(script, 1);
        else if (at_delimiter(script))
            advance(script, strlen(script->delimiter));
        else if (starts_line_comment(script))
            skip_line(script);
        else if (starts_comment(script) && !starts_executable_comment(script)) {
            *line = script->line;
            if (!skip_comment(script))
                return false;
        } else
            return true;
    }
    return true;
}

static bool at_word(const struct script *script, const char *word)
{
    size_t length = strlen(word);
    return script->length - script->at >= length && strncasecmp(script->text + script->at, word, length) == 0 &&
           (script->at + length == script->length || is_space(peek(script, length)));
}

/* What is left of the line after the command's word, without white space at its ends. */
static void take_argument(struct script *script, struct script_item *item)
{
    item->text = script->text + script->at;
    skip_line(script);
    item->length = (size_t)(script->text + script->at - item->text);
    while (item->length > 0 && is_space(item->text[0])) {
        item->text++;
        item->length--;
    }
    while (item->length > 0 && is_space(item->text[item->length - 1]))
        item->length--;
}

static void strip_source_path(const struct script *script, struct script_item *item)
{
    size_t delimiter = strlen(script->delimiter);
    if (item->length >= delimiter && strncasecmp(item->text + item->length - delimiter, script->delimiter, delimiter) == 0)
        item->length -= delimiter;
    else if (item->length > 0 && item->text[item->length - 1] == ';')
        item->length--;
    while (item->length > 0 && is_space(item->text[item->length - 1]))
        item->length--;
    if (item->length >= 2 && strchr("'\"`", item->text[0]) && item->text[item->length - 1] == item->text[0]) {
        item->text++;
        item->length -= 2;
    }
}

static void set_delimiter(struct script *script, struct script_item *item)
{
    size_t length = 0;
    while (length < item->length && !is_space(item->text[length]))
        length++;
    if (length == 0 || length > LONGEST_DELIMITER || memchr(item->text, '\\', length)) {
        item->kind = SCRIPT_BAD_DELIMITER;
        return;
    }
    memcpy(script->delimiter, item->text, length);
    script->delimiter[length] = '\0';
}

/* Commands of the mariadb program that scripts may contain. */
static bool take_command(struct script *script, struct script_item *item)
{
    static const char *const refused[] = {"system", "tee", "notee", "pager", "nopager", "edit", "prompt"};
    if (peek(script, 0) == '\\') {
        char letter = peek(script, 1);
        item->text = script->text + script->at;
        item->length = letter ? 2 : 1;
        item->kind = letter == '.' ? SCRIPT_SOURCE : SCRIPT_REFUSED;
        advance(script, item->length);
        if (item->kind == SCRIPT_REFUSED) {
            skip_line(script);
            return true;
        }
    } else if (at_word(script, "source")) {
        item->kind = SCRIPT_SOURCE;
        advance(script, strlen("source"));
    } else if (at_word(script, "delimiter")) {
        item->kind = SCRIPT_NOTHING;
        advance(script, strlen("delimiter"));
        take_argument(script, item);
        set_delimiter(script, item);
        return true;
    } else {
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
            if (!at_word(script, refused[i]))
                continue;
            *item = (struct script_item){.kind = SCRIPT_REFUSED, .text = refused[i], .length = strlen(refused[i]), .line = item->line};
            skip_line(script);
            return true;
        }
        return false;
    }
    take_argument(script, item);
    strip_source_path(script, item);
    return true;
}

static struct script_item unclosed(struct script *script, const char *what, unsigned line)
{
    script->at = script->length;
    return (struct script_item){.kind = SCRIPT_UNCLOSED, .text = what, .length = strlen(what), .line = line};
}

static struct script_item take_statement(struct script *script, bool backslash_escapes)
{
    struct script_item item = {.kind = SCRIPT_STATEMENT, .text = script->text + script->at, .line = script->line};
    size_t start = script->at;
    while (!at_end(script)) {
        unsigned line = script->line;
        char c = peek(script, 0);
        if (at_delimiter(script)) {
            item.length = script->at - start;
            advance(script, strlen(script->delimiter));
            return item;
        }
        if (c == '\\' && (peek(script, 1) == 'g' || peek(script, 1) == 'G')) {
            item.length = script->at - start;
            item.vertical = peek(script, 1) == 'G';
            advance(script, 2);
            return item;
        }
        if (c == '\'' || c == '"' || c == '`') {
            if (!skip_quoted(script, backslash_escapes))
                return unclosed(script, c == '\'' ? "'" : c == '"' ? "\"" : "`", line);
        } else if (starts_line_comment(script)) {
            skip_line(script);
        } else if (starts_comment(script)) {
            if (!skip_comment(script))
                return unclosed(script, "/*", line);
        } else {
            advance(script, 1);
        }
    }
    item.length = script->at - start;
    while (item.length > 0 && is_space(item.text[item.length - 1]))
        item.length--;
    return item;
}

void script_open(struct script *script, const char *text, size_t length)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    *script = (struct script){.text = text, .length = length, .line = 1, .delimiter = ";"};
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        script->at = 3;
}

struct script_item script_next(struct script *script, bool backslash_escapes)
{
    for (;;) {
        unsigned line;
        if (!skip_to_item(script, &line))
            return unclosed(script, "/*", line);
        struct script_item item = {.kind = SCRIPT_END, .line = script->line};
        if (at_end(script))
            return item;
        if (!take_command(script, &item))
            return take_statement(script, backslash_escapes);
        if (item.kind != SCRIPT_NOTHING)
            return item;
    }
}
