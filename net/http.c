// SPDX-License-Identifier: Apache-2.0
//
// http.c: names of methods and fields, and finding a field in a head.
//
// A field name is looked up once, when its head is parsed; everything later compares a small
// number. The lookup goes by length: at most five of the names share one, so a candidate list per
// length and a compare of the first byte leave at most one or two full compares. The lists are
// written by hand and name tokens, so a token added to HTTP_NAME_MAP must be added here too: the
// unit test looks up every name of the map.
#include "net/http.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"

#define NAME_LEN_MAX   27
#define NAMES_A_LENGTH 5

static const uint8_t names_by_length[NAME_LEN_MAX + 1][NAMES_A_LENGTH] = {
    [2] = {HTTP_N_TE},
    [4] = {HTTP_N_HOST, HTTP_N_DATE},
    [6] = {HTTP_N_ACCEPT, HTTP_N_COOKIE, HTTP_N_EXPECT, HTTP_N_ORIGIN, HTTP_N_SERVER},
    [7] = {HTTP_N_API_KEY, HTTP_N_TRAILER, HTTP_N_UPGRADE, HTTP_N_X_BF_VK},
    [9] = {HTTP_N_X_API_KEY},
    [10] = {HTTP_N_CONNECTION, HTTP_N_USER_AGENT, HTTP_N_KEEP_ALIVE, HTTP_N_SET_COOKIE},
    [11] = {HTTP_N_RETRY_AFTER, HTTP_N_X_BF_COMPAT},
    [12] = {HTTP_N_CONTENT_TYPE, HTTP_N_X_REQUEST_ID, HTTP_N_X_BF_API_KEY},
    [13] = {HTTP_N_AUTHORIZATION},
    [14] = {HTTP_N_CONTENT_LENGTH, HTTP_N_X_GOOG_API_KEY},
    [15] = {HTTP_N_ACCEPT_ENCODING, HTTP_N_X_BF_API_KEY_ID, HTTP_N_X_BF_SESSION_ID},
    [16] = {HTTP_N_CONTENT_ENCODING, HTTP_N_PROXY_CONNECTION, HTTP_N_X_BF_SESSION_TTL},
    [17] = {HTTP_N_TRANSFER_ENCODING},
    [18] = {HTTP_N_PROXY_AUTHENTICATE},
    [19] = {HTTP_N_PROXY_AUTHORIZATION},
    [26] = {HTTP_N_X_BF_SEND_BACK_RAW_REQUEST},
    [27] = {HTTP_N_X_BF_SEND_BACK_RAW_RESPONSE},
};

static const struct slice names[HTTP_NAME_COUNT] = {
#define X(token, text) [HTTP_N_##token] = {.ptr = (text), .len = sizeof(text) - 1},
    HTTP_NAME_MAP(X)
#undef X
};

static const struct slice methods[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = {"GET", 3},         [HTTP_HEAD] = {"HEAD", 4},     [HTTP_POST] = {"POST", 4},
    [HTTP_PUT] = {"PUT", 3},         [HTTP_DELETE] = {"DELETE", 6}, [HTTP_PATCH] = {"PATCH", 5},
    [HTTP_OPTIONS] = {"OPTIONS", 7},
};

// RFC 9110 5.6.2 tchar: the lower-case form of each, 0 for every other byte.
const uint8_t http__token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
    ['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`',   ['|'] = '|',
    ['~'] = '~', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',   ['5'] = '5',
    ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['A'] = 'a', ['B'] = 'b',   ['C'] = 'c',
    ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i',   ['J'] = 'j',
    ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',   ['Q'] = 'q',
    ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w',   ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd',   ['e'] = 'e',
    ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',   ['l'] = 'l',
    ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r',   ['s'] = 's',
    ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y',   ['z'] = 'z',
};

struct slice http_method_name(enum http_method m)
{
    ASSERT((unsigned)m < HTTP_METHOD_COUNT);
    return methods[m];
}

enum http_method http__method_find(struct slice name)
{
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
        if (slice_eq(methods[m], name))
            return (enum http_method)m;
    }
    return HTTP_METHOD_COUNT;
}

static bool same_name(struct slice lower, const char *other)
{
    for (size_t i = 0; i < lower.len; i++) {
        if (http__token_lower[(unsigned char)other[i]] != (unsigned char)lower.ptr[i])
            return false;
    }
    return true;
}

enum http_name http_name_find(struct slice name)
{
    if (name.len > NAME_LEN_MAX)
        return HTTP_N_OTHER;
    for (unsigned i = 0; i < NAMES_A_LENGTH; i++) {
        unsigned token = names_by_length[name.len][i];
        if (token == HTTP_N_OTHER)
            break;
        if (same_name(names[token], name.ptr))
            return (enum http_name)token;
    }
    return HTTP_N_OTHER;
}

struct slice http_name_text(enum http_name token)
{
    ASSERT((unsigned)token < HTTP_NAME_COUNT);
    return names[token];
}

bool http__is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!http__token_lower[(unsigned char)s.ptr[i]])
            return false;
    }
    return s.len > 0;
}

struct slice http__lower_name(struct arena *arena, struct slice name)
{
    size_t i = 0;
    while (i < name.len &&
           http__token_lower[(unsigned char)name.ptr[i]] == (unsigned char)name.ptr[i])
        i++;
    if (i == name.len)
        return name;
    char *copy = arena_bytes(arena, name.len);
    for (i = 0; copy && i < name.len; i++)
        copy[i] = (char)http__token_lower[(unsigned char)name.ptr[i]];
    return slice_of(copy, copy ? name.len : 0);
}

