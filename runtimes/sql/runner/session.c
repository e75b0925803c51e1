#include "session.h"
#include "memory.h"
#include "table.h"

#include <ctype.h>
#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/tmp/mariadb/mariadb.sock"
#define DATABASE "sandbox"
#define USER "sandbox"

/* A file that reads itself ends there. */
#define DEEPEST_SOURCE 32
#define MOST_WARNINGS 5
#define BINARY_CHARSET 63

/* Where we are: for messages and recorded results. */
struct place {
    const char *file;
    unsigned line;
};

/* The one form of an error, which runtime.json's diagnostics look for. */
static void tell(const struct place *place, const char *severity, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void tell(const struct place *place, const char *severity, const char *format, ...)
{
    va_list values;
    fflush(stdout); /* in the order in which it happened */
    fprintf(stderr, "%s:%u: %s", place->file, place->line, severity);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    putc('\n', stderr);
    fflush(stderr);
}

#define OWN_ERROR "ERROR: "

/* Counts an error; what follows it is run or not. */
static void count_error(struct session *session)
{
    session->errors++;
    session->ended = session->ended || !session->continues;
}

bool session_connect(struct session *session)
{
    my_bool local_infile = 1;
    session->server = mysql_init(NULL);
    if (session->server == NULL) {
        fputs("coderunner: there is no memory left to connect to the database.\n", stderr);
        return false;
    }
    mysql_options(session->server, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(session->server, MYSQL_OPT_LOCAL_INFILE, &local_infile); /* what it reads it reads as the run user, as any program here */
    if (mysql_real_connect(session->server, NULL, USER, NULL, DATABASE, 0, SOCKET, CLIENT_MULTI_RESULTS | CLIENT_LOCAL_FILES))
        return true;
    fprintf(stderr, "coderunner: the database does not answer: %s\n", mysql_error(session->server));
    return false;
}

void session_close(struct session *session)
{
    mysql_close(session->server);
}

/* A growing text of SQL. */
struct text {
    char *bytes;
    size_t length;
};

static void append(struct text *text, const char *bytes, size_t length)
{
    text->bytes = need_more(text->bytes, text->length + length + 1);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void append_quoted(struct session *session, struct text *text, const char *value)
{
    size_t length = strlen(value);
    char *escaped = need(2 * length + 1);
    unsigned long written = mysql_real_escape_string(session->server, escaped, value, length);
    append(text, "'", 1);
    append(text, escaped, written);
    append(text, "'", 1);
    free(escaped);
}

void session_set_arguments(struct session *session, char *const *args)
{
    const struct place place = {"arguments", 1};
    struct text set = {0}, all = {0};
    append(&set, "SET ", 4);
    append(&all, "@args = JSON_ARRAY(", strlen("@args = JSON_ARRAY("));
    for (size_t i = 0; args[i]; i++) {
        char name[40];
        append(&set, name, (size_t)snprintf(name, sizeof name, "@arg%zu = ", i + 1));
        append_quoted(session, &set, args[i]);
        append(&set, ", ", 2);
        append(&all, ", ", i ? 2 : 0);
        append_quoted(session, &all, args[i]);
    }
    append(&set, all.bytes, all.length);
    append(&set, ")", 1);
    if (mysql_real_query(session->server, set.bytes, set.length) != 0) {
        tell(&place, OWN_ERROR, "%s", mysql_error(session->server));
        count_error(session);
    }
    free(set.bytes);
    free(all.bytes);
}

static const char *type_name(const MYSQL_FIELD *field)
{
    MARIADB_CONST_STRING format;
    bool binary = field->charsetnr == BINARY_CHARSET;
    if (mariadb_field_attr(&format, field, MARIADB_FIELD_ATTR_FORMAT_NAME) == 0 && format.length == 4 && memcmp(format.str, "json", 4) == 0)
        return "json";
    if (field->flags & ENUM_FLAG)
        return "enum";
    if (field->flags & SET_FLAG)
        return "set";
    switch (field->type) {
    case MYSQL_TYPE_TINY:
        return "tinyint";
    case MYSQL_TYPE_SHORT:
        return "smallint";
    case MYSQL_TYPE_INT24:
        return "mediumint";
    case MYSQL_TYPE_LONG:
        return "int";
    case MYSQL_TYPE_LONGLONG:
        return "bigint";
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
        return "decimal";
    case MYSQL_TYPE_FLOAT:
        return "float";
    case MYSQL_TYPE_DOUBLE:
        return "double";
    case MYSQL_TYPE_BIT:
        return "bit";
    case MYSQL_TYPE_YEAR:
        return "year";
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_NEWDATE:
        return "date";
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_TIME2:
        return "time";
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_DATETIME2:
        return "datetime";
    case MYSQL_TYPE_TIMESTAMP:
    case MYSQL_TYPE_TIMESTAMP2:
        return "timestamp";
    case MYSQL_TYPE_NULL:
        return "null";
    case MYSQL_TYPE_GEOMETRY:
        return "geometry";
    case MYSQL_TYPE_JSON:
        return "json";
    case MYSQL_TYPE_STRING:
        return binary ? "binary" : "char";
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_VAR_STRING:
        return binary ? "varbinary" : "varchar";
    default:
        return binary ? "blob" : "text";
    }
}

static bool is_number(const MYSQL_FIELD *field)
{
    return IS_NUM(field->type) && field->type != MYSQL_TYPE_TIMESTAMP && field->type != MYSQL_TYPE_NULL &&
           !(field->flags & (ENUM_FLAG | SET_FLAG));
}

/* Bytes, not text. Numbers and times say that they are, too. */
static bool is_binary(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_BIT:
    case MYSQL_TYPE_GEOMETRY:
        return true;
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_STRING:
    case MYSQL_TYPE_VARCHAR:
    case MYSQL_TYPE_VAR_STRING:
        return field->charsetnr == BINARY_CHARSET;
    default:
        return false;
    }
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* Shows and records one result set while it comes. Returns how many rows it has. */
static uint64_t pass_rows(struct session *session, MYSQL_RES *result, const struct results_statement *statement, bool vertical)
{
    size_t count = mysql_num_fields(result);
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    struct table_column *shown = need(count * sizeof *shown);
    struct results_column *recorded = need(count * sizeof *recorded);
    for (size_t i = 0; i < count; i++) {
        shown[i] = (struct table_column){fields[i].name, fields[i].name_length, is_number(&fields[i]), is_binary(&fields[i])};
        recorded[i] = (struct results_column){fields[i].name, fields[i].name_length, type_name(&fields[i]), is_binary(&fields[i])};
    }
    struct table table;
    uint64_t rows = 0;
    table_open(&table, stdout, shown, count, session->screen_columns, vertical);
    results_begin(&session->results, statement, recorded, count);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)) != NULL; rows++) {
        const char *const *values = (const char *const *)row;
        const unsigned long *lengths = mysql_fetch_lengths(result);
        if (session->most_rows == 0 || rows < session->most_rows)
            table_row(&table, values, lengths);
        results_row(&session->results, recorded, values, lengths, count);
    }
    table_close(&table);
    if (session->most_rows > 0 && rows > session->most_rows)
        printf("%llu rows, the first %llu of them above\n", (unsigned long long)rows, (unsigned long long)session->most_rows);
    else
        printf("%llu row%s\n", (unsigned long long)rows, plural(rows));
    free(shown);
    free(recorded);
    return rows;
}

