// SPDX-License-Identifier: Apache-2.0
//
// config_check.c: a document held against the known table.
//
// Two walks. The first looks at every object of the file, served or not, for duplicate members:
// two readers that disagree about which one counts is a way round a limit. The second goes down
// the table: names, standing, types, ranges, required members. It says everything it finds before
// anything is built.
//
// Recursion is bounded by the depth json_parse admits.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include <inttypes.h>
#include <stdio.h>

static void check_object(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_object *object);

// ---- Duplicates ---------------------------------------------------------------------------------

static void check_duplicates(struct config_builder *b, const struct config_path *path,
                             yyjson_val *value)
{
    if (yyjson_is_arr(value)) {
        size_t i = 0;
        yyjson_arr_iter iter = yyjson_arr_iter_with(value);
        for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++)
            check_duplicates(b, &CONFIG_ELEMENT(path, i), v);
    }
    if (!yyjson_is_obj(value))
        return;
    struct slice name;
    int err = json_check_object(value, &name);
    if (err == ERR_DUPLICATE) {
        struct config_path at = {.up = path, .name = name};
        config__error(b, &at, "occurs twice");
    } else if (err != 0) {
        b->no_memory = true;
    }
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path at = {.up = path, .name = json_str(key)};
        check_duplicates(b, &at, yyjson_obj_iter_get_val(key));
    }
}

// ---- Types --------------------------------------------------------------------------------------

typedef void (*check_fn)(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member);

static void expect(struct config_builder *b, const struct config_path *path, bool right,
                   const char *what)
{
    if (!right)
        config__error(b, path, "expected %s", what);
}

static void check_any(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                      const struct known_member *member)
{
    (void)b, (void)path, (void)value, (void)member;
}

static void check_bool(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                       const struct known_member *member)
{
    (void)member;
    expect(b, path, yyjson_is_bool(value), "true or false");
}

static bool in_range(yyjson_val *value, const struct known_member *member, bool or_zero)
{
    if (!yyjson_is_int(value))
        return false;
    if (yyjson_is_sint(value)) // yyjson: a negative one
        return yyjson_get_sint(value) >= member->min && member->min < 0;
    uint64_t number = yyjson_get_uint(value);
    if (number == 0 && or_zero)
        return true;
    return number >= (uint64_t)member->min && (member->max == 0 || number <= (uint64_t)member->max);
}

static void check_integer(struct config_builder *b, const struct config_path *path,
                          yyjson_val *value, const struct known_member *member)
{
    if (in_range(value, member, member->type != KNOWN_INTEGER))
        return;
    if (member->max == 0)
        config__error(b, path, "expected an integer >= %" PRId64, member->min);
    else
        config__error(b, path, "expected an integer from %" PRId64 " to %" PRId64, member->min,
                      member->max);
}

static void check_number(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member)
{
    if (!yyjson_is_num(value) || yyjson_get_num(value) < (double)member->min)
        config__error(b, path, "expected a number >= %" PRId64, member->min);
}

static void check_duration(struct config_builder *b, const struct config_path *path,
                           yyjson_val *value, const struct known_member *member)
{
    uint64_t ms = 0;
    bool right = yyjson_is_str(value)
                     ? config__parse_duration(json_str(value), &ms) == 0 &&
                           (ms == 0 || ms >= (uint64_t)member->min) && ms <= (uint64_t)member->max
                     : in_range(value, member, true);
    if (!right)
        config__error(b, path,
                      "expected milliseconds from %" PRId64 " to %" PRId64
                      ", or a duration such as \"500ms\"",
                      member->min, member->max);
}

static void check_string(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member)
{
    if (!yyjson_is_str(value) || member->choices == NULL) {
        expect(b, path, yyjson_is_str(value), "a string");
        return;
    }
    char list[128];
    size_t len = 0;
    for (unsigned i = 0; member->choices[i] != NULL; i++) {
        if (slice_eq(json_str(value), slice_str(member->choices[i])))
            return;
        int n =
            snprintf(list + len, sizeof(list) - len, "%s\"%s\"", i ? ", " : "", member->choices[i]);
        ASSERT(n > 0 && (size_t)n < sizeof(list) - len);
        len += (size_t)n;
    }
    config__error(b, path, "expected one of %s", list);
}

