// SPDX-License-Identifier: Apache-2.0
//
// json_scan_fuzz.c: the scanner against yyjson, and against itself in small steps.
//
// They must agree on whether a text is JSON and on the value of every wanted member, with these
// exceptions, each checked for being one: a text nested deeper than JSON_DEPTH_MAX (yyjson has no
// limit); a wanted member that occurs twice (yyjson keeps both); numbers past a double (yyjson is
// told to keep numbers as they stand, because a scan does not convert them).
//
// The roads of json_lanes.h that the machine has must agree on every input. The readers of short
// values run over every input, JSON or not, and must stay inside it.
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/json_lanes.h"
#include "codec/json_scan.h"
#include <stdlib.h>
#include <yyjson.h>

static const struct slice names[] = {
    {"model", 5}, {"stream", 6}, {"k", 1}, {"max_tokens", 10}, {"_x1", 3}, {"fallbacks", 9},
};
#define NAMES ((unsigned)ARRAY_LEN(names))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A text of its own so that a string's neighbours cannot hide a read past its end.
static char *text_of(yyjson_val *value, size_t *ret_len)
{
    char *text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, ret_len);
    ASSERT(text != NULL);
    return text;
}

static void same_value(struct slice text, yyjson_val *expected)
{
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len,
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    ASSERT(doc != NULL);
    size_t len_a;
    size_t len_b;
    char *a = text_of(yyjson_doc_get_root(doc), &len_a);
    char *b = text_of(expected, &len_b);
    ASSERT(len_a == len_b && memcmp(a, b, len_a) == 0);
    free(a);
    free(b);
    yyjson_doc_free(doc);
}

// Whether a reader that ignores case, Unicode's folding included, takes `key` for `name`.
static bool folds_to(yyjson_val *key, struct slice name)
{
    const unsigned char *k = (const unsigned char *)yyjson_get_str(key);
    size_t len = yyjson_get_len(key);
    size_t at = 0;
    for (size_t i = 0; i < len; at++) {
        unsigned char c = k[i++];
        if (c == 0xC5 && i < len && k[i] == 0xBF) {
            c = 's';
            i += 1;
        } else if (c == 0xE2 && i + 1 < len && k[i] == 0x84 && k[i + 1] == 0xAA) {
            c = 'k';
            i += 2;
        } else if (c >= 'A' && c <= 'Z') {
            c = (unsigned char)(c - 'A' + 'a');
        }
        if (at >= name.len || c != (unsigned char)name.ptr[at])
            return false;
    }
    return at == name.len;
}

static unsigned count_folded(yyjson_val *object, struct slice name)
{
    unsigned count = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;)
        count += folds_to(key, name);
    return count;
}

static void check_members(const struct json_scanner *s, yyjson_val *object)
{
    ASSERT(s->type == JSON_OBJECT && s->text.ptr[s->open] == '{' && s->text.ptr[s->close] == '}');
    ASSERT(s->empty == (yyjson_obj_size(object) == 0));
    for (unsigned i = 0; i < NAMES; i++) {
        const struct json_member *m = &s->member[i];
        yyjson_val *value = yyjson_obj_getn(object, names[i].ptr, names[i].len);
        ASSERT(count_folded(object, names[i]) <= 1);
        ASSERT((value != NULL) == (m->type != JSON_NONE));
        if (value == NULL)
            continue;
        same_value(m->value, value);
        ASSERT(m->comma_before < 0 || s->text.ptr[m->comma_before] == ',');
        ASSERT(m->comma_after < 0 || s->text.ptr[m->comma_after] == ',');
        ASSERT((m->type == JSON_STRING) == yyjson_is_str(value));
        ASSERT((m->type == JSON_OBJECT) == yyjson_is_obj(value));
        ASSERT((m->type == JSON_ARRAY) == yyjson_is_arr(value));
        ASSERT((m->type == JSON_NULL) == yyjson_is_null(value));
        ASSERT((m->type == JSON_TRUE) == yyjson_is_true(value));
        ASSERT((m->type == JSON_FALSE) == yyjson_is_false(value));
        ASSERT((m->type == JSON_NUMBER) == yyjson_is_raw(value));
    }
}

static void walk_object(struct slice text, yyjson_val *object);

static void walk_element(struct slice text, enum json_type type, yyjson_val *value)
{
    if (type == JSON_OBJECT) {
        walk_object(text, value);
        return;
    }
    if (type == JSON_ARRAY) {
        size_t position = 0;
        size_t count = 0;
        enum json_type inner_type;
        struct slice inner;
        while (json_array_next(text, &position, &inner_type, &inner))
            walk_element(inner, inner_type, yyjson_arr_get(value, count++));
        ASSERT(count == yyjson_arr_size(value));
        return;
    }
    if (type == JSON_STRING) {
        char *out = malloc(text.len);
        struct slice plain;
        ASSERT(json_unescape(text, out, &plain) == 0);
        ASSERT(slice_eq(plain, slice_of(yyjson_get_str(value), yyjson_get_len(value))));
        free(out);
        return;
    }
    same_value(text, value);
}

