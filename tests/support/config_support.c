// SPDX-License-Identifier: Apache-2.0
//
// config_support.c: see config_support.h.
#include "tests/support/config_support.h"

#include "base/assert.h"
#include "base/container.h"
#include "gateway/limiter.h"
#include <stdio.h>

const char *built_environment(const char *name)
{
    static const char *const variables[][2] = {
        {"TEST_KEY", "sk-test-secret"},
        {"TEST_URL", "http://127.0.0.1:9000/v1"},
        {"TEST_EMPTY", ""},
        {"GATEWAY_ENCRYPTION_KEY", "a passphrase for tests"},
        {"BAD_KEY", "sk-one\r\nx-two: 3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        if (strcmp(name, variables[i][0]) == 0)
            return variables[i][1];
    }
    return NULL;
}

// Weak: a test that links the real limiters gets the real one.
__attribute__((weak)) struct limiter *limiters_get(struct limiters *l, struct slice name,
                                                   unsigned concurrency, unsigned buffer_size)
{
    ASSERT(l->count < LIMITERS_MAX);
    snprintf(l->asked[l->count].name, sizeof(l->asked[0].name), "%.*s", SLICE_ARG(name));
    l->asked[l->count].concurrency = concurrency;
    l->asked[l->count].buffer_size = buffer_size;
    return (struct limiter *)&l->asked[l->count++];
}

static void build(struct built *b, const char *text, bool allow, const char *stored)
{
    struct config_source source = {
        .environment = built_environment, .allow_unenforced = allow, .stored = slice_str(stored)};
    memset(b, 0, sizeof(*b));
    config_report_init(&b->report);
    b->err = config_build_text(slice_str(text), &source, &b->limiters, &b->report, &b->config);
    ASSERT((b->err == 0) == (b->config != NULL));
}

void built_text(struct built *b, const char *text)
{
    build(b, text, false, "");
}

void built_text_allowing(struct built *b, const char *text)
{
    build(b, text, true, "");
}

void built_stored(struct built *b, const char *text, const char *stored)
{
    build(b, text, false, stored);
}

void built_done(struct built *b)
{
    config_free(b->config);
    config_report_done(&b->report);
}

static bool has_line(const struct buf *lines, const char *line)
{
    char text[640];
    int n = snprintf(text, sizeof(text), "config.json: %s\n", line);
    ASSERT(n > 0 && (size_t)n < sizeof(text));
    struct slice rest = buf_slice(lines);
    while (rest.len > 0) { // a line at a time
        if (slice_starts(rest, slice_of(text, (size_t)n)))
            return true;
        ptrdiff_t end = slice_find_char(rest, '\n');
        rest = slice_skip(rest, end < 0 ? rest.len : (size_t)end + 1);
    }
    fprintf(stderr, "no line \"%s\" in:\n%.*s", line, SLICE_ARG(buf_slice(lines)));
    return false;
}

bool built_error(const struct built *b, const char *line)
{
    return has_line(&b->report.errors, line);
}

bool built_warning(const struct built *b, const char *line)
{
    return has_line(&b->report.warnings, line);
}

unsigned built_lines(const struct buf *lines)
{
    unsigned count = 0;
    for (size_t i = 0; i < lines->len; i++)
        count += lines->ptr[i] == '\n';
    return count;
}

const struct config_provider *built_provider(const struct built *b, const char *name)
{
    return b->config != NULL ? config_provider(b->config, slice_str(name)) : NULL;
}
