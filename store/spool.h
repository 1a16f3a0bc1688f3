// SPDX-License-Identifier: Apache-2.0
//
// spool.h: the ring of one core in shared memory, between the core that puts and the store that
// drains.
//
// A spool is a file on tmpfs, `ring-00003`, mapped by both sides. Its pages belong to the kernel:
// the end of a process, however sudden, takes nothing from it. One core of one process owns it and
// puts; it holds the file's lock (flock) for as long as it lives. Whoever holds the store's lock
// drains every spool of the folder, those of dead owners and of another process too.
//
//   offset 0   8   "rgspool1"
//          8   8   bytes of data, a power of two
//         16   8   identity, random: the file made again is another one
//         64   8   head: how far frames are whole     the owner's line, written by it alone
//         72   4   number of the next record
//        128   8   tail: how far they are drained     the drain's line
//        136   4   losses: how often contents that came through it were given up
//       4096   …   data; a position is a count of bytes since the file was made, its place is the
//                  position modulo the size
//
//   frame      0   4   length of the payload
//              4   4   CRC-32C of position, length and payload
//              8   8   the position of this frame
//             16   …   payload, then zeros up to a multiple of 8
//
//   data │░░░░░│▒▒ frame ▒▒│▒▒ frame ▒▒│▒▒ frame ▒▒│███ being written ███│░░░ reserved ░░░│░░░░░░│
//              tail                                head
//
// Putting copies the payload behind the head and then moves the head with a release store: a frame
// that was not finished is not there. No system call, no lock, no allocation. All numbers are the
// machine's own; the file never leaves it.
//
// Room is promised beforehand (spool_reserve), so that what must be kept always fits: promises are
// the owner's memory alone and die with the process, as the requests do that they were made for.
//
// The pages of the whole ring are used in turn. A ring at rest gives them back from the process's
// mapping (spool_rest); they stay in the file.
//
// Threads: the owner's half belongs to the core's thread, the drain's half to whoever drains.
#ifndef RINGGATE_STORE_SPOOL_H
#define RINGGATE_STORE_SPOOL_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SPOOL_DATA_OFFSET 4096
#define SPOOL_FRAME_BYTES 16
// Files of one folder: as many as numbers in a key; no machine has so many cores.
#define SPOOL_RINGS_MAX 1024
#define SPOOL_BYTES_MIN ((uint64_t)64 * 1024)
#define SPOOL_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)

struct spool_header;

struct spool {
    struct spool_header *header;
    char *data;
    uint64_t bytes;
    uint64_t identity;
    int fd;
    uint16_t ring;
    bool owned; // by this process: the fd holds the lock
    // The owner's.
    uint64_t head;
    uint64_t tail; // as last seen; never ahead of the truth
    uint64_t reserved;
    uint64_t cursor;
    uint64_t end; // of the frame being written
    uint32_t crc;
    uint32_t number;
    // The drain's.
    uint64_t read;  // the next frame to be looked at
    struct buf lap; // a payload that lies around the end of the data
};

// Bytes that a payload of `len` takes.
static inline uint64_t spool_frame_bytes(uint64_t len)
{
    return SPOOL_FRAME_BYTES + ((len + 7) & ~UINT64_C(7));
}

// ---- Files -----------------------------------------------------------------------------------

// Takes the spool with the lowest number that nobody holds and that has `bytes`, making it when it
// is missing; `dir` is made too. What it holds stays in it. 0, ERR_NOMEM, ERR_LIMIT (no room in
// the memory file system) or ERR_SYSTEM.
int spool_claim(const char *dir, uint64_t bytes, struct spool **ret);
// The same without a folder, for a store in memory: gone when freed.
int spool_new(uint16_t ring, uint64_t bytes, struct spool **ret);
// For draining somebody else's. ERR_NOT_FOUND; ERR_SYSTEM also when it is no spool.
int spool_watch(const char *dir, uint16_t ring, struct spool **ret);
// Removes the file of a watched spool when it is empty and nobody holds it. True: it is gone.
bool spool_remove(struct spool *s, const char *dir);
// Lets go of the lock. NULL is fine.
void spool_free(struct spool *s);
// The numbers of the spools in `dir`, rising; at most SPOOL_RINGS_MAX.
unsigned spool_list(const char *dir, uint16_t ret[SPOOL_RINGS_MAX]);
// Moves a file that is no spool out of the way, under a name that nobody drains.
void spool_set_aside(const char *dir, uint16_t ring);

// ---- The owner -------------------------------------------------------------------------------

// Room that neither holds frames nor is promised.
uint64_t spool_room(struct spool *s);
// Promises room. False: there is none.
bool spool_reserve(struct spool *s, uint64_t bytes);
void spool_unreserve(struct spool *s, uint64_t bytes);
// A frame of `len` bytes: begin, add them in parts, commit. There is room for it.
void spool_begin(struct spool *s, uint64_t len);
void spool_add(struct spool *s, const void *data, size_t len);
void spool_commit(struct spool *s);
// The number of the record that is being put.
uint32_t spool_number(struct spool *s);
// What the drain says of contents that were given up (spool_lose): when it is another number than
// before, what was put may not be there.
uint32_t spool_losses(const struct spool *s);

// ---- The drain -------------------------------------------------------------------------------

enum spool_next {
    SPOOL_EMPTY,
    SPOOL_FRAME,  // *ret is a payload, until the next call
    SPOOL_DAMAGED // *ret is what was skipped, a part of it at least
};
// Looks at the frame at `read` and moves behind it.
enum spool_next spool_next(struct spool *s, struct slice *ret);
// Where the frames end now.
uint64_t spool_head(const struct spool *s);
uint64_t spool_tail(const struct spool *s);
// Nothing has come for a while: the process's memory is not to count what only lies in the file.
void spool_rest(struct spool *s);
// A content that came through it is given up.
void spool_lose(struct spool *s);
// What lies before `position` is drained for good: its room is free.
void spool_release(struct spool *s, uint64_t position);

// The frame at `position` of `data`, whose size is a power of two, whole up to `head`. Pure; what
// spool_next reads frames with. 0: none is there. Else the bytes it takes, and the payload's
// length in *ret_len.
uint64_t spool_frame_at(const char *data, uint64_t bytes, uint64_t position, uint64_t head,
                        uint32_t *ret_len);

#endif
