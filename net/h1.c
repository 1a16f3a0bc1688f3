// SPDX-License-Identifier: Apache-2.0
//
// h1.c: heads of HTTP/1 requests and answers.
//
// Two passes over a head. The first finds its end, line feed by line feed, so a head may arrive in
// any pieces and no byte is looked at twice. The second runs once, over the whole head in its final
// memory: it splits lines again (memchr), walks each name through a table that is validation and
// lower-casing in one, and checks values eight bytes at a time. Slices point into the head; only
// the field table is allocated, when its length is known.
//
// What decides where a message ends (Content-Length, Transfer-Encoding, the version, Host) is
// collected while fields are read and judged once, in `judge_…`, where the rules stand together.
#include "net/h1.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"

#define HEAD_END_MIN 2

// What the fields of one head said about framing, before it is judged.
struct framing_facts {
    unsigned hosts;
    unsigned lengths;
    unsigned codings;
    bool chunked; // the only coding, once
    bool keep_alive;
    bool bad_length; // malformed, or unequal values
    bool expect_other;
};

ptrdiff_t h1_head_end(struct slice bytes, size_t bytes_max, size_t *resume)
{
    size_t limit = bytes.len < bytes_max ? bytes.len : bytes_max;
    size_t line = *resume; // where the current line begins
    if (line == 0 && limit > 0) {
        unsigned char first = (unsigned char)bytes.ptr[0];
        if (!http__token_lower[first] && first != '\r')
            return ERR_BAD_HEAD; // a TLS hello, a stray line feed: say so now, not at the timeout
    }
    while (line < limit) {
        const char *lf = memchr(bytes.ptr + line, '\n', limit - line);
        if (!lf)
            break;
        size_t len = (size_t)(lf - bytes.ptr) - line; // without the line feed
        if (len == 0 || lf[-1] != '\r' || memchr(bytes.ptr + line, '\r', len - 1))
            return ERR_BAD_HEAD;
        size_t begin = line;
        line += len + 1;
        // An empty line ends the head, but for one in front of the request line. A second
        // one there is an empty head.
        if (len == 1 && begin > 0)
            return begin == HEAD_END_MIN && bytes.ptr[0] == '\r' ? ERR_BAD_HEAD : (ptrdiff_t)line;
        *resume = line;
    }
    return bytes.len >= bytes_max ? ERR_HEAD_TOO_LARGE : ERR_MORE;
}

// Takes one line off the front, without its CRLF.
static int next_line(struct slice *in, struct slice *ret_line)
{
    const char *lf = in->len ? memchr(in->ptr, '\n', in->len) : NULL;
    if (!lf || lf == in->ptr || lf[-1] != '\r')
        return ERR_BAD_HEAD;
    *ret_line = slice_of(in->ptr, (size_t)(lf - in->ptr) - 1);
    *in = slice_skip(*in, (size_t)(lf - in->ptr) + 1);
    return 0;
}

// "HTTP/1.0" or "HTTP/1.1".
static int parse_version(struct slice s, unsigned *ret_minor)
{
    if (s.len != 8 || !slice_starts(s, SLICE("HTTP/")) || s.ptr[6] != '.')
        return ERR_BAD_HEAD;
    char major = s.ptr[5], minor = s.ptr[7];
    if (major < '0' || major > '9' || minor < '0' || minor > '9')
        return ERR_BAD_HEAD;
    if (major != '1' || minor > '1')
        return ERR_BAD_VERSION;
    *ret_minor = (unsigned)(minor - '0');
    return 0;
}

// Bytes a target may hold (RFC 3986, and what browsers leave unescaped): never a control, a space,
// a byte above 0x7e, a quote, an angle bracket or a fragment; in a path nothing that WHATWG URLs
// escape there either.
static bool is_target(struct slice s, bool in_path)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '#' || c == '<' || c == '>')
            return false;
        if (in_path && (c == '\\' || c == '^' || c == '`' || c == '{' || c == '}'))
            return false;
    }
    return true;
}

// Origin form, absolute form (reduced to its path) or the asterisk of OPTIONS (RFC 9112 3.2).
static int parse_target(struct http_head *h)
{
    struct slice t = h->target;
    if (slice_eq(t, SLICE("*"))) {
        h->path = t;
        return h->method == HTTP_OPTIONS ? 0 : ERR_BAD_HEAD;
    }
    if (t.len == 0)
        return ERR_BAD_HEAD;
    if (t.ptr[0] != '/') {
        struct slice host;
        size_t scheme = slice_istarts(t, SLICE("http://"))    ? 7
                        : slice_istarts(t, SLICE("https://")) ? 8
                                                              : 0;
        if (scheme == 0)
            return ERR_BAD_HEAD;
        t = slice_skip(t, scheme);
        size_t n = 0;
        while (n < t.len && t.ptr[n] != '/' && t.ptr[n] != '?')
            n++;
        if (!http_authority_host(slice_take(t, n), &host))
            return ERR_BAD_HEAD;
        t = slice_skip(t, n);
    }
    ptrdiff_t mark = t.len ? slice_find_char(t, '?') : -1;
    h->path = mark < 0 ? t : slice_take(t, (size_t)mark);
    h->query = mark < 0 ? slice_of(t.ptr + t.len, 0) : slice_skip(t, (size_t)mark + 1);
    if (h->path.len == 0)
        h->path = SLICE("/");
    return is_target(h->path, true) && is_target(h->query, false) ? 0 : ERR_BAD_HEAD;
}

