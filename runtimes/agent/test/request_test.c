#include "request.h"

#include "check.h"
#include "frame.h"
#include "path.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct member {
    const char *name, *json;
};

static const struct member START[] = {
    {"stage", "\"run\""},
    {"argv", "[\"python3\",\"-u\",\"main.py\",\"\"]"},
    {"env", "{\"PATH\":\"/bin\",\"EMPTY\":\"\",\"SUM\":\"1+1=2\"}"},
    {"cwd", "\"/workspace\""},
    {"tty", "null"},
    {"warm", "null"},
    {"limits", "{\"wallMs\":1,\"cpuMs\":2,\"outputBytes\":3,\"fileBytes\":4,\"openFiles\":9007199254740991}"},
    {NULL, NULL},
};
static const struct member LIMITS[] = {{"wallMs", "1"}, {"cpuMs", "2"}, {"outputBytes", "3"}, {"fileBytes", "4"}, {"openFiles", "5"}, {NULL, NULL}};
static const struct member COLLECT[] = {{"globs", "[\"**/*.png\",\"out/*\"]"}, {"maxFiles", "100"}, {"maxBytes", "1048576"}, {NULL, NULL}};

static struct start_request start;
static struct collect_request collect;
static struct failure failure;
static char text[200000];

/* The object with one member changed, or, with `json` NULL, without it. */
static const char *object(char *at, size_t room, const struct member *members, const char *name, const char *json)
{
    size_t used = 0;
    for (const struct member *member = members; member->name; member++) {
        const char *value = name && strcmp(member->name, name) == 0 ? json : member->json;
        if (value)
            used += (size_t)snprintf(at + used, room - used, "%c\"%s\":%s", used ? ',' : '{', member->name, value);
        CHECK(used < room - 2);
    }
    strcpy(at + used, "}");
    return at;
}

static bool parses_text(const char *json, size_t length)
{
    /* A copy of just that size, so that reading beyond it shows. */
    uint8_t *bytes = malloc(length ? length : 1);
    MUST(bytes != NULL);
    memcpy(bytes, json, length);
    failure.code = NULL;
    bool parsed = start_request_parse(&start, bytes, length, "/workspace", &failure);
    free(bytes);
    CHECK(parsed == (failure.code == NULL));
    CHECK(parsed || start.json == NULL);
    return parsed;
}

static bool parses(const char *name, const char *json)
{
    object(text, sizeof text, START, name, json);
    return parses_text(text, strlen(text));
}

static bool is_refused(const char *name, const char *json)
{
    if (!parses(name, json))
        return failure_is(&failure, FAIL_BAD_START) && utf8_is_valid(failure.message, strlen(failure.message));
    start_request_free(&start);
    return false;
}

static bool is_taken(const char *name, const char *json)
{
    bool taken = parses(name, json);
    if (taken)
        start_request_free(&start);
    else
        fprintf(stderr, "%s\n", failure.message);
    return taken;
}

static bool has_entry(const char *const *list, const char *entry)
{
    while (*list && strcmp(*list, entry) != 0)
        list++;
    return *list != NULL;
}

TEST(start_whole, "START is read with all its members")
{
    CHECK(parses(NULL, NULL));
    CHECK(strcmp(start.stage, "run") == 0 && strcmp(start.cwd, "/workspace") == 0);
    CHECK(strcmp(start.argv[0], "python3") == 0 && strcmp(start.argv[2], "main.py") == 0 && start.argv[3][0] == '\0' && start.argv[4] == NULL);
    CHECK(has_entry(start.env, "PATH=/bin") && has_entry(start.env, "EMPTY=") && has_entry(start.env, "SUM=1+1=2") && start.env[3] == NULL);
    CHECK(!start.tty && start.warm == NULL && start.is_run);
    CHECK(start.limits.wall_ms == 1 && start.limits.cpu_ms == 2 && start.limits.output_bytes == 3 && start.limits.file_bytes == 4);
    CHECK(start.limits.open_files == 9007199254740991u);
    start_request_free(&start);
}

