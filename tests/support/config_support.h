// SPDX-License-Identifier: Apache-2.0
//
// config_support.h: configurations built from a text, for tests.
//
// The environment is the one below, not the process's. The limiters are a list of what was asked
// for: linking this file stands in for limiter.c.
#ifndef RINGGATE_TESTS_CONFIG_SUPPORT_H
#define RINGGATE_TESTS_CONFIG_SUPPORT_H

#include "gateway/config.h"

// TEST_KEY=sk-test-secret, TEST_URL=http://127.0.0.1:9000/v1, TEST_EMPTY= (empty), BAD_KEY (a
// line break inside), GATEWAY_ENCRYPTION_KEY. Everything else is unset.
const char *built_environment(const char *name);

#define LIMITERS_MAX 32
struct limiters {
    struct {
        char name[64];
        unsigned concurrency, buffer_size;
    } asked[LIMITERS_MAX];
    unsigned count;
};

struct built {
    int err;
    struct config *config; // NULL unless err is 0
    struct config_report report;
    struct limiters limiters;
};

void built_text(struct built *b, const char *text);
void built_text_allowing(struct built *b, const char *text);              // --allow-unenforced
void built_stored(struct built *b, const char *text, const char *stored); // with rows of a store
void built_done(struct built *b);
// Is `line` (without "config.json: " and the line's end) among the errors / warnings?
bool built_error(const struct built *b, const char *line);
bool built_warning(const struct built *b, const char *line);
// Lines in a report's buffer.
unsigned built_lines(const struct buf *lines);
const struct config_provider *built_provider(const struct built *b, const char *name);

#endif
