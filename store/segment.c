// SPDX-License-Identifier: Apache-2.0
//
// segment.c: the files, and a list of them in memory.
//
// A file that is appended to is its writer's without the mutex from take() to the commit: nobody
// else changes or seals it meanwhile, and only what is sealed is dropped. In memory each file is
// one without a name, whose descriptor the list keeps.
//
// Several files of a kind may be open to appending: the newest, and those of other times, where
// bundles go that are written again (remove.c). So what is old lies with what is as old, and one
// old bundle neither ends the newest file nor stays as long as the youngest in it.
#include "store/segment.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES 32
#define DIGITS     8
// Files that one round of a sync takes.
#define SYNC_ROUND 64
#define COPY_BYTES ((size_t)256 * 1024)
// Erasures that wait for a backup; more of them stay where they are until their files go.
#define ERASURE_BYTES_MAX ((size_t)1024 * 1024)
// Of a kind that are open to appending; each has a descriptor.
#define OPEN_MAX 4

struct file {
    struct segment is; // as committed
    struct segment becomes;
    bool taken;    // by the writer, until it commits or forgets
    bool appended; // to `becomes`
    bool sealed;
    bool dirty; // committed and not synced
    int fd;     // -1: not open
};

// What is to be given back, later.
struct erasure {
    enum segment_kind kind;
    struct segment_place place;
};

struct segments {
    int dir; // -1: in memory
    pthread_mutex_t mutex;
    struct file **file; // by kind and number, rising
    unsigned count, cap;
    uint32_t last[SEGMENT_KINDS]; // numbers given so far
    bool made;                    // a file, since the folder was synced
    char reason[SEGMENT_REASON_BYTES];
    pthread_mutex_t erase_mutex;
    unsigned holds;     // nothing is erased
    struct buf erasure; // struct erasure, until there are none
};

static const char *const kinds[SEGMENT_KINDS] = {
    [SEGMENT_ROWS] = "rows", [SEGMENT_CONTENT] = "content"};

static void name_of(enum segment_kind kind, uint32_t number, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%s-%08u", kinds[kind], number);
}

static bool read_name(const char *name, enum segment_kind *ret_kind, uint32_t *ret_number)
{
    struct slice text = slice_str(name);
    for (unsigned k = 0; k < SEGMENT_KINDS; k++) {
        struct slice kind = slice_str(kinds[k]);
        uint64_t number;
        if (text.len != kind.len + 1 + DIGITS || !slice_starts(text, kind) ||
            text.ptr[kind.len] != '-' || slice_to_u64(slice_skip(text, kind.len + 1), &number) < 0)
            continue;
        *ret_kind = (enum segment_kind)k;
        *ret_number = (uint32_t)number;
        return true;
    }
    return false;
}

// Keeps the words of errno.
static int fail(struct segments *s, const char *what)
{
    int err = errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_SYSTEM;
    pthread_mutex_lock(&s->mutex);
    snprintf(s->reason, sizeof(s->reason), "segments/%.64s: %s", what, strerror(errno));
    pthread_mutex_unlock(&s->mutex);
    return err;
}

void segments_reason(const struct segments *s, char reason[SEGMENT_REASON_BYTES])
{
    pthread_mutex_lock((pthread_mutex_t *)&s->mutex);
    snprintf(reason, SEGMENT_REASON_BYTES, "%s", s->reason);
    pthread_mutex_unlock((pthread_mutex_t *)&s->mutex);
}

// ---- Life ------------------------------------------------------------------------------------

int segments_new(const char *dir, struct segments **ret)
{
    struct segments *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_mutex_init(&s->erase_mutex, NULL);
    buf_init(&s->erasure, ERASURE_BYTES_MAX);
    s->dir = -1;
    if (dir && mkdir(dir, 0700) < 0 && errno != EEXIST) {
        segments_free(s);
        return ERR_SYSTEM;
    }
    s->dir = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir && s->dir < 0) {
        segments_free(s);
        return ERR_SYSTEM;
    }
    *ret = s;
    return 0;
}

