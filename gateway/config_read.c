// SPDX-License-Identifier: Apache-2.0
//
// config_read.c: values out of a checked document, into the snapshot's memory.
//
// Any string may be "env.NAME": the variable's value stands in its place. Secrets may also be an
// object {value} or {env_var} or {ref, type}. "vault." strings name a store that is not served;
// they are refused, since the text itself is surely not the secret.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/err.h"
#include <math.h>
#include <stdlib.h>

// Of a variable's name; longer ones are not looked up.
#define VARIABLE_BYTES_MAX 255

yyjson_val *config__get(yyjson_val *object, const char *member)
{
    yyjson_val *value = yyjson_obj_get(object, member);
    return yyjson_is_null(value) ? NULL : value;
}

bool config__bool(yyjson_val *object, const char *member, bool absent)
{
    yyjson_val *value = config__get(object, member);
    return value != NULL ? yyjson_is_true(value) : absent;
}

unsigned config__uint(yyjson_val *object, const char *member, unsigned absent)
{
    uint64_t number = yyjson_get_uint(config__get(object, member));
    ASSERT(number <= UINT32_MAX);
    return number != 0 ? (unsigned)number : absent;
}

unsigned config__duration_ms(yyjson_val *object, const char *member, unsigned absent)
{
    yyjson_val *value = config__get(object, member);
    if (!yyjson_is_str(value))
        return config__uint(object, member, absent);
    uint64_t ms = 0;
    int err = config__parse_duration(json_str(value), &ms);
    ASSERT(err == 0 && ms <= UINT32_MAX);
    return ms != 0 ? (unsigned)ms : absent;
}

struct unit {
    struct slice name;
    double ms;
};

// The unit that `text` begins with; "ms" before "m".
static const struct unit *unit_of(struct slice text)
{
    static const struct unit units[] = {
        {SLICE("ns"), 1e-6},        {SLICE("us"), 1e-3},  {SLICE("\xc2\xb5s"), 1e-3},
        {SLICE("\xce\xbcs"), 1e-3}, {SLICE("ms"), 1},     {SLICE("s"), 1e3},
        {SLICE("m"), 60e3},         {SLICE("h"), 3600e3},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_starts(text, units[i].name))
            return &units[i];
    }
    return NULL;
}

// Digits with at most one point; how many bytes, 0 when there is no digit.
static size_t decimal(struct slice text, double *ret)
{
    double value = 0, place = 0;
    size_t i = 0, digits = 0;
    for (; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && place == 0) {
            place = 1;
        } else if (c >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            place *= 10;
            digits++;
        } else {
            break;
        }
    }
    *ret = place > 0 ? value / place : value;
    return digits > 0 ? i : 0;
}

int config__parse_duration(struct slice text, uint64_t *ret_ms)
{
    if (text.len == 0 || text.len > 64)
        return ERR_BAD_TYPE;
    if (slice_eq(text, SLICE("0"))) {
        *ret_ms = 0;
        return 0;
    }
    double total = 0;
    while (text.len > 0) {
        double number;
        size_t n = decimal(text, &number);
        if (n == 0)
            return ERR_BAD_TYPE;
        text = slice_skip(text, n);
        const struct unit *unit = unit_of(text);
        if (unit == NULL)
            return ERR_BAD_TYPE;
        text = slice_skip(text, unit->name.len);
        total += number * unit->ms;
    }
    if (!(total < 1e15))
        return ERR_BAD_TYPE;
    *ret_ms = (uint64_t)ceil(total);
    return 0;
}

struct slice config__copy(struct config_builder *b, struct slice s)
{
    if (s.len == 0)
        return SLICE("");
    struct slice copy = arena_copy(&b->config->memory, s);
    if (copy.ptr == NULL) {
        b->no_memory = true;
        return SLICE("");
    }
    return copy;
}

void *config__alloc(struct config_builder *b, size_t count, size_t size)
{
    ASSERT(size > 0 && count < SIZE_MAX / size);
    void *ptr = arena_zalloc(&b->config->memory, count * size);
    if (ptr == NULL)
        b->no_memory = true;
    return ptr;
}

