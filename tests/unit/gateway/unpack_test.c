// SPDX-License-Identifier: Apache-2.0
//
// unpack_test.c: what the field may say, bodies that inflate, and those that do not or not within
// bounds: whatever happens, nothing stays held that is not the body.
#include "tests/unit/gateway/fixture.h"

#include "gateway/unpack.h"
#include "net/limits.h"
#include "ring/work.h"
#include "tests/support/packer.h"

#define MIB ((size_t)1 << 20)

static struct codings codings;
static struct failure failure;
static int result;
static int reason; // the fiber is cancelled with it before

static void unpack(struct fake *f, struct fiber *self)
{
    failure = (struct failure){.retry_after_ms = -1};
    if (reason)
        fiber_cancel(self, reason);
    f->x.body = f->request_body;
    result = unpack_await(&f->x, self, &codings, &failure);
}

static struct fake *open_with(size_t body_max, size_t memory_max)
{
    struct fake *f = fake_open();
    f->config.body_bytes_max = body_max;
    arena_done(&f->stream.early);
    arena_init(&f->stream.early, &f->blocks, memory_max);
    reason = 0;
    return f;
}

static void set_codings(const char *names)
{
    struct slice list = slice_str(names);
    codings.count = 0;
    while (list.len > 0) {
        ptrdiff_t comma = slice_find_char(list, ',');
        struct slice name = slice_take(list, comma < 0 ? list.len : (size_t)comma);
        list = slice_skip(list, comma < 0 ? list.len : name.len + 1);
        codings.row[codings.count] = coding_find(name);
        assert_non_null(codings.row[codings.count++]);
    }
}

static uint64_t in_flight(struct fake *f)
{
    return atomic_load(&f->gateway.net.body_bytes);
}

// Compresses in the order given; the caller frees.
static struct slice packed_by(const enum packing *order, unsigned count, struct slice text)
{
    struct slice out = text;
    for (unsigned i = 0; i < count; i++) {
        size_t room = pack_bound(out.len);
        char *next = malloc(room);
        assert_non_null(next);
        size_t n = pack(order[i], out, next, room);
        if (i > 0)
            free((void *)(uintptr_t)out.ptr);
        out = slice_of(next, n);
    }
    return out;
}

static char *words(size_t bytes)
{
    uint32_t x = 1;
    char *text = malloc(bytes);
    assert_non_null(text);
    for (size_t i = 0; i < bytes; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = i % 64 < 32 ? "etaoin shrdlu\n"[x >> 28 < 14 ? x >> 28 : 0] : 'e';
    }
    return text;
}

// ---- The field -------------------------------------------------------------------------------

static const struct listed {
    const char *first, *second; // fields; NULL: none
    const char *expected;       // names in order, or NULL: 415
} listed[] = {
    {NULL, NULL, ""},
    {"", NULL, ""},
    {"identity", NULL, ""},
    {"gzip", NULL, "gzip"},
    {"GZip", NULL, "gzip"},
    {" br ", NULL, "br"},
    {"gzip, br", NULL, "gzip br"},
    {"gzip,identity ,,\tzstd", NULL, "gzip zstd"},
    {"gzip", "deflate", "gzip deflate"},
    {"identity", "br", "br"},
    {"gzip, gzip, gzip", NULL, "gzip gzip gzip"},
    {"gzip, gzip, gzip, gzip", NULL, NULL},
    {"gzip, gzip", "gzip, gzip", NULL},
    {"compress", NULL, NULL},
    {"gzip", "aws-chunked", NULL},
    {"gzip;q=1", NULL, NULL},
};

static void read_field(struct fake *f, struct fiber *self)
{
    (void)self;
    failure = (struct failure){.retry_after_ms = -1};
    result = unpack_codings(&f->x, &codings, &failure);
}

static void the_field_is_a_list(void **state)
{
    (void)state;
    struct fake *f = open_with(MIB, MIB);
    for (size_t i = 0; i < ARRAY_LEN(listed); i++) {
        char names[64] = "";
        f->stream.request.count = 0;
        fake_field(f, "accept", "compress");
        if (listed[i].first)
            fake_field(f, "Content-Encoding", listed[i].first);
        if (listed[i].second)
            fake_field(f, "content-encoding", listed[i].second);
        fake_run(f, read_field);
        if (!listed[i].expected) {
            assert_int_equal(result, ERR_UNSUPPORTED);
            assert_int_equal(failure.status, 415);
            assert_true(slice_eq(failure.param, SLICE("content-encoding")));
            continue;
        }
        assert_int_equal(result, 0);
        for (unsigned n = 0; n < codings.count; n++)
            snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s",
                     n > 0 ? " " : "", SLICE_ARG(codings.row[n]->name));
        assert_string_equal(names, listed[i].expected);
    }
    fake_close(f);
}