static void walk_object(struct slice text, yyjson_val *object)
{
    ASSERT(yyjson_is_obj(object));
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    struct json_member m;
    for (size_t position = 0; json_object_next(text, &position, &m);) {
        yyjson_val *key = yyjson_obj_iter_next(&iter);
        ASSERT(key != NULL);
        walk_element(m.key, JSON_STRING, key);
        walk_element(m.value, m.type, yyjson_obj_iter_get_val(key));
    }
    ASSERT(yyjson_obj_iter_next(&iter) == NULL);
}

static void same_finds(const struct json_scanner *s, const struct json_scanner *whole, int err)
{
    ASSERT(s->error_name == whole->error_name);
    ASSERT(s->type == whole->type && s->open == whole->open && s->close == whole->close);
    for (unsigned i = 0; i < NAMES && err == 0; i++) {
        const struct json_member *a = &s->member[i];
        const struct json_member *b = &whole->member[i];
        ASSERT(a->type == b->type && a->key.ptr == b->key.ptr && a->key.len == b->key.len);
        ASSERT(a->value.ptr == b->value.ptr && a->value.len == b->value.len);
        ASSERT(a->comma_before == b->comma_before && a->comma_after == b->comma_after);
    }
}

// The same scan, a few bytes at a time.
static void check_steps(struct slice text, unsigned flags, const struct json_scanner *whole,
                        int verdict, size_t budget)
{
    struct json_scanner s;
    json_scan_begin(&s, text, names, NAMES, flags);
    int err;
    size_t steps = 0;
    while ((err = json_scan_step(&s, budget)) == ERR_MORE)
        ASSERT(++steps * budget <= text.len);
    ASSERT(err == verdict && json_scan_step(&s, budget) == verdict);
    ASSERT(s.error_at == whole->error_at);
    same_finds(&s, whole, err);
}

// On a text nobody has scanned the readers may say anything, within its bounds.
static void read_blindly(struct slice text)
{
    char *out = malloc(text.len + 1);
    struct slice plain;
    enum json_type type;
    uint64_t number;
    struct json_member m;
    size_t rounds = 0;
    for (size_t at = 0; json_array_next(text, &at, &type, &plain);)
        ASSERT(plain.len > 0 && ++rounds <= text.len);
    for (size_t at = 0; json_object_next(text, &at, &m);)
        ASSERT(m.key.len >= 2 && ++rounds <= 2 * text.len);
    json_object_get(text, names[0]);
    struct json_scanner s;
    (void)json_scan_written(&s, text, names, NAMES);
    json_unescape(text, out, &plain);
    json_u64(text, &number);
    free(out);
}

// What this machine's road says of the groups the other says too.
static void check_roads(struct slice text)
{
    const char *end = text.ptr + text.len;
    for (size_t from = 0; from < text.len && from < 3; from++) {
        const char *p = text.ptr + from;
        bool escapes = false, other_escapes = false, in_string, other_in_string;
        size_t depth, other_depth;
        const char *limit = p + text.len / 2;
        limit = limit < end ? limit : end;
        ASSERT(json_lanes_string(p, limit, end, &escapes) ==
               json_lanes_string_any(p, limit, end, &other_escapes));
        ASSERT(escapes == other_escapes);
        ASSERT(json_lanes_quote(p, end) == json_lanes_quote_any(p, end));
        ASSERT(json_lanes_close(p, end, &depth, &in_string) ==
               json_lanes_close_any(p, end, &other_depth, &other_in_string));
        ASSERT(depth == other_depth && in_string == other_in_string);
    }
}

// A well-formed object without what is around it, as if we had written it.
static void check_written(struct slice text)
{
    struct json_scanner whole, s;
    int verdict = json_scan(&whole, text, names, NAMES, 0);
    ASSERT(json_scan_written(&s, text, names, NAMES) == verdict);
    same_finds(&s, &whole, verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct json_scanner s;
    int verdict = json_scan(&s, text, names, NAMES, JSON_SCAN_ANY_VALUE);
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)data, size, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    ASSERT(s.error_at <= size);
    if (verdict == 0) {
        ASSERT(doc != NULL);
        if (s.type == JSON_OBJECT) {
            check_members(&s, root);
            check_written(slice_of(text.ptr + s.open, s.close + 1 - s.open));
        }
        walk_element(text, JSON_NULL, root);
        size_t from = s.type == JSON_OBJECT || s.type == JSON_ARRAY ? s.open : 0;
        size_t len = s.type == JSON_OBJECT || s.type == JSON_ARRAY ? s.close + 1 - from : 0;
        if (len > 0)
            walk_element(slice_of(text.ptr + from, len), s.type, root);
    } else if (verdict == ERR_DUPLICATE) {
        ASSERT(s.error_name >= 0 && s.error_name < (int)NAMES);
        ASSERT(doc == NULL || count_folded(root, names[s.error_name]) >= 2);
    } else {
        ASSERT(verdict == ERR_BAD_DEPTH || doc == NULL);
    }
    static const size_t budgets[] = {1, 2, 3, 7, 16, 61};
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++)
        check_steps(text, JSON_SCAN_ANY_VALUE, &s, verdict, budgets[i]);
    bool other = s.type != JSON_NONE && s.type != JSON_OBJECT;
    verdict = json_scan(&s, text, names, NAMES, 0);
    ASSERT(!other || verdict == ERR_BAD_JSON);
    check_steps(text, 0, &s, verdict, 5);
    read_blindly(text);
    check_roads(text);
    yyjson_doc_free(doc);
    return 0;
}
