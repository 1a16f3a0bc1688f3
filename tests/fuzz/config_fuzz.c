// SPDX-License-Identifier: Apache-2.0
//
// config_fuzz.c: any text as config.json. It is built or refused with a reason, and nothing is left
// behind; reports are whole lines of printable text.
#include "base/assert.h"
#include "tests/support/config_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const struct buf *lines)
{
    for (size_t i = 0; i < lines->len; i++)
        ASSERT((unsigned char)lines->ptr[i] >= ' ' || lines->ptr[i] == '\n');
    ASSERT(lines->len == 0 || lines->ptr[lines->len - 1] == '\n');
}

static void check_config(const struct config *c)
{
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        ASSERT(p->row != NULL && p->index == i && config_provider(c, p->name) == p);
        for (unsigned k = 0; k < p->key_count; k++) {
            struct slice model;
            ASSERT(p->keys[k].name.len > 0 && p->keys[k].id.len > 0);
            ASSERT(!p->row->url_per_key || p->keys[k].origin != NULL);
            config_key_serves(&p->keys[k], SLICE("gpt-4o"), &model);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // The first byte says how strict; what is left is the file.
    struct config_source source = {
        .environment = built_environment,
        .allow_unenforced = size > 0 && data[0] == ' ',
    };
    struct config_report report;
    struct config *config = NULL;
    config_report_init(&report);
    int err = config_build_text(slice_of(data, size), &source, NULL, &report, &config);
    ASSERT((err == 0) == (config != NULL));
    ASSERT((err == 0) == (report.errors.len == 0));
    check_lines(&report.errors);
    check_lines(&report.warnings);
    if (config != NULL)
        check_config(config);
    config_free(config);
    config_report_done(&report);
    return 0;
}