static void check_secret(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member)
{
    (void)member;
    if (yyjson_is_obj(value))
        check_object(b, path, value, &config__known_secret);
    else
        expect(b, path, yyjson_is_str(value), "a string");
}

static void check_strings(struct config_builder *b, const struct config_path *path,
                          yyjson_val *value, const struct known_member *member)
{
    (void)member;
    expect(b, path, yyjson_is_arr(value), "an array of strings");
    size_t i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++)
        expect(b, &CONFIG_ELEMENT(path, i), json_str(v).len > 0, "a string that is not empty");
}

static void check_nested(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member)
{
    if (yyjson_is_obj(value))
        check_object(b, path, value, member->object);
    else
        expect(b, path, false, "an object");
}

static void check_objects(struct config_builder *b, const struct config_path *path,
                          yyjson_val *value, const struct known_member *member)
{
    expect(b, path, yyjson_is_arr(value), "an array of objects");
    size_t i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++)
        check_nested(b, &CONFIG_ELEMENT(path, i), v, member);
}

// A map of free names; `each` checks what they hold unless it is null.
static void check_map(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                      const struct known_member *member, check_fn each)
{
    expect(b, path, yyjson_is_obj(value), "an object");
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path at = {.up = path, .name = json_str(key)};
        if (!yyjson_is_null(yyjson_obj_iter_get_val(key)))
            each(b, &at, yyjson_obj_iter_get_val(key), member);
    }
}

static void check_secret_map(struct config_builder *b, const struct config_path *path,
                             yyjson_val *value, const struct known_member *member)
{
    check_map(b, path, value, member, check_secret);
}

static void check_bool_map(struct config_builder *b, const struct config_path *path,
                           yyjson_val *value, const struct known_member *member)
{
    check_map(b, path, value, member, check_bool);
}

static void check_alias(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                        const struct known_member *member)
{
    if (yyjson_is_obj(value))
        check_object(b, path, value, member->object);
    else
        expect(b, path, yyjson_is_str(value), "a string or an object");
}

static void check_aliases(struct config_builder *b, const struct config_path *path,
                          yyjson_val *value, const struct known_member *member)
{
    check_map(b, path, value, member, check_alias);
}

// ---- Providers and plugins ----------------------------------------------------------------------

static const char *standard_at(const void *list, unsigned index)
{
    (void)list;
    return provider_standard_at(index).ptr;
}

static void check_provider(struct config_builder *b, const struct config_path *path,
                           yyjson_val *value, const struct known_member *member)
{
    if (provider_find(path->name) != NULL || config__get(value, "custom_provider_config") != NULL) {
        check_nested(b, path, value, member);
        return;
    }
    if (provider_is_standard(path->name)) {
        config__warn(b, path, "this provider is not served yet: skipped");
        return;
    }
    const char *near = config__suggest(path->name, (struct config__names){.at = standard_at});
    if (near != NULL)
        config__error(b, path, "unknown provider (did you mean \"%s\"?)", near);
    else
        config__error(b, path, "unknown provider; a custom one needs custom_provider_config");
}

static void check_providers(struct config_builder *b, const struct config_path *path,
                            yyjson_val *value, const struct known_member *member)
{
    check_map(b, path, value, member, check_provider);
}

// The governance plugin can demand a virtual key; the others only observe or change requests.
static void check_plugins(struct config_builder *b, const struct config_path *path,
                          yyjson_val *value, const struct known_member *member)
{
    (void)member;
    expect(b, path, yyjson_is_arr(value), "an array of objects");
    size_t i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(value);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++) {
        struct config_path at = CONFIG_ELEMENT(path, i);
        if (!yyjson_is_true(config__get(v, "enabled")))
            continue;
        yyjson_val *config = config__get(v, "config");
        yyjson_val *required = config__get(config, "required_headers");
        bool demands =
            yyjson_is_true(config__get(config, "is_vk_mandatory")) || yyjson_arr_size(required) > 0;
        if (demands && slice_eq(json_str(config__get(v, "name")), SLICE("governance")))
            config__unenforced(b, &at, "this plugin restricts access, which is not enforced yet");
        else
            config__warn(b, &at, "plugins are not served yet: ignored");
    }
}

