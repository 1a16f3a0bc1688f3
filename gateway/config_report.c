// SPDX-License-Identifier: Apache-2.0
//
// config_report.c: what building says, a line each: "file: path: sentence".
//
// A path is written as a person would point: providers.openai.keys[0].name. A member whose name is
// not plain letters is written as a JSON string, so a name in the file cannot forge a line. No
// value of the file is ever part of a line.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/container.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// A file of a million mistakes must not become a report of a gigabyte.
#define REPORT_BYTES_MAX (256 * 1024)
// Longest member name shown; the rest of a longer one is cut.
#define NAME_SHOWN_MAX 100
// Names longer than this are not compared for a suggestion.
#define SUGGEST_BYTES_MAX 48
// So much of the front of a name is as good as one mistake: "val" for "value".
#define SUGGEST_FRONT_MIN 3

void config_report_init(struct config_report *r)
{
    buf_init(&r->errors, REPORT_BYTES_MAX);
    buf_init(&r->warnings, REPORT_BYTES_MAX);
}

void config_report_done(struct config_report *r)
{
    buf_done(&r->errors);
    buf_done(&r->warnings);
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '$')
            return false;
    }
    return name.len > 0;
}

// The number of places up to the root is bounded by the depth of a document.
static void add_path(struct buf *out, const struct config_path *path)
{
    if (path == NULL)
        return;
    add_path(out, path->up);
    if (path->name.ptr == NULL) {
        buf_printf(out, "[%zu]", path->index);
        return;
    }
    if (path->up != NULL)
        buf_add_char(out, '.');
    struct slice name = slice_take(path->name, NAME_SHOWN_MAX);
    if (is_plain(name))
        buf_add(out, name);
    else
        buf_add_json(out, name);
}

static void say(struct config_builder *b, struct buf *out, const struct config_path *path,
                const char *format, va_list args)
{
    ASSERT(b->file != NULL);
    char sentence[512];
    vsnprintf(sentence, sizeof(sentence), format, args);
    if (out->err != 0)
        return;
    size_t before = out->len;
    buf_add(out, slice_str(b->file));
    buf_add(out, b->joined ? SLICE(" and the store: ") : SLICE(": "));
    add_path(out, path);
    if (path != NULL)
        buf_add(out, SLICE(": "));
    buf_add(out, slice_str(sentence));
    buf_add_char(out, '\n');
    if (out->err != 0)
        out->len = before; // whole lines only
}

void config__error(struct config_builder *b, const struct config_path *path, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    say(b, &b->report->errors, path, format, args);
    va_end(args);
}

void config__warn(struct config_builder *b, const struct config_path *path, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(b, &b->report->warnings, path, format, args);
    va_end(args);
}

void config__unenforced(struct config_builder *b, const struct config_path *path, const char *what)
{
    if (b->source->allow_unenforced)
        config__warn(b, path, "%s; going on because --allow-unenforced was given", what);
    else
        config__error(b, path, "%s; --allow-unenforced goes on without it", what);
}

bool config__failed(const struct config_builder *b)
{
    return b->no_memory || b->report->errors.len > 0 || b->report->errors.err != 0;
}

// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
static unsigned distance(struct slice a, struct slice b)
{
    ASSERT(a.len <= SUGGEST_BYTES_MAX && b.len <= SUGGEST_BYTES_MAX);
    unsigned rows[3][SUGGEST_BYTES_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = last[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            bool swap =
                i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            if (swap && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.len];
}

const char *config__suggest(struct slice misspelt, struct config__names names)
{
    if (misspelt.len == 0 || misspelt.len > SUGGEST_BYTES_MAX)
        return NULL;
    // One mistake in a short word, up to four in a long one.
    unsigned near = 1 + (unsigned)misspelt.len / 4;
    unsigned best = (near > 4 ? 4 : near) + 1;
    const char *found = NULL;
    const char *name;
    for (unsigned i = 0; (name = names.at(names.list, i)) != NULL; i++) {
        struct slice candidate = slice_str(name);
        if (candidate.len > SUGGEST_BYTES_MAX)
            continue;
        unsigned d = slice_ieq(candidate, misspelt) ? 0 : distance(misspelt, candidate);
        if (d > 1 && misspelt.len >= SUGGEST_FRONT_MIN && slice_starts(candidate, misspelt))
            d = 1;
        if (d < best) {
            best = d;
            found = name;
        }
    }
    return found;
}