static void file_free(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

void segments_free(struct segments *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->count; i++)
        file_free(s->file[i]);
    if (s->dir >= 0)
        close(s->dir);
    pthread_mutex_destroy(&s->mutex);
    pthread_mutex_destroy(&s->erase_mutex);
    buf_done(&s->erasure);
    free(s->file);
    free(s);
}

// ---- The list: with the mutex ----------------------------------------------------------------

static struct file *find(const struct segments *s, enum segment_kind kind, uint32_t number)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->file[i]->is.kind == kind && s->file[i]->is.number == number)
            return s->file[i];
    return NULL;
}

static struct file *newest(const struct segments *s, enum segment_kind kind)
{
    for (unsigned i = s->count; i > 0; i--)
        if (s->file[i - 1]->is.kind == kind)
            return s->file[i - 1];
    return NULL;
}

static struct file *add(struct segments *s, const struct segment *segment)
{
    if (s->count == s->cap) {
        unsigned cap = s->cap ? 2 * s->cap : 16;
        struct file **more = realloc(s->file, cap * sizeof(struct file *));
        if (!more)
            return NULL;
        s->file = more;
        s->cap = cap;
    }
    struct file *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->is = *segment;
    f->fd = -1;
    if (segment->number > s->last[segment->kind])
        s->last[segment->kind] = segment->number;
    s->file[s->count++] = f;
    return f;
}

int segments_know(struct segments *s, const struct segment *segment)
{
    ASSERT(segment->kind < SEGMENT_KINDS);
    pthread_mutex_lock(&s->mutex);
    struct file *f = find(s, segment->kind, segment->number);
    struct file *before = newest(s, segment->kind);
    bool dropped = !f && segment->number <= s->last[segment->kind]; // by another thread, meanwhile
    if (f)
        f->is = *segment;
    else if (!dropped)
        f = add(s, segment);
    if (f && f != before && before)
        before->sealed = before->sealed || before->is.number < segment->number;
    if (f) {
        f->taken = f->appended = false;
        f->dirty = s->made = true; // who wrote it may have ended before it was synced
    }
    pthread_mutex_unlock(&s->mutex);
    return f || dropped ? 0 : ERR_NOMEM;
}

void segments_settle(struct segments *s)
{
    if (s->dir < 0)
        return;
    int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        enum segment_kind kind;
        uint32_t number;
        if (read_name(entry->d_name, &kind, &number) && !find(s, kind, number))
            (void)unlinkat(s->dir, entry->d_name, 0);
    }
    closedir(folder);
}

// ---- Appending -------------------------------------------------------------------------------

