// SPDX-License-Identifier: Apache-2.0
//
// anthropic_model.c: which Claude a model's name means. What a request for it may hold differs by
// version, and nothing but the name tells it. anthropic_write.c calls it.
//
// Names come in many forms, with the version on either side of the family, a date behind it, a
// host's own words around it:
//
//     claude-opus-4-7   claude-3-7-sonnet-20250219   us.anthropic.claude-opus-4-6-v1:0
//     anthropic/claude-sonnet-4.6   claude-sonnet-4-5@20250929   claude-mythos-preview
//
// So the words behind the last `claude` are looked through: the first that is one digit is the
// major, the next, when it is one or two digits, the minor. Longer numbers are dates. Two families
// exist only above all versions; their names alone say enough. A name of which nothing can be said
// (a deployment called `prod`) is no version.

#include "base/container.h"
#include "codec/anthropic_internal.h"

#define MINOR_DIGITS_MAX 2

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The next run of letters and digits; empty at the end.
static struct slice next_word(struct slice *rest)
{
    size_t from = 0;
    while (from < rest->len && !is_word(rest->ptr[from]))
        from++;
    size_t to = from;
    while (to < rest->len && is_word(rest->ptr[to]))
        to++;
    struct slice word = slice_of(rest->ptr + from, to - from);
    *rest = slice_skip(*rest, to);
    return word;
}

// True for a number of at most `digits` digits.
static bool small_number(struct slice word, size_t digits, unsigned *ret)
{
    unsigned value = 0;

    if (word.len == 0 || word.len > digits)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (!is_digit(word.ptr[i]))
            return false;
        value = value * 10 + (unsigned)(word.ptr[i] - '0');
    }
    *ret = value;
    return true;
}

static bool behind_claude(struct slice model, struct slice *ret)
{
    static const struct slice name = SLICE("claude");

    for (size_t at = model.len; at >= name.len; at--)
        if (slice_ieq(slice_of(model.ptr + at - name.len, name.len), name)) {
            *ret = slice_skip(model, at);
            return true;
        }
    return false;
}

unsigned anthropic__version(struct slice model)
{
    static const struct slice newest[] = {SLICE("mythos"), SLICE("fable")};
    unsigned major, minor = 0, version = 0;
    struct slice rest;

    if (!behind_claude(model, &rest))
        return 0;
    for (struct slice word = next_word(&rest); word.len > 0; word = next_word(&rest)) {
        for (size_t i = 0; i < ARRAY_LEN(newest); i++)
            if (slice_ieq(word, newest[i]))
                version = ANTHROPIC_VERSION_NEWEST;
        if (!small_number(word, 1, &major))
            continue;
        (void)small_number(next_word(&rest), MINOR_DIGITS_MAX, &minor);
        return ANTHROPIC_VERSION(major, minor);
    }
    return version;
}