/* A syntax error counts its lines from the statement's beginning. */
static unsigned line_of_error(const char *message, unsigned line)
{
    const char *at = strstr(message, " at line ");
    for (const char *next = at; next; next = strstr(next + 1, " at line "))
        at = next;
    unsigned long number = at ? strtoul(at + strlen(" at line "), NULL, 10) : 0;
    return number > 0 ? line + (unsigned)number - 1 : line;
}

static bool begins_with(const struct script_item *item, const char *word)
{
    size_t length = strlen(word);
    return item->length > length && strncasecmp(item->text, word, length) == 0 && isspace((unsigned char)item->text[length]);
}

/* Of other statements nobody wants to hear that they have changed no row. */
static bool is_about_rows(const struct script_item *item)
{
    static const char *const words[] = {"insert", "update", "delete", "replace", "load"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins_with(item, words[i]))
            return true;
    return false;
}

/* A body with semicolons of its own was cut at the first of them. */
static bool lacks_delimiter(const struct script_item *item, const char *message, const struct script *script)
{
    return strcmp(script->delimiter, ";") == 0 && begins_with(item, "create") && strstr(message, "near ''") != NULL &&
           memmem(item->text, item->length, "BEGIN", 5) != NULL;
}

static void tell_server_error(struct session *session, const struct script *script, const struct place *place, const struct script_item *item)
{
    unsigned number = mysql_errno(session->server);
    const char *message = mysql_error(session->server);
    struct place where = *place;
    if (number == ER_PARSE_ERROR)
        where.line = line_of_error(message, place->line);
    tell(&where, "ERROR ", "%u (%s): %s", number, mysql_sqlstate(session->server), message);
    if (number == ER_PARSE_ERROR && lacks_delimiter(item, message, script))
        fputs("Hint: the statement ends at its first semicolon. Put `DELIMITER //` before it and end it with `//`.\n", stderr);
    if (number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST)
        session->ended = true;
    count_error(session);
}

