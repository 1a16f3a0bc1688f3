// SPDX-License-Identifier: Apache-2.0
//
// spool_file.c: spools as files: made, claimed, watched, removed.
//
// A spool appears under its name whole and locked or not at all: it is made without a name
// (O_TMPFILE) and linked when its head is written. Its pages are allocated then (fallocate): a full
// memory file system refuses at the start and not, as a SIGBUS, in the middle of a request.
//
// A name may go while somebody opens it: who has got the lock checks that the name still leads to
// the file that was locked.
#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "store/spool.h"
#include "store/spool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES  4096
#define NAME_DIGITS 5

static bool path_of(char path[PATH_BYTES], const char *dir, uint16_t ring)
{
    int len = snprintf(path, PATH_BYTES, "%s/ring-%05u", dir, ring);
    return len > 0 && len < PATH_BYTES;
}

static int err_of_errno(void)
{
    if (errno == ENOMEM)
        return ERR_NOMEM;
    return errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_SYSTEM;
}

// ---- Mapping ---------------------------------------------------------------------------------

// Takes `fd` in any case.
static int map_new(int fd, uint16_t ring, uint64_t bytes, struct spool **ret)
{
    struct spool *s = calloc(1, sizeof(*s));
    if (!s) {
        close(fd);
        return ERR_NOMEM;
    }
    s->fd = fd;
    s->ring = ring;
    s->bytes = bytes;
    buf_init(&s->lap, (size_t)bytes);
    char *at = mmap(NULL, SPOOL_DATA_OFFSET + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        int err = err_of_errno();
        spool_free(s);
        return err;
    }
    s->header = (struct spool_header *)at;
    s->data = at + SPOOL_DATA_OFFSET;
    s->identity = s->header->identity;
    *ret = s;
    return 0;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    if (s->header)
        munmap(s->header, SPOOL_DATA_OFFSET + s->bytes);
    close(s->fd);
    buf_done(&s->lap);
    free(s);
}

void spool_rest(struct spool *s)
{
    (void)madvise(s->data, s->bytes, MADV_DONTNEED); // of a shared file: the pages stay
}

// The owner goes on where the last one stopped.
static void own(struct spool *s)
{
    s->owned = true;
    s->head = spool_head(s);
    s->tail = spool_tail(s);
    s->number = atomic_load_explicit(&s->header->number, memory_order_relaxed);
    s->read = s->tail;
}

// ---- Making ----------------------------------------------------------------------------------

