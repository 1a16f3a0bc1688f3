// SPDX-License-Identifier: Apache-2.0
//
// spool.c: the ring's bytes. Its files are made and found in spool_file.c.
//
// The owner reads the tail only when its last look at it does not suffice, the drain reads the head
// once a round: the two lines travel between the cores as rarely as they can.
#include "store/spool.h"

#include "base/assert.h"
#include "store/crc.h"
#include "store/spool_internal.h"

// ---- Bytes around the end --------------------------------------------------------------------

static void copy_in(char *data, uint64_t bytes, uint64_t position, const void *from, size_t len)
{
    uint64_t at = position & (bytes - 1);
    size_t first = len < bytes - at ? len : (size_t)(bytes - at);
    memcpy(data + at, from, first);
    if (len > first)
        memcpy(data, (const char *)from + first, len - first);
}

static void copy_out(const char *data, uint64_t bytes, uint64_t position, void *to, size_t len)
{
    uint64_t at = position & (bytes - 1);
    size_t first = len < bytes - at ? len : (size_t)(bytes - at);
    memcpy(to, data + at, first);
    if (len > first)
        memcpy((char *)to + first, data, len - first);
}

static uint32_t crc_around(uint32_t crc, const char *data, uint64_t bytes, uint64_t position,
                           size_t len)
{
    uint64_t at = position & (bytes - 1);
    size_t first = len < bytes - at ? len : (size_t)(bytes - at);
    crc = crc_add(crc, data + at, first);
    return len > first ? crc_add(crc, data, len - first) : crc;
}

struct frame {
    uint32_t len;
    uint32_t crc;
    uint64_t position;
};
_Static_assert(sizeof(struct frame) == SPOOL_FRAME_BYTES, "as spool.h draws it");

static uint32_t crc_begin(uint64_t position, uint32_t len)
{
    return crc_add(crc_add(0, &position, sizeof(position)), &len, sizeof(len));
}

// ---- The owner -------------------------------------------------------------------------------

uint64_t spool_room(struct spool *s)
{
    ASSERT(s->owned);
    s->tail = atomic_load_explicit(&s->header->tail, memory_order_acquire);
    uint64_t used = s->head - s->tail + s->reserved;
    ASSERT(used <= s->bytes);
    return s->bytes - used;
}

bool spool_reserve(struct spool *s, uint64_t bytes)
{
    ASSERT(s->owned);
    if (s->bytes - (s->head - s->tail + s->reserved) < bytes && spool_room(s) < bytes)
        return false;
    s->reserved += bytes;
    return true;
}

void spool_unreserve(struct spool *s, uint64_t bytes)
{
    ASSERT(s->reserved >= bytes);
    s->reserved -= bytes;
}

void spool_begin(struct spool *s, uint64_t len)
{
    uint64_t wanted = spool_frame_bytes(len);
    ASSERT(s->owned && len < s->bytes && s->end == 0);
    ASSERT(s->bytes - (s->head - s->tail + s->reserved) >= wanted || spool_room(s) >= wanted);
    s->cursor = s->head + SPOOL_FRAME_BYTES;
    s->end = s->cursor + len;
    s->crc = crc_begin(s->head, (uint32_t)len);
}

void spool_add(struct spool *s, const void *data, size_t len)
{
    ASSERT(s->cursor + len <= s->end);
    if (len == 0)
        return;
    copy_in(s->data, s->bytes, s->cursor, data, len);
    s->crc = crc_add(s->crc, data, len);
    s->cursor += len;
}

void spool_commit(struct spool *s)
{
    static const char zeros[8];
    ASSERT(s->end != 0 && s->cursor == s->end);
    uint64_t len = s->end - s->head - SPOOL_FRAME_BYTES;
    copy_in(s->data, s->bytes, s->end, zeros, (size_t)(-len & 7));
    struct frame frame = {.len = (uint32_t)len, .crc = s->crc, .position = s->head};
    copy_in(s->data, s->bytes, s->head, &frame, sizeof(frame));
    s->end = 0;
    s->head += spool_frame_bytes(len);
    atomic_store_explicit(&s->header->head, s->head, memory_order_release);
}