// ---- Members ------------------------------------------------------------------------------------

static const check_fn checks[KNOWN_TYPE_COUNT] = {
    [KNOWN_ANY] = check_any,
    [KNOWN_BOOL] = check_bool,
    [KNOWN_INTEGER] = check_integer,
    [KNOWN_INTEGER_OR_0] = check_integer,
    [KNOWN_NUMBER] = check_number,
    [KNOWN_DURATION] = check_duration,
    [KNOWN_STRING] = check_string,
    [KNOWN_SECRET] = check_secret,
    [KNOWN_STRINGS] = check_strings,
    [KNOWN_OBJECT] = check_nested,
    [KNOWN_OBJECTS] = check_objects,
    [KNOWN_SECRET_MAP] = check_secret_map,
    [KNOWN_BOOL_MAP] = check_bool_map,
    [KNOWN_ALIASES] = check_aliases,
    [KNOWN_PROVIDERS] = check_providers,
    [KNOWN_PLUGINS] = check_plugins,
};

// Does a value ask for anything? false, "", [], {} and what is switched off do not.
static bool is_active(yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        return yyjson_is_true(value);
    case YYJSON_TYPE_STR:
    case YYJSON_TYPE_ARR:
        return yyjson_get_len(value) > 0;
    case YYJSON_TYPE_OBJ:
        return yyjson_get_len(value) > 0 && !yyjson_is_false(config__get(value, "enabled")) &&
               !yyjson_is_false(config__get(value, "is_enabled"));
    default:
        return !yyjson_is_null(value);
    }
}

static void check_member(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_member *member)
{
    switch (member->standing) {
    case STANDING_SERVED:
        ASSERT(member->type < KNOWN_TYPE_COUNT && checks[member->type] != NULL);
        if (!yyjson_is_null(value))
            checks[member->type](b, path, value, member);
        break;
    case STANDING_QUIET:
        break;
    case STANDING_NOT_SERVED:
        if (is_active(value))
            config__warn(b, path, "not served yet: ignored");
        break;
    case STANDING_RESTRICTS:
        if (is_active(value))
            config__unenforced(b, path, "this restricts access, which is not enforced yet");
        break;
    }
}

static const char *member_at(const void *list, unsigned index)
{
    return ((const struct known_member *)list)[index].name;
}

static void say_unknown(struct config_builder *b, const struct config_path *path,
                        const struct known_object *object)
{
    struct config__names names = {.at = member_at, .list = object->members};
    const char *near = config__suggest(path->name, names);
    char hint[80] = "";
    if (near != NULL)
        snprintf(hint, sizeof(hint), " (did you mean \"%s\"?)", near);
    if (object->open)
        config__warn(b, path, "unknown member: ignored%s", hint);
    else
        config__error(b, path, "unknown member%s", hint);
}

static void check_object(struct config_builder *b, const struct config_path *path,
                         yyjson_val *value, const struct known_object *object)
{
    ASSERT(yyjson_is_obj(value) && object != NULL);
    yyjson_obj_iter iter = yyjson_obj_iter_with(value);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path at = {.up = path, .name = json_str(key)};
        const struct known_member *m = object->members;
        while (m->name != NULL && !slice_eq(slice_str(m->name), at.name))
            m++;
        if (m->name == NULL)
            say_unknown(b, &at, object);
        else
            check_member(b, &at, yyjson_obj_iter_get_val(key), m);
    }
    for (const struct known_member *m = object->members; m->name != NULL; m++) {
        if (m->required && config__get(value, m->name) == NULL) {
            struct config_path at = CONFIG_MEMBER(path, m->name);
            config__error(b, &at, "missing");
        }
    }
}

void config__check(struct config_builder *b, yyjson_val *root)
{
    if (!yyjson_is_obj(root)) {
        config__error(b, NULL, "expected an object");
        return;
    }
    check_duplicates(b, NULL, root);
    check_object(b, NULL, root, &config__known_root);
}
