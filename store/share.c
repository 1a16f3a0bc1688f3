// SPDX-License-Identifier: Apache-2.0
//
// share.c: the table, and the stored form both ways.
//
// The table has sets of SHARE_WAYS entries. A chunk's set follows from its key and its tenant, so
// that one text of many tenants does not meet itself in one set; which of the set it replaces
// follows from their age alone. An entry says of itself whether it is still true: its generation is
// the table's, and it is young. So forgetting everything is one addition, and nothing is ever
// swept.
#include "store/share.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/prng.h"
#include "store/chunk.h"
#include "store/keys.h"
#include <stdlib.h>
#include <string.h>

#define SHARE_WAYS 4
#define SET_BITS   11
_Static_assert(SHARE_WAYS << SET_BITS == SHARE_ENTRIES, "sets are chosen by SET_BITS bits");

#define LITERAL_BYTES   5
#define REFERENCE_BYTES 23
#define ID_BYTES        (KEYS_RECORD_BYTES - 1) // a key without its table

// ---- The table ---------------------------------------------------------------------------------

struct entry {
    uint64_t key[2];
    uint64_t tenant;
    uint64_t kept_us;
    struct store_id id;
    uint32_t offset; // among its record's literals
    uint32_t len;
    uint32_t generation;
};

struct set {
    struct entry way[SHARE_WAYS];
};

struct share {
    chunk_fn take;
    unsigned char secret[CHUNK_SECRET_BYTES];
    uint32_t generation; // of entries that count; never 0, which untouched ones have
    // Of the look.
    bool looked; // and nothing was kept yet
    uint64_t tenant;
    uint64_t now_us;
    struct share_recipe recipe;
    unsigned chunks; // that are literals
    struct share_item item[SHARE_ITEMS_MAX];
    struct slice literal[SHARE_ITEMS_MAX];
    struct chunk chunk[SHARE_ITEMS_MAX];
    unsigned char head[SHARE_RECIPE_BYTES_MAX];

    struct set set[1 << SET_BITS];
};

struct share *share_new(void)
{
    struct share *s = calloc(1, sizeof(*s));
    if (s && random_bytes(s->secret, sizeof(s->secret)) < 0) {
        free(s);
        return NULL;
    }
    if (s) {
        s->take = chunk_road();
        s->generation = 1;
    }
    return s;
}

void share_free(struct share *s)
{
    free(s);
}

static struct set *set_of(struct share *s, const struct chunk *c)
{
    uint64_t mixed = (c->key[0] ^ s->tenant) * UINT64_C(0x9e3779b97f4a7c15);
    return &s->set[mixed >> (64 - SET_BITS)];
}

// How long an entry has been there; one of a time to come has been there for ever.
static uint64_t age(const struct share *s, const struct entry *e)
{
    return s->now_us - e->kept_us;
}

static bool names(const struct share *s, const struct entry *e, const struct chunk *c)
{
    return e->key[0] == c->key[0] && e->key[1] == c->key[1] && e->len == c->bytes &&
           e->tenant == s->tenant && e->generation == s->generation;
}

static const struct entry *find(struct share *s, const struct chunk *c)
{
    const struct set *set = set_of(s, c);
    for (unsigned i = 0; i < SHARE_WAYS; i++)
        if (names(s, &set->way[i], c) && age(s, &set->way[i]) <= SHARE_LIFE_US)
            return &set->way[i];
    return NULL;
}

// Where a chunk is remembered: in its own place, or in that of the oldest.
static struct entry *place(struct share *s, const struct chunk *c)
{
    struct set *set = set_of(s, c);
    struct entry *oldest = &set->way[0];
    for (unsigned i = 0; i < SHARE_WAYS; i++) {
        if (names(s, &set->way[i], c))
            return &set->way[i];
        if (age(s, &set->way[i]) > age(s, oldest))
            oldest = &set->way[i];
    }
    return oldest;
}

// ---- Looking -----------------------------------------------------------------------------------

