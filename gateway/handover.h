// SPDX-License-Identifier: Apache-2.0
//
// handover.h: what one process gives the one that replaces it, and how the two talk.
//
// The old process starts the new one with every descriptor closed but these, and says in the
// environment which is which. systemd's sockets (LISTEN_FDS) are read into the same list.
//
//     RINGGATE_HANDOVER=1 link=5 area=6 main=7 main=8 plain=9
//                       │ └ name=descriptor, in any order; names may repeat
//                       └ HANDOVER_VERSION: another one is refused, and the old process goes on
//
//     link   a pair of sockets (SOCK_SEQPACKET), struct handover_message each way:
//                old ─► new   KEYS      lies in it when the new process begins
//                new ─► old   READY     it serves; the old one stops accepting
//                old ─► new   STOPPED   it accepts no more; so does its end (end of file)
//     area   shared memory (memfd): struct handover_area, counters of both processes
//     stored shared memory (memfd), sealed, never written: rows of the store's configuration
//            (process_stored.c). Missing: there are none
//     main, plain
//            listening sockets by role (net/sockets.h); "main.named": systemd gave it that name
//
// Whoever has more to share (rings, counters, a lock on a folder) adds a name in offer()
// (process_upgrade.c) and takes it in process__take_over (process_takeover.c). The rules:
//
//   - A name is a promise: what its descriptor is and who may use it while both processes live.
//   - Memory that is shared begins with a magic and a version of its own, like the area, and its
//     size is sealed. A process that does not know the version says so and does not start: the one
//     before it then goes on.
//   - Both processes write it until the old one ends. Only atomics, and nothing that a process
//     which is killed could leave half done.
//   - A name that nobody takes is closed. A name that is missing is made anew: the process before
//     was an older one.
//   - Secrets go through the link or lie in sealed memory: not into the environment, not into a
//   file.
//
// Main thread before all others, or whoever owns the list; nothing here is shared.
#ifndef RINGGATE_GATEWAY_HANDOVER_H
#define RINGGATE_GATEWAY_HANDOVER_H

#include "base/buf.h"
#include "net/sockets.h"
#include "net/tls_ticket.h"
#include <stdatomic.h>
#include <sys/types.h>

#define HANDOVER_ENV     "RINGGATE_HANDOVER"
#define HANDOVER_VERSION 1

// ---- Names and descriptors -------------------------------------------------------------------

#define HANDOVER_NAME_BYTES 24
#define HANDOVER_ITEMS_MAX  (NET_SOCKETS_MAX + 64)

struct handover_item {
    char name[HANDOVER_NAME_BYTES]; // "": systemd's name says nothing to us
    int fd;
};

struct handover {
    unsigned count;
    struct handover_item item[HANDOVER_ITEMS_MAX];
};

// The list of the environment's text; its descriptors become CLOEXEC. ERR_UNSUPPORTED: another
// version; ERR_CONFIG: not what is promised above (then nothing is taken).
int handover_read(struct handover *h, const char *text);
// systemd's (sd_listen_fds(3)): nothing unless `pid` says that they are this process's. Names that
// are too long are left out. ERR_CONFIG, ERR_LIMIT.
int handover_read_systemd(struct handover *h, const char *pid, const char *count,
                          const char *names);
// Borrows the descriptor. The list has room, the name is short: asserted.
void handover_add(struct handover *h, const char *name, int fd);
// "RINGGATE_HANDOVER=1 link=5 …" and a zero byte.
void handover_write(const struct handover *h, struct buf *out);
// The first descriptor of this name, which is the caller's now; -1: none.
int handover_take(struct handover *h, const char *name);
// Closes those that nobody took.
void handover_drop(struct handover *h);

// ---- The link --------------------------------------------------------------------------------

enum handover_word { HANDOVER_KEYS = 1, HANDOVER_READY, HANDOVER_STOPPED };

struct handover_message {
    uint32_t word;
    // Of KEYS: what session tickets are sealed with, and until when.
    uint32_t rotate_in_ms;
    uint32_t has_before;
    uint32_t unused;
    struct tls_ticket_key key, before;
};

int handover_link_make(int ret_fds[2]); // CLOEXEC; 0 or ERR_SYSTEM
// Never waits: the link holds more than is ever said. 0 or ERR_SYSTEM.
int handover_say(int link, const struct handover_message *message);
// What has arrived, without waiting. ERR_MORE: nothing yet; ERR_SYSTEM: the other is gone, or says
// what is no message.
int handover_hear(int link, struct handover_message *ret);

// ---- The area --------------------------------------------------------------------------------

#define HANDOVER_AREA_MAGIC   "ringgate"
#define HANDOVER_AREA_VERSION 1

// offset 0  magic      8 bytes, "ringgate"
//        8  version    4
//       12  bytes      4, of this header; larger in a later process of the same version
//       16  generation 4, processes that have served, this one included
//       24  upgrades   8, that succeeded; then failed, refused
struct handover_area {
    char magic[8];
    uint32_t version, bytes;
    _Atomic uint32_t generation;
    uint32_t unused;
    _Atomic uint64_t upgrades, failed, refused;
};

// A fresh one, zero but for its first 16 bytes. *ret_fd is CLOEXEC. ERR_SYSTEM.
int handover_area_make(int *ret_fd, struct handover_area **ret);
// One that was passed. Borrows the descriptor. ERR_UNSUPPORTED: not one of this version.
int handover_area_map(int fd, struct handover_area **ret);
void handover_area_unmap(struct handover_area *a); // NULL is fine

#endif
