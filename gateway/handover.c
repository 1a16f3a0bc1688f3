// SPDX-License-Identifier: Apache-2.0
//
// handover.c: reading and writing what is passed. What is read comes from a parent that may be
// another version, or no ringgate at all: nothing of it is believed before it is checked.
#include "gateway/handover.h"

#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_FD 3 // SD_LISTEN_FDS_START; those below are the standard ones

// ---- Names and descriptors -------------------------------------------------------------------

static bool add(struct handover *h, struct slice name, int fd)
{
    if (h->count == HANDOVER_ITEMS_MAX || name.len >= HANDOVER_NAME_BYTES)
        return false;
    struct handover_item *item = &h->item[h->count++];
    *item = (struct handover_item){.fd = fd};
    if (name.len > 0)
        memcpy(item->name, name.ptr, name.len);
    return true;
}

void handover_add(struct handover *h, const char *name, int fd)
{
    bool added = add(h, slice_str(name), fd);
    ASSERT(added && fd >= FIRST_FD);
}

// The text up to `end`, and what is behind it.
static struct slice next_word(struct slice *left, char end)
{
    ptrdiff_t at = slice_find_char(*left, end);
    struct slice word = slice_take(*left, at < 0 ? left->len : (size_t)at);
    *left = slice_skip(*left, at < 0 ? left->len : (size_t)at + 1);
    return word;
}

static bool is_open(uint64_t fd)
{
    return fd >= FIRST_FD && fd <= INT32_MAX && fcntl((int)fd, F_GETFD) >= 0;
}

// "name=5"
static bool read_item(struct handover *h, struct slice word)
{
    ptrdiff_t equals = slice_find_char(word, '=');
    uint64_t fd;
    return equals > 0 && slice_to_u64(slice_skip(word, (size_t)equals + 1), &fd) == 0 &&
           is_open(fd) && add(h, slice_take(word, (size_t)equals), (int)fd);
}

int handover_read(struct handover *h, const char *text)
{
    struct slice left = slice_str(text);
    uint64_t version;
    ASSERT(h->count == 0);
    if (slice_to_u64(next_word(&left, ' '), &version) < 0)
        return ERR_CONFIG;
    if (version != HANDOVER_VERSION)
        return ERR_UNSUPPORTED;
    while (left.len > 0) {
        if (!read_item(h, next_word(&left, ' '))) {
            h->count = 0;
            return ERR_CONFIG;
        }
    }
    for (unsigned i = 0; i < h->count; i++)
        (void)fcntl(h->item[i].fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

int handover_read_systemd(struct handover *h, const char *pid, const char *count, const char *names)
{
    uint64_t who, n;
    struct slice left = slice_str(names != NULL ? names : "");
    ASSERT(h->count == 0);
    if (pid == NULL || count == NULL || slice_to_u64(slice_str(pid), &who) < 0 ||
        who != (uint64_t)getpid())
        return 0;
    if (slice_to_u64(slice_str(count), &n) < 0)
        return ERR_CONFIG;
    if (n > HANDOVER_ITEMS_MAX)
        return ERR_LIMIT;
    for (uint64_t i = 0; i < n; i++) {
        struct slice name = next_word(&left, ':');
        if (!is_open(FIRST_FD + i)) {
            h->count = 0;
            return ERR_CONFIG;
        }
        (void)fcntl(FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC);
        (void)add(h, name.len < HANDOVER_NAME_BYTES ? name : SLICE_EMPTY, FIRST_FD + (int)i);
    }
    return 0;
}

void handover_write(const struct handover *h, struct buf *out)
{
    buf_printf(out, HANDOVER_ENV "=%u", HANDOVER_VERSION);
    for (unsigned i = 0; i < h->count; i++)
        buf_printf(out, " %s=%d", h->item[i].name, h->item[i].fd);
    buf_add_char(out, '\0');
}

int handover_take(struct handover *h, const char *name)
{
    for (unsigned i = 0; i < h->count; i++) {
        if (strcmp(h->item[i].name, name) != 0)
            continue;
        int fd = h->item[i].fd;
        h->count--;
        memmove(&h->item[i], &h->item[i + 1], (h->count - i) * sizeof(h->item[0]));
        return fd;
    }
    return -1;
}

void handover_drop(struct handover *h)
{
    while (h->count > 0)
        (void)close(h->item[--h->count].fd);
}

// ---- The link --------------------------------------------------------------------------------

int handover_link_make(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) == 0 ? 0 : ERR_SYSTEM;
}

int handover_say(int link, const struct handover_message *message)
{
    ssize_t n = send(link, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)sizeof(*message) ? 0 : ERR_SYSTEM;
}

int handover_hear(int link, struct handover_message *ret)
{
    struct handover_message message;
    ssize_t n = recv(link, &message, sizeof(message), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_MORE;
    if (n != (ssize_t)sizeof(message))
        return ERR_SYSTEM;
    *ret = message;
    explicit_bzero(&message, sizeof(message));
    return 0;
}

// ---- The area --------------------------------------------------------------------------------

static struct handover_area *map(int fd)
{
    void *memory =
        mmap(NULL, sizeof(struct handover_area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

int handover_area_make(int *ret_fd, struct handover_area **ret)
{
    int fd = memfd_create("ringgate-area", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct handover_area *a = NULL;
    if (fd < 0)
        return ERR_SYSTEM;
    // Sealed, so that neither process can be killed by the other's cutting it short.
    if (ftruncate(fd, sizeof(*a)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        a = map(fd);
    if (a == NULL) {
        (void)close(fd);
        return ERR_SYSTEM;
    }
    memcpy(a->magic, HANDOVER_AREA_MAGIC, sizeof(a->magic));
    a->version = HANDOVER_AREA_VERSION;
    a->bytes = sizeof(*a);
    *ret_fd = fd;
    *ret = a;
    return 0;
}

int handover_area_map(int fd, struct handover_area **ret)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct handover_area))
        return ERR_UNSUPPORTED;
    int seals = fcntl(fd, F_GET_SEALS);
    struct handover_area *a = seals >= 0 && (seals & F_SEAL_SHRINK) ? map(fd) : NULL;
    if (a == NULL)
        return ERR_UNSUPPORTED;
    if (memcmp(a->magic, HANDOVER_AREA_MAGIC, sizeof(a->magic)) != 0 ||
        a->version != HANDOVER_AREA_VERSION || a->bytes < sizeof(*a)) {
        handover_area_unmap(a);
        return ERR_UNSUPPORTED;
    }
    *ret = a;
    return 0;
}

void handover_area_unmap(struct handover_area *a)
{
    if (a != NULL)
        (void)munmap(a, sizeof(*a));
}
