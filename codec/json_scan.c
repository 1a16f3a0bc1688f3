// SPDX-License-Identifier: Apache-2.0
//
// json_scan.c: the walk.
//
// One state says what the next byte may be; the nesting is a bit per open container. A step runs
// `walk` until `budget` bytes are behind it. Every loop inside a token stops there too, so a string
// or a number of 100 MB is no longer turn than anything else; what is short (an escape, a
// character, a literal) is walked whole and may end a few bytes past the limit. Nothing is read
// past the text's end.
//
//                  ┌────────────── ',' ───────────────┐
//                  ▼                                  │
//     '{' ──► OBJECT_FIRST ─┐                         │
//                  KEY ─────┴─► IN_KEY ──► COLON ──► VALUE ──► IN_STRING ──────────┐
//     '[' ──► ARRAY_FIRST ──────────────────────────► │ ├────► INT FRACTION EXP ───┼──► AFTER
//                                                     │ └────► literal ────────────┘    │ ▲
//                                                     └── '{' '[' (deeper)   '}' ']' ───┴─┘
//
//     DONE: AFTER at depth 0 when the text has ended.       FAILED: from anywhere, by `fail`.
//
// Most bytes of a prompt are plain string bytes and escapes of two: those go by the group, without
// a branch on where the escapes are (json_lanes.h). Characters outside ASCII are checked one by one
// against the table of well-formed sequences (Unicode, table 3-7).
//
// A top-level name is compared when it ends. One without escapes and of a length no wanted name has
// is dismissed by a bit; escapes and the two characters that fold into ASCII take the slow road.
#include "codec/json_scan.h"

#include "base/assert.h"
#include "base/err.h"
#include "codec/json_lanes.h"
#include "codec/json_token.h"

// Sixteens in which the end of a string is looked for before it counts as long.
#define SHORT_LOOKS 2

enum walk_state {
    WALK_VALUE,
    WALK_OBJECT_FIRST,
    WALK_ARRAY_FIRST,
    WALK_KEY,
    WALK_COLON,
    WALK_AFTER,
    WALK_IN_KEY,
    WALK_IN_STRING,
    WALK_IN_INT,
    WALK_IN_FRACTION,
    WALK_IN_EXPONENT,
    WALK_DONE,
    WALK_FAILED,
};

static const char *text_end(const struct json_scanner *s)
{
    return s->text.ptr + s->text.len;
}

static size_t offset(const struct json_scanner *s, const char *p)
{
    return (size_t)(p - s->text.ptr);
}

// Always NULL, which is how a walk_x says that the scan has failed.
static __attribute__((cold, noinline)) const char *fail(struct json_scanner *s, int error,
                                                        const char *p)
{
    ASSERT(s->state != WALK_FAILED && p >= s->text.ptr && p <= text_end(s));
    s->state = WALK_FAILED;
    s->error = error;
    s->error_at = offset(s, p);
    return NULL;
}

static bool in_object(const struct json_scanner *s)
{
    ASSERT(s->depth > 0);
    unsigned level = s->depth - 1;
    return s->nesting[level / 64] >> (level % 64) & 1;
}

// Names: the comparison with the wanted ones.

// `s` with the two characters that fold into ASCII replaced; `out` holds at least s.len bytes.
static struct slice fold_odd(struct slice s, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        struct slice rest = slice_skip(s, i);
        char c = s.ptr[i];
        if (slice_starts(rest, SLICE("\xC5\xBF"))) {
            c = 's'; // U+017F, long s
            i += 1;
        } else if (slice_starts(rest, SLICE("\xE2\x84\xAA"))) {
            c = 'k'; // U+212A, the Kelvin sign
            i += 2;
        }
        out[len++] = c;
    }
    return slice_of(out, len);
}