static int open_file(struct segments *s, struct file *f)
{
    char name[NAME_BYTES];

    if (f->fd >= 0)
        return 0;
    name_of(f->is.kind, f->is.number, name);
    int fd = s->dir < 0 ? memfd_create(name, MFD_CLOEXEC)
                        : openat(s->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(s, name);
    pthread_mutex_lock(&s->mutex);
    f->fd = fd;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

static void seal(struct segments *s, struct file *f)
{
    f->sealed = true;
    if (f->fd >= 0 && s->dir >= 0) {
        close(f->fd);
        f->fd = -1;
    }
}

static bool is_full(const struct file *f, uint64_t len, uint64_t bytes_max)
{
    return f->is.bytes > 0 && f->is.bytes + len > bytes_max;
}

static bool is_of_that_time(const struct file *f, uint64_t first_us, uint64_t last_us)
{
    uint64_t first = first_us < f->is.first_us ? first_us : f->is.first_us;
    uint64_t last = last_us > f->is.last_us ? last_us : f->is.last_us;
    return f->is.bytes == 0 || last - first <= SEGMENT_SPAN_US;
}

// A backup has it too: what it names must stay as it is, and a store that is opened where the
// backup is writes behind that.
static bool is_shared(const struct segments *s, const struct file *f)
{
    char name[NAME_BYTES];
    struct stat status;
    if (s->dir < 0)
        return false;
    name_of(f->is.kind, f->is.number, name);
    return fstatat(s->dir, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_nlink > 1;
}

// One that is open to appending, the newest of those that fit. The others stay open, up to OPEN_MAX
// with a new one.
static struct file *fitting(struct segments *s, enum segment_kind kind, uint64_t len,
                            uint64_t first_us, uint64_t last_us, uint64_t bytes_max)
{
    unsigned opened = 0;
    for (unsigned i = s->count; i > 0; i--) {
        struct file *f = s->file[i - 1];
        if (f->is.kind != kind || f->sealed)
            continue;
        if (is_full(f, len, bytes_max) || is_shared(s, f) || ++opened == OPEN_MAX)
            seal(s, f);
        else if (is_of_that_time(f, first_us, last_us))
            return f;
    }
    return NULL;
}

// The file to append to.
static struct file *take(struct segments *s, enum segment_kind kind, uint64_t len,
                         uint64_t first_us, uint64_t last_us, uint64_t bytes_max)
{
    pthread_mutex_lock(&s->mutex);
    struct file *f = fitting(s, kind, len, first_us, last_us, bytes_max);
    if (!f) {
        f = add(s, &(struct segment){.kind = kind, .number = s->last[kind] + 1});
        s->made = true;
    }
    if (f)
        f->taken = true;
    pthread_mutex_unlock(&s->mutex);
    return f;
}

static bool write_all(int fd, struct slice bytes, uint64_t at)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = slice_skip(bytes, (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

int segments_append(struct segments *s, enum segment_kind kind, struct slice bytes,
                    uint64_t first_us, uint64_t last_us, uint64_t bytes_max, struct segment *ret,
                    uint32_t *ret_offset)
{
    struct file *f = take(s, kind, bytes.len, first_us, last_us, bytes_max);
    if (!f)
        return ERR_NOMEM;
    ASSERT(!f->appended && f->is.bytes + bytes.len <= UINT32_MAX);
    int err = open_file(s, f);
    if (!err && !write_all(f->fd, bytes, f->is.bytes)) {
        char name[NAME_BYTES];
        name_of(kind, f->is.number, name);
        err = fail(s, name);
        (void)!ftruncate(f->fd, (off_t)f->is.bytes); // a full disk wants it back
    }
    if (err)
        return err;
    struct segment becomes = f->is;
    becomes.bytes += bytes.len;
    if (f->is.bytes == 0 || first_us < becomes.first_us)
        becomes.first_us = first_us;
    if (f->is.bytes == 0 || last_us > becomes.last_us)
        becomes.last_us = last_us;
    *ret_offset = (uint32_t)f->is.bytes;
    *ret = becomes;
    pthread_mutex_lock(&s->mutex);
    f->becomes = becomes;
    f->appended = true;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

void segments_commit(struct segments *s)
{
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->count; i++) {
        struct file *f = s->file[i];
        if (f->appended) {
            f->is = f->becomes;
            f->dirty = true;
        }
        f->taken = f->appended = false;
    }
    pthread_mutex_unlock(&s->mutex);
}

void segments_forget(struct segments *s)
{
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->count; i++)
        s->file[i]->taken = s->file[i]->appended = false;
    pthread_mutex_unlock(&s->mutex);
}

void segments_seal(struct segments *s, uint64_t before_us)
{
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->count; i++)
        if (!s->file[i]->taken && s->file[i]->is.bytes > 0 && s->file[i]->is.last_us < before_us)
            seal(s, s->file[i]);
    pthread_mutex_unlock(&s->mutex);
}

// ---- Reading ---------------------------------------------------------------------------------

static int read_all(struct segments *s, int fd, const char *name, struct segment_place place,
                    struct buf *ret)
{
    size_t done = 0;
    char *room = buf_room(ret, place.len);
    if (!room)
        return ret->err;
    while (done < place.len) {
        ssize_t n = pread(fd, room + done, place.len - done, (off_t)(place.offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(s, name);
        if (n == 0)
            return ERR_BAD_LENGTH;
        done += (size_t)n;
    }
    ret->len += place.len;
    return 0;
}

// A descriptor of its own: the file may be dropped meanwhile.
static int open_to_read(struct segments *s, enum segment_kind kind, uint32_t number,
                        const char *name)
{
    if (s->dir >= 0)
        return openat(s->dir, name, O_RDONLY | O_CLOEXEC);
    pthread_mutex_lock(&s->mutex);
    const struct file *f = find(s, kind, number);
    int fd = f && f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 0) : -1;
    pthread_mutex_unlock(&s->mutex);
    if (!f)
        errno = ENOENT;
    return fd;
}

int segments_read(struct segments *s, enum segment_kind kind, struct segment_place place,
                  struct buf *ret)
{
    char name[NAME_BYTES];

    name_of(kind, place.segment, name);
    int fd = open_to_read(s, kind, place.segment, name);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : fail(s, name);
    int err = read_all(s, fd, name, place, ret);
    close(fd);
    return err;
}

// ---- Erasing ---------------------------------------------------------------------------------

static void erase(struct segments *s, enum segment_kind kind, struct segment_place place)
{
    char name[NAME_BYTES];
    struct stat status;

    name_of(kind, place.segment, name);
    int fd = s->dir >= 0 ? openat(s->dir, name, O_WRONLY | O_CLOEXEC)
                         : open_to_read(s, kind, place.segment, name);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && status.st_nlink <= 1)
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place.offset, place.len);
    close(fd);
}

void segments_erase(struct segments *s, enum segment_kind kind, struct segment_place place)
{
    struct erasure later = {.kind = kind, .place = place};
    pthread_mutex_lock(&s->erase_mutex);
    if (s->holds == 0)
        erase(s, kind, place);
    else
        buf_add(&s->erasure, slice_of(&later, sizeof(later)));
    pthread_mutex_unlock(&s->erase_mutex);
}

void segments_hold(struct segments *s)
{
    pthread_mutex_lock(&s->erase_mutex);
    s->holds++;
    pthread_mutex_unlock(&s->erase_mutex);
}

void segments_release(struct segments *s)
{
    struct erasure e;
    pthread_mutex_lock(&s->erase_mutex);
    ASSERT(s->holds > 0);
    if (--s->holds == 0) {
        for (size_t at = 0; at < s->erasure.len; at += sizeof(e)) {
            memcpy(&e, s->erasure.ptr + at, sizeof(e));
            erase(s, e.kind, e.place);
        }
        buf_done(&s->erasure);
        buf_init(&s->erasure, ERASURE_BYTES_MAX);
    }
    pthread_mutex_unlock(&s->erase_mutex);
}

// ---- Sync ------------------------------------------------------------------------------------

static int sync_one(struct segments *s, const struct segment *is)
{
    char name[NAME_BYTES];
    int err = 0;

    name_of(is->kind, is->number, name);
    int fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 ? errno != ENOENT : fdatasync(fd) < 0)
        err = fail(s, name);
    if (fd >= 0)
        close(fd);
    return err;
}

static void mark_dirty(struct segments *s, const struct segment *is)
{
    pthread_mutex_lock(&s->mutex);
    struct file *f = find(s, is->kind, is->number);
    if (f)
        f->dirty = true;
    pthread_mutex_unlock(&s->mutex);
}

// Those that are dirty now, clean from here on.
static unsigned take_dirty(struct segments *s, struct segment ret[SYNC_ROUND], bool *ret_made)
{
    unsigned count = 0;
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->count && count < SYNC_ROUND; i++) {
        if (!s->file[i]->dirty)
            continue;
        s->file[i]->dirty = false;
        ret[count++] = s->file[i]->is;
    }
    *ret_made = *ret_made || s->made;
    s->made = false;
    pthread_mutex_unlock(&s->mutex);
    return count;
}

