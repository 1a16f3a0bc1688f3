// SPDX-License-Identifier: Apache-2.0
//
// libc.c: the calls that leave the program, answered by the simulator.
//
// The linker sends each name below here (`--wrap`), from every object and library of the program.
// Descriptors below WIRE_FD are the process's own (config files, /proc) and go to the real call.
// Allocations are counted: at the end of a seed each must have been freed. The one that is to fail
// (fault loops) is counted only while the gateway's code runs.
#include "tests/sim/kernel.h"
#include "tests/sim/sim.h"
#include "tests/sim/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>

// ---- Time and chance -------------------------------------------------------------------------

// Linked instead of base/clock.c. Reading costs time: what waits for it to pass is not kept.
struct mono clock_mono(void)
{
    sim.now_ns += 20;
    return (struct mono){.ns = sim.now_ns};
}

struct wall clock_wall(void)
{
    return (struct wall){.ns = INT64_C(1800000000) * NS_PER_S + sim.now_ns};
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)out)[i] = (unsigned char)prng_next(&sim.prng);
    return (ssize_t)size;
}

// ---- Descriptors -----------------------------------------------------------------------------

static int result(int rc)
{
    if (rc >= 0)
        return rc;
    errno = -rc;
    return -1;
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    (void)type, (void)protocol;
    if (domain == AF_INET6)
        return result(-EAFNOSUPPORT);
    return result(wire_open(WIRE_SOCKET));
}

int __wrap_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags)
{
    (void)flags;
    int fd = wire_open(WIRE_COUNTER);
    if (fd >= 0)
        wire_of(fd)->count = count;
    return result(fd);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    if (!wire_is(fd))
        return __real_close(fd);
    wire_close(fd);
    return 0;
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (!wire_is(fd))
        return __real_write(fd, bytes, len);
    struct wire_end *e = wire_of(fd);
    uint64_t add;
    SIM_HOLDS(e->kind == WIRE_COUNTER && len == sizeof(add), "write to descriptor %d", fd);
    memcpy(&add, bytes, sizeof(add));
    e->count += add;
    wire_poke(e);
    return (ssize_t)len;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct wire_end *e = wire_of(fd);
    if (level == SOL_SOCKET && name == SO_LINGER && len == sizeof(struct linger))
        e->hard = ((const struct linger *)value)->l_onoff;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    struct wire_end *e = wire_of(fd);
    int is = level == SOL_SOCKET && name == SO_REUSEPORT; // all of ours
    struct tcp_info info = {.tcpi_bytes_acked = e->acked};
    bool is_info = level == IPPROTO_TCP && name == TCP_INFO;
    SIM_HOLDS(*len == (is_info ? sizeof(info) : sizeof(is)), "option %d of %u bytes", name,
              (unsigned)*len);
    memcpy(value, is_info ? (const void *)&info : &is, *len);
    return 0;
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    (void)len;
    unsigned port = ntohs(in->sin_port);
    wire_of(fd)->port = port ? port : sim.wire->port;
    return 0;
}

int __wrap_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog)
{
    (void)backlog;
    wire_of(fd)->kind = WIRE_LISTENER;
    return 0;
}

static int name_of(int fd, struct sockaddr *out, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((uint16_t)wire_of(fd)->port);
    memcpy(out, &in, *len < sizeof(in) ? *len : sizeof(in));
    *len = sizeof(in);
    return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *out, socklen_t *len)
{
    return name_of(fd, out, len);
}

int __wrap_getpeername(int fd, struct sockaddr *out, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *out, socklen_t *len)
{
    return name_of(fd, out, len);
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
    struct wire_end *e = wire_of(fd);
    if (!e->connected || e->broken)
        return result(-ENOTCONN);
    if (how != SHUT_RD)
        wire_shut(e);
    if (how != SHUT_WR) {
        e->deaf = true;
        wire_poke(e);
    }
    return 0;
}

ssize_t __wrap_recv(int fd, void *out, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t len, int flags)
{
    SIM_HOLDS(flags & MSG_DONTWAIT, "a receive that blocks the loop");
    long n = wire_recv(wire_of(fd), out, len);
    if (n >= 0)
        return n;
    errno = (int)-n;
    return -1;
}

// ---- Memory ----------------------------------------------------------------------------------

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void __real_free(void *p);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
void __wrap_free(void *p);

static bool fails(void)
{
    struct sim_faults *f = &sim.faults;
    if (!f->armed || !sim.in_gateway || ++f->allocations != f->allocation)
        return false;
    f->hit = true;
    return true;
}

static void *counted(void *p)
{
    sim.blocks += p != NULL;
    return p;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return fails() ? NULL : counted(__real_calloc(n, bytes));
}

void *__wrap_realloc(void *p, size_t bytes)
{
    if (fails())
        return NULL;
    void *q = __real_realloc(p, bytes);
    sim.blocks += !p && q;
    return q;
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return fails() ? NULL : counted(__real_aligned_alloc(align, bytes));
}

void __wrap_free(void *p)
{
    sim.blocks -= p != NULL;
    __real_free(p);
}

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (!fails())
        return __real_mmap(at, bytes, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

void *sim_alloc(size_t bytes)
{
    void *p = __real_calloc(1, bytes);
    SIM_HOLDS(p, "no memory for the simulator");
    return p;
}

void *sim_realloc(void *p, size_t bytes)
{
    p = __real_realloc(p, bytes);
    SIM_HOLDS(p, "no memory for the simulator");
    return p;
}

void sim_free(void *p)
{
    __real_free(p);
}