// `key` spells `name`, which is `folded` but for letter case.
static const char *match_name(struct json_scanner *s, struct slice key, struct slice name,
                              struct slice folded)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct slice *wanted = &s->names[i];
        if (folded.len != wanted->len || wanted->len == 0)
            continue;
        bool exact = slice_eq(name, *wanted);
        if (!exact && !slice_ieq(folded, *wanted))
            continue;
        if (s->seen >> i & 1) {
            s->error_name = (int)i;
            return fail(s, ERR_DUPLICATE, key.ptr);
        }
        s->seen |= UINT32_C(1) << i;
        if (exact) {
            s->current = (int)i;
            s->member[i].key = key;
            s->member[i].comma_before = s->comma;
        }
        break;
    }
    return key.ptr + key.len;
}

// Of a name with escapes or bytes outside ASCII.
static const char *match_odd_key(struct json_scanner *s, struct slice key)
{
    char buffer[6 * JSON_NAME_BYTES_MAX + 2];
    char folded[6 * JSON_NAME_BYTES_MAX + 2];
    struct slice name;
    if (key.len > sizeof(buffer))
        return key.ptr + key.len;               // no spelling of a wanted name is as long
    if (json_unescape(key, buffer, &name) != 0) // never of one that has been walked
        return fail(s, ERR_BAD_JSON, key.ptr);
    return match_name(s, key, name, fold_odd(name, folded));
}

// A top-level name has ended before `p`.
static const char *match_key(struct json_scanner *s, const char *p)
{
    ASSERT(s->current < 0);
    struct slice key = slice_of(s->text.ptr + s->key_at, offset(s, p) - s->key_at);
    if (s->odd)
        return match_odd_key(s, key);
    struct slice name = slice_of(key.ptr + 1, key.len - 2);
    if (name.len > JSON_NAME_BYTES_MAX || !(s->lengths >> (name.len % 64) & 1))
        return p;
    return match_name(s, key, name, name);
}

static inline const char *key_end(struct json_scanner *s, const char *p)
{
    s->state = WALK_COLON;
    return s->depth == 1 ? match_key(s, p) : p;
}

// A value has ended before `p`.
static inline const char *value_end(struct json_scanner *s, const char *p)
{
    s->state = WALK_AFTER;
    if (s->depth == 1 && s->current >= 0) {
        struct slice *value = &s->member[s->current].value;
        value->len = (size_t)(p - value->ptr);
    }
    return p;
}

// Strings.

// Where the plain characters from `p` on end, sixteen at a time and the last of them one by one;
// may stop early, at `limit` or some bytes after it.
static const char *skip_plain(const char *p, const char *limit, const char *end)
{
    for (; p < limit && end - p >= LANES_BYTES; p += LANES_BYTES) {
        unsigned first = lanes_first(lanes_not_plain(lanes_load(p)));
        if (first < LANES_BYTES)
            return p + first;
    }
    while (p < limit && p < end && *p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

// The closing quote when it is among the first bytes and nothing else is: nearly every name and
// most values. Otherwise NULL, and the string is walked.
static inline const char *short_string_end(const char *p, const char *limit)
{
    for (int look = 0; look < SHORT_LOOKS && limit - p >= LANES_BYTES; look++, p += LANES_BYTES) {
        unsigned first = lanes_first(lanes_not_plain(lanes_load(p)));
        if (first < LANES_BYTES)
            return p[first] == '"' ? p + first : NULL;
    }
    return NULL;
}

// Length of the well-formed UTF-8 sequence at `p`, which begins with a byte outside ASCII; 0 when
// it is not one.
static unsigned utf8_sequence(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (u[0] >= 0xE0 && u[0] < 0xF0) {
        if (left < 3 || (u[1] & 0xC0) != 0x80 || (u[2] & 0xC0) != 0x80)
            return 0;
        if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F))
            return 0; // overlong, surrogate
        return 3;
    }
    if (u[0] < 0xE0)
        return u[0] >= 0xC2 && left >= 2 && (u[1] & 0xC0) == 0x80 ? 2 : 0;
    if (left < 4 || (u[1] & 0xC0) != 0x80 || (u[2] & 0xC0) != 0x80 || (u[3] & 0xC0) != 0x80)
        return 0;
    if (u[0] > 0xF4 || (u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F))
        return 0; // overlong, above U+10FFFF
    return 4;
}