// Eight bytes at once: a byte below 0x20 or equal to 0x7f sets its high bit in the result. Borrows
// may set it for an innocent neighbour too, so a hit is looked at byte by byte.
static uint64_t maybe_control(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t del = x ^ (ones * 0x7f);
    return (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & high;
}

bool http__is_value(struct slice s)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    while (p < end) {
        if (end - p >= 8) {
            uint64_t word;
            memcpy(&word, p, sizeof(word));
            if (!maybe_control(word)) {
                p += 8;
                continue;
            }
        }
        const char *stop = end - p >= 8 ? p + 8 : end;
        for (; p < stop; p++) {
            unsigned char c = (unsigned char)*p;
            if ((c < 0x20 && c != '\t') || c == 0x7f)
                return false;
        }
    }
    return true;
}

// RFC 3986 3.2.2: what stands between the brackets of an IPv6 address.
static bool is_v6_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') || c == ':' ||
           c == '.';
}

static bool is_name_byte(unsigned char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"#/:<>?@[\\]^`{|},", c);
}

static bool is_port(struct slice s)
{
    uint64_t port;
    if (s.len == 0)
        return true; // the scheme's own (RFC 9110 4.2.3)
    return s.len <= 5 && slice_to_u64(s, &port) == 0 && port <= 65535;
}

bool http_authority_host(struct slice authority, struct slice *ret_host)
{
    struct slice s = authority;
    bool v6 = s.len > 0 && s.ptr[0] == '[';
    size_t begin = v6 ? 1 : 0, n = begin;
    while (n < s.len &&
           (v6 ? is_v6_byte((unsigned char)s.ptr[n]) : is_name_byte((unsigned char)s.ptr[n])))
        n++;
    if (n == begin || (v6 && (n == s.len || s.ptr[n] != ']')))
        return false;
    n += v6;
    if (n < s.len && (s.ptr[n] != ':' || !is_port(slice_skip(s, n + 1))))
        return false;
    *ret_host = slice_take(s, n);
    return true;
}

bool http_head_host(const struct http_head *request, struct slice *ret_host)
{
    struct slice t = request->target;
    if (t.len > 0 && t.ptr[0] != '/' && t.ptr[0] != '*') {
        ptrdiff_t colon = slice_find(t, SLICE("://"));
        if (colon < 0)
            return false;
        t = slice_skip(t, (size_t)colon + 3);
        size_t n = 0;
        while (n < t.len && t.ptr[n] != '/' && t.ptr[n] != '?')
            n++;
        return http_authority_host(slice_take(t, n), ret_host);
    }
    const struct http_field *host = http_head_get(request, HTTP_N_HOST);
    return host && http_authority_host(host->value, ret_host);
}

const struct http_field *http_head_get(const struct http_head *h, enum http_name token)
{
    ASSERT(token != HTTP_N_OTHER);
    for (unsigned i = 0; i < h->count; i++) {
        if (h->fields[i].id == token)
            return &h->fields[i];
    }
    return NULL;
}

const struct http_field *http_head_find(const struct http_head *h, struct slice name)
{
    for (unsigned i = 0; i < h->count; i++) {
        if (slice_ieq(h->fields[i].name, name))
            return &h->fields[i];
    }
    return NULL;
}

// ---- Bodies in flight ------------------------------------------------------------------------

void http_uncount_body(struct http_stream *s, size_t bytes)
{
    ASSERT(bytes <= s->body_bytes);
    s->body_bytes -= bytes;
    if (bytes > 0)
        admit_bytes_sub(s->core, bytes);
}

int http_count_body(struct http_stream *s, size_t bytes)
{
    admit_bytes_add(s->core, bytes);
    s->body_bytes += bytes;
    return net__sheds_request(s->core) ? ERR_OVERLOAD : 0;
}

void http__forget_body(struct http_stream *s)
{
    http_uncount_body(s, s->body_bytes);
    s->body_alone = false;
}

void http_release_body(struct http_stream *s, struct slice body)
{
    if (!s->body_alone)
        return; // a small one, among others
    arena_drop_large(&s->early, (void *)(uintptr_t)body.ptr);
    s->body_alone = false;
    http_uncount_body(s, body.len);
}

// ---- What is net's to write ------------------------------------------------------------------

bool http__is_nets(const struct http_field *f)
{
    enum http_name id = f->id != HTTP_N_OTHER ? f->id : http_name_find(f->name);
    switch (id) {
    case HTTP_N_CONNECTION:
    case HTTP_N_CONTENT_LENGTH:
    case HTTP_N_DATE:
    case HTTP_N_KEEP_ALIVE:
    case HTTP_N_PROXY_AUTHENTICATE:
    case HTTP_N_PROXY_AUTHORIZATION:
    case HTTP_N_PROXY_CONNECTION:
    case HTTP_N_TE:
    case HTTP_N_TRAILER:
    case HTTP_N_TRANSFER_ENCODING:
    case HTTP_N_UPGRADE:
        return true;
    default:
        return !http__is_token(f->name) || !http__is_value(f->value) ||
               slice_ieq(f->name, HTTP__SNIFF_NAME);
    }
}