TEST(start_members, "START without a member, with another, or with one twice is refused")
{
    for (const struct member *member = START; member->name; member++) {
        char doubled[1000];
        CHECK_CASE(is_refused(member->name, NULL), "without %s", member->name);
        snprintf(doubled, sizeof doubled, "%s,\"%s\":%s", member->json, member->name, member->json);
        CHECK_CASE(is_refused(member->name, doubled), "with %s twice", member->name);
    }
    CHECK(is_refused("tty", "null,\"other\":1"));
}

TEST(start_types, "members of START with the wrong type are refused")
{
    static const char *const values[] = {"null", "true", "1", "1.5", "\"text\"", "[]", "{}", "[1]", "[null]", "{\"a\":1}"};
    static const char *const right[][2] = {{"stage", "\"text\""}, {"env", "{}"}, {"tty", "null"}, {"warm", "null"}};
    for (const struct member *member = START; member->name; member++) {
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            bool taken = false;
            for (size_t j = 0; j < sizeof right / sizeof *right; j++)
                taken |= strcmp(right[j][0], member->name) == 0 && strcmp(right[j][1], values[i]) == 0;
            CHECK_CASE(taken ? is_taken(member->name, values[i]) : is_refused(member->name, values[i]), "%s: %s", member->name, values[i]);
        }
    }
}

TEST(limits, "limits are whole numbers from 1 to 2^53 - 1, and all of them are given")
{
    static const char *const taken[] = {"1", "9007199254740991"};
    static const char *const refused[] = {
        "0",    "-1",   "-0", "1e308", "1e309", "NaN", "Infinity", "\"5\"", "9007199254740992", "9223372036854775807", "9223372036854775808", "1.5",
        "null", "true", "[]", "{}",    "[1]",   "+1",  "01",       "0x10",  "1e3",              "",                    NULL,
    };
    char json[1000], doubled[100];
    for (const struct member *limit = LIMITS; limit->name; limit++) {
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
            CHECK_CASE(is_taken("limits", object(json, sizeof json, LIMITS, limit->name, taken[i])), "%s: %s", limit->name, taken[i]);
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            CHECK_CASE(is_refused("limits", object(json, sizeof json, LIMITS, limit->name, refused[i])), "%s: %s", limit->name,
                       refused[i] ? refused[i] : "not there");
        snprintf(doubled, sizeof doubled, "1,\"%s\":1", limit->name);
        CHECK_CASE(is_refused("limits", object(json, sizeof json, LIMITS, limit->name, doubled)), "%s twice", limit->name);
    }
    CHECK(is_refused("limits", object(json, sizeof json, LIMITS, "wallMs", "1,\"other\":1")));
}

TEST(not_json, "what is no JSON object is refused")
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"", 0}, {"{", 1}, {"[]", 2}, {"null", 4}, {"\"a\"", 3}, {"1", 1}, {"{}x", 3}, {"{}\0", 3}, {"{\"a\":\"\xff\"}", 9}, {"{'a':1}", 7}, {"\0\0", 2}, {"\xef\xbb\xbf{}", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_CASE(!parses_text(cases[i].bytes, cases[i].length), "case %zu", i);
        CHECK(failure_is(&failure, FAIL_BAD_START));
    }
    memset(text, '[', FRAME_MAX_PAYLOAD);
    CHECK(!parses_text(text, FRAME_MAX_PAYLOAD) && failure_is(&failure, FAIL_BAD_START));
}

TEST(start_cut, "START that ends in the middle is refused wherever that is")
{
    object(text, sizeof text, START, NULL, NULL);
    for (size_t length = 0; length < strlen(text); length++)
        CHECK_CASE(!parses_text(text, length), "%zu bytes", length);
}

