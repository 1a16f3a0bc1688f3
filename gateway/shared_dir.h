// SPDX-License-Identifier: Apache-2.0
//
// shared_dir.h: the folder on tmpfs where lies what outlives the process but not the machine: the
// counters of limits (ledger.h) and the rings of records (store/store.h). The two processes of an
// upgrade meet in it.
//
// It is --shared-dir, or /dev/shm/ringgate-<uid>-<hash of the application's folder>: one for each
// configuration of each user. /dev/shm is everybody's: a folder that is not ours alone is refused.
#ifndef RINGGATE_GATEWAY_SHARED_DIR_H
#define RINGGATE_GATEWAY_SHARED_DIR_H

#include <stddef.h>

#define SHARED_DIR_BYTES 4096

// Writes the name; `asked` is --shared-dir or NULL. Pure but for resolving app_dir. 0; ERR_LIMIT:
// too long.
int shared_dir_name(const char *asked, const char *app_dir, char ret[SHARED_DIR_BYTES]);
// Makes it when it is missing. 0; ERR_SYSTEM with a sentence (static) in *ret_reason.
int shared_dir_make(const char *name, const char **ret_reason);

#endif
