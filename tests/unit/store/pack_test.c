// SPDX-License-Identifier: Apache-2.0
//
// pack_test.c: content packed and unpacked, and what is not worth it or not true.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/pack.h"

// Request and answer one behind the other, as a ring has them.
static struct record_view view_of(const char *both, size_t request, size_t answer)
{
    return (struct record_view){.record.request = slice_of(both, request),
                                .record.answer = slice_of(both + request, answer),
                                .flags = RECORD_CUT | RECORD_FOLDED | RECORD_HAS_ROW};
}

static void write_value(struct packer *p, const struct record_view *v, struct buf *value)
{
    struct slice parts[2];
    pack_content(p, v, parts);
    buf_reset(value);
    buf_add(value, parts[0]);
    buf_add(value, parts[1]);
}

static void check_back(struct buf *value, const struct record_view *v)
{
    struct slice request, answer;
    unsigned flags;
    assert_int_equal(unpack_content(value), 0);
    assert_int_equal(record_content_read(buf_slice(value), &request, &answer, &flags), 0);
    assert_true(slice_eq(request, v->record.request));
    assert_true(slice_eq(answer, v->record.answer));
    assert_int_equal(flags, RECORD_CUT | RECORD_FOLDED);
}

static void what_repeats_itself_is_packed(void **state)
{
    (void)state;
    static char both[300010];
    struct packer *p = packer_new();
    struct buf value;
    buf_init(&value, 1 << 20);
    for (size_t i = 0; i < sizeof(both); i++)
        both[i] = "{\"role\":\"user\"}"[i % 15];
    // The state of one must not reach the next: twice, and longer ones before shorter ones.
    static const size_t sizes[][2] = {{200, 100}, {250000, 50000}, {0, 200}, {200, 0}, {128, 0}};
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            struct record_view v = view_of(both + i, sizes[i][0], sizes[i][1]);
            write_value(p, &v, &value);
            assert_int_equal(value.ptr[0], RECORD_PACKED);
            assert_true(value.len < sizes[i][0] + sizes[i][1]);
            check_back(&value, &v);
        }
    }
    struct record_view v = view_of(both, 200, 100);
    write_value(p, &v, &value);
    assert_memory_equal(value.ptr, "\x02\xc0\x00\x00\x00\xc8\x00\x00\x01\x2c", 10);
    buf_done(&value);
    packer_free(p);
}

static void what_would_not_be_shorter_stays(void **state)
{
    (void)state;
    char noise[4096];
    struct packer *p = packer_new();
    struct buf value;
    buf_init(&value, 1 << 20);
    assert_int_equal(random_bytes(noise, sizeof(noise)), 0);
    static const size_t sizes[][2] = {{0, 0}, {1, 0}, {60, 60}, {2000, 2096}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct record_view v = view_of(noise, sizes[i][0], sizes[i][1]);
        write_value(p, &v, &value);
        assert_int_equal(value.ptr[0], RECORD_VERSION);
        assert_int_equal(value.len, RECORD_CONTENT_BYTES + sizes[i][0] + sizes[i][1]);
        check_back(&value, &v);
    }
    buf_done(&value);
    packer_free(p);
}

static void what_is_not_true_is_refused(void **state)
{
    (void)state;
    char text[1000];
    struct packer *p = packer_new();
    struct buf value, bad;
    buf_init(&value, 1 << 20);
    buf_init(&bad, 1 << 20);
    memset(text, 'x', sizeof(text));
    struct record_view v = view_of(text, 500, 500);
    write_value(p, &v, &value);
    for (size_t len = 1; len < value.len; len++) { // cut anywhere
        buf_reset(&bad);
        buf_add(&bad, slice_take(buf_slice(&value), len));
        assert_int_equal(unpack_content(&bad), ERR_BAD_LENGTH);
    }
    static const char *const lengths[] = {"\0\0\0\0", "\0\0\3\347", "\0\0\3\351",
                                          "\377\377\377\377"};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) { // 0, 999, 1001, too many
        buf_reset(&bad);
        buf_add(&bad, buf_slice(&value));
        memcpy(bad.ptr + 6, lengths[i], 4);
        assert_int_equal(unpack_content(&bad), ERR_BAD_LENGTH);
    }
    buf_done(&value);
    buf_done(&bad);
    packer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_repeats_itself_is_packed),
        cmocka_unit_test(what_would_not_be_shorter_stays),
        cmocka_unit_test(what_is_not_true_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
