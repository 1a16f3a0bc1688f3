// SPDX-License-Identifier: Apache-2.0
//
// json_edit_fuzz.c: random edits of random objects, against the same edits of yyjson's members.
//
// Input: one byte an edited name says what happens to it, one byte how many members are appended;
// the rest is the text. The result must be JSON, its members those of the original with the edits
// applied, in order, then the appended ones; the pieces must lie in the text in order, but for what
// was inserted; what was not edited must be one run of the original bytes.
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/json_edit.h"
#include <stdlib.h>
#include <yyjson.h>

static const struct slice names[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"model", 5}, {"stream", 6}};
#define NAMES ((unsigned)ARRAY_LEN(names))

enum edit { KEEP, REMOVE, REPLACE, RENAME, REPLACE_RENAME, REPLACE_REMOVE, RENAME_REMOVE, EDITS };

#define NEW_VALUE "[\"new\"]"
#define NEW_NAME  "renamed"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool removes(enum edit what)
{
    return what == REMOVE || what == REPLACE_REMOVE || what == RENAME_REMOVE;
}

static void apply(struct json_edit *e, const struct json_member *m, enum edit what)
{
    if (m->type == JSON_NONE && !removes(what))
        return;
    bool present = m->type != JSON_NONE;
    if (present && (what == REPLACE || what == REPLACE_RENAME || what == REPLACE_REMOVE))
        json_edit_replace(e, m, SLICE(NEW_VALUE));
    if (removes(what))
        json_edit_remove(e, m);
    if (present && (what == RENAME || what == REPLACE_RENAME || what == RENAME_REMOVE))
        json_edit_rename(e, m, SLICE("\"" NEW_NAME "\""));
}

static void same(yyjson_val *a, yyjson_val *b)
{
    size_t len_a;
    size_t len_b;
    char *text_a = yyjson_val_write(a, YYJSON_WRITE_NOFLAG, &len_a);
    char *text_b = yyjson_val_write(b, YYJSON_WRITE_NOFLAG, &len_b);
    ASSERT(text_a && text_b && len_a == len_b && memcmp(text_a, text_b, len_a) == 0);
    free(text_a);
    free(text_b);
}

static enum edit edit_of(yyjson_val *key, const uint8_t *program)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (slice_eq(names[i], slice_of(yyjson_get_str(key), yyjson_get_len(key))))
            return program[i] % EDITS;
    return KEEP;
}

static void check_result(struct slice text, struct slice result, const uint8_t *program,
                         unsigned appended)
{
    yyjson_read_flag flag = YYJSON_READ_NUMBER_AS_RAW;
    yyjson_doc *before = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len, flag, NULL, NULL);
    yyjson_doc *after =
        yyjson_read_opts((char *)(uintptr_t)result.ptr, result.len, flag, NULL, NULL);
    ASSERT(before != NULL && after != NULL);
    yyjson_obj_iter old = yyjson_obj_iter_with(yyjson_doc_get_root(before));
    yyjson_obj_iter new = yyjson_obj_iter_with(yyjson_doc_get_root(after));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&old)) != NULL;) {
        enum edit what = edit_of(key, program);
        if (removes(what))
            continue;
        yyjson_val *new_key = yyjson_obj_iter_next(&new);
        ASSERT(new_key != NULL);
        if (what == RENAME || what == REPLACE_RENAME)
            ASSERT(yyjson_equals_str(new_key, NEW_NAME));
        else
            same(key, new_key);
        yyjson_val *value = yyjson_obj_iter_get_val(new_key);
        if (what == REPLACE || what == REPLACE_RENAME)
            ASSERT(yyjson_equals_str(yyjson_arr_get_first(value), "new"));
        else
            same(yyjson_obj_iter_get_val(key), value);
    }
    for (unsigned i = 0; i < appended; i++)
        ASSERT(yyjson_equals_str(yyjson_obj_iter_next(&new), "appended"));
    ASSERT(yyjson_obj_iter_next(&new) == NULL);
    yyjson_doc_free(before);
    yyjson_doc_free(after);
}

// Joins the pieces; checks that those of the text are in order and that kept members are whole.
static char *join(const struct json_scanner *s, const struct iovec *pieces, unsigned count,
                  size_t bytes, const uint8_t *program)
{
    char *result = malloc(bytes + 1);
    size_t len = 0;
    size_t cursor = 0;
    bool whole[NAMES] = {false};
    for (unsigned i = 0; i < count; i++) {
        const char *from = pieces[i].iov_base;
        size_t n = pieces[i].iov_len;
        ASSERT(n > 0 && n <= bytes - len);
        memcpy(result + len, from, n);
        len += n;
        if (from < s->text.ptr || from >= s->text.ptr + s->text.len)
            continue;
        ASSERT((size_t)(from - s->text.ptr) >= cursor);
        cursor = (size_t)(from - s->text.ptr) + n;
        for (unsigned k = 0; k < NAMES; k++)
            whole[k] |= s->member[k].type != JSON_NONE && s->member[k].key.ptr >= from &&
                        s->member[k].value.ptr + s->member[k].value.len <= from + n;
    }
    ASSERT(len == bytes);
    for (unsigned k = 0; k < NAMES; k++)
        ASSERT(s->member[k].type == JSON_NONE || whole[k] == (program[k] % EDITS == KEEP));
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < NAMES + 1)
        return 0;
    struct slice text = slice_of(data + NAMES + 1, size - NAMES - 1);
    unsigned appended = data[NAMES] % 4;
    struct json_scanner s;
    if (json_scan(&s, text, names, NAMES, 0) != 0)
        return 0;
    struct json_edit e;
    json_edit_begin(&e, &s);
    for (unsigned i = 0; i < NAMES; i++) // from either end: the order of calls must not matter
        apply(&e, &s.member[appended & 1 ? NAMES - 1 - i : i],
              data[appended & 1 ? NAMES - 1 - i : i] % EDITS);
    for (unsigned i = 0; i < appended; i++)
        json_edit_append(&e, SLICE("\"appended\":{}"));
    struct iovec pieces[JSON_PIECES_MAX];
    size_t bytes;
    unsigned count = json_edit_pieces(&e, pieces, &bytes);
    ASSERT(count <= JSON_PIECES_MAX);
    char *result = join(&s, pieces, count, bytes, data);
    check_result(text, slice_of(result, bytes), data, appended);
    free(result);
    return 0;
}
