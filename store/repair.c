// SPDX-License-Identifier: Apache-2.0
//
// repair.c: `ringgate repair`: databases again out of what can be read of damaged ones.
//
// The engine rebuilds its manifest from the files that are there and moves what it cannot use into
// <database>/lost. A database that opens, as one does whose process was only killed, is opened
// first: that puts its log into files. (What the log and a file both have, because a backup had
// written it there, the repair would find twice and refuse.) Segments are left as they are: what of
// them the database still names is found.
#include "base/err.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// What lies in the write-ahead log goes to files, if it can be read. What cannot is the repair's.
static void settle(const char *path, bool logs)
{
    char words[ROCKS_REASON_BYTES];
    const struct rocks_options options = {
        .dir = path, .logs = logs, .must_exist = true, .still = true};
    struct rocks *db = NULL;
    if (rocks_open(&options, &db, words) == 0)
        (void)rocks_flush(db);
    rocks_close(db);
}

int store_repair(const char *dir, char ret_reason[STORE_REASON_BYTES])
{
    static const char *const names[] = {"config", "logs"};
    char path[STORE_PATH_BYTES + 16], words[ROCKS_REASON_BYTES] = "";
    struct stat status;
    int lock, err = 0;

    if (store__lock(dir, &lock) < 0) {
        store__explain(ret_reason, "%s is not there, or another process has it open", dir);
        return ERR_SYSTEM;
    }
    for (unsigned i = 0; !err && i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (stat(path, &status) < 0)
            continue;
        settle(path, i == 1);
        err = rocks_repair(path, words);
        if (err)
            store__explain(ret_reason, "%s: %s", path, words);
    }
    close(lock);
    return err;
}