// ---- Bodies ----------------------------------------------------------------------------------

static void check_text(const char *names, const enum packing *order, unsigned count, size_t bytes)
{
    struct fake *f = open_with(bytes, 16 * MIB);
    char *text = words(bytes);
    struct slice packed = packed_by(order, count, slice_of(text, bytes));
    assert_int_equal(work_pool_new(1, &f->gateway.work), 0);
    set_codings(names);
    f->request_body = packed;
    fake_run(f, unpack);
    assert_int_equal(result, 0);
    assert_int_equal(f->x.body.len, bytes);
    assert_memory_equal(f->x.body.ptr, text, bytes);
    assert_int_equal(in_flight(f), bytes);
    // One block, at most twice the text, and what zlib keeps.
    assert_true(f->stream.early.bytes <= 2 * bytes + 200 * 1024);
    http_uncount_body(&f->stream, bytes);
    work_pool_leave(f->gateway.work);
    work_pool_free(f->gateway.work);
    fake_close(f);
    free((void *)(uintptr_t)packed.ptr);
    free(text);
}

static void bodies_inflate(void **state)
{
    static const size_t sizes[] = {1, 200, 70000, 3 * MIB};
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            check_text(packing_names[p], &p, 1, sizes[i]);
}

static void codings_come_off_from_the_last(void **state)
{
    static const enum packing two[] = {PACK_GZIP, PACK_BR},
                              three[] = {PACK_ZSTD, PACK_BARE, PACK_GZIP};
    (void)state;
    check_text("gzip,br", two, 2, MIB);
    check_text("zstd,deflate,gzip", three, 3, MIB);
}

// However small a body, a turn of the loop is not what its text takes.
static void a_long_text_lets_the_loop_turn(void **state)
{
    static const enum packing order[] = {PACK_GZIP, PACK_ZSTD};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct fake *f = open_with(8 * MIB, 64 * MIB);
        struct ring_stats before, after;
        char *text = calloc(1, 8 * MIB);
        assert_non_null(text);
        struct slice packed = packed_by(&order[i], 1, slice_of(text, 8 * MIB));
        set_codings(packing_names[order[i]]);
        f->request_body = packed;
        ring_stats_read(f->ring, &before);
        fake_run(f, unpack);
        ring_stats_read(f->ring, &after);
        assert_int_equal(result, 0);
        assert_int_equal(f->x.body.len, 8 * MIB);
        // 256 kB a turn, and the last of them may be shared.
        assert_true(after.turns - before.turns >= 8 * MIB / (256 * 1024) - 1);
        fake_close(f);
        free((void *)(uintptr_t)packed.ptr);
        free(text);
    }
}

static void an_empty_body_stays_one(void **state)
{
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        struct fake *f = open_with(MIB, MIB);
        set_codings(packing_names[p]);
        f->request_body = SLICE("");
        fake_run(f, unpack);
        assert_int_equal(result, 0);
        assert_int_equal(f->x.body.len, 0);
        struct slice packed = packed_by(&p, 1, SLICE(""));
        f->request_body = packed;
        fake_run(f, unpack);
        assert_int_equal(result, 0);
        assert_int_equal(f->x.body.len, 0);
        fake_close(f);
        free((void *)(uintptr_t)packed.ptr);
    }
}

// ---- Refusals --------------------------------------------------------------------------------

static void check_refused(struct fake *f, int err, unsigned status)
{
    fake_run(f, unpack);
    if (result != err)
        fail_msg("%s, not %s", err_name(result), err_name(err));
    assert_int_equal(failure.status, status);
    assert_int_equal(f->x.body.len, 0);
    assert_int_equal(in_flight(f), 0);
    assert_true(f->stream.early.bytes < 200 * 1024); // zlib's
}

static void the_limit_is_that_of_the_text(void **state)
{
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        char *text = words(100001);
        struct slice packed = packed_by(&p, 1, slice_of(text, 100001));
        struct fake *f = open_with(100001, 2 * MIB);
        set_codings(packing_names[p]);
        f->request_body = packed;
        fake_run(f, unpack);
        assert_int_equal(result, 0);
        http_uncount_body(&f->stream, 100001);
        arena_done(&f->stream.early);
        f->config.body_bytes_max = 100000;
        check_refused(f, ERR_BODY_TOO_LARGE, 413);
        fake_close(f);
        free((void *)(uintptr_t)packed.ptr);
        free(text);
    }
}

