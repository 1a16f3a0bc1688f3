// SPDX-License-Identifier: Apache-2.0
//
// sockets.h: the sockets a process listens on, as values: opened or inherited once, dealt to its
// cores, passed on to its successor.
//
// An address has one socket a core (SO_REUSEPORT): the kernel spreads connections over them by a
// hash, without a lock, and a core that hangs holds up its own share only. What waits in a socket's
// queue is lost when the last descriptor of that socket closes, so a process that is replaced
// passes on all of them and its successor takes all of them, however many cores either has:
//
//     4 cores ─► 2 cores          1 core ─► 4 cores
//     socket 0 1 2 3              socket 0 ┊ 1 2 3
//     core   0 1 0 1              core   0 ┊ 1 2 3   (1 to 3 are opened beside it)
//
// A core accepts from each of its sockets; no socket belongs to two cores of a process, because the
// kernel wakes but one of those who wait on it. Sockets that the caller did not make with
// SO_REUSEPORT (systemd's) cannot be multiplied: the first cores accept from them and hand over.
//
// Roles say what a connection on a socket speaks; a role's addresses are those of its options, and
// an inherited socket gets the role whose address it has.
#ifndef RINGGATE_NET_SOCKETS_H
#define RINGGATE_NET_SOCKETS_H

#include "base/slice.h"
#include "net/core.h"
#include <stdbool.h>
#include <stdint.h>

// X(name, text of its descriptors when they are passed)
#define NET_ROLE_MAP(X)                                                                            \
    X(MAIN, "main")                                                                                \
    X(PLAIN, "plain")

enum net_role {
#define X(name, text) NET_ROLE_##name,
    NET_ROLE_MAP(X)
#undef X
        NET_ROLE_COUNT
};

const char *net_role_name(enum net_role role);
// NET_ROLE_COUNT for anything else.
enum net_role net_role_of_name(struct slice name);

// Two families, TLS and plain, a socket a core.
#define NET_SOCKETS_MAX (4 * CORES_MAX)

// Where a socket is bound; equal addresses are equal bytes.
struct net_address {
    uint8_t ip[16]; // IPv4: the first four
    uint32_t scope;
    uint16_t port; // host order
    uint8_t family;
    uint8_t unused;
};

struct net_socket {
    int fd;
    enum net_role role;
    unsigned nth; // of its address
    bool trusted; // its name stood above its address, and will for who inherits it
    struct net_address address;
};

struct net_sockets {
    unsigned count;
    struct net_socket socket[NET_SOCKETS_MAX];
};

// What a role is to listen on.
struct net_want {
    bool wanted;
    const char *host; // NULL or "": every address, IPv6 with IPv4
    unsigned port;    // 0: any
};

// The socket that a parent or systemd passed takes the role whose address it has; `named` is what
// its name says (NET_ROLE_COUNT: nothing), which decides where the port is open, and everywhere if
// `trusted`. Takes the descriptor, which becomes CLOEXEC, unless it fails: ERR_NOT_FOUND no role
// wants this address, ERR_UNSUPPORTED it is no listening TCP socket, ERR_LIMIT too many.
int net_sockets_inherit(struct net_sockets *s, int fd, const struct net_want want[NET_ROLE_COUNT],
                        enum net_role named, bool trusted);
// Opens what is missing until each address of the role has a socket for each of `cores`: on the
// addresses that were inherited if there are any, else on those of `want`. The role's port is then
// *ret_port. ERR_SYSTEM with errno kept; an inherited address that cannot have more has fewer.
int net_sockets_open(struct net_sockets *s, enum net_role role, const struct net_want *want,
                     unsigned cores, unsigned *ret_port);
// Those that no core has taken: before net_listen, all.
void net_sockets_close(struct net_sockets *s);

// "[::1]:8080"; `room` bytes, 64 are enough.
void net_address_text(const struct net_address *a, char *out, size_t room);
// Of a socket of any kind: false unless it is bound to an IP address.
bool net_address_of(int fd, struct net_address *ret);

#endif