// A run of characters outside ASCII, with the single spaces and commas between words of them. The
// usual two- and three-byte sequences are recognised in one word; what that turns away, and the
// text's last bytes, go through the table.
static const char *skip_utf8(struct json_scanner *s, const char *p, const char *limit)
{
    const char *end = text_end(s);
    while (p < limit) {
        uint32_t w = 0;
        if (end - p >= 4)
            memcpy(&w, p, 4);
        if ((w & 0x00C0C0F0) == 0x008080E0 && (w & 0x200F) != 0 && (w & 0x200F) != 0x200D) {
            p += 3; // neither overlong nor a surrogate
        } else if ((w & 0x0000C0E0) == 0x000080C0 && (w & 0x1E) != 0) {
            p += 2; // not overlong
        } else if ((w & 0x8080) == 0x8000 && (*p == ' ' || *p == ',')) {
            p++;
        } else if (*p >= 0) {
            return p;
        } else {
            unsigned len = utf8_sequence(p, end);
            if (len == 0)
                return fail(s, ERR_BAD_UTF8, p);
            p += len;
        }
    }
    return p;
}

// Inside a string, name or value.
static const char *walk_string(struct json_scanner *s, const char *p, const char *limit)
{
    const char *end = text_end(s);
    while (p < limit) {
        bool wide = end - p >= JSON_LANES;
        p = wide ? json_lanes_string(p, limit, end, &s->odd) : skip_plain(p, limit, end);
        if (p >= limit)
            break;
        if (*p == '"')
            return s->state == WALK_IN_KEY ? key_end(s, p + 1) : value_end(s, p + 1);
        s->odd = true;
        if (*p < 0) {
            p = skip_utf8(s, p, limit);
            if (p == NULL)
                return NULL;
            continue;
        }
        if (*p >= 0x20 && *p != '\\')
            continue; // plain: less than a group is left
        uint32_t code;
        unsigned len = *p == '\\' ? json__escape(p, end, &code) : 0;
        if (len == 0)
            return fail(s, ERR_BAD_JSON, p);
        p += len;
    }
    return p;
}

// Numbers.

// Inside a run of digits; behind it comes the next part of the number or its end.
static const char *walk_digits(struct json_scanner *s, const char *p, const char *limit)
{
    const char *end = text_end(s);
    for (;;) {
        while (p < limit && json__is_digit(*p))
            p++;
        if (p >= limit && p < end && json__is_digit(*p))
            return p;
        if (p == end)
            return value_end(s, p);
        if (*p == '.' && s->state == WALK_IN_INT) {
            s->state = WALK_IN_FRACTION;
            p++;
        } else if ((*p == 'e' || *p == 'E') && s->state != WALK_IN_EXPONENT) {
            s->state = WALK_IN_EXPONENT;
            p++;
            if (p < end && (*p == '+' || *p == '-'))
                p++;
        } else {
            return value_end(s, p);
        }
        if (p == end || !json__is_digit(*p))
            return fail(s, ERR_BAD_JSON, p);
    }
}

static const char *begin_number(struct json_scanner *s, const char *p, const char *limit)
{
    const char *end = text_end(s);
    if (*p == '-')
        p++;
    if (p == end || !json__is_digit(*p))
        return fail(s, ERR_BAD_JSON, p);
    s->state = WALK_IN_INT;
    if (*p == '0' && end - p >= 2 && json__is_digit(p[1]))
        return fail(s, ERR_BAD_JSON, p + 1);
    return walk_digits(s, p, limit);
}

// Values and what stands between them.

static const char *walk_literal(struct json_scanner *s, const char *p, enum json_type type)
{
    struct slice word = type == JSON_TRUE    ? SLICE("true")
                        : type == JSON_FALSE ? SLICE("false")
                                             : SLICE("null");
    if (!slice_starts(slice_of(p, (size_t)(text_end(s) - p)), word))
        return fail(s, ERR_BAD_JSON, p);
    return value_end(s, p + word.len);
}

