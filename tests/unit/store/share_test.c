// SPDX-License-Identifier: Apache-2.0
//
// share_test.c: texts looked at, kept, put together again; and stored forms that are not true.
//
// Records are numbered from 0 and kept in memory as their stored forms. Bodies are what coding
// agents send: prose with few quotes, code full of escapes, schemas with a quote every few bytes.
#include "tests/unit/base/cm.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/prng.h"
#include "store/share.h"
#include <stdlib.h>

#define RECORDS_MAX 64
#define TENANT      7
#define NOW_US      UINT64_C(1700000000123456)

struct world {
    struct share *share;
    struct prng prng;
    struct buf stored[RECORDS_MAX];
    bool shared[RECORDS_MAX]; // in the stored form
    unsigned records;
    struct buf back;
    unsigned fetches;
};

static struct world *world_new(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->share = share_new();
    assert_non_null(w->share);
    prng_seed(&w->prng, seed);
    for (unsigned i = 0; i < RECORDS_MAX; i++)
        buf_init(&w->stored[i], 2 * STORE_CONTENT_BYTES_MAX);
    buf_init(&w->back, STORE_CONTENT_BYTES_MAX);
    return w;
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < RECORDS_MAX; i++)
        buf_done(&w->stored[i]);
    buf_done(&w->back);
    share_free(w->share);
    free(w);
}

static struct store_id id_of(unsigned record)
{
    return (struct store_id){.time_us = NOW_US + record, .ring = 3, .number = record};
}

static int fetch(void *arg, struct store_id id, uint32_t offset, uint32_t len, struct buf *out)
{
    struct world *w = arg;
    struct slice literals;
    w->fetches++;
    if (id.number >= w->records || id.ring != 3 || id.time_us != NOW_US + id.number)
        return ERR_NOT_FOUND;
    assert_true(w->shared[id.number]);
    assert_int_equal(share_literals(buf_slice(&w->stored[id.number]), &literals), 0);
    assert_true(offset + len <= literals.len);
    buf_add(out, slice_take(slice_skip(literals, offset), len));
    return 0;
}

// The stored form of a recipe, or the text where there is none.
static void store(struct buf *out, const struct share_recipe *r, struct slice text)
{
    buf_reset(out);
    if (!r) {
        buf_add(out, text);
        return;
    }
    buf_add(out, r->head);
    for (unsigned i = 0; i < r->literals; i++)
        buf_add(out, r->literal[i]);
    assert_int_equal(out->err, 0);
    assert_int_equal(out->len, r->bytes);
    assert_int_equal(r->head.len + r->literal_bytes, r->bytes);
}

// Looks, puts, keeps; reads it back. Returns the literal bytes.
static uint32_t put_as(struct world *w, uint64_t tenant, uint64_t now_us, struct slice text)
{
    assert_true(w->records < RECORDS_MAX);
    unsigned record = w->records++;
    const struct share_recipe *r = share_look(w->share, tenant, now_us, text);
    uint32_t literal_bytes = r ? r->literal_bytes : (uint32_t)text.len;
    store(&w->stored[record], r, text);
    w->shared[record] = r != NULL;
    if (r) {
        share_keep(w->share, id_of(record));
        buf_reset(&w->back);
        assert_int_equal(share_read(buf_slice(&w->stored[record]), fetch, w, &w->back), 0);
        assert_true(slice_eq(buf_slice(&w->back), text));
    }
    return literal_bytes;
}

static uint32_t put(struct world *w, struct slice text)
{
    return put_as(w, TENANT, NOW_US, text);
}

// ---- Bodies ------------------------------------------------------------------------------------

static const char *const words[] = {
    "the",      "function", "returns", "a",      "buffer",  "when",  "file",    "must",
    "request",  "is",       "closed",  "before", "path",    "of",    "pattern", "search",
    "absolute", "to",       "lines",   "and",    "timeout", "value", "string",  "never",
    "user",     "result",   "in",      "error",  "which",   "tool",  "command", "directory"};

