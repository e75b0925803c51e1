#include "request.h"

#include "frame.h"

#include <stdlib.h>
#include <string.h>

/* Beyond it JavaScript's numbers are not whole any more. */
#define LARGEST_LIMIT ((json_int_t)1 << 53)

/* jansson refuses invalid UTF-8, NUL in strings, and duplicate keys on request: what it gives can go to execve as it is. */
static json_t *parse_object(const uint8_t *bytes, size_t length, const char *code, struct failure *failure)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)bytes, length, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(json))
        return json;
    json_decref(json);
    failure_set(failure, code, "It is not a JSON object: %s.", json ? "something else" : error.text);
    return NULL;
}

/* The strings of an array, and NULL. NULL if it is not an array of strings. */
static const char **string_list(const json_t *array)
{
    if (!json_is_array(array))
        return NULL;
    size_t count = json_array_size(array);
    const char **list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        list[i] = json_string_value(json_array_get(array, i));
        if (list[i] == NULL) {
            free(list);
            return NULL;
        }
    }
    return list;
}

static bool positive(const json_t *value, uint64_t *number)
{
    json_int_t integer = json_integer_value(value); /* 0 for what is not an integer */
    *number = (uint64_t)integer;
    return integer > 0 && integer < LARGEST_LIMIT;
}

static bool parse_limits(struct limits *limits, json_t *json, struct failure *failure)
{
    const struct {
        const char *name;
        uint64_t *value;
    } fields[] = {
        {"wallMs", &limits->wall_ms},       {"cpuMs", &limits->cpu_ms},         {"outputBytes", &limits->output_bytes},
        {"fileBytes", &limits->file_bytes}, {"openFiles", &limits->open_files},
    };
    const size_t count = sizeof fields / sizeof *fields;
    for (size_t i = 0; i < count; i++)
        if (!positive(json_object_get(json, fields[i].name), fields[i].value))
            return failure_set(failure, FAIL_BAD_START, "limits.%s is not a whole number from 1 to 2^53 - 1.", fields[i].name);
    if (json_object_size(json) != count)
        return failure_set(failure, FAIL_BAD_START, "limits has a member that is not known.");
    return true;
}

static bool parse_environment(struct start_request *start, json_t *json, struct failure *failure)
{
    if (!json_is_object(json))
        return failure_set(failure, FAIL_BAD_START, "env is not an object.");
    const char *name;
    json_t *value;
    size_t bytes = 0, count = 0;
    json_object_foreach (json, name, value) {
        if (!json_is_string(value) || name[0] == '\0' || strchr(name, '='))
            return failure_set(failure, FAIL_BAD_START, "env has a name or a value that no environment can hold.");
        bytes += strlen(name) + json_string_length(value) + 2;
    }
    start->env = calloc(json_object_size(json) + 1, sizeof *start->env);
    start->env_text = malloc(bytes + 1);
    if (start->env == NULL || start->env_text == NULL)
        return failure_set_errno(failure, "keeping the environment");
    char *at = start->env_text;
    json_object_foreach (json, name, value) {
        start->env[count++] = at;
        at = stpcpy(stpcpy(stpcpy(at, name), "="), json_string_value(value)) + 1;
    }
    return true;
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0 || (path[length] != '\0' && path[length] != '/'))
        return false;
    for (const char *at = path + length; (at = strstr(at, "/..")) != NULL; at += 3)
        if (at[3] == '/' || at[3] == '\0')
            return false;
    return true;
}

static bool parse_tty(struct start_request *start, json_t *tty, struct failure *failure)
{
    start->tty = json_is_object(tty);
    if (json_is_null(tty))
        return true;
    json_t *rows = json_object_get(tty, "rows"), *cols = json_object_get(tty, "cols");
    json_int_t row_count = json_integer_value(rows), col_count = json_integer_value(cols);
    if (!json_is_integer(rows) || !json_is_integer(cols) || json_object_size(tty) != 2 || row_count < 0 || row_count > UINT16_MAX ||
        col_count < 0 || col_count > UINT16_MAX)
        return failure_set(failure, FAIL_BAD_START, "tty is neither null nor {\"rows\", \"cols\"} with numbers below 65,536.");
    start->size = (struct winsize){.ws_row = (uint16_t)row_count, .ws_col = (uint16_t)col_count};
    return true;
}

