// SPDX-License-Identifier: Apache-2.0
//
// crc_test.c: the examples of RFC 3720 B.4 and the check value of the catalogue, both ways.
#include "tests/unit/base/cm.h"

#include "store/crc.h"

static void both(const void *data, size_t len, uint32_t expected)
{
    assert_int_equal(crc_add(0, data, len), expected);
    assert_int_equal(crc_add_portable(0, data, len), expected);
}

static void known_values(void **state)
{
    (void)state;
    unsigned char bytes[32] = {0};
    both("", 0, 0);
    both("123456789", 9, 0xe3069283);
    both(bytes, 32, 0x8a9136aa);
    memset(bytes, 0xff, 32);
    both(bytes, 32, 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    both(bytes, 32, 0x46dd794e);
}

static void parts_give_the_whole(void **state)
{
    (void)state;
    const char *text = "a check that goes on where it stopped";
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++)
        assert_int_equal(crc_add(crc_add(0, text, cut), text + cut, len - cut),
                         crc_add_portable(0, text, len));
}

// Around each number of whole lanes, from odd addresses.
static void long_data_goes_in_lanes(void **state)
{
    (void)state;
    static unsigned char bytes[4096];
    uint32_t next = 1;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        next = next * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(next >> 24);
    }
    for (size_t len = 0; len < sizeof(bytes) - 8; len += len % 256 < 248 && len % 256 > 8 ? 61 : 1)
        for (size_t at = 0; at < 3; at++)
            assert_int_equal(crc_add(7, bytes + at, len), crc_add_portable(7, bytes + at, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(parts_give_the_whole),
        cmocka_unit_test(long_data_goes_in_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