static const char *word(struct prng *p)
{
    return words[prng_below(p, sizeof(words) / sizeof(*words))];
}

static void add_prose(struct prng *p, struct buf *out, size_t bytes)
{
    for (size_t end = out->len + bytes; out->len < end;) {
        buf_printf(out, "%s%s", word(p), prng_below(p, 9) == 0 ? ".\\n" : " ");
        if (prng_below(p, 60) == 0)
            buf_printf(out, "\\\"%s\\\" (%u) ", word(p), (unsigned)prng_below(p, 1000));
    }
}

static void add_code(struct prng *p, struct buf *out, size_t bytes)
{
    unsigned line = 1;
    for (size_t end = out->len + bytes; out->len < end; line++)
        buf_printf(out, "%6u\\t    if (%s_%s(%s->%s) < %u)\\n%6u\\t        log(\\\"%s %s\\\");\\n",
                   line * 2 - 1, word(p), word(p), word(p), word(p), (unsigned)prng_below(p, 500),
                   line * 2, word(p), word(p));
}

static void add_tools(struct prng *p, struct buf *out, size_t bytes)
{
    buf_printf(out, "\"tools\":[");
    for (size_t end = out->len + bytes; out->len < end;) {
        buf_printf(out, "{\"name\":\"%s_%s\",\"description\":\"", word(p), word(p));
        add_prose(p, out, prng_below(p, 8) == 0 ? 3000 : 60);
        buf_printf(out, "\",\"input_schema\":{\"type\":\"object\",\"properties\":{");
        for (unsigned i = 0; i < 6; i++)
            buf_printf(out, "\"%s\":{\"type\":\"string\",\"description\":\"%s %s %s\"},", word(p),
                       word(p), word(p), word(p));
        buf_printf(out, "\"%s\":{\"type\":\"number\"}},\"required\":[\"%s\"]}},", word(p), word(p));
    }
    buf_printf(out, "{\"name\":\"last\"}]");
}

static void add_turn(struct prng *p, struct buf *out)
{
    buf_printf(out, ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"");
    add_prose(p, out, 50 + prng_below(p, 400));
    buf_printf(out, "\"},{\"type\":\"tool_use\",\"id\":\"toolu_%016llx\",\"input\":{}}]}",
               (unsigned long long)prng_next(p));
    buf_printf(out, ",{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":\"");
    add_code(p, out, 300 + prng_below(p, 4500));
    buf_printf(out, "\"}]}");
}

struct agent {
    struct buf system, tools, turns, body;
    bool front; // messages stand in front of system and tools
};

static void agent_init(struct agent *a, struct prng *p, bool front)
{
    a->front = front;
    struct buf *all[] = {&a->system, &a->tools, &a->turns, &a->body};
    for (unsigned i = 0; i < 4; i++)
        buf_init(all[i], STORE_CONTENT_BYTES_MAX);
    buf_printf(&a->system, "\"system\":[{\"type\":\"text\",\"text\":\"");
    add_prose(p, &a->system, 20000);
    buf_printf(&a->system, "\",\"cache_control\":{\"type\":\"ephemeral\"}}]");
    add_tools(p, &a->tools, 45000);
    buf_printf(&a->turns, "{\"role\":\"user\",\"content\":\"%s\"}", word(p));
    for (unsigned i = 0; i < 15; i++)
        add_turn(p, &a->turns);
}

static void agent_done(struct agent *a)
{
    buf_done(&a->system);
    buf_done(&a->tools);
    buf_done(&a->turns);
    buf_done(&a->body);
}

// The mark of what is to be cached moves with the last message.
static struct slice agent_body(struct agent *a)
{
    static const char mark[] = ",\"cache_control\":{\"type\":\"ephemeral\"}}]}";
    struct buf *b = &a->body;
    buf_reset(b);
    buf_printf(b, "{\"model\":\"claude\",");
    for (unsigned i = 0; i < 2; i++) {
        if (a->front == (i == 0)) {
            buf_printf(b, "\"messages\":[");
            buf_add(b, slice_take(buf_slice(&a->turns), a->turns.len - 3));
            buf_printf(b, "%s],", mark);
        } else {
            buf_add(b, buf_slice(&a->system));
            buf_add_char(b, ',');
            buf_add(b, buf_slice(&a->tools));
            buf_add_char(b, ',');
        }
    }
    buf_printf(b, "\"max_tokens\":32000,\"stream\":true}");
    assert_int_equal(b->err, 0);
    return buf_slice(b);
}