int segments_sync(struct segments *s)
{
    struct segment dirty[SYNC_ROUND];
    unsigned count;
    bool made = false;
    int err = 0;

    if (s->dir < 0)
        return 0;
    do {
        count = take_dirty(s, dirty, &made);
        for (unsigned i = 0; i < count; i++) {
            if (!err)
                err = sync_one(s, &dirty[i]);
            if (err)
                mark_dirty(s, &dirty[i]);
        }
    } while (!err && count == SYNC_ROUND);
    if (!err && made && fsync(s->dir) < 0)
        err = fail(s, "");
    if (err && made) {
        pthread_mutex_lock(&s->mutex);
        s->made = true;
        pthread_mutex_unlock(&s->mutex);
    }
    return err;
}

// ---- Care ------------------------------------------------------------------------------------

uint64_t segments_bytes(const struct segments *s)
{
    uint64_t sum = 0;
    pthread_mutex_lock((pthread_mutex_t *)&s->mutex);
    for (unsigned i = 0; i < s->count; i++)
        sum += s->file[i]->is.bytes;
    pthread_mutex_unlock((pthread_mutex_t *)&s->mutex);
    return sum;
}

bool segments_oldest(const struct segments *s, enum segment_kind kind, uint64_t before_us,
                     struct segment *ret)
{
    bool found = false;
    pthread_mutex_lock((pthread_mutex_t *)&s->mutex);
    for (unsigned i = 0; i < s->count; i++) {
        const struct file *f = s->file[i];
        if (!f->sealed || f->is.last_us >= before_us ||
            (kind != SEGMENT_KINDS && f->is.kind != kind) ||
            (found && f->is.last_us >= ret->last_us))
            continue;
        *ret = f->is;
        found = true;
    }
    pthread_mutex_unlock((pthread_mutex_t *)&s->mutex);
    return found;
}

