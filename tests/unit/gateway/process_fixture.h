// SPDX-License-Identifier: Apache-2.0
//
// process_fixture.h: as much of a process as its store needs.
#ifndef RINGGATE_TESTS_UNIT_GATEWAY_PROCESS_FIXTURE_H
#define RINGGATE_TESTS_UNIT_GATEWAY_PROCESS_FIXTURE_H

#include "gateway/process_internal.h"
#include "tests/unit/store/fixture.h"

static struct config config;
static struct options options;
static const struct process_setup setup = {.options = &options};

static inline struct process *process_new(struct place *p)
{
    struct process *process = aligned_alloc(64, (sizeof(*process) + 63) / 64 * 64);
    memset(process, 0, sizeof(*process));
    memset(&config, 0, sizeof(config));
    config.logging.enabled = true;
    process->setup = &setup;
    process->config = &config;
    process->gateway.cores = 2;
    process->stored.fd = -1;
    snprintf(options.app_dir, sizeof(options.app_dir), "%s", p->top);
    snprintf(process->shared_dir, sizeof(process->shared_dir), "%s/shared", p->top);
    return process;
}

static inline void process_end(struct process *process)
{
    process__close_store(process);
    process__stored_free(process);
    ledger_close(process->gateway.ledger.ledger);
    free(process);
}

#endif