// ---- What is known -----------------------------------------------------------------------------

static void the_same_again_is_one_reference(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    struct agent a;
    agent_init(&a, &w->prng, true);
    struct slice body = agent_body(&a);
    assert_int_equal(put(w, body), body.len);
    assert_int_equal(w->fetches, 0);
    assert_int_equal(put(w, body), 0);
    assert_int_equal(w->fetches, 1);

    const struct share_recipe *r = share_look(w->share, TENANT, NOW_US, body);
    assert_int_equal(r->items, 1);
    assert_int_equal(r->literals, 0);
    assert_int_equal(r->item[0].kind, SHARE_REFERENCE);
    assert_int_equal(r->item[0].id.number, 0);
    assert_int_equal(r->item[0].offset, 0);
    assert_int_equal(r->item[0].len, body.len);
    agent_done(&a);
    world_free(w);
}

// Noise that is known as far as its last cut, and that far.
static size_t put_noise(struct world *w, char *noise, size_t len)
{
    for (size_t i = 0; i < len; i++)
        noise[i] = (char)prng_next(&w->prng);
    (void)put(w, slice_of(noise, len));
    noise[len - 1] ^= 1;
    const struct share_recipe *r = share_look(w->share, TENANT, NOW_US, slice_of(noise, len));
    assert_int_equal(r->items, 2);
    return r->item[0].len;
}

static void it_is_stored_as_the_header_says(void **state)
{
    (void)state;
    struct world *w = world_new(9);
    struct buf *stored = &w->stored[1];
    char noise[65536 + 2];
    size_t known = put_noise(w, noise, sizeof(noise) - 2);
    assert_int_equal(w->stored[0].len, 4 + 5 + 65536);
    assert_memory_equal(w->stored[0].ptr, "\0\0\0\x05\0\0\x01\0\0", 9);

    unsigned char expected[] = "\x00\x00\x00\x1c\x01\x00\x06\x0a\x24\x18\x20\x22\x40\x00\x03"
                               "\x00\x01\x11\x70\x00\x00\x00\x00????\x00\x00\x00\x00\x02!!";
    for (unsigned i = 0; i < 4; i++)
        expected[23 + i] = (unsigned char)(known >> (24 - 8 * i));
    (void)share_look(w->share, 1, NOW_US, slice_of(noise, known));
    share_keep(w->share, (struct store_id){UINT64_C(0x060a2418202240), 3, 70000});
    memcpy(noise + known, "!!", 2);
    struct slice text = slice_of(noise, known + 2);
    store(stored, share_look(w->share, 1, NOW_US, text), text);
    assert_int_equal(stored->len, sizeof(expected) - 1);
    assert_memory_equal(stored->ptr, expected, sizeof(expected) - 1);
    world_free(w);
}

static void what_was_not_kept_is_not_known(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    struct agent a;
    agent_init(&a, &w->prng, false);
    struct slice body = agent_body(&a);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(share_look(w->share, TENANT, NOW_US, body)->literal_bytes, body.len);
    agent_done(&a);
    world_free(w);
}

static void a_tenant_does_not_see_another(void **state)
{
    (void)state;
    struct world *w = world_new(3);
    struct agent a;
    agent_init(&a, &w->prng, false);
    struct slice body = agent_body(&a);
    for (unsigned tenant = 0; tenant < 20; tenant++) // and they do not displace each other either
        assert_int_equal(put_as(w, tenant, NOW_US, body), body.len);
    // Tenants that share a set are told apart too: one in two thousand has a chunk's set.
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(share_look(w->share, prng_next(&w->prng), NOW_US, body)->literal_bytes,
                         body.len);
    for (unsigned tenant = 0; tenant < 20; tenant++) // a set or two may be too small
        assert_true(put_as(w, tenant, NOW_US, body) < body.len / 2);
    agent_done(&a);
    world_free(w);
}

