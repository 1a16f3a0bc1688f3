// SPDX-License-Identifier: Apache-2.0
//
// config_stored.c: what the store says beside config.json.
//
// The store's rows come as one text, an object of lists that are named like those of `governance`.
// They join the document before it is checked, so a row is read and refused as if it stood in the
// file; in what is said about a list its elements follow the file's. Where both have an element of
// the same id, the file's stands: who edits the file expects it to count.
#include "gateway/config_build.h"

#include "base/err.h"
#include "base/map.h"
#include "base/prng.h"

struct joining {
    struct config_builder *b;
    yyjson_mut_doc *doc;
    bool joined;
};

// ---- One list --------------------------------------------------------------------------------

static struct slice id_of(const char *member, yyjson_mut_val *element)
{
    // Elements of `providers` are named; all others have an id.
    yyjson_mut_val *id =
        yyjson_mut_obj_get(element, strcmp(member, "providers") == 0 ? "name" : "id");
    const char *text = yyjson_mut_get_str(id);
    return text != NULL ? slice_of(text, yyjson_mut_get_len(id)) : SLICE_EMPTY;
}

static bool remember_ids(const char *member, yyjson_mut_val *list, struct map *ids)
{
    size_t i, n;
    yyjson_mut_val *element;
    yyjson_mut_arr_foreach(list, i, n, element)
    {
        if (map_put(ids, id_of(member, element), element) != 0)
            return false;
    }
    return true;
}

static bool join_rows(struct joining *j, const char *member, yyjson_val *rows, yyjson_mut_val *list)
{
    uint64_t seed[2];
    struct map ids;
    size_t i, n;
    yyjson_val *row;
    if (random_bytes(seed, sizeof(seed)) != 0)
        return false;
    map_init(&ids, seed);
    bool fine = remember_ids(member, list, &ids);
    yyjson_arr_foreach(rows, i, n, row)
    {
        yyjson_mut_val *copy = fine ? yyjson_val_mut_copy(j->doc, row) : NULL;
        if (copy == NULL)
            fine = false;
        else if (map_get(&ids, id_of(member, copy)) == NULL)
            fine = j->joined = yyjson_mut_arr_append(list, copy);
    }
    map_done(&ids);
    return fine;
}

// The member of this name, made when it is missing or null; NULL when it is something else, which
// the check will say, or without memory.
static yyjson_mut_val *member_of(struct joining *j, yyjson_mut_val *object, const char *name,
                                 yyjson_mut_val *(*make)(yyjson_mut_doc *))
{
    yyjson_mut_val *value = yyjson_mut_obj_get(object, name);
    if (value != NULL && !yyjson_mut_is_null(value))
        return value;
    yyjson_mut_obj_remove_key(object, name);
    value = make(j->doc);
    yyjson_mut_val *key = yyjson_mut_strcpy(j->doc, name);
    if (value == NULL || key == NULL || !yyjson_mut_obj_add(object, key, value)) {
        j->b->no_memory = true;
        return NULL;
    }
    return value;
}

static void join_list(struct joining *j, yyjson_mut_val *governance, const char *member,
                      yyjson_val *rows)
{
    yyjson_mut_val *list = member_of(j, governance, member, yyjson_mut_arr);
    if (yyjson_mut_is_arr(list) && !join_rows(j, member, rows, list))
        j->b->no_memory = true;
}

// ---- All of them -----------------------------------------------------------------------------

static void join(struct joining *j, yyjson_mut_val *root, yyjson_val *stored)
{
    size_t i, n;
    yyjson_val *name, *rows;
    yyjson_mut_val *governance = member_of(j, root, "governance", yyjson_mut_obj);
    if (!yyjson_mut_is_obj(governance))
        return;
    yyjson_obj_foreach(stored, i, n, name, rows)
        join_list(j, governance, yyjson_get_str(name), rows);
}

bool config__no_stored(yyjson_val *root)
{
    return yyjson_is_false(config__get(config__get(root, "config_store"), "enabled"));
}

void config__join_stored(struct config_builder *b, yyjson_doc **doc)
{
    yyjson_doc *stored = NULL;
    struct joining j = {.b = b};
    yyjson_val *root = *doc != NULL ? yyjson_doc_get_root(*doc) : NULL;
    if (b->source->stored.len == 0 || config__no_stored(root) || (*doc && !yyjson_is_obj(root)))
        return;
    int err = json_parse(b->source->stored, &stored, NULL, NULL);
    j.doc = *doc != NULL ? yyjson_doc_mut_copy(*doc, NULL) : yyjson_mut_doc_new(NULL);
    if (*doc == NULL && j.doc != NULL)
        yyjson_mut_doc_set_root(j.doc, yyjson_mut_obj(j.doc));
    yyjson_mut_val *copy = j.doc != NULL ? yyjson_mut_doc_get_root(j.doc) : NULL;
    if (err == ERR_NOMEM || copy == NULL)
        b->no_memory = true;
    else if (err != 0)
        config__error(b, NULL, "the rows of the store are no JSON");
    else
        join(&j, copy, yyjson_doc_get_root(stored));
    if (j.joined && !config__failed(b)) {
        yyjson_doc *joined = yyjson_mut_doc_imut_copy(j.doc, NULL);
        if (joined != NULL) {
            yyjson_doc_free(*doc);
            *doc = joined;
            b->joined = true;
        } else {
            b->no_memory = true;
        }
    }
    yyjson_mut_doc_free(j.doc);
    yyjson_doc_free(stored);
}