uint32_t spool_number(struct spool *s)
{
    ASSERT(s->owned);
    uint32_t number = s->number++;
    // Before the head moves over the record: nobody gives its number again. A number that was
    // never put is only a gap.
    atomic_store_explicit(&s->header->number, s->number, memory_order_relaxed);
    return number;
}

uint32_t spool_losses(const struct spool *s)
{
    return atomic_load_explicit(&s->header->losses, memory_order_relaxed);
}

// ---- The drain -------------------------------------------------------------------------------

uint64_t spool_head(const struct spool *s)
{
    return atomic_load_explicit(&s->header->head, memory_order_acquire);
}

uint64_t spool_tail(const struct spool *s)
{
    return atomic_load_explicit(&s->header->tail, memory_order_acquire);
}

uint64_t spool_frame_at(const char *data, uint64_t bytes, uint64_t position, uint64_t head,
                        uint32_t *ret_len)
{
    struct frame frame;
    if (position & 7 || head - position > bytes || head - position < SPOOL_FRAME_BYTES)
        return 0;
    copy_out(data, bytes, position, &frame, sizeof(frame));
    if (frame.position != position)
        return 0;
    uint64_t takes = spool_frame_bytes(frame.len);
    if (takes > head - position)
        return 0;
    uint32_t crc = crc_begin(position, frame.len);
    crc = crc_around(crc, data, bytes, position + SPOOL_FRAME_BYTES, frame.len);
    if (crc != frame.crc)
        return 0;
    *ret_len = frame.len;
    return takes;
}

// The next whole frame behind damage, or the head.
static uint64_t find_frame(const struct spool *s, uint64_t position, uint64_t head)
{
    uint32_t len;
    for (uint64_t at = position + 8; at < head; at += 8)
        if (spool_frame_at(s->data, s->bytes, at, head, &len) > 0)
            return at;
    return head;
}

// A run of bytes as one slice. Empty when there is no memory for the copy.
static struct slice run(struct spool *s, uint64_t position, uint64_t len)
{
    uint64_t at = position & (s->bytes - 1);
    if (at + len <= s->bytes)
        return slice_of(s->data + at, (size_t)len);
    buf_reset(&s->lap);
    buf_add(&s->lap, slice_of(s->data + at, (size_t)(s->bytes - at)));
    buf_add(&s->lap, slice_of(s->data, (size_t)(len - (s->bytes - at))));
    return s->lap.err ? SLICE_EMPTY : buf_slice(&s->lap);
}

enum spool_next spool_next(struct spool *s, struct slice *ret)
{
    uint64_t head = spool_head(s);
    uint32_t len = 0;

    if (head - s->read > s->bytes) { // a head that cannot be: nothing here can be believed
        *ret = SLICE_EMPTY;
        s->read = head;
        return SPOOL_DAMAGED;
    }
    if (s->read == head)
        return SPOOL_EMPTY;
    uint64_t at = s->read;
    uint64_t takes = spool_frame_at(s->data, s->bytes, at, head, &len);
    if (takes == 0) {
        s->read = find_frame(s, at, head);
        *ret = run(s, at, s->read - at);
        return SPOOL_DAMAGED;
    }
    *ret = run(s, at + SPOOL_FRAME_BYTES, len);
    if (len > 0 && ret->len == 0)
        return SPOOL_EMPTY; // no memory: looked at again
    s->read = at + takes;
    return SPOOL_FRAME;
}

void spool_lose(struct spool *s)
{
    atomic_fetch_add_explicit(&s->header->losses, 1, memory_order_relaxed);
}

void spool_release(struct spool *s, uint64_t position)
{
    atomic_store_explicit(&s->header->tail, position, memory_order_release);
}