static void what_is_old_is_kept_anew(void **state)
{
    (void)state;
    struct world *w = world_new(4);
    struct agent a;
    agent_init(&a, &w->prng, false);
    struct slice body = agent_body(&a);
    assert_int_equal(put_as(w, TENANT, NOW_US, body), body.len);
    assert_int_equal(put_as(w, TENANT, NOW_US + SHARE_LIFE_US, body), 0);
    uint64_t later = NOW_US + SHARE_LIFE_US + 1; // being referred to has not made it younger
    assert_int_equal(put_as(w, TENANT, later, body), body.len);
    assert_int_equal(put_as(w, TENANT, later + SHARE_LIFE_US, body), 0);
    assert_int_equal(put_as(w, TENANT, NOW_US, body), body.len); // the clock was put back
    agent_done(&a);
    world_free(w);
}

static void what_is_forgotten_is_kept_anew(void **state)
{
    (void)state;
    struct world *w = world_new(5);
    struct agent a;
    agent_init(&a, &w->prng, false);
    struct slice body = agent_body(&a);
    assert_int_equal(put(w, body), body.len);
    share_forget(w->share);
    w->records = 0; // they are not there any more
    assert_int_equal(put(w, body), body.len);
    assert_int_equal(put(w, body), 0);
    agent_done(&a);
    world_free(w);
}

static void a_short_text_is_not_looked_at(void **state)
{
    (void)state;
    char text[SHARE_TEXT_BYTES_MIN] = {0};
    struct share *s = share_new();
    assert_null(share_look(s, TENANT, NOW_US, SLICE_EMPTY));
    assert_null(share_look(s, TENANT, NOW_US, slice_of(text, sizeof(text) - 1)));
    assert_non_null(share_look(s, TENANT, NOW_US, slice_of(text, sizeof(text))));
    share_free(s);
    share_free(NULL);
}

// More than the table remembers: the oldest go, the newest stay.
static void the_oldest_go(void **state)
{
    (void)state;
    enum { BYTES = STORE_CONTENT_BYTES_MAX, TEXTS = 24 };
    struct share *s = share_new();
    char *text = malloc(BYTES * TEXTS);
    assert_true(s && text);
    assert_int_equal(random_bytes(text, BYTES * TEXTS), 0);
    for (unsigned i = 0; i < TEXTS; i++) {
        (void)share_look(s, TENANT, NOW_US + i, slice_of(text + i * BYTES, BYTES));
        share_keep(s, id_of(i));
    }
    uint32_t newest =
        share_look(s, TENANT, NOW_US + TEXTS, slice_of(text + (TEXTS - 1) * BYTES, BYTES))
            ->literal_bytes;
    uint32_t oldest = share_look(s, TENANT, NOW_US + TEXTS, slice_of(text, BYTES))->literal_bytes;
    assert_true(newest < BYTES / 10); // a set here and there is too small for it alone
    assert_true(oldest > BYTES * 9 / 10);
    free(text);
    share_free(s);
}

// ---- What an agent sends -----------------------------------------------------------------------

static void grow(bool front, uint64_t seed)
{
    struct world *w = world_new(seed);
    struct agent a;
    agent_init(&a, &w->prng, front);
    (void)put(w, agent_body(&a));
    uint32_t sum = 0, worst = 0;
    size_t begin = a.body.len;
    assert_true(begin > 100000 && begin < 130000);
    for (unsigned turn = 0; turn < 20; turn++) {
        add_turn(&w->prng, &a.turns);
        uint32_t literal_bytes = put(w, agent_body(&a));
        sum += literal_bytes;
        worst = literal_bytes > worst ? literal_bytes : worst;
    }
    print_message("messages %s: %zu bytes, %zu new a turn, %u literal, %u at most\n",
                  front ? "in front" : "behind", begin, (a.body.len - begin) / 20, sum / 20, worst);
    assert_true(worst < 20000);
    assert_true(sum / 20 < 10000);
    agent_done(&a);
    world_free(w);
}