static bool parse_warm(struct start_request *start, json_t *warm, struct failure *failure)
{
    if (json_is_null(warm))
        return true;
    const char **args = string_list(json_object_get(warm, "args"));
    bool right = args && json_is_string(json_object_get(warm, "entry")) && json_object_size(warm) == 2;
    free(args);
    if (!right)
        return failure_set(failure, FAIL_BAD_START, "warm is neither null nor {\"entry\", \"args\"}.");
    start->warm = warm;
    return true;
}

static bool parse_start(struct start_request *start, const char *workspace, struct failure *failure)
{
    json_t *argv, *env, *tty, *warm, *limits;
    json_error_t error;
    if (json_unpack_ex(start->json, &error, JSON_STRICT, "{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "stage", &start->stage, "argv", &argv, "env",
                       &env, "cwd", &start->cwd, "tty", &tty, "warm", &warm, "limits", &limits) != 0)
        return failure_set(failure, FAIL_BAD_START, "START is not as it should be: %s.", error.text);
    start->is_run = strcmp(start->stage, "run") == 0;
    start->argv = string_list(argv);
    if (start->argv == NULL || start->argv[0] == NULL)
        return failure_set(failure, FAIL_BAD_START, "argv is not a list of at least one string.");
    if (!is_below(start->cwd, workspace))
        return failure_set(failure, FAIL_BAD_START, "cwd is not the workspace or below it.");
    return parse_environment(start, env, failure) && parse_tty(start, tty, failure) && parse_warm(start, warm, failure) &&
           parse_limits(&start->limits, limits, failure);
}

bool start_request_parse(struct start_request *start, const uint8_t *bytes, size_t length, const char *workspace, struct failure *failure)
{
    *start = (struct start_request){.json = parse_object(bytes, length, FAIL_BAD_START, failure)};
    if (start->json == NULL)
        return false;
    if (parse_start(start, workspace, failure))
        return true;
    start_request_free(start);
    return false;
}

void start_request_free(struct start_request *start)
{
    free(start->argv);
    free(start->env);
    free(start->env_text);
    json_decref(start->json);
    *start = (struct start_request){0};
}

uint8_t *start_request_for_warm(const struct start_request *start, const char *terminal, size_t *size)
{
    json_t *message = json_pack("{s:O, s:O, s:O, s:O, s:O, s:s?}", "argv", json_object_get(start->json, "argv"), "entry",
                                json_object_get(start->warm, "entry"), "args", json_object_get(start->warm, "args"), "env",
                                json_object_get(start->json, "env"), "cwd", json_object_get(start->json, "cwd"), "tty", terminal);
    if (message && !start->is_run)
        json_object_set(message, "stage", json_object_get(start->json, "stage"));
    size_t length = message ? json_dumpb(message, NULL, 0, JSON_COMPACT) : 0;
    uint8_t *bytes = length ? malloc(length + 4) : NULL;
    if (bytes) {
        frame_write_u32(bytes, (uint32_t)length);
        json_dumpb(message, (char *)bytes + 4, length, JSON_COMPACT);
        *size = length + 4;
    }
    json_decref(message);
    return bytes;
}

bool collect_request_parse(struct collect_request *collect, const uint8_t *bytes, size_t length, struct failure *failure)
{
    *collect = (struct collect_request){.json = parse_object(bytes, length, FAIL_BAD_COLLECT, failure)};
    if (collect->json == NULL)
        return false;
    collect->globs = string_list(json_object_get(collect->json, "globs"));
    if (collect->globs && positive(json_object_get(collect->json, "maxFiles"), &collect->max_files) &&
        positive(json_object_get(collect->json, "maxBytes"), &collect->max_bytes) && json_object_size(collect->json) == 3)
        return true;
    collect_request_free(collect);
    return failure_set(failure, FAIL_BAD_COLLECT, "COLLECT is not {\"globs\", \"maxFiles\", \"maxBytes\"}.");
}

void collect_request_free(struct collect_request *collect)
{
    free(collect->globs);
    json_decref(collect->json);
    *collect = (struct collect_request){0};
}
