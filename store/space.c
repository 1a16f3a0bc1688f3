// SPDX-License-Identifier: Apache-2.0
//
// space.c: how full the disk is, what is given up for it, and the reserve.
//
// The reserve is a file of allocated blocks that nothing is kept in. When the disk is nearly full
// it is removed, and usage, which is a twentieth of a row, is written where it was. It is made
// again when there is space for it and more.
#include "base/err.h"
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

// Of free_bytes_min.
#define RESERVE_PART 4
// At most; a day of usage at a few records a second.
#define RESERVE_BYTES_MAX ((uint64_t)256 * 1024 * 1024)

// Down at once, up when there is an eighth more than the bound: a level is not to flap.
enum store_level store__level_of(uint64_t free_bytes, uint64_t free_bytes_min,
                                 enum store_level current)
{
    uint64_t slack = free_bytes_min / 8;
    uint64_t all = free_bytes_min + (current > STORE_ALL ? slack : 0);
    uint64_t rows = free_bytes_min / 2 + (current > STORE_NO_CONTENT ? slack : 0);
    if (free_bytes_min == 0 || free_bytes >= all)
        return STORE_ALL;
    return free_bytes >= rows ? STORE_NO_CONTENT : STORE_NO_ROWS;
}

static uint64_t reserve_bytes(const struct store *s)
{
    uint64_t bytes = s->free_bytes_min / RESERVE_PART;
    return bytes < RESERVE_BYTES_MAX ? bytes : RESERVE_BYTES_MAX;
}

static bool reserve_path(const struct store *s, char path[STORE_PATH_BYTES])
{
    int len = snprintf(path, STORE_PATH_BYTES, "%s/reserve", s->dir);
    return !s->memory && len > 0 && len < STORE_PATH_BYTES;
}

static bool free_space(const struct store *s, uint64_t *ret)
{
    struct statvfs status;
    if (s->memory || statvfs(s->dir, &status) < 0)
        return false;
    *ret = (uint64_t)status.f_bavail * status.f_frsize;
    return true;
}

void store__keep_reserve(struct store *s)
{
    char path[STORE_PATH_BYTES];
    struct stat status;
    uint64_t bytes = reserve_bytes(s), free_bytes;

    if (bytes == 0 || !reserve_path(s, path) || !free_space(s, &free_bytes))
        return;
    if (stat(path, &status) == 0 && (uint64_t)status.st_size == bytes)
        return;
    if (free_bytes < s->free_bytes_min + bytes)
        return;
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool made = posix_fallocate(fd, 0, (off_t)bytes) == 0;
    close(fd);
    if (!made)
        (void)unlink(path);
}

void store__give_reserve(struct store *s)
{
    char path[STORE_PATH_BYTES];
    if (reserve_path(s, path) && unlink(path) == 0)
        store__notice(s, LOG_WARN, "the space that is reserved for usage has been given back");
}

void store__measure(struct store *s)
{
    static const char *const told[STORE_LEVEL_COUNT] = {
        [STORE_ALL] = "there is space on the disk again: everything is kept",
        [STORE_NO_CONTENT] = "the disk is nearly full: content is not kept any more",
        [STORE_NO_ROWS] = "the disk is full: only usage is kept",
    };
    uint64_t free_bytes;
    if (!free_space(s, &free_bytes))
        return;
    enum store_level before = (enum store_level)atomic_load(&s->level);
    enum store_level level = store__level_of(free_bytes, s->free_bytes_min, before);
    if (level != before) {
        atomic_store(&s->level, (int)level);
        store__notice(s, level == STORE_ALL ? LOG_INFO : LOG_WARN, "%s", told[level]);
    }
    if (s->free_bytes_min > 0 && free_bytes < s->free_bytes_min / 8)
        store__give_reserve(s);
    else
        store__keep_reserve(s);
}
