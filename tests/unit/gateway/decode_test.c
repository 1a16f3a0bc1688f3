// SPDX-License-Identifier: Apache-2.0
//
// decode_test.c: what was compressed comes out the same, wherever the source's parts end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "gateway/decode.h"
#include "tests/support/packer.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TEXT_BYTES   100000
#define PACKED_BYTES 120000

// A provider's body that gives `step` bytes a part, and now and then nothing.
struct source {
    struct upstream up;
    struct slice rest;
    size_t step;
    bool hesitates;
    bool open;     // more would come: no part is the last, and none follows these
    unsigned out;  // parts not given back
    unsigned jobs; // that the decoder wanted a worker for
};

static int source_take(struct body *b, struct body_part *ret)
{
    struct source *s = container_of(b, struct source, up.body);
    assert_int_equal(s->out, 0);
    s->hesitates = !s->hesitates;
    if (s->hesitates || (s->open && s->rest.len == 0))
        return ERR_MORE;
    ret->span[0] = slice_take(s->rest, s->step);
    ret->count = ret->span[0].len > 0;
    ret->bytes = ret->span[0].len;
    s->rest = slice_skip(s->rest, s->step);
    ret->last = s->rest.len == 0 && !s->open;
    s->out++;
    return 0;
}

static void source_put(struct body *b, struct body_part *part)
{
    (void)part;
    container_of(b, struct source, up.body)->out--;
}

static const struct body_ops source_ops = {.take = source_take, .put = source_put};

static char text[TEXT_BYTES];
static char packed[PACKED_BYTES];

// Compressible, and with runs long enough for zlib to keep some of one back.
static size_t pack_text(enum packing packing)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i % 700 < 600 ? 'a' : 'b' + (char)(i * 7 % 23));
    return pack(packing, slice_of(text, sizeof(text)), packed, sizeof(packed));
}

// Pulls to the end, or to where an open source has given all: 0 or ERR_MORE and the bytes in `got`,
// or the error.
static int pull_all(struct source *s, const char *coding, char *got, size_t *ret_len)
{
    struct block_pool blocks;
    struct arena arena;
    struct http_field fields[] = {
        {HTTP_N_CONTENT_ENCODING, SLICE("content-encoding"), slice_str(coding)},
        {HTTP_N_CONTENT_TYPE, SLICE("content-type"), SLICE("text/plain")},
        {HTTP_N_CONTENT_LENGTH, SLICE("content-length"), SLICE("5")},
    };
    struct decoder *d;
    struct body_part part = {0};
    size_t len = 0;
    int rc = 0;

    s->up.body.ops = &source_ops;
    s->up.head = (struct http_head){.fields = fields, .count = 3, .content_length = 5};
    block_pool_init(&blocks, 4);
    arena_init(&arena, &blocks, 1 << 20);
    assert_int_equal(decoder_new(&arena, NULL, &s->up, &d), 0);
    assert_non_null(d);
    assert_int_equal(s->up.head.count, 1);
    assert_int_equal(s->up.head.content_length, -1);
    struct body *b = decoder_body(d);
    while ((rc == 0 && !part.last) || (rc == ERR_MORE && (!s->open || s->rest.len > 0))) {
        rc = b->ops->take(b, &part);
        if (rc == ERR_MORE && decoder_has_work(d)) {
            assert_false(part.last);
            assert_string_equal(coding, "br"); // the others' steps are short
            s->jobs++;
            decoder_work(d);
            assert_false(decoder_has_work(d));
            rc = 0;
            part.count = 0;
            continue;
        }
        for (unsigned i = 0; rc == 0 && i < part.count; i++) {
            assert_true(part.span[i].len <= DECODE_OUT_BYTES &&
                        len + part.span[i].len <= 2 * TEXT_BYTES);
            memcpy(got + len, part.span[i].ptr, part.span[i].len);
            len += part.span[i].len;
        }
        if (rc == 0)
            b->ops->put(b, &part);
    }
    decoder_free(d);
    assert_int_equal(s->out, 0);
    arena_done(&arena);
    block_pool_done(&blocks);
    *ret_len = len;
    return rc;
}

static int decode(const char *coding, struct slice in, size_t step, char *got, size_t *ret_len)
{
    struct source s = {.rest = in, .step = step};
    return pull_all(&s, coding, got, ret_len);
}

static char out[2 * TEXT_BYTES];

static void every_coding_at_every_step(void **state)
{
    static const struct {
        const char *coding;
        enum packing packing;
    } cases[] = {{"gzip", PACK_GZIP},    {"X-GZIP", PACK_GZIP}, {"deflate", PACK_ZLIB},
                 {"deflate", PACK_BARE}, {"br", PACK_BR},       {"zstd", PACK_ZSTD}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = pack_text(cases[i].packing), len;
        for (size_t step = 1; step <= n; step = step * 3 + 1) {
            assert_int_equal(decode(cases[i].coding, slice_of(packed, n), step, out, &len), 0);
            assert_int_equal(len, sizeof(text));
            assert_memory_equal(out, text, sizeof(text));
        }
    }
}

// What zlib itself makes of the first bytes, with room for all of it.
static size_t decodable(size_t packed_bytes)
{
    z_stream z = {.next_in = (unsigned char *)packed,
                  .avail_in = (unsigned)packed_bytes,
                  .next_out = (unsigned char *)out,
                  .avail_out = sizeof(out)};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    int rc = inflate(&z, Z_SYNC_FLUSH);
    assert_true(rc == Z_OK || rc == Z_BUF_ERROR || rc == Z_STREAM_END);
    inflateEnd(&z);
    return sizeof(out) - z.avail_out;
}

