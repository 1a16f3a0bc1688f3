// SPDX-License-Identifier: Apache-2.0
//
// chunk_test.c: both roads cut and name alike; where a chunk ends is a matter of the text there.
#include "tests/unit/base/cm.h"

#include "base/prng.h"
#include "store/chunk.h"
#include <stdlib.h>

#define TEXT_BYTES 300000

static unsigned char secret[CHUNK_SECRET_BYTES];

static unsigned roads(chunk_fn ret[2])
{
    unsigned count = 0;
    ret[count++] = chunk_any;
    if (chunk_road() != chunk_any)
        ret[count++] = chunk_road();
    return count;
}

// A copy that ends where its memory does, so that a sanitizer sees what is read behind it.
static struct chunk take(chunk_fn road, const char *text, size_t len)
{
    char *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    struct chunk c;
    road(secret, slice_of(copy, len), &c);
    free(copy);
    return c;
}

static char *noise(uint64_t seed, unsigned letters)
{
    struct prng p;
    char *text = malloc(TEXT_BYTES);
    assert_non_null(text);
    prng_seed(&p, seed);
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)(' ' + prng_below(&p, letters));
    return text;
}

static void both_roads_say_the_same(void **state)
{
    (void)state;
    chunk_fn road[2];
    unsigned count = roads(road);
    for (uint64_t seed = 0; seed < 8; seed++) {
        char *text = noise(seed, seed % 2 ? 4 : 200);
        for (size_t at = 0; at < TEXT_BYTES;) {
            size_t len = TEXT_BYTES - at;
            struct chunk c = take(road[0], text + at, len);
            assert_true(c.bytes > 0 && c.bytes <= CHUNK_BYTES_MAX);
            assert_true(c.bytes >= CHUNK_BYTES_MIN || c.bytes == len);
            // Neither what follows nor where the text lies matters.
            for (unsigned i = 0; i < 2 * count; i++) {
                struct chunk again = take(road[i / 2], text + at, i % 2 ? c.bytes : len);
                assert_int_equal(again.bytes, c.bytes);
                assert_memory_equal(again.key, c.key, sizeof(c.key));
            }
            at += c.bytes;
        }
        free(text);
    }
}

// The window that cuts is found wherever it stands, and not before it is whole.
static void a_cut_is_where_its_window_ends(void **state)
{
    (void)state;
    enum { CUT = 8 };
    chunk_fn road[2];
    unsigned count = roads(road);
    char *text = noise(1, 200), plain[4096];
    const char *cut = text + take(chunk_any, text, TEXT_BYTES).bytes - CUT;
    for (size_t end = CHUNK_BYTES_MIN - CUT; end < CHUNK_BYTES_MIN + 200; end++) {
        memset(plain, 0, sizeof(plain));
        memcpy(plain + end - CUT, cut, CUT);
        for (unsigned i = 0; i < count; i++) {
            size_t bytes = take(road[i], plain, sizeof(plain)).bytes;
            assert_true(end < CHUNK_BYTES_MIN ? bytes > end : bytes <= end);
            assert_int_equal(bytes, take(road[0], plain, sizeof(plain)).bytes);
            if (end >= CHUNK_BYTES_MIN)
                assert_int_equal(take(road[i], plain, end).bytes, bytes);
        }
    }
    free(text);
}

static void what_nothing_cuts_has_its_bound(void **state)
{
    (void)state;
    chunk_fn road[2];
    unsigned count = roads(road);
    char *text = calloc(1, TEXT_BYTES);
    static const size_t lens[][2] = {{1, 1},
                                     {CHUNK_BYTES_MIN, CHUNK_BYTES_MIN},
                                     {CHUNK_BYTES_MIN + 1, CHUNK_BYTES_MIN + 1},
                                     {CHUNK_BYTES_MAX, CHUNK_BYTES_MAX},
                                     {CHUNK_BYTES_MAX + 1, CHUNK_BYTES_MAX},
                                     {TEXT_BYTES, CHUNK_BYTES_MAX}};
    assert_non_null(text);
    for (size_t k = 0; k < sizeof(lens) / sizeof(*lens); k++)
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(take(road[i], text, lens[k][0]).bytes, lens[k][1]);
    free(text);
}

static void a_key_is_of_the_bytes_and_the_secret(void **state)
{
    (void)state;
    chunk_fn road[2];
    unsigned count = roads(road);
    char *text = noise(3, 200);
    for (unsigned i = 0; i < count; i++) {
        struct chunk first = take(road[i], text, CHUNK_BYTES_MIN);
        for (size_t at = 0; at < CHUNK_BYTES_MIN; at += 31) {
            text[at] ^= 1;
            struct chunk other = take(road[i], text, CHUNK_BYTES_MIN);
            assert_true(first.key[0] != other.key[0] && first.key[1] != other.key[1]);
            text[at] ^= 1;
        }
        secret[0] ^= 1;
        struct chunk other = take(road[i], text, CHUNK_BYTES_MIN);
        assert_true(first.key[0] != other.key[0] && first.key[1] != other.key[1]);
        secret[0] ^= 1;
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_roads_say_the_same),
        cmocka_unit_test(a_cut_is_where_its_window_ends),
        cmocka_unit_test(what_nothing_cuts_has_its_bound),
        cmocka_unit_test(a_key_is_of_the_bytes_and_the_secret),
    };
    return random_bytes(secret, sizeof(secret)) < 0 ||
           cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
