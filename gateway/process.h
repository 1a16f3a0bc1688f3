// SPDX-License-Identifier: Apache-2.0
//
// process.h: the running gateway: a thread per core, from the first snapshot to the last answer.
//
// docs/cores.md tells the story of start, reload and stop for those who operate it.
#ifndef RINGGATE_GATEWAY_PROCESS_H
#define RINGGATE_GATEWAY_PROCESS_H

#include "gateway/options.h"
#include "gateway/route.h"

#define PROCESS_ROUTE_SETS_MAX 4

struct process_setup {
    const struct options *options;
    char *const *argv; // how this program was started, and how the one that replaces it is
    const char *version;
    struct {
        const struct route *rows;
        unsigned count;
    } routes[PROCESS_ROUTE_SETS_MAX]; // unused ones are zero
};

// Serves until a signal ends it. Returns the exit status: 0 after SIGTERM or SIGINT, 1 when it
// could not start; then the reason stands on standard error. Main thread only, before any other
// thread.
int process_run(const struct process_setup *setup);
// Reads the configuration only and prints what is to be said about it. Returns the exit status.
int process_check_config(const struct options *options);

#endif
