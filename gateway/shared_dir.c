// SPDX-License-Identifier: Apache-2.0
//
// shared_dir.c: its name, and that it is ours.
#include "gateway/shared_dir.h"

#include "base/err.h"
#include "base/map.h"
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// The same in every process; nobody gains by a collision of folders that are his own.
static uint64_t hash(const char *text)
{
    static const uint64_t seed[2] = {0};
    return map_hash(seed, slice_str(text));
}

int shared_dir_name(const char *asked, const char *app_dir, char ret[SHARED_DIR_BYTES])
{
    char real[PATH_MAX];
    int n;
    if (asked != NULL && asked[0] != '\0') {
        n = snprintf(ret, SHARED_DIR_BYTES, "%s", asked);
    } else {
        const char *name = realpath(app_dir, real);
        n = snprintf(ret, SHARED_DIR_BYTES, "/dev/shm/ringgate-%u-%016llx", (unsigned)geteuid(),
                     (unsigned long long)hash(name != NULL ? name : app_dir));
    }
    return n > 0 && n < SHARED_DIR_BYTES ? 0 : ERR_LIMIT;
}

int shared_dir_make(const char *name, const char **ret_reason)
{
    struct stat st;
    *ret_reason = "cannot be made";
    if (mkdir(name, 0700) != 0 && errno != EEXIST)
        return ERR_SYSTEM;
    if (lstat(name, &st) != 0)
        return ERR_SYSTEM;
    *ret_reason = "is no folder";
    if (!S_ISDIR(st.st_mode))
        return ERR_SYSTEM;
    *ret_reason = "belongs to somebody else, or others may write to it";
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return ERR_SYSTEM;
    return 0;
}
