#include "results.h"
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER ".coderunner"
#define NAME FOLDER "/results.jsonl"

/* Beyond that only the number of further results is recorded. */
#define MOST_BYTES (8u << 20)
#define MOST_ROWS 10000
#define MOST_VALUE_BYTES 65536
#define MOST_STATEMENT_BYTES 1000

static void give_up(struct results *results)
{
    fprintf(stderr, "coderunner: the results could not be recorded: %s\n", strerror(errno));
    if (results->file)
        fclose(results->file);
    results->file = NULL;
}

void results_open(struct results *results)
{
    *results = (struct results){0};
    if (mkdir(FOLDER, 0755) != 0 && errno != EEXIST) {
        give_up(results);
        return;
    }
    int fd = open(NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    results->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (results->file == NULL)
        give_up(results);
}

static void put(struct results *results, const char *text, size_t length)
{
    results->bytes += length;
    fwrite(text, 1, length, results->file); /* what fails is seen at the end of the result */
}

static void put_text(struct results *results, const char *text)
{
    put(results, text, strlen(text));
}

static void put_string(struct results *results, const char *text, size_t length)
{
    char escape[8];
    unsigned code_point;
    put(results, "\"", 1);
    for (size_t at = 0; at < length;) {
        size_t plain = at;
        while (plain < length && text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\' && text[plain] != 0x7f)
            plain++;
        put(results, text + at, plain - at);
        at = plain;
        if (at == length)
            break;
        size_t count = utf8_character(text + at, length - at, &code_point);
        if (count == 0) {
            put_text(results, "\xef\xbf\xbd"); /* U+FFFD */
            at++;
        } else if (count > 1) {
            put(results, text + at, count);
            at += count;
        } else {
            if (code_point == '"' || code_point == '\\')
                snprintf(escape, sizeof escape, "\\%c", (char)code_point);
            else
                snprintf(escape, sizeof escape, "\\u%04x", code_point & 0xff);
            put_text(results, escape);
            at++;
        }
    }
    put(results, "\"", 1);
}

/* The end of a character, not its middle. */
static size_t whole_characters(const char *text, size_t length, size_t most)
{
    if (length <= most)
        return length;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

static void put_value(struct results *results, const char *value, size_t length, bool binary)
{
    size_t kept = binary ? (length < MOST_VALUE_BYTES / 2 ? length : MOST_VALUE_BYTES / 2) : whole_characters(value, length, MOST_VALUE_BYTES);
    results->cut = results->cut || kept < length;
    if (!binary) {
        put_string(results, value, kept);
        return;
    }
    put_text(results, "\"0x");
    for (size_t i = 0; i < kept; i++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02X", (unsigned char)value[i]);
        put(results, digits, 2);
    }
    put(results, "\"", 1);
}

void results_begin(struct results *results, const struct results_statement *statement, const struct results_column *columns, size_t count)
{
    char line[40];
    results->rows = 0;
    results->cut = false;
    results->recording = results->file && results->bytes < MOST_BYTES;
    if (!results->recording) {
        results->omitted++;
        return;
    }
    put_text(results, "{\"file\":");
    put_string(results, statement->file, strlen(statement->file));
    snprintf(line, sizeof line, ",\"line\":%u,\"statement\":", statement->line);
    put_text(results, line);
    put_string(results, statement->text, whole_characters(statement->text, statement->length, MOST_STATEMENT_BYTES));
    put_text(results, ",\"columns\":[");
    for (size_t i = 0; i < count; i++) {
        put_text(results, i ? ",{\"name\":" : "{\"name\":");
        put_string(results, columns[i].name, columns[i].name_length);
        put_text(results, ",\"type\":\"");
        put_text(results, columns[i].type);
        put_text(results, "\"}");
    }
    put_text(results, "],\"rows\":[");
}

void results_row(struct results *results, const struct results_column *columns, const char *const *values, const unsigned long *lengths,
                 size_t count)
{
    if (!results->recording)
        return;
    if (results->rows == MOST_ROWS || results->bytes >= MOST_BYTES) {
        results->cut = true;
        return;
    }
    put_text(results, results->rows++ ? ",[" : "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            put(results, ",", 1);
        if (values[i])
            put_value(results, values[i], lengths[i], columns[i].binary);
        else
            put_text(results, "null");
    }
    put(results, "]", 1);
}

void results_end(struct results *results, const struct results_ending *ending, bool has_rows)
{
    char text[200];
    if (!results->recording)
        return;
    snprintf(text, sizeof text, "],\"%s\":%llu,\"truncated\":%s,\"ms\":%.3f", has_rows ? "rowCount" : "rowsAffected",
             (unsigned long long)(has_rows ? ending->row_count : ending->rows_affected), results->cut ? "true" : "false", ending->milliseconds);
    put_text(results, text);
    if (ending->error_number != 0) {
        snprintf(text, sizeof text, ",\"error\":{\"code\":%u,\"state\":\"%.5s\",\"message\":", ending->error_number, ending->sql_state);
        put_text(results, text);
        put_string(results, ending->error, strlen(ending->error));
        put_text(results, "}");
    }
    put_text(results, "}\n");
    results->recording = false;
    if (fflush(results->file) != 0) /* what is there is there, however the script ends */
        give_up(results);
}

void results_close(struct results *results)
{
    if (results->file == NULL)
        return;
    if (results->omitted > 0)
        fprintf(results->file, "{\"omitted\":%llu}\n", (unsigned long long)results->omitted);
    bool failed = fclose(results->file) != 0;
    results->file = NULL;
    if (failed)
        give_up(results);
}
