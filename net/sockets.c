// SPDX-License-Identifier: Apache-2.0
//
// sockets.c: opening listening sockets, and telling what an inherited one is.
//
// TCP_NODELAY is set on the listening socket and inherited by its connections. An inherited one
// must block: io_uring would take O_NONBLOCK for "do not wait" and end each accept at once.
#include "net/sockets.h"

#include "base/assert.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG  4096
#define FAMILIES 2 // addresses of one role

static const char *const role_names[NET_ROLE_COUNT] = {
#define X(name, text) text,
    NET_ROLE_MAP(X)
#undef X
};

const char *net_role_name(enum net_role role)
{
    ASSERT(role < NET_ROLE_COUNT);
    return role_names[role];
}

enum net_role net_role_of_name(struct slice name)
{
    unsigned role = 0;
    while (role < NET_ROLE_COUNT && !slice_eq(name, slice_str(role_names[role])))
        role++;
    return (enum net_role)role;
}

// ---- Addresses -------------------------------------------------------------------------------

static bool address_from(const struct sockaddr_storage *from, struct net_address *ret)
{
    *ret = (struct net_address){.family = (uint8_t)from->ss_family};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)from;
        memcpy(ret->ip, &four->sin_addr, sizeof(four->sin_addr));
        ret->port = ntohs(four->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)from;
        memcpy(ret->ip, &six->sin6_addr, sizeof(six->sin6_addr));
        ret->port = ntohs(six->sin6_port);
        ret->scope = six->sin6_scope_id;
    }
    return from->ss_family == AF_INET || from->ss_family == AF_INET6;
}

static socklen_t address_to(const struct net_address *from, struct sockaddr_storage *ret)
{
    *ret = (struct sockaddr_storage){.ss_family = from->family};
    if (from->family == AF_INET) {
        struct sockaddr_in *four = (void *)ret;
        memcpy(&four->sin_addr, from->ip, sizeof(four->sin_addr));
        four->sin_port = htons(from->port);
        return sizeof(*four);
    }
    struct sockaddr_in6 *six = (void *)ret;
    memcpy(&six->sin6_addr, from->ip, sizeof(six->sin6_addr));
    six->sin6_port = htons(from->port);
    six->sin6_scope_id = from->scope;
    return sizeof(*six);
}

bool net_address_of(int fd, struct net_address *ret)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address_from(&address, ret);
}

void net_address_text(const struct net_address *a, char *out, size_t room)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    (void)inet_ntop(a->family, a->ip, ip, sizeof(ip));
    snprintf(out, room, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, a->port);
}

static bool same_ip(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool same(const struct net_address *a, const struct net_address *b)
{
    return same_ip(a, b) && a->port == b->port && a->scope == b->scope;
}

// The addresses to bind, most wanted first: *ret_one says that one of them is enough.
static unsigned find_addresses(const char *host, struct net_address *out, bool *ret_one)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    unsigned n = 0;
    *ret_one = !host || !host[0];
    if (*ret_one) {
        out[0] = (struct net_address){.family = AF_INET6}; // in6addr_any is all zeros
        out[1] = (struct net_address){.family = AF_INET};
        return 2;
    }
    if (strcmp(host, "localhost") == 0) {
        out[0] = (struct net_address){.family = AF_INET, .ip = {127, 0, 0, 1}};
        out[1] = (struct net_address){.family = AF_INET6, .ip = {[15] = 1}};
        return 2;
    }
    if (getaddrinfo(host, NULL, &hints, &found))
        return 0;
    for (struct addrinfo *a = found; a && n < FAMILIES; a = a->ai_next) {
        struct sockaddr_storage address = {0};
        memcpy(&address, a->ai_addr, a->ai_addrlen);
        n += address_from(&address, &out[n]) ? 1 : 0;
    }
    freeaddrinfo(found);
    return n;
}

// ---- The set ---------------------------------------------------------------------------------

static unsigned count_of(const struct net_sockets *s, const struct net_address *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->count; i++)
        n += same(&s->socket[i].address, a) ? 1 : 0;
    return n;
}

static void add(struct net_sockets *s, int fd, enum net_role role, const struct net_address *a)
{
    ASSERT(s->count < NET_SOCKETS_MAX && role < NET_ROLE_COUNT);
    unsigned nth = count_of(s, a);
    s->socket[s->count++] = (struct net_socket){.fd = fd, .role = role, .nth = nth, .address = *a};
}

void net_sockets_close(struct net_sockets *s)
{
    int saved = errno;
    while (s->count > 0)
        (void)close(s->socket[--s->count].fd);
    errno = saved;
}

// ---- Inherited -------------------------------------------------------------------------------

static int int_option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, level, name, &value, &len) == 0 ? value : -1;
}