TEST(nul, "a NUL in a string, which no program can be given, is refused wherever it is")
{
    CHECK(is_refused("stage", "\"a\\u0000b\""));
    CHECK(is_refused("argv", "[\"a\\u0000b\"]"));
    CHECK(is_refused("env", "{\"A\":\"a\\u0000b\"}"));
    CHECK(is_refused("env", "{\"A\\u0000\":\"a\"}"));
    CHECK(is_refused("cwd", "\"/workspace\\u0000/..\""));
}

TEST(argv, "argv has at least the program")
{
    CHECK(is_refused("argv", "[]"));
    CHECK(is_refused("argv", "[\"a\",1]"));
    CHECK(is_refused("argv", "[\"a\",[\"b\"]]"));
    CHECK(is_taken("argv", "[\"\"]"));
}

TEST(environment, "the environment holds what an environment can")
{
    CHECK(is_taken("env", "{}"));
    CHECK(is_taken("env", "{\"A\":\"\",\"\303\274\":\"=\\n\"}"));
    CHECK(is_refused("env", "{\"\":\"a\"}"));
    CHECK(is_refused("env", "{\"A=B\":\"a\"}"));
    CHECK(is_refused("env", "{\"=\":\"a\"}"));
    CHECK(is_refused("env", "{\"A\":null}"));
}

TEST(cwd, "the working folder is the workspace or below it")
{
    static const char *const taken[] = {"/workspace", "/workspace/", "/workspace/a/b", "/workspace/..a/b..", "/workspace/.../a", "/workspace/."};
    static const char *const refused[] = {"",
                                          "/",
                                          "workspace",
                                          "/workspac",
                                          "/workspace2",
                                          "/tmp",
                                          "/workspace/..",
                                          "/workspace/../tmp",
                                          "/workspace/a/../../tmp",
                                          "/workspace//..",
                                          "/workspace/..a/..",
                                          "/workspace/.../.."};
    char json[100];
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        snprintf(json, sizeof json, "\"%s\"", taken[i]);
        CHECK_CASE(is_taken("cwd", json), "%s", json);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(json, sizeof json, "\"%s\"", refused[i]);
        CHECK_CASE(is_refused("cwd", json), "%s", json);
    }
}

TEST(tty, "a terminal has rows and columns of 16 bits")
{
    static const char *const refused[] = {
        "{\"rows\":24}",
        "{\"cols\":24}",
        "{\"rows\":24,\"cols\":80,\"x\":1}",
        "{\"rows\":-1,\"cols\":80}",
        "{\"rows\":24,\"cols\":65536}",
        "{\"rows\":24.5,\"cols\":80}",
        "{\"rows\":\"24\",\"cols\":80}",
        "{\"rows\":null,\"cols\":80}",
        "{\"rows\":4294967320,\"cols\":80}",
    };
    CHECK(parses("tty", "{\"rows\":24,\"cols\":65535}"));
    CHECK(start.tty && start.size.ws_row == 24 && start.size.ws_col == 65535);
    start_request_free(&start);
    CHECK(is_taken("tty", "{\"rows\":0,\"cols\":0}"));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_CASE(is_refused("tty", refused[i]), "%s", refused[i]);
}