static const char *open_container(struct json_scanner *s, const char *p, enum json_type type)
{
    if (s->depth == JSON_DEPTH_MAX)
        return fail(s, ERR_BAD_DEPTH, p);
    if (s->depth == 0)
        s->open = offset(s, p);
    uint64_t bit = UINT64_C(1) << (s->depth % 64);
    if (type == JSON_OBJECT)
        s->nesting[s->depth / 64] |= bit;
    else
        s->nesting[s->depth / 64] &= ~bit;
    s->depth++;
    s->state = type == JSON_OBJECT ? WALK_OBJECT_FIRST : WALK_ARRAY_FIRST;
    return p + 1;
}

static const char *close_container(struct json_scanner *s, const char *p)
{
    ASSERT(s->depth > 0);
    s->depth--;
    if (s->depth == 0)
        s->close = offset(s, p);
    return value_end(s, p + 1);
}

static const char *walk_after(struct json_scanner *s, const char *p)
{
    if (s->depth == 0)
        return fail(s, ERR_BAD_JSON, p);
    bool object = in_object(s);
    if (*p == (object ? '}' : ']'))
        return close_container(s, p);
    if (*p != ',')
        return fail(s, ERR_BAD_JSON, p);
    s->state = object ? WALK_KEY : WALK_VALUE;
    if (s->depth == 1) {
        s->comma = (ptrdiff_t)offset(s, p);
        if (s->current >= 0)
            s->member[s->current].comma_after = s->comma;
        s->current = -1;
    }
    return p + 1;
}

// Notes where a wanted or the top-level value begins.
static const char *note_value(struct json_scanner *s, const char *p, enum json_type type)
{
    if (s->depth == 0) {
        s->type = type;
        if (type != JSON_OBJECT && !(s->flags & JSON_SCAN_ANY_VALUE))
            return fail(s, ERR_BAD_JSON, p);
    } else if (s->current >= 0) {
        s->member[s->current].type = type;
        s->member[s->current].value.ptr = p;
    }
    return p;
}

static const char *walk_value(struct json_scanner *s, const char *p, const char *limit)
{
    enum json_type type = json__type_of(*p);
    if (s->depth <= 1 && note_value(s, p, type) == NULL)
        return NULL;
    const char *past;
    switch (type) {
    case JSON_STRING:
        s->state = WALK_IN_STRING;
        past = short_string_end(p + 1, limit);
        p = past != NULL ? value_end(s, past + 1) : walk_string(s, p + 1, limit);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return open_container(s, p, type);
    case JSON_NUMBER:
        p = begin_number(s, p, limit);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        p = walk_literal(s, p, type);
        break;
    default:
        return fail(s, ERR_BAD_JSON, p);
    }
    // Most often the comma is next: no need to come back for it.
    bool comma = p != NULL && p < limit && s->state == WALK_AFTER && *p == ',';
    return comma ? walk_after(s, p) : p;
}

// A member, or as far as it goes without white space.
static const char *walk_key(struct json_scanner *s, const char *p, const char *limit)
{
    if (*p != '"')
        return fail(s, ERR_BAD_JSON, p);
    s->state = WALK_IN_KEY;
    s->key_at = offset(s, p);
    s->odd = false;
    const char *past = short_string_end(p + 1, limit);
    p = past != NULL ? key_end(s, past + 1) : walk_string(s, p + 1, limit);
    if (p == NULL || p >= limit || s->state != WALK_COLON || *p != ':')
        return p;
    p++;
    s->state = WALK_VALUE;
    return p < limit && !json__is_space(*p) ? walk_value(s, p, limit) : p;
}

// A token or some from `p` on, or what of it lies before `limit`. NULL when the scan has failed.
static const char *walk(struct json_scanner *s, const char *p, const char *limit)
{
    if (s->state >= WALK_IN_KEY)
        return s->state <= WALK_IN_STRING ? walk_string(s, p, limit) : walk_digits(s, p, limit);
    p = json__skip_space(p, limit);
    if (p >= limit)
        return p;
    switch (s->state) {
    case WALK_OBJECT_FIRST:
        if (*p != '}')
            return walk_key(s, p, limit);
        s->empty = s->depth == 1;
        return close_container(s, p);
    case WALK_ARRAY_FIRST:
        return *p == ']' ? close_container(s, p) : walk_value(s, p, limit);
    case WALK_KEY:
        return walk_key(s, p, limit);
    case WALK_COLON:
        if (*p != ':')
            return fail(s, ERR_BAD_JSON, p);
        s->state = WALK_VALUE;
        return p + 1;
    case WALK_AFTER:
        return walk_after(s, p);
    default:
        ASSERT(s->state == WALK_VALUE);
        return walk_value(s, p, limit);
    }
}