static int parse_request_line(struct slice line, struct http_head *h)
{
    ptrdiff_t first = line.len ? slice_find_char(line, ' ') : -1;
    if (first <= 0)
        return ERR_BAD_HEAD;
    struct slice method = slice_take(line, (size_t)first);
    struct slice rest = slice_skip(line, (size_t)first + 1);
    ptrdiff_t second = rest.len ? slice_find_char(rest, ' ') : -1;
    if (second <= 0 || !http__is_token(method))
        return ERR_BAD_HEAD;
    h->target = slice_take(rest, (size_t)second);
    int rc = parse_version(slice_skip(rest, (size_t)second + 1), &h->minor);
    if (rc)
        return rc;
    h->method = http__method_find(method);
    if (h->method == HTTP_METHOD_COUNT)
        return ERR_BAD_METHOD;
    return parse_target(h);
}

static int parse_status_line(struct slice line, struct http_head *h)
{
    int rc = parse_version(slice_take(line, 8), &h->minor);
    if (rc)
        return rc;
    if (line.len < 12 || line.ptr[8] != ' ' || (line.len > 12 && line.ptr[12] != ' '))
        return ERR_BAD_HEAD;
    uint64_t status;
    // RFC 9110 15: beyond 599 it is invalid, and the next hop's guess.
    if (slice_to_u64(slice_of(line.ptr + 9, 3), &status) || status < 100 || status > 599)
        return ERR_BAD_HEAD;
    h->status = (unsigned)status;
    return http__is_value(slice_skip(line, 12)) ? 0 : ERR_BAD_HEAD;
}

static int parse_field(struct slice line, struct http_field *ret)
{
    size_t n = 0;
    while (n < line.len && http__token_lower[(unsigned char)line.ptr[n]])
        n++;
    // A fold, a nameless field, white space before the colon and a byte no name holds all end here.
    if (n == 0 || n == line.len || line.ptr[n] != ':')
        return ERR_BAD_HEADER;
    ret->name = slice_take(line, n);
    ret->value = slice_trim(slice_skip(line, n + 1));
    ret->id = http_name_find(ret->name);
    return http__is_value(ret->value) ? 0 : ERR_BAD_HEADER;
}

// The next element of a comma-separated list, trimmed; false at its end.
static bool next_element(struct slice *list, struct slice *ret)
{
    if (list->len == 0)
        return false;
    ptrdiff_t comma = slice_find_char(*list, ',');
    size_t n = comma < 0 ? list->len : (size_t)comma;
    *ret = slice_trim(slice_take(*list, n));
    *list = slice_skip(*list, comma < 0 ? n : n + 1);
    return true;
}

static void note_one_length(struct http_head *h, struct framing_facts *facts, struct slice digits,
                            bool may_repeat)
{
    uint64_t length;
    if (slice_to_u64(digits, &length) || length > INT64_MAX) {
        facts->bad_length = true;
        return;
    }
    if (facts->lengths++ > 0 && !(may_repeat && h->content_length == (int64_t)length))
        facts->bad_length = true;
    h->content_length = (int64_t)length;
}

// In an answer several equal values count as one, also within a field; in a request any comma is
// malformed.
static void note_length(struct http_head *h, struct framing_facts *facts, struct slice value,
                        bool answer)
{
    ptrdiff_t comma;
    while (answer && value.len > 0 && (comma = slice_find_char(value, ',')) >= 0) {
        note_one_length(h, facts, slice_trim(slice_take(value, (size_t)comma)), true);
        value = slice_trim(slice_skip(value, (size_t)comma + 1));
    }
    note_one_length(h, facts, value, answer);
}

static void note_connection(struct http_head *h, struct framing_facts *facts, struct slice value)
{
    struct slice one;
    while (next_element(&value, &one)) {
        if (slice_ieq(one, SLICE("close")))
            h->close = true;
        else if (slice_ieq(one, SLICE("keep-alive")))
            facts->keep_alive = true;
    }
}

