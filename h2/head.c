// SPDX-License-Identifier: Apache-2.0
//
// head.c: a message's head, checked field by field and then as a whole.
//
// nghttp2 checks heads too. This is written out once more because what passes is sent on to
// providers as HTTP/1.1: a name, value, length or authority that would mean something else there is
// how requests are smuggled (H2.CL, H2.TE, header injection), and the rules must be those of our
// HTTP/1 reader, not those of a library's version. RFC 9113 8.1 to 8.3:
//
//     pseudo-fields   the four of a request, each once, before all others
//     names           lower-case tokens, none that speaks of the connection
//     values          no control byte but tab, no white space at either end
//     content-length  one, digits, and 0 when no body follows (sums are nghttp2's)
//     authority       :authority or host, equal when both came, without user information
//     path            origin form, or "*" with OPTIONS
//
// An answer's has one pseudo-field, :status, and no authority or path; all else is the same.
//
// A head that is too large is not malformed: its fields are read on (HPACK is stateful) and
// dropped, and the owner answers 431.
#include "base/err.h"
#include "h2/h2_internal.h"

#define FIELDS_FIRST 24
// RFC 9113 6.5.2: what a field counts beside its bytes.
#define FIELD_OVERHEAD 32

// What a byte may not stand in, but for names, where it may: RFC 9110 5.6.2 tchar without upper
// case.
#define NAME         1
#define NO_AUTHORITY 2
#define NO_PATH      4
#define NO_QUERY     8
#define NOWHERE      (NO_AUTHORITY | NO_PATH | NO_QUERY)

static const uint8_t kinds[256] = {
    [0x00 ... 0x20] = NOWHERE,
    ['!'] = NAME,
    ['"'] = NOWHERE,
    ['#'] = NAME | NOWHERE,
    ['$' ... '\''] = NAME,
    ['*' ... '+'] = NAME,
    [','] = NO_AUTHORITY,
    ['-' ... '.'] = NAME,
    ['/'] = NO_AUTHORITY,
    ['0' ... '9'] = NAME,
    ['<'] = NOWHERE,
    ['>'] = NOWHERE,
    ['?' ... '@'] = NO_AUTHORITY,
    ['\\'] = NO_AUTHORITY | NO_PATH,
    ['^'] = NAME | NO_AUTHORITY | NO_PATH,
    ['_'] = NAME,
    ['`'] = NAME | NO_AUTHORITY | NO_PATH,
    ['a' ... 'z'] = NAME,
    ['{'] = NO_AUTHORITY | NO_PATH,
    ['|'] = NAME | NO_AUTHORITY,
    ['}'] = NO_AUTHORITY | NO_PATH,
    ['~'] = NAME,
    [0x7f ... 0xff] = NOWHERE,
};

static bool is_name_byte(unsigned char c)
{
    return (kinds[c] & NAME) != 0;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_name_byte((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_value(struct slice s)
{
    if (s.len > 0 && (is_blank(s.ptr[0]) || is_blank(s.ptr[s.len - 1])))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

// A method: a token, and methods are case-sensitive.
static bool is_method(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!is_name_byte(c) && !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return s.len > 0;
}

static bool is_authority(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (kinds[(unsigned char)s.ptr[i]] & NO_AUTHORITY)
            return false;
    }
    return s.len > 0;
}

static bool is_path(struct slice s, struct slice method)
{
    if (slice_eq(s, SLICE("*")))
        return slice_eq(method, SLICE("OPTIONS"));
    bool in_path = true;
    for (size_t i = 0; i < s.len; i++) {
        in_path = in_path && s.ptr[i] != '?';
        if (kinds[(unsigned char)s.ptr[i]] & (in_path ? NO_PATH : NO_QUERY))
            return false;
    }
    return s.len > 0 && s.ptr[0] == '/';
}

// RFC 9113 8.2.2: what HTTP/1 says about a connection has no place here.
static bool is_of_connection(struct slice name, struct slice value)
{
    static const struct slice names[] = {
        {.ptr = "connection", .len = 10},        {.ptr = "keep-alive", .len = 10},
        {.ptr = "proxy-connection", .len = 16},  {.ptr = "upgrade", .len = 7},
        {.ptr = "transfer-encoding", .len = 17},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i]))
            return true;
    }
    return slice_eq(name, SLICE("te")) && !slice_ieq(value, SLICE("trailers"));
}