void json_scan_begin(struct json_scanner *s, struct slice text, const struct slice *names,
                     unsigned count, unsigned flags)
{
    ASSERT(count <= JSON_WANTS_MAX && (flags & ~(unsigned)JSON_SCAN_ANY_VALUE) == 0);
    s->text = text.len > 0 ? text : SLICE("");
    s->names = names;
    s->count = count;
    s->flags = flags;
    s->type = JSON_NONE;
    s->open = s->close = s->at = s->error_at = s->key_at = 0;
    s->empty = s->odd = false;
    s->error = 0;
    s->error_name = s->current = -1;
    s->state = WALK_VALUE;
    s->depth = 0;
    s->seen = 0;
    s->lengths = 0;
    s->comma = -1;
    for (unsigned i = 0; i < count; i++) {
        ASSERT(names[i].len <= JSON_NAME_BYTES_MAX);
        if (names[i].len > 0)
            s->lengths |= UINT64_C(1) << (names[i].len % 64);
        s->member[i] = (struct json_member){.comma_before = -1, .comma_after = -1};
    }
}

int json_scan_step(struct json_scanner *s, size_t budget)
{
    ASSERT(budget > 0);
    if (s->state >= WALK_DONE)
        return s->error;
    const char *end = text_end(s);
    const char *p = s->text.ptr + s->at;
    const char *limit = budget < s->text.len - s->at ? p + budget : end;
    while (p < limit) {
        p = walk(s, p, limit);
        if (p == NULL)
            return s->error;
    }
    s->at = offset(s, p);
    if (p < end)
        return ERR_MORE;
    if (s->state != WALK_AFTER || s->depth != 0) {
        fail(s, ERR_BAD_JSON, end);
        return s->error;
    }
    s->state = WALK_DONE;
    return 0;
}

int json_scan(struct json_scanner *s, struct slice text, const struct slice *names, unsigned count,
              unsigned flags)
{
    json_scan_begin(s, text, names, count, flags);
    return json_scan_step(s, SIZE_MAX);
}

static bool is_odd(struct slice key)
{
    bool odd = false;
    for (size_t i = 0; i < key.len; i++)
        odd |= key.ptr[i] < 0 || key.ptr[i] == '\\';
    return odd;
}

// Members come from the reader of short values, which skips by quotes and brackets alone.
int json_scan_written(struct json_scanner *s, struct slice text, const struct slice *names,
                      unsigned count)
{
    struct json_member m;
    size_t at = 0;
    json_scan_begin(s, text, names, count, 0);
    s->type = JSON_OBJECT;
    s->depth = 1;
    while (json_object_next(s->text, &at, &m)) {
        s->comma = m.comma_before;
        s->key_at = offset(s, m.key.ptr);
        s->odd = is_odd(m.key);
        if (match_key(s, m.key.ptr + m.key.len) == NULL)
            return s->error;
        if (s->current >= 0) {
            struct json_member *wanted = &s->member[s->current];
            wanted->type = m.type;
            wanted->value = m.value;
            wanted->comma_after = m.comma_after;
        }
        s->current = -1;
    }
    const char *last = text_end(s) - (s->text.len > 0);
    const char *behind = s->text.ptr + at; // where the member that is none begins
    if (at == 0 && s->text.len >= 2 && *behind == '{')
        behind = json__skip_space(behind + 1, last);
    if (*s->text.ptr != '{' || behind != last || *last != '}') {
        fail(s, ERR_BAD_JSON, behind);
        return s->error;
    }
    s->empty = at == 0;
    s->close = s->text.len - 1;
    s->at = s->text.len;
    s->depth = 0;
    s->state = WALK_DONE;
    return 0;
}