TEST(warm, "what the warm interpreter is asked for has an entry and arguments")
{
    static const char *const refused[] = {
        "{\"entry\":\"a\"}",
        "{\"args\":[]}",
        "{\"entry\":\"a\",\"args\":[],\"x\":1}",
        "{\"entry\":1,\"args\":[]}",
        "{\"entry\":\"a\",\"args\":{}}",
        "{\"entry\":\"a\",\"args\":[1]}",
        "{\"entry\":null,\"args\":[]}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_CASE(is_refused("warm", refused[i]), "%s", refused[i]);
}

TEST(for_warm, "the warm interpreter is sent its message with the length before it")
{
    static const char *const terminals[] = {NULL, "/dev/pts/0"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = 0;
        CHECK(parses("warm", "{\"entry\":\"main.py\",\"args\":[\"a\",\"\303\274\"]}"));
        uint8_t *bytes = start_request_for_warm(&start, terminals[i], &size);
        start_request_free(&start);
        CHECK(bytes != NULL && size > 4 && frame_u32(bytes) == size - 4);
        json_t *message = json_loadb((const char *)bytes + 4, size - 4, 0, NULL);
        free(bytes);
        snprintf(text, sizeof text,
                 "{\"argv\":%s,\"entry\":\"main.py\",\"args\":[\"a\",\"\303\274\"],\"env\":%s,\"cwd\":\"/workspace\",\"tty\":%s}", START[1].json,
                 START[2].json, terminals[i] ? "\"/dev/pts/0\"" : "null");
        json_t *expected = json_loads(text, 0, NULL);
        bool same = expected != NULL && json_equal(message, expected);
        json_decref(expected);
        json_decref(message);
        CHECK(same);
    }
}

TEST(stage_for_warm, "a stage that is not the program is called by its name, so that the interpreter knows that it comes back")
{
    struct member members[sizeof START / sizeof *START];
    size_t size = 0;
    memcpy(members, START, sizeof START);
    members[0].json = "\"compile\"";
    members[5].json = "{\"entry\":\"main.py\",\"args\":[]}";
    object(text, sizeof text, members, NULL, NULL);
    CHECK(parses_text(text, strlen(text)) && !start.is_run);
    uint8_t *bytes = start_request_for_warm(&start, NULL, &size);
    start_request_free(&start);
    CHECK(bytes != NULL);
    json_t *message = json_loadb((const char *)bytes + 4, size - 4, 0, NULL);
    free(bytes);
    const char *stage = json_string_value(json_object_get(message, "stage"));
    bool told = stage && strcmp(stage, "compile") == 0 && json_object_size(message) == 7;
    json_decref(message);
    CHECK(told);
}

TEST(unknown_member_message, "the failure's message is UTF-8 also when it names what was not known")
{
    char member[600] = "null,\"x";
    for (size_t i = strlen(member); i < 500; i += 2)
        memcpy(member + i, "\303\274", 3);
    strcat(member, "\":1");
    CHECK(is_refused("tty", member));
    memmove(member + 6, member + 7, strlen(member + 6)); /* cut at the other byte */
    CHECK(is_refused("tty", member));
}

static bool collects(const char *name, const char *json)
{
    object(text, sizeof text, COLLECT, name, json);
    failure.code = NULL;
    bool parsed = collect_request_parse(&collect, (const uint8_t *)text, strlen(text), &failure);
    CHECK(parsed == (failure.code == NULL));
    CHECK(parsed || failure_is(&failure, FAIL_BAD_COLLECT));
    return parsed;
}

TEST(collect_whole, "COLLECT is read with all its members")
{
    CHECK(collects(NULL, NULL));
    CHECK(strcmp(collect.globs[0], "**/*.png") == 0 && strcmp(collect.globs[1], "out/*") == 0 && collect.globs[2] == NULL);
    CHECK(collect.max_files == 100 && collect.max_bytes == 1048576);
    collect_request_free(&collect);
    CHECK(collects("globs", "[]") && collect.globs[0] == NULL);
    collect_request_free(&collect);
}

TEST(collect_refused, "COLLECT with a member missing, unknown, twice or wrong is refused")
{
    static const char *const wrong[] = {"null", "0", "-1", "1e308", "1.5", "\"5\"", "9007199254740992", "true", "{}", "[1]", "[null]", "NaN"};
    for (const struct member *member = COLLECT; member->name; member++) {
        char doubled[100];
        CHECK_CASE(!collects(member->name, NULL), "without %s", member->name);
        snprintf(doubled, sizeof doubled, "%s,\"%s\":%s", member->json, member->name, member->json);
        CHECK_CASE(!collects(member->name, doubled), "with %s twice", member->name);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
            CHECK_CASE(!collects(member->name, wrong[i]), "%s: %s", member->name, wrong[i]);
    }
    CHECK(!collects("maxBytes", "1,\"other\":1"));
}