static void a_growing_conversation_keeps_what_is_new(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 14; seed++) {
        grow(true, seed);
        grow(false, seed);
    }
}

// Schemas have a quote every few bytes; cuts that have parted there must meet again.
static void an_insertion_costs_its_surroundings(void **state)
{
    (void)state;
    struct world *w = world_new(20);
    struct buf text, edited;
    uint32_t sum = 0;
    buf_init(&text, STORE_CONTENT_BYTES_MAX);
    buf_init(&edited, STORE_CONTENT_BYTES_MAX);
    add_tools(&w->prng, &text, 110000);
    (void)put(w, buf_slice(&text));
    for (unsigned i = 0; i < 50; i++) {
        size_t at = prng_below(&w->prng, text.len);
        buf_reset(&edited);
        buf_add(&edited, slice_take(buf_slice(&text), at));
        add_prose(&w->prng, &edited, 1 + prng_below(&w->prng, 300));
        buf_add(&edited, slice_skip(buf_slice(&text), at));
        sum += put(w, buf_slice(&edited));
    }
    print_message("an insertion: %u literal bytes\n", sum / 50);
    assert_true(sum / 50 < 6000);
    buf_done(&text);
    buf_done(&edited);
    world_free(w);
}

// Text, noise, runs of one byte, and parts of itself; then edits of it: all come back as they were.
static void add_anything(struct prng *p, struct buf *out, size_t bytes)
{
    size_t from = out->len > 0 ? prng_below(p, out->len) : 0;
    switch (prng_below(p, 5)) {
    case 0:
        add_prose(p, out, bytes);
        break;
    case 1:
        add_tools(p, out, bytes);
        break;
    case 2:
        for (size_t i = 0; i < bytes; i++)
            buf_add_char(out, (char)prng_next(p));
        break;
    case 3:
        for (size_t i = 0; i < bytes; i++)
            buf_add_char(out, 'a');
        break;
    default:
        for (size_t i = 0; i < bytes && from < out->len; i++)
            buf_add_char(out, out->ptr[from++]);
    }
}

static void edit(struct prng *p, const struct buf *text, struct buf *out)
{
    size_t at = prng_below(p, text->len + 1), gone = prng_below(p, 4) * prng_below(p, 3000);
    buf_reset(out);
    buf_add(out, slice_take(buf_slice(text), at));
    add_anything(p, out, prng_below(p, 5000));
    buf_add(out, slice_skip(buf_slice(text), at + gone));
}

static void random_edits_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 200; seed++) {
        struct world *w = world_new(seed);
        struct buf text[2];
        buf_init(&text[0], STORE_CONTENT_BYTES_MAX);
        buf_init(&text[1], STORE_CONTENT_BYTES_MAX);
        for (unsigned i = 1 + (unsigned)prng_below(&w->prng, 8); i > 0; i--)
            add_anything(&w->prng, &text[0], 1 + prng_below(&w->prng, 30000));
        for (unsigned i = 0; i < 12; i++) {
            (void)put_as(w, prng_below(&w->prng, 4) / 3, NOW_US, buf_slice(&text[i % 2]));
            if (prng_below(&w->prng, 20) == 0)
                share_forget(w->share);
            edit(&w->prng, &text[i % 2], &text[(i + 1) % 2]);
        }
        assert_int_equal(text[0].err, 0);
        buf_done(&text[0]);
        buf_done(&text[1]);
        world_free(w);
    }
}

