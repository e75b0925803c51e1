#include "cell.h"
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define BLOCK_BYTES 65536
#define ESCAPE_BYTES 12

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    char bytes[];
};

static char *arena_take(struct arena *arena, size_t bytes)
{
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < bytes) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block = need(sizeof *block + size);
        block->size = size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    char *taken = block->bytes + block->used;
    block->used += bytes;
    arena->bytes += bytes;
    return taken;
}

/* Gives back what was taken last and not used. */
static void arena_untake(struct arena *arena, size_t bytes)
{
    arena->blocks->used -= bytes;
    arena->bytes -= bytes;
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->bytes = 0;
}

size_t utf8_character(const char *text, size_t length, unsigned *code_point)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)text;
    if (length == 0)
        return 0;
    size_t count = bytes[0] < 0x80 ? 1 : bytes[0] < 0xc0 ? 0 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : bytes[0] < 0xf8 ? 4 : 0;
    if (count == 0 || count > length)
        return 0;
    unsigned value = count == 1 ? bytes[0] : bytes[0] & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < least[count] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *code_point = value;
    return count;
}

struct piece {
    const char *text;
    size_t bytes;
    size_t columns;
};

/* What the first character of the rest is shown as; returns how many bytes of the rest that are. */
static size_t next_piece(const char *rest, size_t length, struct piece *piece, char escape[ESCAPE_BYTES])
{
    unsigned code_point;
    size_t count = utf8_character(rest, length, &code_point);
    if (count == 0) {
        *piece = (struct piece){"\xef\xbf\xbd", 3, 1}; /* U+FFFD */
        return 1;
    }
    if (code_point < 0x20 || code_point == 0x7f) {
        char known = code_point == '\n' ? 'n' : code_point == '\r' ? 'r' : code_point == '\t' ? 't' : code_point == 0 ? '0' : '\0';
        int written = known ? snprintf(escape, ESCAPE_BYTES, "\\%c", known) : snprintf(escape, ESCAPE_BYTES, "\\x%02x", code_point);
        *piece = (struct piece){escape, (size_t)written, (size_t)written};
        return count;
    }
    int columns = wcwidth((wchar_t)code_point);
    if (columns < 0) { /* more control characters, and what Unicode has not assigned */
        *piece = (struct piece){"\xef\xbf\xbd", 3, 1};
        return count;
    }
    *piece = (struct piece){rest, count, (size_t)columns};
    return count;
}

struct cell cell_text(struct arena *arena, const char *value, size_t length, size_t most_columns)
{
    /* No character is shown by more than four times its bytes; of a cut value only the beginning is looked at. */
    size_t looked_at = most_columns > 0 && length > most_columns * 8 ? most_columns * 8 : length;
    size_t room = looked_at * 4 + 3;
    char *text = arena_take(arena, room);
    struct cell cell = {.text = text};
    size_t fits_bytes = 0, fits_columns = 0; /* with room for … behind it */
    bool cut = false;
    for (size_t at = 0; at < looked_at && !cut;) {
        struct piece piece;
        char escape[ESCAPE_BYTES];
        at += next_piece(value + at, looked_at - at, &piece, escape);
        if (most_columns > 0 && cell.columns + piece.columns > most_columns) {
            cut = true;
            break;
        }
        memcpy(text + cell.bytes, piece.text, piece.bytes);
        cell.bytes += piece.bytes;
        cell.columns += piece.columns;
        if (cell.columns < most_columns) {
            fits_bytes = cell.bytes;
            fits_columns = cell.columns;
        }
    }
    if (cut || looked_at < length) {
        memcpy(text + fits_bytes, "\xe2\x80\xa6", 3); /* … */
        cell.bytes = fits_bytes + 3;
        cell.columns = fits_columns + 1;
    }
    arena_untake(arena, room - cell.bytes);
    return cell;
}

struct cell cell_binary(struct arena *arena, const char *value, size_t length, size_t most_columns)
{
    static const char digits[] = "0123456789ABCDEF";
    bool cut = most_columns > 0 && 2 + 2 * length > most_columns;
    size_t shown = cut ? (most_columns - 3) / 2 : length;
    size_t bytes = 2 + 2 * shown + (cut ? 3 : 0);
    char *text = arena_take(arena, bytes);
    memcpy(text, "0x", 2);
    for (size_t i = 0; i < shown; i++) {
        text[2 + 2 * i] = digits[(uint8_t)value[i] >> 4];
        text[3 + 2 * i] = digits[(uint8_t)value[i] & 15];
    }
    if (cut)
        memcpy(text + 2 + 2 * shown, "\xe2\x80\xa6", 3);
    return (struct cell){.text = text, .bytes = bytes, .columns = 2 + 2 * shown + (cut ? 1 : 0)};
}
