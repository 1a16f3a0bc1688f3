// SPDX-License-Identifier: Apache-2.0
//
// golden.c: see golden.h.
#include "tests/support/golden.h"

#include "base/assert.h"
#include "base/err.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <yyjson.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define CASES_MAX      4096

static const char *const file_names[GOLDEN_FILE_COUNT] = {
    [GOLDEN_REQUEST_CLIENT] = "request.client.json",
    [GOLDEN_REQUEST_PROVIDER] = "request.provider.json",
    [GOLDEN_ANSWER_PROVIDER] = "answer.provider.json",
    [GOLDEN_ANSWER_CLIENT] = "answer.client.json",
    [GOLDEN_STREAM_PROVIDER] = "stream.provider.sse",
    [GOLDEN_STREAM_CLIENT] = "stream.client.sse",
    [GOLDEN_DROPPED] = "dropped",
    [GOLDEN_REFUSED] = "refused",
    [GOLDEN_BROKEN] = "broken",
    [GOLDEN_VERBATIM] = "verbatim",
    [GOLDEN_KEEPS_THOUGHTS] = "keeps_thoughts",
};

static const struct golden_side sides[] = {
    {"chat", &dialect_openai_chat, stream_rules_chat},
    {"responses", &dialect_openai_responses, stream_rules_responses},
    {"messages", &dialect_anthropic_messages, stream_rules_messages},
    {"text", &dialect_openai_text, NULL},
    {"complete", &dialect_anthropic_complete, NULL},
};

// ---- Reading ------------------------------------------------------------------------------------

static struct slice read_file(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return SLICE_EMPTY;
    char *text = malloc(FILE_BYTES_MAX);
    ASSERT(text);
    size_t len = fread(text, 1, FILE_BYTES_MAX, f);
    ASSERT(len < FILE_BYTES_MAX && !ferror(f));
    fclose(f);
    return slice_of(text, len);
}

static bool side_named(struct slice name, struct golden_side *ret)
{
    for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
        if (slice_eq(name, slice_str(sides[i].name))) {
            *ret = sides[i];
            return true;
        }
    }
    return false;
}

static void read_model(struct golden_case *c)
{
    struct slice text = c->file[GOLDEN_REQUEST_PROVIDER];
    yyjson_doc *doc = yyjson_read(text.ptr, text.len, 0);
    const char *model =
        doc ? yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "model")) : NULL;
    snprintf(c->model, sizeof(c->model), "%s", model ? model : "test-model");
    yyjson_doc_free(doc);
}

static void read_case(struct golden *g, const char *root, const char *pair, const char *name)
{
    char folder[512];
    ASSERT(g->count < CASES_MAX);
    struct golden_case *c = &g->cases[g->count];
    struct slice both = slice_str(pair);
    ptrdiff_t dash = slice_find_char(both, '-');
    bool known = dash > 0 && side_named(slice_take(both, (size_t)dash), &c->client) &&
                 side_named(slice_skip(both, (size_t)dash + 1), &c->provider);
    ASSERT(known);
    int len = snprintf(folder, sizeof(folder), "%s/%s/%s", root, pair, name);
    ASSERT(len > 0 && (size_t)len < sizeof(folder));
    c->name = strdup(folder + strlen(root) + 1);
    ASSERT(c->name);
    for (size_t i = 0; i < GOLDEN_FILE_COUNT; i++)
        c->file[i] = read_file(folder, file_names[i]);
    read_model(c);
    g->count++;
}

static int is_folder(const struct dirent *entry)
{
    return entry->d_type == DT_DIR && entry->d_name[0] != '.' && entry->d_name[0] != '_';
}