static bool is_variable_name(struct slice name)
{
    if (name.len == 0 || name.len > VARIABLE_BYTES_MAX ||
        (name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return true;
}

static enum config_text text_of_variable(struct config_builder *b, const struct config_path *path,
                                         struct slice name, struct slice *ret)
{
    if (!is_variable_name(name)) {
        config__error(b, path, "not the name of an environment variable");
        return CONFIG_TEXT_BAD;
    }
    char zero_ended[VARIABLE_BYTES_MAX + 1];
    memcpy(zero_ended, name.ptr, name.len);
    zero_ended[name.len] = '\0';
    const char *value =
        b->source->environment != NULL ? b->source->environment(zero_ended) : getenv(zero_ended);
    if (value == NULL || *value == '\0') {
        *ret = config__copy(b, name);
        return CONFIG_TEXT_UNSET;
    }
    *ret = config__copy(b, slice_str(value));
    return CONFIG_TEXT_FOUND;
}

static enum config_text text_of_string(struct config_builder *b, const struct config_path *path,
                                       struct slice text, struct slice *ret)
{
    if (slice_starts(text, SLICE("env.")))
        return text_of_variable(b, path, slice_skip(text, 4), ret);
    if (slice_starts(text, SLICE("vault."))) {
        config__error(b, path, "a vault is not served yet");
        return CONFIG_TEXT_BAD;
    }
    *ret = config__copy(b, text);
    return CONFIG_TEXT_FOUND;
}

static enum config_text text_of_object(struct config_builder *b, const struct config_path *path,
                                       yyjson_val *object, struct slice *ret)
{
    struct slice type = json_str(config__get(object, "type"));
    struct slice value = json_str(config__get(object, "value"));
    struct slice ref = json_str(config__get(object, "ref"));
    struct slice variable = json_str(config__get(object, "env_var"));
    if (slice_eq(type, SLICE("vault"))) {
        config__error(b, path, "a vault is not served yet");
        return CONFIG_TEXT_BAD;
    }
    bool from_env = slice_eq(type, SLICE("env")) || config__bool(object, "from_env", false) ||
                    (value.len == 0 && variable.len > 0);
    if (!from_env)
        return text_of_string(b, path, value.len > 0 ? value : ref, ret);
    variable = variable.len > 0 ? variable : ref.len > 0 ? ref : value;
    if (slice_starts(variable, SLICE("env.")))
        variable = slice_skip(variable, 4);
    return text_of_variable(b, path, variable, ret);
}

enum config_text config__text(struct config_builder *b, const struct config_path *path,
                              yyjson_val *value, struct slice *ret)
{
    if (value == NULL)
        return CONFIG_TEXT_ABSENT;
    if (yyjson_is_obj(value))
        return text_of_object(b, path, value, ret);
    ASSERT(yyjson_is_str(value));
    return text_of_string(b, path, json_str(value), ret);
}

bool config__text_set(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                      struct slice *ret)
{
    struct slice text = SLICE_EMPTY;
    enum config_text found = config__text(b, path, value, &text);
    if (found == CONFIG_TEXT_UNSET)
        config__error(b, path, "environment variable %.*s is not set", SLICE_ARG(text));
    if (found == CONFIG_TEXT_FOUND)
        *ret = text;
    return found == CONFIG_TEXT_FOUND;
}

void config__texts(struct config_builder *b, const struct config_path *path, yyjson_val *array,
                   struct slice **ret, unsigned *ret_count)
{
    size_t count = yyjson_arr_size(array);
    struct slice *list = config__alloc(b, count, sizeof(*list));
    if (list == NULL)
        return;
    size_t n = 0, i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(array);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++) {
        if (config__text_set(b, &CONFIG_ELEMENT(path, i), v, &list[n]))
            n++;
    }
    ASSERT(n <= count);
    *ret = list;
    *ret_count = (unsigned)n;
}
