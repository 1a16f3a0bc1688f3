// SPDX-License-Identifier: Apache-2.0
//
// proxy_header.c: see proxy_header.h.
#include "net/proxy_header.h"

#include "base/err.h"

#define SIGNATURE      SLICE("\r\n\r\n\0\r\nQUIT\n")
#define FIXED_BYTES    16 // of version 2
#define ADDRESSES_4    12
#define ADDRESSES_6    36
#define ADDRESSES_UNIX 216
#define COMMAND_LOCAL  0x20
#define COMMAND_PROXY  0x21

// Does `in` agree with `with` as far as both go?
static bool agrees(struct slice in, struct slice with)
{
    size_t n = in.len < with.len ? in.len : with.len;
    return memcmp(in.ptr, with.ptr, n) == 0;
}

// ---- Version 1 ---------------------------------------------------------------------------------

// The next word of a line, one space behind it unless it is the last.
static bool take_word(struct slice *line, bool last, struct slice *ret)
{
    ptrdiff_t space = slice_find_char(*line, ' ');
    if (last != (space < 0))
        return false;
    *ret = slice_take(*line, last ? line->len : (size_t)space);
    *line = slice_skip(*line, ret->len + 1);
    return ret->len > 0;
}

static bool take_address(struct slice *line, bool six, struct ip *ret)
{
    struct slice word;
    if (!take_word(line, false, &word) || word.ptr[0] == '[')
        return false;
    return (slice_find_char(word, ':') >= 0) == six && ip_parse(word, ret);
}

static bool take_port(struct slice *line, bool last, unsigned *ret)
{
    struct slice word;
    uint64_t port;
    if (!take_word(line, last, &word) || word.len > 5 || slice_to_u64(word, &port) != 0)
        return false;
    if (port > 65535 || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    *ret = (unsigned)port;
    return true;
}

static ptrdiff_t parse_line(struct slice in, struct proxy_header *ret)
{
    struct proxy_header h = {.has_source = true};
    struct ip destination;
    unsigned port;
    ptrdiff_t end = slice_find(slice_take(in, PROXY_LINE_BYTES_MAX), SLICE("\r\n"));
    if (end < 0)
        return in.len < PROXY_LINE_BYTES_MAX ? ERR_MORE : ERR_BAD_HEAD;
    struct slice line = slice_skip(slice_take(in, (size_t)end), sizeof("PROXY ") - 1);
    if (slice_eq(line, SLICE("UNKNOWN")) || slice_starts(line, SLICE("UNKNOWN "))) {
        *ret = (struct proxy_header){0}; // what follows is to be ignored
        return end + 2;
    }
    bool six = slice_starts(line, SLICE("TCP6 "));
    if (!six && !slice_starts(line, SLICE("TCP4 ")))
        return ERR_BAD_HEAD;
    line = slice_skip(line, sizeof("TCP4 ") - 1);
    if (!take_address(&line, six, &h.source) || !take_address(&line, six, &destination) ||
        !take_port(&line, false, &h.source_port) || !take_port(&line, true, &port))
        return ERR_BAD_HEAD;
    *ret = h;
    return end + 2;
}

// ---- Version 2 ---------------------------------------------------------------------------------

static unsigned number16(const char *at)
{
    return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

// The addresses behind the fixed part. False: fewer bytes than their family has.
static bool read_addresses(struct slice in, unsigned family, struct proxy_header *h)
{
    switch (family) {
    case 0x11: // TCP over IPv4
        h->has_source = in.len >= ADDRESSES_4;
        if (h->has_source) {
            h->source = ip_of_v4((const uint8_t *)in.ptr);
            h->source_port = number16(in.ptr + 8);
        }
        return h->has_source;
    case 0x21: // TCP over IPv6
        h->has_source = in.len >= ADDRESSES_6;
        if (h->has_source) {
            memcpy(h->source.byte, in.ptr, sizeof(h->source.byte));
            h->source_port = number16(in.ptr + 32);
        }
        return h->has_source;
    case 0x31: // a stream of AF_UNIX
        return in.len >= ADDRESSES_UNIX;
    case 0x00: // UNSPEC
        return true;
    default: // datagrams, and what nobody knows
        return false;
    }
}

static ptrdiff_t parse_binary(struct slice in, struct proxy_header *ret)
{
    struct proxy_header h = {0};
    if (in.len < FIXED_BYTES)
        return ERR_MORE;
    unsigned command = (unsigned char)in.ptr[12], family = (unsigned char)in.ptr[13];
    size_t rest = number16(in.ptr + 14);
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return ERR_BAD_HEAD;
    if (rest > PROXY_HEADER_BYTES_MAX - FIXED_BYTES)
        return ERR_BAD_HEAD;
    if (in.len < FIXED_BYTES + rest)
        return ERR_MORE;
    // LOCAL: the balancer speaks for itself, whatever else it says.
    if (command == COMMAND_PROXY &&
        !read_addresses(slice_of(in.ptr + FIXED_BYTES, rest), family, &h))
        return ERR_BAD_HEAD;
    *ret = h;
    return (ptrdiff_t)(FIXED_BYTES + rest);
}

ptrdiff_t proxy_header_parse(struct slice in, struct proxy_header *ret)
{
    if (in.len == 0)
        return ERR_MORE;
    if (agrees(in, SIGNATURE))
        return parse_binary(in, ret);
    if (!agrees(in, SLICE("PROXY ")))
        return ERR_BAD_HEAD;
    return in.len < sizeof("PROXY ") - 1 ? ERR_MORE : parse_line(in, ret);
}
