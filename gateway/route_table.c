// SPDX-License-Identifier: Apache-2.0
//
// route_table.c: from a path to its row.
//
// Filled by main before the cores start, from the gateway's rows and the management's; read by
// every core afterwards and never written again, so a look-up takes no lock. Exact paths are found
// in a map; the few with `{id}` are compared one by one, and only when the map has no answer.
#include "gateway/route.h"

#include "base/assert.h"
#include "base/err.h"

#define WILD SLICE("{id}")

int route_table_init(struct route_table *t, const uint64_t seed[2])
{
    ASSERT(t != NULL);
    map_init(&t->by_path, seed);
    t->patterns = 0;
    return 0;
}

void route_table_done(struct route_table *t)
{
    map_done(&t->by_path);
}

int route_table_add(struct route_table *t, const struct route *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct route *row = &rows[i];
        ASSERT(row->path[0] == '/' && row->methods != 0 && row->serve_await != NULL);
        struct slice path = slice_str(row->path);
        if (slice_find(path, WILD) >= 0) {
            ASSERT(t->patterns < ROUTE_PATTERNS_MAX);
            t->pattern[t->patterns++] = row;
            continue;
        }
        if (map_get(&t->by_path, path) != NULL)
            return ERR_DUPLICATE;
        // The map carries what it is given; rows are only read through it.
        int rc = map_put(&t->by_path, path, (void *)(uintptr_t)row);
        if (rc < 0)
            return rc;
    }
    return 0;
}

// What of `path` the pattern's `{id}` stands for; empty when it does not match.
static struct slice wild_part(struct slice pattern, struct slice path)
{
    ptrdiff_t at = slice_find(pattern, WILD);
    struct slice before = slice_take(pattern, (size_t)at);
    struct slice after = slice_skip(pattern, (size_t)at + WILD.len);

    if (path.len <= before.len + after.len || !slice_starts(path, before) ||
        !slice_eq(slice_skip(path, path.len - after.len), after))
        return SLICE_EMPTY;
    struct slice part = slice_take(slice_skip(path, before.len), path.len - before.len - after.len);
    bool edges = part.ptr[0] == '/' || part.ptr[part.len - 1] == '/';
    return edges ? SLICE_EMPTY : part;
}

const struct route *route_find(const struct route_table *t, struct slice path,
                               struct slice *ret_part)
{
    *ret_part = SLICE_EMPTY;
    if (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    const struct route *row = map_get(&t->by_path, path);
    for (unsigned i = 0; row == NULL && i < t->patterns; i++) {
        *ret_part = wild_part(slice_str(t->pattern[i]->path), path);
        if (ret_part->len > 0)
            row = t->pattern[i];
    }
    return row;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | ' ');
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice route_decode(struct arena *arena, struct slice text)
{
    char *out = arena_bytes(arena, text.len);
    size_t len = 0;

    if (!out)
        return SLICE_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.ptr[i] == '%' && i + 2 < text.len;
        int high = escape ? hex_digit(text.ptr[i + 1]) : -1;
        int low = escape ? hex_digit(text.ptr[i + 2]) : -1;
        escape = high >= 0 && low >= 0;
        out[len++] = escape ? (char)(unsigned char)(high * 16 + low) : text.ptr[i];
        i += escape ? 2 : 0;
    }
    return slice_of(out, len);
}
