// SPDX-License-Identifier: Apache-2.0
//
// main.c: the composition root. Which parts make up this program, and nothing else: flags are read
// by gateway/options.c, the process is run by gateway/process.c, routes come from their folders.
// A first word that is no flag is a command about the store (docs/store.md).
#include "admin/admin.h"
#include "gateway/options.h"
#include "gateway/process.h"
#include "gateway/route.h"
#include "store/store.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Read by jemalloc when it is linked in. A thread of its own gives freed pages back a second after
// they were freed: neither a loop's turn nor an idle core has to do it (docs/memory.md). Bodies
// above 8 MB live where the rest does, not in an arena of their own that gives them back at once.
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,"
                          "oversize_threshold:0";

static const char *environment(const char *name)
{
    return getenv(name);
}

// ---- Commands --------------------------------------------------------------------------------

static int backup_main(const char *store, const char *to, char reason[STORE_REASON_BYTES])
{
    char path[PATH_MAX], here[PATH_MAX];
    // The process that writes it has another working directory.
    if (to[0] == '/' || !getcwd(here, sizeof(here)))
        here[0] = '\0';
    int len = snprintf(path, sizeof(path), "%s%s%s", here, here[0] ? "/" : "", to);
    if (len <= 0 || len >= (int)sizeof(path)) {
        snprintf(reason, STORE_REASON_BYTES, "the path is too long");
        return -1;
    }
    return store_backup(store, path, reason);
}

static int repair_main(const char *store, const char *to, char reason[STORE_REASON_BYTES])
{
    (void)to;
    return store_repair(store, reason);
}

struct command {
    const char *name;
    const char *operand; // what its second word is; NULL: it has none
    const char *done;
    int (*run)(const char *store, const char *to, char reason[STORE_REASON_BYTES]);
};
static const struct command commands[] = {
    {"backup", "the folder to write the backup to", "the backup is written", backup_main},
    {"repair", NULL, "what could be read is a store again", repair_main},
};

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; word && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

static int run_command(const struct command *c, int argc, char **argv)
{
    struct options options;
    char error[OPTIONS_ERROR_BYTES], store[PATH_MAX], reason[STORE_REASON_BYTES] = "";
    const char *operand = c->operand ? argv[2] : NULL;
    int words = c->operand ? 2 : 1;
    if (c->operand && (!operand || operand[0] == '-')) {
        fprintf(stderr, "ringgate: %s: %s is missing\n", c->name, c->operand);
        return EXIT_FAILURE;
    }
    if (options_parse(&options, argc - words, argv + words, environment, error) < 0) {
        fprintf(stderr, "ringgate: %s\n", error);
        return EXIT_FAILURE;
    }
    int len = snprintf(store, sizeof(store), "%s/" STORE_FOLDER, options.app_dir);
    if (len >= (int)sizeof(store) || c->run(store, operand, reason) < 0) {
        fprintf(stderr, "ringgate: %s: %s\n", c->name, reason);
        return EXIT_FAILURE;
    }
    printf("%s\n", c->done);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options options;
    char error[OPTIONS_ERROR_BYTES];
    const struct command *command = find_command(argc > 1 ? argv[1] : NULL);
    if (command)
        return run_command(command, argc, argv);
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