static void tell_warnings(struct session *session, const struct place *place)
{
    if (mysql_warning_count(session->server) == 0 || mysql_query(session->server, "SHOW WARNINGS") != 0)
        return;
    MYSQL_RES *warnings = mysql_store_result(session->server);
    if (warnings == NULL)
        return;
    unsigned told = 0, more = 0;
    for (MYSQL_ROW row; (row = mysql_fetch_row(warnings)) != NULL;) {
        if (strcmp(row[0], "Note") == 0)
            continue;
        if (told < MOST_WARNINGS) {
            tell(place, "WARNING ", "%s: %s", row[1], row[2]);
            told++;
        } else {
            more++;
        }
    }
    if (more > 0)
        fprintf(stderr, "… and %u more warning%s\n", more, plural(more));
    mysql_free_result(warnings);
}

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 + (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

/* All results of one statement; a procedure may have several. */
static void run_statement(struct session *session, const struct script *script, const char *file, const struct script_item *item)
{
    const struct place place = {file, item->line};
    const struct results_statement statement = {file, item->line, item->text, item->length};
    MYSQL *server = session->server;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    fflush(stdout); /* a long statement does not keep back what was printed before it */
    bool more, failed = mysql_real_query(server, item->text, item->length) != 0;
    bool had_rows = false; /* a procedure's status follows its results: no result of its own */
    do {
        struct results_ending ending = {0};
        MYSQL_RES *result = failed ? NULL : mysql_use_result(server);
        bool has_rows = result != NULL;
        if (result) {
            ending.row_count = pass_rows(session, result, &statement, item->vertical);
            mysql_free_result(result);
        }
        failed = mysql_errno(server) != 0;
        if (failed) {
            ending.error_number = mysql_errno(server);
            ending.sql_state = mysql_sqlstate(server);
            ending.error = mysql_error(server);
        } else if (!has_rows) {
            ending.rows_affected = mysql_affected_rows(server);
            if ((ending.rows_affected > 0 || is_about_rows(item)) && !had_rows && !session->quiet)
                printf("%llu row%s affected\n", (unsigned long long)ending.rows_affected, plural(ending.rows_affected));
        }
        ending.milliseconds = milliseconds_since(&start);
        if (!has_rows && (failed || !had_rows))
            results_begin(&session->results, &statement, NULL, 0);
        results_end(&session->results, &ending, has_rows);
        had_rows = had_rows || has_rows;
        more = !failed && mysql_more_results(server);
        if (more) {
            fflush(stdout); /* the next one may take its time */
            failed = mysql_next_result(server) > 0;
        }
    } while (more);
    if (failed)
        tell_server_error(session, script, &place, item);
    else
        tell_warnings(session, &place);
}

/* All of a file, or NULL with errno set. */
static char *read_file(const char *path, size_t *length)
{
    struct stat status;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    } else {
        text = need((size_t)status.st_size + 1);
        *length = 0;
        for (ssize_t count; *length < (size_t)status.st_size && (count = read(fd, text + *length, (size_t)status.st_size - *length)) > 0;)
            *length += (size_t)count;
    }
    close(fd);
    return text;
}

