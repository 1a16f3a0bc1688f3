// SPDX-License-Identifier: Apache-2.0
//
// forwarded.c: see forwarded.h. A list is read from its end, the last field line first; within a
// Forwarded element a quoted string may hold what otherwise separates.
#include "gateway/forwarded.h"

// ---- Lists from the right ----------------------------------------------------------------------

struct walk {
    const struct http_head *head;
    struct slice name;
    unsigned field;    // lines left of and including the current one
    struct slice rest; // of the current line, unread
    bool open;         // a line is being read
};

// Where the last element of `s` begins, quotes respected: one pass from the left, because a quote
// is only known from there.
static size_t last_element(struct slice s)
{
    bool quoted = false;
    size_t begin = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\' && quoted)
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (s.ptr[i] == ',' && !quoted)
            begin = i + 1;
    }
    // A quote that never ends was opened by a forger, to take what trusted hops add behind it into
    // his own element: hops add whole elements, so without it the commas are theirs.
    for (size_t i = s.len; quoted && i > 0; i--) {
        if (s.ptr[i - 1] == ',')
            return i;
    }
    return quoted ? 0 : begin;
}

// False: there is none further left. Empty elements count as none (RFC 9110 5.6.1).
static bool next_element(struct walk *w, struct slice *ret)
{
    for (;;) {
        while (!w->open) {
            if (w->field == 0)
                return false;
            const struct http_field *f = &w->head->fields[--w->field];
            w->open = slice_ieq(f->name, w->name);
            w->rest = f->value;
        }
        size_t begin = last_element(w->rest);
        struct slice element = slice_trim(slice_skip(w->rest, begin));
        w->open = begin > 0;
        w->rest = slice_take(w->rest, begin > 0 ? begin - 1 : 0);
        if (element.len > 0) {
            *ret = element;
            return true;
        }
    }
}

// ---- Elements ----------------------------------------------------------------------------------

static struct slice unquoted(struct slice s)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        s = slice_of(s.ptr + 1, s.len - 2);
    return s;
}

// "for=…;proto=…;host=…": the parameter's value, empty when there is none.
static struct slice parameter(struct slice element, struct slice name)
{
    while (element.len > 0) {
        bool quoted = false;
        size_t end = 0;
        for (; end < element.len && (quoted || element.ptr[end] != ';'); end++) {
            if (element.ptr[end] == '\\' && quoted && end + 1 < element.len)
                end++;
            else if (element.ptr[end] == '"')
                quoted = !quoted;
        }
        struct slice pair = slice_trim(slice_take(element, end));
        ptrdiff_t equals = slice_find_char(pair, '=');
        if (equals > 0 && slice_ieq(slice_take(pair, (size_t)equals), name))
            return unquoted(slice_skip(pair, (size_t)equals + 1));
        element = slice_skip(element, end + 1);
    }
    return SLICE_EMPTY;
}

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1"; not "unknown" or "_hidden".
static bool node_address(struct slice node, struct ip *ret)
{
    if (ip_parse(node, ret))
        return true;
    bool bracketed = node.len > 0 && node.ptr[0] == '[';
    ptrdiff_t colon = slice_find_char(node, bracketed ? ']' : ':');
    if (colon < 0 || (bracketed && ((size_t)colon + 1 >= node.len || node.ptr[colon + 1] != ':')))
        return false;
    struct slice port = slice_skip(node, (size_t)colon + (bracketed ? 2 : 1));
    uint64_t number;
    if (port.len == 0 || port.len > 5 || slice_to_u64(port, &number) != 0)
        return false;
    return ip_parse(slice_take(node, (size_t)colon + (bracketed ? 1 : 0)), ret);
}

// ---- The whole ---------------------------------------------------------------------------------

static struct slice last_of(const struct http_head *head, struct slice name)
{
    struct walk w = {.head = head, .name = name, .field = head->count};
    struct slice value;
    return next_element(&w, &value) ? value : SLICE_EMPTY;
}

static void read_rest(const struct forwarded_rules *rules, const struct http_head *head,
                      struct forwarded *f)
{
    struct slice scheme, last = SLICE_EMPTY;
    if (rules->standard) {
        last = last_of(head, SLICE("forwarded"));
        scheme = parameter(last, SLICE("proto"));
        f->host = parameter(last, SLICE("host"));
    } else {
        scheme = last_of(head, SLICE("x-forwarded-proto"));
        f->host = last_of(head, SLICE("x-forwarded-host"));
    }
    f->scheme = slice_ieq(scheme, SLICE("https"))  ? FORWARDED_HTTPS
                : slice_ieq(scheme, SLICE("http")) ? FORWARDED_HTTP
                                                   : FORWARDED_UNSAID;
}

struct forwarded forwarded_read(const struct forwarded_rules *rules, const struct http_head *head,
                                struct slice peer, struct arena *arena)
{
    struct forwarded f = {.client = peer};
    struct ip client;
    if (rules->trusted_count == 0 || !ip_parse(peer, &client) ||
        !ip_nets_have(rules->trusted, rules->trusted_count, &client))
        return f;
    struct slice name = rules->standard ? SLICE("forwarded") : SLICE("x-forwarded-for");
    struct walk w = {.head = head, .name = name, .field = head->count};
    struct slice element;
    // A hop that hides its client, or says nothing that can be read, is the last one known.
    for (unsigned hops = 0; hops < FORWARDED_HOPS_MAX && next_element(&w, &element); hops++) {
        struct slice node = rules->standard ? parameter(element, SLICE("for")) : element;
        if (!node_address(node, &client))
            break;
        char *text = arena_bytes(arena, IP_TEXT_BYTES);
        if (text == NULL)
            break;
        f.client = slice_of(text, ip_print(&client, text));
        if (!ip_nets_have(rules->trusted, rules->trusted_count, &client))
            break;
    }
    read_rest(rules, head, &f);
    return f;
}