void segments_drop(struct segments *s, enum segment_kind kind, uint32_t number)
{
    char name[NAME_BYTES];
    pthread_mutex_lock(&s->mutex);
    for (unsigned i = 0; i < s->count; i++) {
        struct file *f = s->file[i];
        if (f->is.kind != kind || f->is.number != number)
            continue;
        ASSERT(f->sealed && !f->taken);
        file_free(f);
        memmove(s->file + i, s->file + i + 1, (--s->count - i) * sizeof(struct file *));
        break;
    }
    pthread_mutex_unlock(&s->mutex);
    name_of(kind, number, name);
    if (s->dir >= 0)
        (void)unlinkat(s->dir, name, 0);
}

// ---- Backup ----------------------------------------------------------------------------------

// By hand: the kernel copies between files of one file system only.
static bool copy(int from, int to)
{
    struct buf buf;
    buf_init(&buf, COPY_BYTES);
    char *bytes = buf_room(&buf, COPY_BYTES);
    uint64_t at = 0;
    bool more = bytes != NULL;
    while (more) {
        ssize_t n = pread(from, bytes, COPY_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            break;
        more = n > 0 && write_all(to, slice_of(bytes, (size_t)n), at);
        at += more ? (uint64_t)n : 0;
    }
    buf_done(&buf);
    return more;
}

static bool copy_file(int from_dir, int to_dir, const char *name)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT;
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = to >= 0 && copy(from, to) && fdatasync(to) == 0;
    int error = errno;
    close(from);
    if (to >= 0)
        close(to);
    errno = error;
    return done;
}

// What was committed a moment ago is only in memory.
static bool sync_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && fdatasync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return done;
}

static bool link_file(int from_dir, int to_dir, const char *name)
{
    if (linkat(from_dir, name, to_dir, name, 0) == 0)
        return sync_file(to_dir, name);
    if (errno == ENOENT) // retention was faster
        return true;
    return (errno == EXDEV || errno == EPERM || errno == EMLINK) &&
           copy_file(from_dir, to_dir, name);
}

static bool link_all(int from_dir, int to_dir)
{
    enum segment_kind kind;
    uint32_t number;
    bool linked = true;

    int fd = openat(from_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry; linked && (entry = readdir(folder)) != NULL;)
        if (read_name(entry->d_name, &kind, &number))
            linked = link_file(from_dir, to_dir, entry->d_name);
    int error = errno;
    closedir(folder);
    errno = error;
    return linked && fsync(to_dir) == 0;
}

int segments_link(const char *from, const char *to, char reason[SEGMENT_REASON_BYTES])
{
    int to_dir = mkdir(to, 0700) == 0 ? open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int from_dir = to_dir >= 0 ? open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool linked = from_dir >= 0 ? link_all(from_dir, to_dir) : to_dir >= 0 && errno == ENOENT;
    if (!linked)
        snprintf(reason, SEGMENT_REASON_BYTES, "%.200s: %s", to, strerror(errno));
    if (from_dir >= 0)
        close(from_dir);
    if (to_dir >= 0)
        close(to_dir);
    return linked ? 0 : ERR_SYSTEM;
}
