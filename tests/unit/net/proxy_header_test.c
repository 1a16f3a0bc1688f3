// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers, after the tables of proxy-protocol.txt: each whole, each cut at every byte.
#include "net/proxy_header.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4                                                                                         \
    "\xc0\x00\x02\x01"                                                                             \
    "\xc0\x00\x02\x02"                                                                             \
    "\xc7\x38\x01\xbb"
#define V6                                                                                         \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"                                                   \
    "\xc7\x38\x01\xbb"
#define TLV "\x03\x00\x04\xde\xad\xbe\xef" // CRC32C; not looked at

static const struct {
    struct slice header;
    const char *source; // "": none
    unsigned port;
} good[] = {
    {SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n"), "192.0.2.1", 51000},
    {SLICE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", 65535},
    {SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n"), "192.0.2.1", 0},
    {SLICE("PROXY TCP6 2001:db8::1 2001:db8::2 51000 443\r\n"), "2001:db8::1", 51000},
    {SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535},
    {SLICE("PROXY UNKNOWN\r\n"), "", 0},
    {SLICE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "", 0}, // the longest line there is: 107 bytes
    {SLICE(SIG "\x21\x11\x00\x0c" V4), "192.0.2.1", 51000},
    {SLICE(SIG "\x21\x11\x00\x13" V4 TLV), "192.0.2.1", 51000},
    {SLICE(SIG "\x21\x21\x00\x24" V6), "2001:db8::1", 51000},
    {SLICE(SIG "\x21\x21\x00\x2b" V6 TLV), "2001:db8::1", 51000},
    {SLICE(SIG "\x20\x00\x00\x00"), "", 0},     // LOCAL
    {SLICE(SIG "\x20\x11\x00\x0c" V4), "", 0},  // LOCAL: not its business
    {SLICE(SIG "\x20\x11\x00\x02xx"), "", 0},   // LOCAL: nor whether it is right
    {SLICE(SIG "\x21\x00\x00\x00"), "", 0},     // UNSPEC
    {SLICE(SIG "\x21\x00\x00\x07" TLV), "", 0}, // UNSPEC with a TLV
};

static void good_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct slice h = good[i].header;
        struct proxy_header ret;
        char text[IP_TEXT_BYTES] = "";
        char *more = malloc(h.len + 3);
        memcpy(more, h.ptr, h.len);
        memcpy(more + h.len, "GET", 3); // the client's own
        ptrdiff_t n = proxy_header_parse(slice_of(more, h.len + 3), &ret);
        if (n != (ptrdiff_t)h.len)
            fail_msg("header %zu: %td", i, n);
        assert_int_equal(ret.has_source, good[i].source[0] != '\0');
        if (ret.has_source) {
            ip_print(&ret.source, text);
            assert_int_equal(ret.source_port, good[i].port);
        }
        assert_string_equal(text, good[i].source);
        free(more);
    }
}

static void a_cut_header_wants_more(void **state)
{
    (void)state;
    struct proxy_header ret;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (size_t cut = 0; cut < good[i].header.len; cut++) {
            char *exact = malloc(cut + 1);
            memcpy(exact, good[i].header.ptr, cut);
            ptrdiff_t n = proxy_header_parse(slice_of(exact, cut), &ret);
            if (n != ERR_MORE)
                fail_msg("header %zu cut at %zu: %td", i, cut, n);
            free(exact);
        }
    }
}

static void an_address_of_af_unix(void **state)
{
    (void)state;
    char h[16 + 216] = SIG "\x21\x31\x00\xd8/run/a";
    struct proxy_header ret = {.has_source = true};
    assert_int_equal(proxy_header_parse(slice_of(h, sizeof(h)), &ret), sizeof(h));
    assert_false(ret.has_source);
    h[15] = (char)0xd7; // one byte less than its addresses have
    assert_int_equal(proxy_header_parse(slice_of(h, sizeof(h)), &ret), ERR_BAD_HEAD);
}

static void bad_headers(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE("GET / HTTP/1.1\r\n\r\n"),
        SLICE("\x16\x03\x01"),
        SLICE("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        SLICE("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"),
        SLICE("PROXY TCP4 192.0.2.1\r\n"),
        SLICE("PROXY TCP4\r\n"),
        SLICE("PROXY \r\n"),
        SLICE("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"),
        SLICE("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
        SLICE("PROXY TCP6 [::1] [::1] 1 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"),
        SLICE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n"),
        SLICE("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"),
        SLICE("PROXY UNKNOWNS\r\n"),
        SLICE("PROXY UNKNOWN                                                                     "
              "                         x\r\n"), // one byte too long
        SLICE(SIG "\x11\x11\x00\x0c" V4),        // version 1 in binary
        SLICE(SIG "\x22\x11\x00\x0c" V4),        // no such command
        SLICE(SIG "\x21\x12\x00\x0c" V4),        // datagrams
        SLICE(SIG "\x21\x41\x00\x0c" V4),        // no such family
        SLICE(SIG "\x21\x11\x00\x0b" V4),        // shorter than its addresses
        SLICE(SIG "\x21\x21\x00\x0c" V4),
        SLICE(SIG "\x21\x11\x0f\xf1" V4), // beyond PROXY_HEADER_BYTES_MAX, told at once
        SLICE("\r\n\r\n\0\r\nQUIX\n"),
    };
    struct proxy_header ret;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ptrdiff_t n = proxy_header_parse(rows[i], &ret);
        if (n != ERR_BAD_HEAD)
            fail_msg("row %zu: %td", i, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_headers),
        cmocka_unit_test(a_cut_header_wants_more),
        cmocka_unit_test(an_address_of_af_unix),
        cmocka_unit_test(bad_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