// The item that goes on with `next`, or a further one.
static void add_item(struct share *s, const struct share_item *next)
{
    struct share_recipe *r = &s->recipe;
    struct share_item *last = r->items > 0 ? &s->item[r->items - 1] : NULL;
    if (last && last->kind == next->kind && last->offset + last->len == next->offset &&
        last->id.time_us == next->id.time_us && last->id.ring == next->id.ring &&
        last->id.number == next->id.number) {
        last->len += next->len;
        return;
    }
    ASSERT(r->items < SHARE_ITEMS_MAX);
    s->item[r->items++] = *next;
}

// The chunk that begins at `at`. Returns its length.
static uint32_t look_at(struct share *s, struct slice text, size_t at)
{
    struct share_recipe *r = &s->recipe;
    struct chunk c;
    s->take(s->secret, slice_skip(text, at), &c);
    const struct entry *e = find(s, &c);
    if (e) {
        add_item(s, &(struct share_item){SHARE_REFERENCE, e->offset, e->len, e->id});
        return c.bytes;
    }
    ASSERT(s->chunks < SHARE_ITEMS_MAX);
    s->chunk[s->chunks++] = c;
    r->literal_bytes += c.bytes;
    add_item(s, &(struct share_item){SHARE_LITERAL, (uint32_t)at, c.bytes, {0}});
    return c.bytes;
}

static size_t put_item(unsigned char *p, const struct share_item *item)
{
    p[0] = (unsigned char)item->kind;
    if (item->kind == SHARE_LITERAL) {
        keys_put_u32(p + 1, item->len);
        return LITERAL_BYTES;
    }
    struct keys_key key = keys_id(KEYS_CONTENTS, item->id);
    memcpy(p + 1, key.bytes + 1, ID_BYTES);
    keys_put_u32(p + 1 + ID_BYTES, item->offset);
    keys_put_u32(p + 5 + ID_BYTES, item->len);
    return REFERENCE_BYTES;
}

// The recipe as bytes, and the literals as they follow it.
static void write_recipe(struct share *s, struct slice text)
{
    struct share_recipe *r = &s->recipe;
    size_t len = 4;
    for (unsigned i = 0; i < r->items; i++) {
        const struct share_item *item = &s->item[i];
        len += put_item(s->head + len, item);
        if (item->kind == SHARE_LITERAL)
            s->literal[r->literals++] = slice_of(text.ptr + item->offset, item->len);
    }
    ASSERT(len <= sizeof(s->head));
    keys_put_u32(s->head, (uint32_t)len - 4);
    r->head = slice_of(s->head, len);
    r->bytes = (uint32_t)len + r->literal_bytes;
    ASSERT(r->bytes <= text.len + SHARE_EXTRA_BYTES_MAX);
}

const struct share_recipe *share_look(struct share *s, uint64_t tenant, uint64_t now_us,
                                      struct slice text)
{
    ASSERT(text.len <= STORE_CONTENT_BYTES_MAX);
    s->looked = false;
    if (text.len < SHARE_TEXT_BYTES_MIN)
        return NULL;
    s->tenant = tenant;
    s->now_us = now_us;
    s->chunks = 0;
    s->recipe = (struct share_recipe){.item = s->item, .literal = s->literal};
    for (size_t at = 0; at < text.len;)
        at += look_at(s, text, at);
    write_recipe(s, text);
    s->looked = true;
    return &s->recipe;
}

void share_keep(struct share *s, struct store_id id)
{
    ASSERT(s->looked);
    s->looked = false;
    uint32_t offset = 0;
    for (unsigned i = 0; i < s->chunks; i++) {
        const struct chunk *c = &s->chunk[i];
        *place(s, c) = (struct entry){.key = {c->key[0], c->key[1]},
                                      .tenant = s->tenant,
                                      .kept_us = s->now_us,
                                      .id = id,
                                      .offset = offset,
                                      .len = c->bytes,
                                      .generation = s->generation};
        offset += c->bytes;
    }
    ASSERT(offset == s->recipe.literal_bytes);
}

void share_forget(struct share *s)
{
    s->looked = false;
    if (++s->generation == 0)
        s->generation = 1;
}

