// SPDX-License-Identifier: Apache-2.0
//
// wire.h: descriptors and the connections behind them.
//
// A connection has two ends and a pipe towards each. An end is the gateway's (it has a descriptor,
// and operations of kernel.c move its bytes) or an actor's, a scripted client or provider.
//
//     writer ──► [ on their way .......... | visible ] ──► reader
//                                    delivery: later, some of them, in order
//
// A FIN travels behind the last byte. A reset overtakes: what was not visible yet is lost.
// Descriptors are numbers from WIRE_FD on, the lowest free one first, as the kernel does it: who
// uses one that was closed meets somebody else's connection, or fails here.
#ifndef RINGGATE_TESTS_SIM_WIRE_H
#define RINGGATE_TESTS_SIM_WIRE_H

#include "tests/sim/sim.h"

#define WIRE_FD      1000
#define WIRE_FDS_MAX 4096

enum wire_kind { WIRE_LISTENER, WIRE_SOCKET, WIRE_COUNTER };

struct wire_pipe {
    char *bytes;
    size_t at, len, cap; // bytes[at .. at + len)
    size_t visible;      // of len
    size_t room;         // how much it holds at most
    bool fin_sent, fin_visible;
    struct sim_event *delivery;
};

struct wire_end;
// Something has changed: bytes, room, an end. Called from an event, never from inside a call.
typedef void (*wire_fn)(struct wire_end *end);

struct wire_end {
    enum wire_kind kind;
    int fd;      // -1: an actor's, or closed
    int refs;    // descriptor or actor, the other end, operations
    bool closed; // by its owner
    // A socket.
    struct wire_end *peer; // NULL: not connected, or gone
    struct wire_pipe in;
    uint64_t acked;         // of what it sent, the other machine has so much
    bool connected, broken; // broken: a reset has come
    bool struck;            // the network broke it, or lost bytes of it
    bool shut;              // sends nothing any more
    bool deaf;              // receives nothing any more
    bool hard;              // SO_LINGER 0: closing resets
    wire_fn on_change;      // an actor's
    void *actor;
    struct sim_event *change;
    // A listener.
    unsigned port;
    struct wire_end *backlog[256];
    unsigned waiting;
    struct wire_end *(*answer)(void *arg); // an actor listens here: gives the other end
    void *answer_arg;
    // A counter (eventfd).
    uint64_t count;
};

struct sim_wire {
    struct wire_end *fd[WIRE_FDS_MAX];
    unsigned fds, fds_max;      // open, and the most there may be
    struct wire_end *heard[64]; // listeners of actors
    unsigned listeners;
    unsigned port; // given to the last listener that asked for any
};

void wire_begin(void);
void wire_end_all(void); // nothing may be open any more

int wire_open(enum wire_kind kind); // a descriptor or -EMFILE
// The end behind a descriptor; fails the seed when there is none.
struct wire_end *wire_of(int fd);
bool wire_is(int fd); // a number of ours
void wire_close(int fd);
int wire_accept(struct wire_end *listener); // a descriptor, -EAGAIN or -EMFILE
struct wire_end *wire_get(struct wire_end *e);
void wire_put(struct wire_end *e);

// ---- Both sides ------------------------------------------------------------------------------

// What could be sent now, moved into the pipe. > 0; -EAGAIN, -EPIPE, -ECONNRESET.
long wire_send(struct wire_end *e, const void *bytes, size_t len);
// > 0; 0: the peer sends no more; -EAGAIN, -ECONNRESET.
long wire_recv(struct wire_end *e, void *out, size_t len);
size_t wire_readable(const struct wire_end *e);
void wire_shut(struct wire_end *e);  // FIN
void wire_reset(struct wire_end *e); // both ends are broken
void wire_poke(struct wire_end *e);  // tells who waits on it that it may look again

// ---- Actors ----------------------------------------------------------------------------------

// A client's end of a new connection to a port of the gateway; NULL: nobody listens.
struct wire_end *wire_dial(unsigned port, wire_fn on_change, void *actor);
// The other end of e, an actor's, when the gateway has connected.
struct wire_end *wire_actor(wire_fn on_change, void *actor);
void wire_hang_up(struct wire_end *e, bool reset); // an actor closes its end
// An actor listens: `answer` gives an end for each connection, or NULL to refuse it.
void wire_listen(unsigned port, struct wire_end *(*answer)(void *arg), void *arg);
// The gateway connects e. 0 or -ECONNREFUSED.
int wire_connect(struct wire_end *e, unsigned port);

#endif
