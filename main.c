// SPDX-License-Identifier: Apache-2.0
//
// main.c: the composition root. Which parts make up this program, and nothing else: flags are read
// by gateway/options.c, the process is run by gateway/process.c, routes come from their folders.
#include "admin/admin.h"
#include "gateway/options.h"
#include "gateway/process.h"
#include "gateway/route.h"
#include <stdio.h>
#include <stdlib.h>

// Read by jemalloc when it is linked in. A thread of its own gives freed pages back a second after
// they were freed: neither a loop's turn nor an idle core has to do it (docs/memory.md). Bodies
// above 8 MB live where the rest does, not in an arena of their own that gives them back at once.
// Blocks of 4 kB come four together: each alone would have a descriptor of 128 bytes, and those
// jemalloc never gives back.
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,"
                          "oversize_threshold:0,slab_sizes:4096-4096:4";

static const char *environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    struct options options;
    char error[OPTIONS_ERROR_BYTES];
    if (options_parse(&options, argc, argv, environment, error) < 0) {
        fprintf(stderr, "ringgate: %s\n", error);
        return EXIT_FAILURE;
    }
    if (options.help) {
        options_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (options.version) {
        printf("%s\n", RINGGATE_VERSION);
        return EXIT_SUCCESS;
    }
    if (options.check_config)
        return process_check_config(&options);
    const struct process_setup setup = {
        .options = &options,
        .argv = argv,
        .version = RINGGATE_VERSION,
        .routes = {{gateway_routes, gateway_route_count}, {admin_routes, admin_route_count}},
    };
    return process_run(&setup);
}
