// SPDX-License-Identifier: Apache-2.0
//
// options.h: what the command line and the environment say.
//
// Bifrost's flags (-port, -host, -app-dir, -log-level, -log-style) and ringgate's own, with one or
// two dashes, the value behind '=' or as the next word. The environment gives defaults:
// BIFROST_HOST, LOG_LEVEL. Everything else is in config.json.
#ifndef RINGGATE_GATEWAY_OPTIONS_H
#define RINGGATE_GATEWAY_OPTIONS_H

#include "base/log.h"
#include <stdio.h>

#define OPTIONS_PATH_BYTES  4096
#define OPTIONS_ERROR_BYTES 256

struct options {
    const char *host;
    unsigned port; // 0: any free one
    char app_dir[OPTIONS_PATH_BYTES];
    const char *shared_dir; // NULL: shared_dir.h has a name
    enum log_level log_level;
    enum log_style log_style;
    unsigned cores;        // 0: as many as the process may run on
    unsigned requests_max; // in flight on a core; 0: what the machine allows
    unsigned busy_poll_us;
    bool only_6_1;
    bool check_config;
    bool allow_unenforced;
    bool core_dumps; // for whoever debugs it: memory with secrets in it may be written out
    bool version;
    bool help;
};

typedef const char *(*options_getenv_fn)(const char *name);

// Borrows argv and the environment. 0, or ERR_CONFIG with a sentence in `ret_error`.
int options_parse(struct options *ret, int argc, char *const *argv, options_getenv_fn environment,
                  char ret_error[OPTIONS_ERROR_BYTES]);
// What -help prints.
void options_usage(FILE *out);

#endif