// Every chunk as short as it may be, every second one known, and no two of those neighbours where
// they were.
static void the_most_items_fit(void **state)
{
    (void)state;
    enum { CHUNK = CHUNK_BYTES_MIN, CUT = 8 };
    struct world *w = world_new(30);
    char noise[65536], known[8 * CHUNK] = {0};
    char *text = calloc(1, STORE_CONTENT_BYTES_MAX);
    assert_non_null(text);
    size_t end = put_noise(w, noise, sizeof(noise));
    for (size_t at = CHUNK - CUT; at < sizeof(known); at += CHUNK)
        memcpy(known + at, noise + end - CUT, CUT);
    (void)put(w, slice_of(known, sizeof(known)));
    for (size_t at = 0; at < STORE_CONTENT_BYTES_MAX; at += CHUNK) {
        memcpy(text + at, known, CHUNK);
        if (at / CHUNK % 2 == 0)
            memcpy(text + at, &at, sizeof(at));
    }
    memset(text, 1, sizeof(size_t)); // the first is not known either
    struct slice all = slice_of(text, STORE_CONTENT_BYTES_MAX);
    const struct share_recipe *r = share_look(w->share, TENANT, NOW_US, all);
    assert_int_equal(r->items, SHARE_ITEMS_MAX);
    assert_int_equal(r->literals, SHARE_ITEMS_MAX / 2);
    assert_int_equal(r->literal_bytes, STORE_CONTENT_BYTES_MAX / 2);
    assert_int_equal(put(w, all), STORE_CONTENT_BYTES_MAX / 2);
    free(text);
    world_free(w);
}

// ---- What is not true --------------------------------------------------------------------------

static int no_fetch(void *arg, struct store_id id, uint32_t offset, uint32_t len, struct buf *out)
{
    (void)id;
    (void)offset;
    (void)len;
    (void)out;
    (void)arg;
    fail();
    return 0;
}

static int answer(void *arg, struct store_id id, uint32_t offset, uint32_t len, struct buf *out)
{
    int how = *(int *)arg;
    (void)id;
    (void)offset;
    if (how < 0)
        return how;
    for (uint32_t i = 0; i + (uint32_t)how < len + 1; i++) // 0: one too many, 1: right, 2: short
        buf_add_char(out, 'r');
    return 0;
}

#define ID "\0\6\x0a\x24\x18\x20\x22\x40\0\3\0\1\x11\x70"

static void what_is_not_true_is_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("\0\0\0"),
        SLICE("\0\0\0\0!"),                                       // bytes of no item
        SLICE("\0\0\0\5\0\0\0\0\2!"),                             // too few
        SLICE("\0\0\0\5\0\0\0\0\2!!!"),                           // too many
        SLICE("\0\0\0\5\0\0\0\0\0"),                              // an item of nothing
        SLICE("\0\0\0\4\0\0\0\2!!"),                              // half an item
        SLICE("\0\0\0\6\0\0\0\0\2\0!!"),                          // one and a half
        SLICE("\0\0\0\x64\0\0\0\0\2!!"),                          // a longer recipe than there is
        SLICE("\377\377\377\377\0\0\0\0\2!!"),                    //
        SLICE("\0\0\0\5\2\0\0\0\2!!"),                            // an unknown kind
        SLICE("\0\0\0\x17\2" ID "\0\0\0\0\0\0\0\1"),              //
        SLICE("\0\0\0\x0a\0\0\0\0\2"),                            // nothing behind the first item
        SLICE("\0\0\0\5\377\0\0\0\2!!"),                          //
        SLICE("\0\0\0\5\0\377\377\377\377!!"),                    //
        SLICE("\0\0\0\x17\1" ID "\0\0\0\0\0\0\0\0"),              // a reference to nothing
        SLICE("\0\0\0\x17\1" ID "\0\0\0\0\0\x10\0\1"),            // to more than a text has
        SLICE("\0\0\0\x17\1" ID "\0\x10\0\0\0\0\0\1"),            // behind where one ends
        SLICE("\0\0\0\x17\1" ID "\377\377\377\377\0\0\0\1"),      //
        SLICE("\0\0\0\x17\1" ID "\0\0\0\0\0\0\0\5!"),             // and a byte of no item
        SLICE("\0\0\0\x1c\1" ID "\0\0\0\0\0\x10\0\0\0\0\0\0\1!"), // in all a byte too long
    };
    struct buf out;
    struct slice literals = SLICE("before");
    buf_init(&out, STORE_CONTENT_BYTES_MAX);
    buf_add(&out, SLICE("before"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        // A copy that ends where its memory does, so that a sanitizer sees what is read behind it.
        char *copy = malloc(bad[i].len + 1);
        assert_non_null(copy);
        struct slice stored = slice_of(memcpy(copy + 1, bad[i].ptr, bad[i].len), bad[i].len);
        assert_int_equal(share_read(stored, no_fetch, NULL, &out), ERR_BAD_LENGTH);
        assert_int_equal(share_literals(stored, &literals), ERR_BAD_LENGTH);
        free(copy);
        assert_true(slice_eq(literals, SLICE("before")));
        assert_true(slice_eq(buf_slice(&out), SLICE("before")));
    }
    buf_done(&out);
}