// A few kilobytes that stand for 64 MiB: memory for the limit, its half while a block grows, and
// what the decoder needs are enough to find out.
static void bombs_stop_at_the_limit(void **state)
{
    static const enum packing twice[] = {PACK_GZIP, PACK_GZIP};
    char *text = calloc(1, 64 * MIB);
    assert_non_null(text);
    (void)state;
    for (enum packing p = 0; p <= PACK_COUNT; p++) {
        struct slice packed = packed_by(p < PACK_COUNT ? &p : twice, p < PACK_COUNT ? 1 : 2,
                                        slice_of(text, 64 * MIB));
        struct fake *f = open_with(MIB, 2 * MIB);
        assert_true(packed.len < 80000);
        set_codings(p < PACK_COUNT ? packing_names[p] : "gzip,gzip");
        f->request_body = packed;
        check_refused(f, ERR_BODY_TOO_LARGE, 413);
        fake_close(f);
        free((void *)(uintptr_t)packed.ptr);
    }
    free(text);
}

static void bad_data_is_named(void **state)
{
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        struct slice packed = packed_by(&p, 1, SLICE("{\"model\":\"a\",\"messages\":[]}"));
        char *copy = malloc(packed.len + 1), expected[96];
        struct fake *f = open_with(MIB, 2 * MIB);
        assert_non_null(copy);
        memcpy(copy, packed.ptr, packed.len);
        copy[packed.len] = '\xee';
        set_codings(packing_names[p]);

        f->request_body = slice_of(copy, packed.len - 1);
        check_refused(f, ERR_BAD_PACKED, 400);
        snprintf(expected, sizeof(expected), "invalid compressed request body: %s data ends early",
                 packing_names[p]);
        assert_true(slice_eq(failure.message, slice_str(expected)));

        f->request_body = slice_of(copy, packed.len + 1);
        check_refused(f, ERR_BAD_PACKED, 400);
        assert_true(slice_starts(failure.message, SLICE("invalid compressed request body: ")));

        memset(copy, '\xee', packed.len);
        f->request_body = slice_of(copy, packed.len);
        check_refused(f, ERR_BAD_PACKED, 400);
        snprintf(expected, sizeof(expected),
                 "invalid compressed request body: %s data is malformed", packing_names[p]);
        assert_true(slice_eq(failure.message, slice_str(expected)));
        fake_close(f);
        free(copy);
        free((void *)(uintptr_t)packed.ptr);
    }
}

static void bytes_in_flight_are_bounded(void **state)
{
    static const enum packing order = PACK_GZIP;
    char *text = words(MIB);
    struct slice packed = packed_by(&order, 1, slice_of(text, MIB));
    struct fake *f = open_with(MIB, 4 * MIB);
    (void)state;
    atomic_store(&f->gateway.net.body_bytes, (uint64_t)LIMIT_BODY_IN_FLIGHT - MIB + 1);
    set_codings("gzip");
    f->request_body = packed;
    fake_run(f, unpack);
    assert_int_equal(result, ERR_OVERLOAD);
    assert_int_equal(failure.status, 503);
    assert_int_equal(in_flight(f), (uint64_t)LIMIT_BODY_IN_FLIGHT - MIB + 1);
    fake_close(f);
    free((void *)(uintptr_t)packed.ptr);
    free(text);
}

static void memory_that_is_short_is_503(void **state)
{
    static const enum packing order = PACK_ZSTD;
    char *text = calloc(1, MIB);
    assert_non_null(text);
    struct slice packed = packed_by(&order, 1, slice_of(text, MIB));
    (void)state;
    for (size_t memory = 4096; memory <= MIB; memory *= 2) {
        struct fake *f = open_with(MIB, memory);
        set_codings("zstd");
        f->request_body = packed;
        check_refused(f, ERR_NOMEM, 503);
        fake_close(f);
    }
    free((void *)(uintptr_t)packed.ptr);
    free(text);
}

static void a_client_that_leaves_ends_it(void **state)
{
    char *text = words(2 * MIB);
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        struct slice packed = packed_by(&p, 1, slice_of(text, 2 * MIB));
        struct fake *f = open_with(4 * MIB, 16 * MIB);
        reason = ERR_CLIENT_GONE;
        set_codings(packing_names[p]);
        f->request_body = packed;
        check_refused(f, ERR_CLIENT_GONE, 499);
        fake_close(f);
        free((void *)(uintptr_t)packed.ptr);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_is_a_list),
        cmocka_unit_test(bodies_inflate),
        cmocka_unit_test(codings_come_off_from_the_last),
        cmocka_unit_test(a_long_text_lets_the_loop_turn),
        cmocka_unit_test(an_empty_body_stays_one),
        cmocka_unit_test(the_limit_is_that_of_the_text),
        cmocka_unit_test(bombs_stop_at_the_limit),
        cmocka_unit_test(bad_data_is_named),
        cmocka_unit_test(bytes_in_flight_are_bounded),
        cmocka_unit_test(memory_that_is_short_is_503),
        cmocka_unit_test(a_client_that_leaves_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