static int note_field(struct http_head *h, struct framing_facts *facts, const struct http_field *f,
                      bool answer)
{
    struct slice host;
    switch (f->id) {
    case HTTP_N_HOST:
        facts->hosts++;
        if (answer || f->value.len == 0 || http_authority_host(f->value, &host))
            return 0;
        return ERR_BAD_HOST;
    case HTTP_N_CONTENT_LENGTH:
        note_length(h, facts, f->value, answer);
        return 0;
    case HTTP_N_TRANSFER_ENCODING:
        facts->codings++;
        facts->chunked = slice_ieq(f->value, SLICE("chunked"));
        return 0;
    case HTTP_N_CONNECTION:
        note_connection(h, facts, f->value);
        return 0;
    case HTTP_N_EXPECT:
        if (slice_ieq(f->value, SLICE("100-continue")))
            h->expect_continue = true;
        else
            facts->expect_other = true;
        return 0;
    default:
        return 0;
    }
}

// All lines up to the blank one. The table is gathered on the stack: its size is known only then.
static int parse_fields(struct slice in, struct arena *arena, struct http_head *h,
                        struct framing_facts *facts, bool answer)
{
    struct http_field table[LIMIT_HEAD_FIELDS];
    unsigned count = 0;
    for (;;) {
        struct slice line;
        int rc = next_line(&in, &line);
        if (rc)
            return rc;
        if (line.len == 0)
            break;
        if (count == LIMIT_HEAD_FIELDS)
            return ERR_HEAD_TOO_LARGE;
        rc = parse_field(line, &table[count]);
        if (!rc)
            rc = note_field(h, facts, &table[count], answer);
        if (rc)
            return rc;
        count++;
    }
    if (in.len > 0)
        return ERR_BAD_HEAD; // bytes behind the blank line: not what h1_head_end measured
    h->fields = arena_alloc(arena, count * sizeof(table[0]));
    if (!h->fields)
        return ERR_NOMEM;
    memcpy(h->fields, table, count * sizeof(table[0]));
    h->count = count;
    return 0;
}

// RFC 9112 6.1 and 6.3, for both directions.
static int judge_framing(struct http_head *h, const struct framing_facts *facts)
{
    if (facts->bad_length || (facts->codings > 0 && facts->lengths > 0))
        return ERR_BAD_LENGTH;
    if (facts->codings > 1 || (facts->codings > 0 && h->minor == 0))
        return ERR_BAD_LENGTH;
    if (facts->codings == 1 && !facts->chunked)
        return ERR_BAD_CODING;
    h->chunked = facts->chunked;
    if (h->minor == 0 && !facts->keep_alive)
        h->close = true;
    return 0;
}

static int judge_request(struct http_head *h, const struct framing_facts *facts)
{
    int rc = judge_framing(h, facts);
    if (rc)
        return rc;
    if (facts->hosts > 1 || (facts->hosts == 0 && h->minor > 0))
        return ERR_BAD_HOST;
    if (h->minor == 0)
        h->expect_continue = false; // RFC 9110 10.1.1: ignored
    else if (facts->expect_other)
        return ERR_BAD_EXPECT;
    return 0;
}

int h1_parse_request(struct slice head, struct arena *arena, struct http_head *ret)
{
    struct http_head h = {.content_length = -1};
    struct framing_facts facts = {0};
    if (slice_starts(head, SLICE("\r\n")))
        head = slice_skip(head, 2);
    struct slice line;
    int rc = next_line(&head, &line);
    if (!rc)
        rc = parse_request_line(line, &h);
    if (!rc)
        rc = parse_fields(head, arena, &h, &facts, false);
    if (!rc)
        rc = judge_request(&h, &facts);
    if (!rc)
        *ret = h;
    return rc;
}

int h1_parse_answer(struct slice head, struct arena *arena, struct http_head *ret)
{
    struct http_head h = {.content_length = -1};
    struct framing_facts facts = {0};
    struct slice line;
    int rc = next_line(&head, &line);
    if (!rc)
        rc = parse_status_line(line, &h);
    if (!rc)
        rc = parse_fields(head, arena, &h, &facts, true);
    if (!rc)
        rc = judge_framing(&h, &facts);
    if (!rc)
        *ret = h;
    return rc;
}

enum h1_framing h1_request_framing(const struct http_head *request)
{
    if (request->chunked)
        return H1_CHUNKED;
    return request->content_length > 0 ? H1_LENGTH : H1_NO_BODY;
}

enum h1_framing h1_answer_framing(const struct http_head *answer, enum http_method method)
{
    if (method == HTTP_HEAD || answer->status < 200 || answer->status == 204 ||
        answer->status == 304)
        return H1_NO_BODY;
    if (answer->chunked)
        return H1_CHUNKED;
    return answer->content_length >= 0 ? H1_LENGTH : H1_UNTIL_CLOSE;
}