/* Whether it is below the workspace, wherever links lead; leaves its path from there on. */
static bool inside(const char *path, char inner[PATH_MAX])
{
    char workspace[PATH_MAX], real[PATH_MAX];
    if (realpath(".", workspace) == NULL || realpath(path, real) == NULL)
        return false;
    size_t length = strlen(workspace);
    if (strncmp(real, workspace, length) != 0 || real[length] != '/') {
        errno = EACCES;
        return false;
    }
    memcpy(inner, real + length + 1, strlen(real + length + 1) + 1);
    return true;
}

/* SOURCE: beside the file that names it, or else from the workspace on. */
static void run_source(struct session *session, const char *file, const struct script_item *item)
{
    const struct place place = {file, item->line};
    char named[PATH_MAX], beside[PATH_MAX], path[PATH_MAX];
    const char *slash = strrchr(file, '/');
    int folder = slash ? (int)(slash - file + 1) : 0;
    if (item->length == 0 || snprintf(named, sizeof named, "%.*s", (int)item->length, item->text) >= PATH_MAX) {
        tell(&place, OWN_ERROR, "SOURCE takes the path of a file of the workspace.");
        count_error(session);
        return;
    }
    bool absolute = named[0] == '/';
    bool found = !absolute && snprintf(beside, sizeof beside, "%.*s%s", folder, file, named) < PATH_MAX && inside(beside, path);
    if (!found && !inside(named, path)) {
        tell(&place, OWN_ERROR, "SOURCE \"%s\": %s.", named, errno == EACCES ? "it is not in the workspace" : strerror(errno));
        count_error(session);
    } else if (session->depth == DEEPEST_SOURCE) {
        tell(&place, OWN_ERROR, "SOURCE \"%s\": files read each other %u deep.", named, DEEPEST_SOURCE);
        count_error(session);
    } else {
        session_run_file(session, path);
        if (session->ended)
            fprintf(stderr, "  read by %s:%u\n", file, item->line);
    }
}

static void run_item(struct session *session, const struct script *script, const char *file, const struct script_item *item)
{
    const struct place place = {file, item->line};
    switch (item->kind) {
    case SCRIPT_STATEMENT:
        run_statement(session, script, file, item);
        return;
    case SCRIPT_SOURCE:
        run_source(session, file, item);
        return;
    case SCRIPT_REFUSED:
        tell(&place, OWN_ERROR, "%.*s is a command of the mariadb program, which is not there in a run.", (int)item->length, item->text);
        break;
    case SCRIPT_UNCLOSED:
        tell(&place, OWN_ERROR, "What is opened here with %s is never closed.", item->text);
        break;
    case SCRIPT_BAD_DELIMITER:
        tell(&place, OWN_ERROR, "DELIMITER takes 1 to %d characters without a backslash, such as //.", LONGEST_DELIMITER);
        break;
    case SCRIPT_END:
    case SCRIPT_NOTHING:
        return;
    }
    count_error(session);
}

void session_run_file(struct session *session, const char *path)
{
    struct script script;
    size_t length;
    char *text = read_file(path, &length);
    if (text == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        count_error(session);
        return;
    }
    script_open(&script, text, length);
    session->depth++;
    while (!session->ended) {
        bool escapes = (session->server->server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES) == 0;
        struct script_item item = script_next(&script, escapes);
        if (item.kind == SCRIPT_END)
            break;
        run_item(session, &script, path, &item);
    }
    session->depth--;
    free(text);
}