void golden_read(struct golden *g, const char *root)
{
    struct dirent **pairs, **cases;
    *g = (struct golden){.cases = calloc(CASES_MAX, sizeof(*g->cases))};
    int pair_count = scandir(root, &pairs, is_folder, alphasort);
    ASSERT(g->cases && pair_count >= 0);
    g->pairs = (size_t)pair_count;
    for (int i = 0; i < pair_count; i++) {
        char folder[512];
        snprintf(folder, sizeof(folder), "%s/%s", root, pairs[i]->d_name);
        int count = scandir(folder, &cases, is_folder, alphasort);
        ASSERT(count >= 0);
        for (int k = 0; k < count; k++) {
            read_case(g, root, pairs[i]->d_name, cases[k]->d_name);
            free(cases[k]);
        }
        free(cases);
        free(pairs[i]);
    }
    free(pairs);
}

void golden_done(struct golden *g)
{
    for (size_t i = 0; i < g->count; i++) {
        for (size_t k = 0; k < GOLDEN_FILE_COUNT; k++)
            free((char *)g->cases[i].file[k].ptr);
        free(g->cases[i].name);
    }
    free(g->cases);
}

bool golden_translates(const struct golden_case *c, bool stream)
{
    return dialect_translates(c->client.dialect, c->provider.dialect, stream);
}

// ---- Comparing JSON -----------------------------------------------------------------------------

// Where in the two texts, and what is being said about it.
struct place {
    char path[256];
    size_t len;
    struct golden_diff *diff;
};

__attribute__((format(printf, 2, 3))) static bool differs(struct place *at, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    snprintf(at->diff->text, sizeof(at->diff->text), "%.*s: %s", (int)at->len, at->path, what);
    return false;
}

static size_t enter(struct place *at, const char *name, size_t index)
{
    size_t len = at->len, room = sizeof(at->path) - len;
    int more = name ? snprintf(at->path + len, room, "/%s", name)
                    : snprintf(at->path + len, room, "/%zu", index);
    at->len = len + ((size_t)more < room ? (size_t)more : room - 1);
    return len;
}

static bool same(yyjson_val *a, yyjson_val *b, bool ordered, struct place *at);

// Members whose objects are schemas: theirs is an order that a model sees.
static bool is_schema(const char *name)
{
    return strcmp(name, "parameters") == 0 || strcmp(name, "input_schema") == 0 ||
           strcmp(name, "schema") == 0;
}

static bool same_object(yyjson_val *a, yyjson_val *b, bool ordered, struct place *at)
{
    yyjson_val *key, *other_key;
    yyjson_obj_iter of_a = yyjson_obj_iter_with(a), of_b = yyjson_obj_iter_with(b);
    yyjson_obj_iter others = yyjson_obj_iter_with(b);
    while ((other_key = yyjson_obj_iter_next(&others))) {
        const char *name = yyjson_get_str(other_key);
        if (!yyjson_obj_getn(a, name, yyjson_get_len(other_key)))
            return differs(at, "unexpected member '%s'", name);
    }
    while ((key = yyjson_obj_iter_next(&of_a))) {
        const char *name = yyjson_get_str(key);
        yyjson_val *value = yyjson_obj_getn(b, name, yyjson_get_len(key));
        other_key = yyjson_obj_iter_next(&of_b);
        if (!value)
            return differs(at, "no member '%s'", name);
        if (ordered && !yyjson_equals_strn(other_key, name, yyjson_get_len(key)))
            return differs(at, "member '%s' stands elsewhere", name);
        size_t back = enter(at, name, 0);
        if (!same(yyjson_obj_iter_get_val(key), value, ordered || is_schema(name), at))
            return false;
        at->len = back;
    }
    if (yyjson_obj_size(a) != yyjson_obj_size(b))
        return differs(at, "a member stands twice");
    return true;
}

static bool same_array(yyjson_val *a, yyjson_val *b, bool ordered, struct place *at)
{
    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return differs(at, "%zu elements, %zu expected", yyjson_arr_size(b), yyjson_arr_size(a));
    yyjson_arr_iter of_a = yyjson_arr_iter_with(a), of_b = yyjson_arr_iter_with(b);
    for (size_t i = 0; i < yyjson_arr_size(a); i++) {
        size_t back = enter(at, NULL, i);
        if (!same(yyjson_arr_iter_next(&of_a), yyjson_arr_iter_next(&of_b), ordered, at))
            return false;
        at->len = back;
    }
    return true;
}