// When the output is full, zlib may have read all its input and hold text back: an event in there
// must not wait for the provider's next bytes.
static void no_text_is_held_for_the_next_part(void **state)
{
    (void)state;
    size_t n = pack_text(PACK_GZIP), len, beyond = 0;
    for (size_t cut = 1; cut < n; cut++) {
        struct source s = {.rest = slice_of(packed, cut), .step = cut, .open = true};
        size_t want = decodable(cut);
        assert_int_equal(pull_all(&s, "gzip", out, &len), ERR_MORE);
        assert_int_equal(len, want);
        assert_memory_equal(out, text, len);
        beyond += want > DECODE_OUT_BYTES;
    }
    assert_true(beyond > 0);
}

// So with the other codings: what has come is given before more is waited for.
static void nothing_waits_for_the_next_part(void **state)
{
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        size_t n = pack_text(p), len;
        struct source s = {.rest = slice_of(packed, n), .step = n, .open = true};
        assert_int_equal(pull_all(&s, packing_names[p], out, &len), ERR_MORE);
        assert_int_equal(len, sizeof(text));
        assert_memory_equal(out, text, len);
    }
}

// br's decoder computes a window ahead, whatever room it is given: none of that is the loop's.
static void a_br_bomb_is_the_workers(void **state)
{
    enum { BOMB_BYTES = 64 * 1024 * 1024 };
    struct block_pool blocks;
    struct arena arena;
    struct http_field field = {HTTP_N_CONTENT_ENCODING, SLICE("content-encoding"), SLICE("br")};
    char *bomb = calloc(1, BOMB_BYTES);
    struct body_part part = {0};
    struct decoder *d;
    size_t len = 0, jobs = 0;
    (void)state;
    assert_non_null(bomb);
    size_t n = pack(PACK_BR, slice_of(bomb, BOMB_BYTES), packed, sizeof(packed));
    free(bomb);
    assert_true(n < 1000);
    struct source s = {.rest = slice_of(packed, n), .step = n, .hesitates = true};
    s.up.body.ops = &source_ops;
    s.up.head = (struct http_head){.fields = &field, .count = 1};
    block_pool_init(&blocks, 4);
    arena_init(&arena, &blocks, 1 << 20);
    assert_int_equal(decoder_new(&arena, NULL, &s.up, &d), 0);
    struct body *b = decoder_body(d);
    while (!part.last) {
        int rc = b->ops->take(b, &part);
        if (rc == ERR_MORE) { // not a byte without a worker, and one buffer from each
            assert_true(decoder_has_work(d));
            decoder_work(d);
            jobs++;
            assert_int_equal(b->ops->take(b, &part), 0);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(part.bytes, 0);
        }
        assert_true(part.bytes <= DECODE_OUT_BYTES);
        len += part.bytes;
        b->ops->put(b, &part);
    }
    assert_int_equal(len, BOMB_BYTES);
    assert_true(jobs >= BOMB_BYTES / DECODE_OUT_BYTES);
    decoder_free(d);
    arena_done(&arena);
    block_pool_done(&blocks);
}

static void two_members_are_one_text(void **state)
{
    (void)state;
    size_t n = pack_text(PACK_GZIP), len;
    assert_true(2 * n <= sizeof(packed));
    memcpy(packed + n, packed, n);
    assert_int_equal(decode("gzip", slice_of(packed, 2 * n), 1000, out, &len), 0);
    assert_int_equal(len, 2 * sizeof(text));
    assert_memory_equal(out + sizeof(text), text, sizeof(text));
}

static void what_is_cut_or_no_gzip_is_an_error(void **state)
{
    (void)state;
    size_t n = pack_text(PACK_GZIP), len;
    for (size_t cut = 1; cut < n; cut += n / 7)
        assert_int_equal(decode("gzip", slice_of(packed, n - cut), 50, out, &len),
                         ERR_UPSTREAM_TRUNCATED);
    packed[n / 2] = (char)(packed[n / 2] ^ 0x55);
    assert_true(decode("gzip", slice_of(packed, n), 50, out, &len) < 0);
    assert_int_equal(decode("gzip", SLICE("plain text"), 50, out, &len), ERR_UPSTREAM_PROTOCOL);
}

static void other_codings_are_left_alone(void **state)
{
    (void)state;
    struct http_field field = {HTTP_N_CONTENT_ENCODING, SLICE("content-encoding"),
                               SLICE("compress")};
    struct source s = {0};
    struct decoder *d = (struct decoder *)&s;
    s.up.head = (struct http_head){.fields = &field, .count = 1};
    assert_int_equal(decoder_new(NULL, NULL, &s.up, &d), 0);
    assert_null(d);
    assert_int_equal(s.up.head.count, 1);
    field.value = SLICE("gzip, br");
    assert_int_equal(decoder_new(NULL, NULL, &s.up, &d), 0);
    assert_null(d);
    // Two fields are a list as well.
    struct http_field two[] = {field, field};
    two[0].value = two[1].value = SLICE("gzip");
    s.up.head = (struct http_head){.fields = two, .count = 2};
    assert_int_equal(decoder_new(NULL, NULL, &s.up, &d), 0);
    assert_null(d);
    assert_int_equal(s.up.head.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_at_every_step),
        cmocka_unit_test(no_text_is_held_for_the_next_part),
        cmocka_unit_test(nothing_waits_for_the_next_part),
        cmocka_unit_test(a_br_bomb_is_the_workers),
        cmocka_unit_test(two_members_are_one_text),
        cmocka_unit_test(what_is_cut_or_no_gzip_is_an_error),
        cmocka_unit_test(other_codings_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
