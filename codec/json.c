// SPDX-License-Identifier: Apache-2.0
//
// json.c: the door to yyjson.
//
// Every text is scanned before it is parsed. The scan is several times faster than the parse, gives
// one verdict on UTF-8 and depth for the native path and for documents, and means that whatever
// walks a document later may recurse. yyjson then adds what only it refuses: numbers past a double.
#include "codec/json.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
#include "base/prng.h"
#include "codec/json_scan.h"

// Up to this many members a comparison of all pairs is cheaper than a map.
#define MEMBERS_PAIRWISE_MAX 16

static int refuse(int err, size_t at, const char *reason, size_t *ret_at, const char **ret_reason)
{
    ASSERT(err < 0 && reason != NULL);
    if (ret_at != NULL)
        *ret_at = at;
    if (ret_reason != NULL)
        *ret_reason = reason;
    return err;
}

int json_parse(struct slice text, yyjson_doc **ret_doc, size_t *ret_at, const char **ret_reason)
{
    if (text.len > JSON_PARSE_BYTES_MAX)
        return ERR_LIMIT;
    struct json_scanner scan;
    int err = json_scan(&scan, text, NULL, 0, JSON_SCAN_ANY_VALUE);
    if (err != 0 && err != ERR_BAD_JSON)
        return refuse(err, scan.error_at, err_text(err), ret_at, ret_reason);
    // Also after ERR_BAD_JSON: yyjson has a sentence for each mistake. Without YYJSON_READ_INSITU
    // it does not write to the text.
    yyjson_read_err error;
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len, YYJSON_READ_NOFLAG, NULL, &error);
    if (doc == NULL && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return ERR_NOMEM;
    if (doc == NULL)
        return refuse(ERR_BAD_JSON, error.pos, error.msg, ret_at, ret_reason);
    if (err != 0) {
        yyjson_doc_free(doc);
        return refuse(err, scan.error_at, err_text(err), ret_at, ret_reason);
    }
    *ret_doc = doc;
    return 0;
}

struct slice json_str(yyjson_val *v)
{
    return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : SLICE_EMPTY;
}

static int check_pairs(yyjson_val *object, struct slice *ret_name)
{
    struct slice names[MEMBERS_PAIRWISE_MAX];
    size_t count = 0;
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL; count++) {
        ASSERT(count < MEMBERS_PAIRWISE_MAX);
        names[count] = json_str(key);
        for (size_t i = 0; i < count; i++) {
            if (slice_eq(names[i], names[count])) {
                *ret_name = names[count];
                return ERR_DUPLICATE;
            }
        }
    }
    return 0;
}

static int check_map(yyjson_val *object, struct slice *ret_name)
{
    uint64_t seed[2];
    int err = random_bytes(seed, sizeof(seed));
    if (err != 0)
        return err;
    struct map names;
    map_init(&names, seed);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; err == 0 && (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct slice name = json_str(key);
        if (map_get(&names, name) != NULL) {
            *ret_name = name;
            err = ERR_DUPLICATE;
        } else {
            err = map_put(&names, name, key);
        }
    }
    map_done(&names);
    return err;
}

int json_check_object(yyjson_val *object, struct slice *ret_name)
{
    if (!yyjson_is_obj(object))
        return ERR_BAD_TYPE;
    return yyjson_obj_size(object) <= MEMBERS_PAIRWISE_MAX ? check_pairs(object, ret_name)
                                                           : check_map(object, ret_name);
}
