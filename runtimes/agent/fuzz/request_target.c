/* START, where the first byte is even, or COLLECT. */
#include "frame.h"
#include "fuzz.h"
#include "path.h"
#include "request.h"

#include <string.h>

#define WORKSPACE "/workspace"
#define LIMIT ((uint64_t)1 << 53)

static struct failure failure;

static void check_failure(const char *code)
{
    EXPECT(failure.code && strcmp(failure.code, code) == 0);
    EXPECT(failure.message[0] != '\0' && utf8_is_valid(failure.message, strlen(failure.message)));
}

static bool is_limit(uint64_t value)
{
    return value > 0 && value < LIMIT;
}

static void check_start(const struct start_request *start)
{
    EXPECT(start->stage && start->argv && start->argv[0] && start->env);
    for (const char *const *entry = start->env; *entry; entry++)
        EXPECT(strchr(*entry, '=') > *entry);
    EXPECT(strcmp(start->cwd, WORKSPACE) == 0 || strncmp(start->cwd, WORKSPACE "/", sizeof WORKSPACE) == 0);
    const struct limits *limits = &start->limits;
    EXPECT(is_limit(limits->wall_ms) && is_limit(limits->cpu_ms) && is_limit(limits->output_bytes) && is_limit(limits->file_bytes) &&
           is_limit(limits->open_files));
    if (start->warm == NULL)
        return;
    size_t size = 0;
    uint8_t *bytes = start_request_for_warm(start, start->tty ? "/dev/pts/0" : NULL, &size);
    EXPECT(bytes != NULL && size > 4 && frame_u32(bytes) == size - 4);
    json_t *message = json_loadb((const char *)bytes + 4, size - 4, JSON_REJECT_DUPLICATES, NULL);
    EXPECT(json_object_size(message) == 6);
    json_decref(message);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    failure.code = NULL;
    if (bytes[0] % 2 == 0) {
        struct start_request start;
        if (start_request_parse(&start, bytes + 1, count - 1, WORKSPACE, &failure)) {
            check_start(&start);
            start_request_free(&start);
        } else {
            check_failure(FAIL_BAD_START);
        }
        return 0;
    }
    struct collect_request collect;
    if (collect_request_parse(&collect, bytes + 1, count - 1, &failure)) {
        EXPECT(collect.globs && is_limit(collect.max_files) && is_limit(collect.max_bytes));
        collect_request_free(&collect);
    } else {
        check_failure(FAIL_BAD_COLLECT);
    }
    return 0;
}