struct slice share_refer(const struct share_recipe *recipe, struct store_id id, struct arena *arena)
{
    unsigned char *out = arena_alloc(arena, 4 + recipe->items * (size_t)REFERENCE_BYTES);
    size_t len = 4;
    uint32_t offset = 0;

    if (!out)
        return SLICE_EMPTY;
    for (unsigned i = 0; i < recipe->items; i++) {
        struct share_item item = recipe->item[i];
        if (item.kind == SHARE_LITERAL) {
            item = (struct share_item){SHARE_REFERENCE, offset, item.len, id};
            offset += item.len;
        }
        len += put_item(out + len, &item);
    }
    keys_put_u32(out, (uint32_t)len - 4);
    return slice_of(out, len);
}

// ---- Reading -----------------------------------------------------------------------------------

// The item that *recipe begins with, and past it. 0 or ERR_BAD_LENGTH.
static int take_item(struct slice *recipe, struct share_item *ret)
{
    unsigned char kind = (unsigned char)recipe->ptr[0];
    size_t len = kind == SHARE_LITERAL ? LITERAL_BYTES : REFERENCE_BYTES;
    if (kind > SHARE_REFERENCE || recipe->len < len)
        return ERR_BAD_LENGTH;
    *ret = (struct share_item){.kind = (enum share_kind)kind};
    if (kind == SHARE_REFERENCE) {
        // The kind stands where a key has its table.
        ret->id = keys_to_id(slice_of(recipe->ptr, KEYS_RECORD_BYTES));
        ret->offset = keys_u32(recipe->ptr + 1 + ID_BYTES);
    }
    ret->len = keys_u32(recipe->ptr + len - 4);
    *recipe = slice_skip(*recipe, len);
    if (ret->len == 0 || ret->len > STORE_CONTENT_BYTES_MAX ||
        ret->offset > STORE_CONTENT_BYTES_MAX - ret->len)
        return ERR_BAD_LENGTH;
    return 0;
}

// Its two parts, when all of its numbers agree.
static int split(struct slice stored, struct slice *ret_recipe, struct slice *ret_literals)
{
    if (stored.len < 4 || keys_u32(stored.ptr) > stored.len - 4)
        return ERR_BAD_LENGTH;
    struct slice recipe = slice_of(stored.ptr + 4, keys_u32(stored.ptr));
    struct slice literals = slice_skip(stored, 4 + recipe.len), left = recipe;
    size_t bytes = 0, literal_bytes = 0;
    for (unsigned items = 0; left.len > 0; items++) {
        struct share_item item;
        if (items == SHARE_ITEMS_MAX || take_item(&left, &item) < 0)
            return ERR_BAD_LENGTH;
        bytes += item.len;
        literal_bytes += item.kind == SHARE_LITERAL ? item.len : 0;
    }
    if (bytes > STORE_CONTENT_BYTES_MAX || literal_bytes != literals.len)
        return ERR_BAD_LENGTH;
    *ret_recipe = recipe;
    *ret_literals = literals;
    return 0;
}

static int read_items(struct slice recipe, struct slice literals, share_fn fn, void *arg,
                      struct buf *out)
{
    while (recipe.len > 0) {
        struct share_item item;
        size_t before = out->len;
        int err = take_item(&recipe, &item);
        ASSERT(err == 0); // split has seen it
        if (item.kind == SHARE_LITERAL) {
            buf_add(out, slice_take(literals, item.len));
            literals = slice_skip(literals, item.len);
        } else {
            err = fn(arg, item.id, item.offset, item.len, out);
        }
        if (err < 0 || out->err < 0)
            return err < 0 ? err : out->err;
        if (out->len - before != item.len)
            return ERR_BAD_LENGTH;
    }
    return 0;
}

int share_read(struct slice stored, share_fn fn, void *arg, struct buf *out)
{
    struct slice recipe, literals;
    size_t before = out->len;
    int err = split(stored, &recipe, &literals);
    if (err == 0)
        err = read_items(recipe, literals, fn, arg, out);
    if (err < 0)
        out->len = before;
    return err;
}

int share_literals(struct slice stored, struct slice *ret)
{
    struct slice recipe;
    return split(stored, &recipe, ret);
}