// A pseudo-field comes once and is not empty, so an empty one is one that has not come.
static void add_pseudo(struct h2_stream *s, struct slice name, struct slice value)
{
    struct h2_head *h = &s->head;
    struct slice *to = slice_eq(name, SLICE(":method"))      ? &h->method
                       : slice_eq(name, SLICE(":scheme"))    ? &h->scheme
                       : slice_eq(name, SLICE(":path"))      ? &h->path
                       : slice_eq(name, SLICE(":authority")) ? &h->authority
                                                             : NULL;
    if (!to || to->len > 0 || value.len == 0 || s->regular) {
        s->malformed = true;
        return;
    }
    *to = arena_copy(s->arena, value);
    if (!to->ptr)
        s->head_err = ERR_NOMEM;
}

static void add_status(struct h2_stream *s, struct slice name, struct slice value)
{
    uint64_t status;
    if (!slice_eq(name, SLICE(":status")) || s->head.status > 0 || s->regular || value.len != 3 ||
        slice_to_u64(value, &status) || status < 100)
        s->malformed = true;
    else
        s->head.status = (unsigned)status;
}

static void note_length(struct h2_stream *s, struct slice value)
{
    uint64_t length;
    if (s->head.content_length >= 0 || slice_to_u64(value, &length) || length > INT64_MAX)
        s->malformed = true;
    else
        s->head.content_length = (int64_t)length;
}

static bool make_room(struct h2_stream *s)
{
    struct h2_head *h = &s->head;
    if (h->count < s->fields_cap)
        return true;
    unsigned cap = s->fields_cap ? s->fields_cap * 2 : FIELDS_FIRST;
    struct h2_field *more = arena_alloc(s->arena, cap * sizeof(*more));
    if (!more)
        return false;
    if (h->count > 0)
        memcpy(more, h->fields, h->count * sizeof(*more));
    h->fields = more;
    s->fields_cap = cap;
    return true;
}

static void add_regular(struct h2_stream *s, struct slice name, struct slice value)
{
    struct h2_head *h = &s->head;
    s->regular = true;
    if (slice_eq(name, SLICE("content-length")))
        note_length(s, value);
    if (slice_eq(name, SLICE("host"))) {
        s->malformed |= s->host_seen;
        s->host_seen = true;
    }
    if (!is_name(name) || is_of_connection(name, value))
        s->malformed = true;
    if (s->malformed)
        return;
    struct h2_field copy = {arena_copy(s->arena, name), arena_copy(s->arena, value)};
    if (!copy.name.ptr || !copy.value.ptr || !make_room(s)) {
        s->head_err = ERR_NOMEM;
        return;
    }
    h->fields[h->count++] = copy;
}

void h2__head_add(struct h2_stream *s, struct slice name, struct slice value)
{
    const struct h2_options *o = &s->session->options;
    size_t bytes = s->head_bytes + name.len + value.len + FIELD_OVERHEAD;
    s->head_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    if (s->head_bytes > o->head_bytes_max || s->head.count >= o->head_fields_max) {
        if (s->head_err != ERR_HEAD_TOO_LARGE)
            h2__count(s->session, H2_LIMIT_HEAD);
        s->head_err = ERR_HEAD_TOO_LARGE;
    }
    if (s->head_err || s->malformed)
        return;
    if (!is_value(value))
        s->malformed = true;
    else if (name.len > 0 && name.ptr[0] == ':' && s->session->client)
        add_status(s, name, value);
    else if (name.len > 0 && name.ptr[0] == ':')
        add_pseudo(s, name, value);
    else
        add_regular(s, name, value);
}

// :authority and host, whichever came.
static bool settle_authority(struct h2_stream *s)
{
    struct h2_head *h = &s->head;
    struct slice host = SLICE_EMPTY;
    for (unsigned i = 0; i < h->count; i++) {
        if (slice_eq(h->fields[i].name, SLICE("host")))
            host = h->fields[i].value;
    }
    if (s->host_seen && h->authority.len > 0 && !slice_ieq(host, h->authority))
        return false;
    if (h->authority.len == 0)
        h->authority = host;
    return is_authority(h->authority);
}

bool h2__head_finish(struct h2_stream *s)
{
    const struct h2_head *h = &s->head;
    if (s->malformed)
        return false;
    if (s->head_err)
        return true; // incomplete, and answered as such
    if (!is_method(h->method) || !settle_authority(s))
        return false;
    if (h->whole && h->content_length > 0)
        return false;
    if (slice_eq(h->method, SLICE("CONNECT")))
        return h->scheme.len == 0 && h->path.len == 0;
    return is_path(h->path, h->method) &&
           (slice_ieq(h->scheme, SLICE("http")) || slice_ieq(h->scheme, SLICE("https")));
}

bool h2__answer_head_finish(struct h2_stream *s)
{
    return !s->malformed && (s->head_err || s->head.status > 0);
}
