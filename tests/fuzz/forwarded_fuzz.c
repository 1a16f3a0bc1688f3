// SPDX-License-Identifier: Apache-2.0
//
// forwarded_fuzz.c: whatever a client writes into X-Forwarded-For or Forwarded, what a trusted hop
// adds behind it decides. The first byte chooses the header, the other ones are the client's; a
// line break begins another line.
#include "gateway/forwarded.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 8
#define TEXT_MAX  4096

struct lines {
    struct http_field field[LINES_MAX + 1];
    unsigned count;
};

static void split(struct lines *l, struct slice text, struct slice name)
{
    while (l->count < LINES_MAX) {
        ptrdiff_t end = slice_find_char(text, '\n');
        struct slice line = slice_take(text, end < 0 ? text.len : (size_t)end);
        l->field[l->count++] = (struct http_field){.name = name, .value = slice_trim(line)};
        if (end < 0)
            return;
        text = slice_skip(text, (size_t)end + 1);
    }
}

static void check(const struct forwarded_rules *rules, const struct lines *lines,
                  const char *expected)
{
    struct http_head head = {.fields = (struct http_field *)(uintptr_t)lines->field,
                             .count = lines->count};
    struct block_pool pool;
    struct arena arena;
    struct ip ip;
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 16);
    struct forwarded f = forwarded_read(rules, &head, SLICE("10.0.0.1"), &arena);
    ASSERT(ip_parse(f.client, &ip)); // an address in any case
    ASSERT(!expected || slice_eq(f.client, slice_str(expected)));
    arena_done(&arena);
    block_pool_done(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const added[2][2] = {{", 192.0.2.7", "192.0.2.7"},
                                            {", for=\"[2001:db8::7]:80\"", "2001:db8::7"}};
    struct ip_net ours;
    if (size == 0 || size > TEXT_MAX || !ip_net_parse(SLICE("10.0.0.0/8"), &ours))
        return 0;
    struct forwarded_rules rules = {.trusted = &ours, .trusted_count = 1, .standard = data[0] & 1};
    struct slice name = rules.standard ? SLICE("Forwarded") : SLICE("X-Forwarded-For");
    struct lines lines = {.count = 0};
    split(&lines, slice_of(data + 1, size - 1), name);
    check(&rules, &lines, NULL);
    // The hop appends to the last line, as most do, or writes one of its own.
    const char *const *add = added[rules.standard];
    char text[TEXT_MAX + 64];
    struct http_field *last = &lines.field[lines.count - 1];
    struct slice before = last->value, more = slice_str(add[0]);
    if (before.len > 0)
        memcpy(text, before.ptr, before.len);
    memcpy(text + before.len, more.ptr, more.len);
    last->value = slice_of(text, before.len + more.len);
    check(&rules, &lines, add[1]);
    last->value = before;
    lines.field[lines.count++] = (struct http_field){.name = name, .value = slice_skip(more, 2)};
    check(&rules, &lines, add[1]);
    return 0;
}