static bool same(yyjson_val *a, yyjson_val *b, bool ordered, struct place *at)
{
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return differs(at, "it is %s, %s expected", yyjson_get_type_desc(b),
                       yyjson_get_type_desc(a));
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_OBJ:
        return same_object(a, b, ordered, at);
    case YYJSON_TYPE_ARR:
        return same_array(a, b, ordered, at);
    case YYJSON_TYPE_STR:
    case YYJSON_TYPE_RAW: { // a number as it is spelt
        struct slice x =
            slice_of(yyjson_is_raw(a) ? yyjson_get_raw(a) : yyjson_get_str(a), yyjson_get_len(a));
        struct slice y =
            slice_of(yyjson_is_raw(b) ? yyjson_get_raw(b) : yyjson_get_str(b), yyjson_get_len(b));
        return slice_eq(x, y) || differs(at, "'%.*s', expected '%.*s'", SLICE_ARG(y), SLICE_ARG(x));
    }
    default:
        return yyjson_get_subtype(a) == yyjson_get_subtype(b) || differs(at, "true is not false");
    }
}

bool golden_same_json(struct slice expected, struct slice got, struct golden_diff *ret)
{
    struct place at = {.diff = ret};
    yyjson_doc *a = yyjson_read(expected.ptr, expected.len, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_doc *b = yyjson_read(got.ptr, got.len, YYJSON_READ_NUMBER_AS_RAW);
    bool is_same;
    if (a && b)
        is_same = same(yyjson_doc_get_root(a), yyjson_doc_get_root(b), false, &at);
    else
        is_same = differs(&at, a ? "what was written is no JSON" : "the golden file is no JSON");
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    return is_same;
}

// ---- Comparing streams --------------------------------------------------------------------------

static bool same_event(const struct sse_event *a, const struct sse_event *b,
                       struct golden_diff *ret)
{
    struct place at = {.diff = ret};
    if (!slice_eq(a->type, b->type))
        return differs(&at, "event '%.*s', expected '%.*s'", SLICE_ARG(b->type),
                       SLICE_ARG(a->type));
    if (sse_is_done_marker(a->data) || sse_is_done_marker(b->data))
        return slice_eq(a->data, b->data) || differs(&at, "[DONE] is not there, or is too early");
    return golden_same_json(a->data, b->data, ret);
}

bool golden_same_stream(struct slice expected, struct slice got, struct golden_diff *ret)
{
    struct sse_splitter of_a, of_b;
    struct sse_event a, b;
    struct golden_diff inner = {0};
    bool is_same = true, more_a = true, more_b = true;
    size_t index = 0;
    sse_init(&of_a);
    sse_init(&of_b);
    sse_feed(&of_a, expected);
    sse_feed(&of_b, got);
    for (; is_same; index++) {
        more_a = sse_next(&of_a, &a) == 0;
        more_b = sse_next(&of_b, &b) == 0;
        if (!more_a && !more_b)
            break;
        // A blank line more at the end of a golden file is an event of nothing.
        if (more_a && !more_b && !a.has_data && a.type.len == 0)
            break;
        if (more_a != more_b)
            snprintf(inner.text, sizeof(inner.text),
                     more_b ? "it is not expected: %.*s" : "it is missing: %.*s",
                     SLICE_ARG(more_b ? b.data : a.data));
        is_same = more_a && more_b && same_event(&a, &b, &inner);
    }
    if (!is_same)
        snprintf(ret->text, sizeof(ret->text), "event %zu %.480s", index - 1, inner.text);
    sse_done(&of_a);
    sse_done(&of_b);
    return is_same;
}