static bool wants(const struct net_want *want, const struct net_address *a)
{
    struct net_address address[FAMILIES];
    bool one;
    if (!want->wanted || (want->port != 0 && want->port != a->port))
        return false;
    unsigned n = find_addresses(want->host, address, &one);
    for (unsigned i = 0; i < n; i++) {
        if (same_ip(&address[i], a))
            return true;
    }
    return false;
}

// Whose address it is. A port that is open (0) is known by the name, and is the main one's without.
static enum net_role role_of(const struct net_want *want, const struct net_address *a,
                             enum net_role named, bool trusted)
{
    enum net_role open = named < NET_ROLE_COUNT ? named : NET_ROLE_MAIN;
    if (trusted && named < NET_ROLE_COUNT)
        return want[named].wanted ? named : NET_ROLE_COUNT;
    for (unsigned r = 0; r < NET_ROLE_COUNT; r++) {
        if (want[r].port != 0 && wants(&want[r], a))
            return (enum net_role)r;
    }
    return want[open].port == 0 && wants(&want[open], a) ? open : NET_ROLE_COUNT;
}

int net_sockets_inherit(struct net_sockets *s, int fd, const struct net_want want[NET_ROLE_COUNT],
                        enum net_role named, bool trusted)
{
    struct net_address address;
    int on = 1;
    if (int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1 ||
        int_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP || !net_address_of(fd, &address))
        return ERR_UNSUPPORTED;
    enum net_role role = role_of(want, &address, named, trusted);
    if (role == NET_ROLE_COUNT)
        return ERR_NOT_FOUND;
    if (s->count == NET_SOCKETS_MAX)
        return ERR_LIMIT;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return ERR_UNSUPPORTED;
    add(s, fd, role, &address);
    s->socket[s->count - 1].trusted = trusted && named < NET_ROLE_COUNT;
    return 0;
}

// ---- Opened ----------------------------------------------------------------------------------

// A listening socket, or -1 with errno.
static int open_socket(const struct net_address *a, bool dual)
{
    struct sockaddr_storage address;
    int on = 1, off = 0;
    socklen_t len = address_to(a, &address);
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
        (a->family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? &off : &on, sizeof(on))) ||
        bind(fd, (const struct sockaddr *)&address, len) || listen(fd, BACKLOG)) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

// Beside the first of an address, which is in the set: -1 when it cannot have more.
static int open_beside(const struct net_socket *first)
{
    bool dual =
        first->address.family == AF_INET6 && int_option(first->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
    if (int_option(first->fd, SOL_SOCKET, SO_REUSEPORT) != 1)
        return -1;
    return open_socket(&first->address, dual);
}

static int open_first(struct net_sockets *s, enum net_role role, const struct net_want *want)
{
    struct net_address address[FAMILIES];
    bool one_is_enough;
    unsigned n = find_addresses(want->host, address, &one_is_enough), opened = 0;
    unsigned port = want->port;
    if (n == 0)
        errno = EADDRNOTAVAIL;
    for (unsigned i = 0; i < n && !(one_is_enough && opened > 0); i++) {
        address[i].port = (uint16_t)port;
        int fd = open_socket(&address[i], one_is_enough);
        if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
            continue; // this host has only one of the two families
        if (fd < 0)
            return ERR_SYSTEM;
        if (!net_address_of(fd, &address[i])) { // now with the port that was bound
            (void)close(fd);
            return ERR_SYSTEM;
        }
        port = address[i].port;
        add(s, fd, role, &address[i]);
        opened++;
    }
    return opened > 0 ? 0 : ERR_SYSTEM;
}

int net_sockets_open(struct net_sockets *s, enum net_role role, const struct net_want *want,
                     unsigned cores, unsigned *ret_port)
{
    unsigned inherited = 0, port = 0;
    ASSERT(want->wanted && cores > 0 && cores <= CORES_MAX);
    for (unsigned i = 0; i < s->count; i++)
        inherited += s->socket[i].role == role ? 1 : 0;
    int rc = inherited > 0 ? 0 : open_first(s, role, want);
    unsigned known = s->count;
    for (unsigned i = 0; rc == 0 && i < known; i++) {
        const struct net_socket *first = &s->socket[i];
        if (first->role != role)
            continue;
        port = port ? port : first->address.port;
        if (first->nth > 0)
            continue;
        for (unsigned n = count_of(s, &first->address); n < cores && s->count < NET_SOCKETS_MAX;
             n++) {
            int fd = open_beside(first);
            if (fd < 0 && inherited == 0)
                rc = ERR_SYSTEM;
            if (fd < 0)
                break;
            add(s, fd, role, &first->address);
        }
    }
    if (rc == 0)
        *ret_port = port;
    return rc;
}