static int prepare(int fd, uint64_t bytes)
{
    struct spool_header header = {.magic = SPOOL_MAGIC, .bytes = bytes};
    uint32_t number;

    if (random_bytes(&header.identity, sizeof(header.identity)) < 0 ||
        random_bytes(&number, sizeof(number)) < 0)
        return ERR_SYSTEM;
    // After the machine went down the numbers begin anew, and so do not meet the old ones even if
    // the clock was set back.
    atomic_store_explicit(&header.number, number, memory_order_relaxed);
    errno = posix_fallocate(fd, 0, (off_t)(SPOOL_DATA_OFFSET + bytes));
    if (errno != 0)
        return err_of_errno();
    if (pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
        return err_of_errno();
    return 0;
}

int spool_new(uint16_t ring, uint64_t bytes, struct spool **ret)
{
    ASSERT(bytes >= SPOOL_BYTES_MIN && bytes <= SPOOL_BYTES_MAX && !(bytes & (bytes - 1)));
    int fd = memfd_create("spool", MFD_CLOEXEC);
    if (fd < 0)
        return err_of_errno();
    int err = prepare(fd, bytes);
    if (err) {
        close(fd);
        return err;
    }
    err = map_new(fd, ring, bytes, ret);
    if (!err)
        own(*ret);
    return err;
}

// ERR_NOT_FOUND: somebody else was faster.
static int make(const char *dir, const char *path, uint64_t bytes, int *ret_fd)
{
    char link[64];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_of_errno();
    int err = prepare(fd, bytes);
    if (!err && flock(fd, LOCK_EX | LOCK_NB) < 0)
        err = ERR_SYSTEM;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (!err && linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        err = errno == EEXIST ? ERR_NOT_FOUND : err_of_errno();
    if (err) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

// ---- Claiming --------------------------------------------------------------------------------

// 0 and the size of its data. ERR_SYSTEM: no spool.
static int examine(int fd, uint64_t *ret_bytes)
{
    struct spool_header header;
    struct stat status;

    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) || fstat(fd, &status) < 0)
        return ERR_SYSTEM;
    uint64_t head = header.head, tail = header.tail;
    if (memcmp(header.magic, SPOOL_MAGIC, sizeof(header.magic)) != 0 ||
        header.bytes < SPOOL_BYTES_MIN || header.bytes > SPOOL_BYTES_MAX ||
        header.bytes & (header.bytes - 1) || head & 7 || tail & 7 || head - tail > header.bytes ||
        (uint64_t)status.st_size != SPOOL_DATA_OFFSET + header.bytes)
        return ERR_SYSTEM;
    *ret_bytes = header.bytes;
    return 0;
}

// True: `path` still leads to the open file.
static bool same_file(int fd, const char *path)
{
    struct stat there, here;
    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

// Opens and locks what is there. ERR_NOT_FOUND: it is held, of another size, or gone.
static int take(const char *dir, uint16_t ring, const char *path, uint64_t bytes, int *ret_fd)
{
    uint64_t found;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : err_of_errno();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !same_file(fd, path)) {
        close(fd);
        return ERR_NOT_FOUND;
    }
    if (examine(fd, &found) < 0) {
        spool_set_aside(dir, ring);
        close(fd);
        return ERR_NOT_FOUND;
    }
    if (found != bytes) {
        close(fd);
        return ERR_NOT_FOUND;
    }
    *ret_fd = fd;
    return 0;
}

int spool_claim(const char *dir, uint64_t bytes, struct spool **ret)
{
    ASSERT(bytes >= SPOOL_BYTES_MIN && bytes <= SPOOL_BYTES_MAX && !(bytes & (bytes - 1)));
    char path[PATH_BYTES];

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_of_errno();
    for (uint16_t ring = 0; ring < SPOOL_RINGS_MAX; ring++) {
        int fd = -1;
        if (!path_of(path, dir, ring))
            return ERR_SYSTEM;
        int err = take(dir, ring, path, bytes, &fd);
        if (err == ERR_NOT_FOUND && access(path, F_OK) != 0)
            err = make(dir, path, bytes, &fd);
        if (err == ERR_NOT_FOUND)
            continue;
        if (!err)
            err = map_new(fd, ring, bytes, ret);
        if (!err)
            own(*ret);
        return err;
    }
    return ERR_SYSTEM;
}

int spool_watch(const char *dir, uint16_t ring, struct spool **ret)
{
    char path[PATH_BYTES];
    uint64_t bytes;

    if (!path_of(path, dir, ring))
        return ERR_SYSTEM;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : err_of_errno();
    if (examine(fd, &bytes) < 0) {
        close(fd);
        return ERR_SYSTEM;
    }
    int err = map_new(fd, ring, bytes, ret);
    if (!err)
        (*ret)->read = spool_tail(*ret);
    return err;
}

bool spool_remove(struct spool *s, const char *dir)
{
    char path[PATH_BYTES];
    ASSERT(!s->owned);
    if (!path_of(path, dir, s->ring))
        return false;
    if (!same_file(s->fd, path)) // already
        return spool_head(s) == spool_tail(s);
    if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    bool gone = spool_head(s) == spool_tail(s) && same_file(s->fd, path) && unlink(path) == 0;
    (void)flock(s->fd, LOCK_UN);
    return gone;
}

void spool_set_aside(const char *dir, uint16_t ring)
{
    char path[PATH_BYTES], aside[PATH_BYTES + 16];
    if (!path_of(path, dir, ring))
        return;
    snprintf(aside, sizeof(aside), "%s.damaged", path);
    (void)rename(path, aside);
}

// ---- The folder ------------------------------------------------------------------------------

static int by_number(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

unsigned spool_list(const char *dir, uint16_t ret[SPOOL_RINGS_MAX])
{
    static const char prefix[] = "ring-";
    unsigned count = 0;
    DIR *folder = opendir(dir);
    if (!folder)
        return 0;
    for (struct dirent *entry; count < SPOOL_RINGS_MAX && (entry = readdir(folder)) != NULL;) {
        struct slice name = slice_str(entry->d_name);
        uint64_t number;
        if (name.len != sizeof(prefix) - 1 + NAME_DIGITS || !slice_starts(name, SLICE("ring-")) ||
            slice_to_u64(slice_skip(name, sizeof(prefix) - 1), &number) < 0 ||
            number >= SPOOL_RINGS_MAX)
            continue;
        ret[count++] = (uint16_t)number;
    }
    closedir(folder);
    qsort(ret, count, sizeof(ret[0]), by_number);
    return count;
}