static void a_recipe_has_its_bound(void **state)
{
    (void)state;
    struct buf stored, out;
    struct slice literals;
    buf_init(&out, STORE_CONTENT_BYTES_MAX);
    buf_init(&stored, STORE_CONTENT_BYTES_MAX);
    for (unsigned over = 0; over < 2; over++) {
        unsigned items = SHARE_ITEMS_MAX + over, bytes = items * 5;
        buf_reset(&stored);
        buf_add(&stored, SLICE("\0\0"));
        buf_add_char(&stored, (char)(bytes >> 8));
        buf_add_char(&stored, (char)bytes);
        for (unsigned i = 0; i < items; i++)
            buf_add(&stored, SLICE("\0\0\0\0\1"));
        for (unsigned i = 0; i < items; i++)
            buf_add_char(&stored, 'x');
        int expected = over ? ERR_BAD_LENGTH : 0;
        assert_int_equal(share_read(buf_slice(&stored), no_fetch, NULL, &out), expected);
        assert_int_equal(share_literals(buf_slice(&stored), &literals), expected);
    }
    assert_int_equal(out.len, SHARE_ITEMS_MAX);
    buf_done(&out);
    buf_done(&stored);
}

static void what_a_reference_does_not_find_is_said(void **state)
{
    (void)state;
    static const struct slice stored =
        SLICE("\0\0\0\x21\0\0\0\0\1\1" ID "\0\0\0\0\0\0\0\3\0\0\0\0\1<>");
    static const int hows[] = {1, 0, 2, ERR_NOT_FOUND, ERR_DEADLINE};
    static const int errs[] = {0, ERR_BAD_LENGTH, ERR_BAD_LENGTH, ERR_NOT_FOUND, ERR_DEADLINE};
    struct buf out;
    for (unsigned i = 0; i < 5; i++) {
        int how = hows[i];
        buf_init(&out, 100);
        buf_add_char(&out, '=');
        assert_int_equal(share_read(stored, answer, &how, &out), errs[i]);
        assert_true(slice_eq(buf_slice(&out), errs[i] ? SLICE("=") : SLICE("=<rrr>")));
        buf_done(&out);
    }
    int how = 1;
    for (unsigned max = 0; max < 5; max++) { // no room, at any place
        buf_init(&out, max);
        assert_int_equal(share_read(stored, answer, &how, &out), ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_again_is_one_reference),
        cmocka_unit_test(it_is_stored_as_the_header_says),
        cmocka_unit_test(what_was_not_kept_is_not_known),
        cmocka_unit_test(a_tenant_does_not_see_another),
        cmocka_unit_test(what_is_old_is_kept_anew),
        cmocka_unit_test(what_is_forgotten_is_kept_anew),
        cmocka_unit_test(a_short_text_is_not_looked_at),
        cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(a_growing_conversation_keeps_what_is_new),
        cmocka_unit_test(an_insertion_costs_its_surroundings),
        cmocka_unit_test(random_edits_come_back),
        cmocka_unit_test(the_most_items_fit),
        cmocka_unit_test(what_is_not_true_is_refused),
        cmocka_unit_test(a_recipe_has_its_bound),
        cmocka_unit_test(what_a_reference_does_not_find_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
