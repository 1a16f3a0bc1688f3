// SPDX-License-Identifier: Apache-2.0
//
// dns.c: c-ares on the ring.
//
// Three roads to an address, tried in this order: a numeric host or `localhost` (no query), the
// cache, c-ares (which looks into /etc/hosts first). One entry of the cache is one name; while its
// query runs, everybody who asks for it waits on the entry.
//
//   ┌───────┐ ask    ┌────────┐ both answers, kept for their TTL  ┌───────┐
//   │ EMPTY │ ─────► │ ASKING │ ────────────────────────────────► │ KNOWN │ ── TTL over ──► EMPTY
//   └───────┘        └────────┘ ───────────► ┌────────┐           └───────┘
//                       │         no address │ FAILED │ ── DNS_FAIL_S ─►    ▲
//                       │                    └────────┘     EMPTY           │ the other
//                       │ AAAA, or A and DNS_PATIENCE_MS without AAAA  ┌────────┐
//                       └────────────────────────────────────────────► │ PARTLY │
//                                                                      └────────┘
//
// A and AAAA are two queries at once. RFC 8305 3: whoever waits goes on with AAAA at once, and with
// A alone after a moment, so that a server that does not answer for one family delays nothing. The
// late answer joins the early one in the cache.
//
// c-ares owns its sockets and tells by a callback which it wants watched; each is a multishot poll.
// Such a poll reports changes, not states, so a readable socket is read until poll(2) says
// that nothing is left. A socket c-ares has closed leaves a poll behind that must end first: its
// watch is an orphan until then.
//
// Memory is the allocator's: an entry and a watch live for seconds and are made when a connection
// is made, never on the way of a request that finds one open.
#include "net/dns.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/core.h"
#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>

// c-ares' own per-try timeout and tries; the caller's deadline cuts earlier.
#define DNS_TRY_MS 2000
#define DNS_TRIES  3
// RFC 8305 3: how long A waits for AAAA.
#define DNS_PATIENCE_MS 50
// Reads of one socket in one turn.
#define DNS_READS_MAX 64
// Longest name of DNS, with a final dot.
#define DNS_NAME_MAX 254

enum entry_state { DNS_EMPTY, DNS_ASKING, DNS_PARTLY, DNS_KNOWN, DNS_FAILED, DNS_STATE_COUNT };

struct entry;

// The query for one family.
struct half {
    struct entry *entry;
    int family;
    bool out; // not answered yet
};

struct entry {
    struct dns *dns;
    struct half half[2]; // AAAA, A
    struct ring_timer patience;
    int64_t ttl_s; // of what has come
    enum entry_state state;
    struct mono until; // of KNOWN and FAILED
    struct list waiters;
    struct ring_task task;    // begins the queries
    struct dns_answer answer; // ports are 0; families alternate, IPv6 first
    size_t name_len;
    char name[];
};

struct waiter {
    struct list link;
    struct fiber *fiber;
    bool done;
    int result;
};

// One socket of c-ares.
struct watch {
    struct list link;
    struct dns *dns;
    struct ring_op op;
    int fd;          // -1: orphan
    unsigned wanted; // poll mask
    unsigned armed;  // poll mask of the operation in flight
};

struct dns {
    struct net_core *core;
    ares_channel channel;
    struct ring_timer timer;
    struct list watches;
    struct map entries;
};

// ---- Sockets and time ------------------------------------------------------------------------

static void on_timer(struct ring *ring, struct ring_timer *timer);

static void timer_update(struct dns *d)
{
    struct timeval most = {.tv_sec = DNS_TRY_MS / 1000}, left;
    struct timeval *tv = ares_timeout(d->channel, NULL, &left);
    struct ring *ring = d->core->ring;
    if (!tv) {
        ring_timer_clear(ring, &d->timer);
        return;
    }
    if (tv->tv_sec > most.tv_sec)
        *tv = most;
    int64_t ms = tv->tv_sec * 1000 + tv->tv_usec / 1000 + 1;
    ring_timer_set(ring, &d->timer, mono_add_ms(ring_now(ring), ms), on_timer);
}

static void on_timer(struct ring *ring, struct ring_timer *timer)
{
    struct dns *d = container_of(timer, struct dns, timer);
    (void)ring;
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    timer_update(d);
}

static void on_ready(struct ring *ring, struct ring_op *op, const struct ring_event *event);

static void watch_arm(struct watch *w)
{
    struct ring *ring = w->dns->core->ring;
    if (w->fd < 0 || w->wanted == 0 || ring_op_busy(&w->op))
        return;
    w->armed = w->wanted;
    ring_poll(ring, &w->op, on_ready, w->fd, w->wanted);
}

static void watch_free(struct watch *w)
{
    ASSERT(!ring_op_busy(&w->op));
    list_remove(&w->link);
    free(w);
}

// Lets c-ares read and write until the socket has nothing more. The watch may become an orphan.
static void watch_process(struct watch *w)
{
    struct dns *d = w->dns;
    for (unsigned i = 0; i < DNS_READS_MAX && w->fd >= 0; i++) {
        struct pollfd p = {.fd = w->fd, .events = (short)w->wanted};
        if (poll(&p, 1, 0) <= 0 || p.revents == 0)
            break;
        bool in = p.revents & (POLLIN | POLLERR | POLLHUP);
        bool out = p.revents & POLLOUT;
        ares_process_fd(d->channel, in ? w->fd : ARES_SOCKET_BAD, out ? w->fd : ARES_SOCKET_BAD);
    }
    timer_update(d);
}

static void on_ready(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct watch *w = container_of(op, struct watch, op);
    (void)ring;
    if (event->res >= 0 && w->fd >= 0)
        watch_process(w);
    if (!event->final)
        return;
    if (w->fd < 0)
        watch_free(w);
    else
        watch_arm(w);
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = arg;
    struct watch *w = NULL;
    for (struct list *l = d->watches.next; l != &d->watches && !w; l = l->next) {
        struct watch *other = container_of(l, struct watch, link);
        if (other->fd == fd)
            w = other;
    }
    if (!w) {
        w = readable || writable ? calloc(1, sizeof(*w)) : NULL;
        if (!w)
            return; // without memory the query times out
        w->dns = d;
        w->fd = fd;
        list_push_back(&d->watches, &w->link);
    }
    w->wanted = (readable ? POLLIN : 0) | (writable ? POLLOUT : 0);
    if (w->wanted == 0) {
        w->fd = -1; // c-ares closes it now
        if (!ring_op_busy(&w->op))
            watch_free(w);
        else
            ring_cancel(d->core->ring, &w->op);
        return;
    }
    if (ring_op_busy(&w->op) && w->armed != w->wanted)
        ring_cancel(d->core->ring, &w->op); // armed again at its end
    watch_arm(w);
}

// ---- Entries ---------------------------------------------------------------------------------

static const unsigned legal_from[DNS_STATE_COUNT] = {
    [DNS_EMPTY] = 0,
    [DNS_ASKING] = 1u << DNS_EMPTY | 1u << DNS_KNOWN | 1u << DNS_FAILED,
    [DNS_PARTLY] = 1u << DNS_ASKING,
    [DNS_KNOWN] = 1u << DNS_ASKING | 1u << DNS_PARTLY,
    [DNS_FAILED] = 1u << DNS_ASKING,
};

static void set_state(struct entry *e, enum entry_state next, int64_t keep_ms)
{
    ASSERT(next < DNS_STATE_COUNT && (legal_from[next] & 1u << e->state));
    e->state = next;
    e->until = mono_add_ms(ring_now(e->dns->core->ring), keep_ms);
}

static bool is_out(const struct entry *e)
{
    return e->half[0].out || e->half[1].out;
}

static void entry_free(struct entry *e)
{
    struct map *entries = &e->dns->entries;
    ASSERT(list_empty(&e->waiters) && e->state != DNS_ASKING && !is_out(e));
    (void)map_remove(entries, slice_of(e->name, e->name_len));
    free(e);
}

// Makes room in a full cache: the oldest entry nobody waits for.
static bool evict(struct dns *d)
{
    struct map_entry *found;
    for (size_t i = 0; (found = map_next(&d->entries, &i));) {
        struct entry *e = found->value;
        if (e->state == DNS_ASKING || is_out(e) || !list_empty(&e->waiters))
            continue;
        entry_free(e);
        return true;
    }
    return false;
}

static struct entry *entry_find(struct dns *d, struct slice name)
{
    struct entry *e = map_get(&d->entries, name);
    if (e)
        return e;
    if (d->entries.live >= DNS_CACHE_MAX && !evict(d))
        return NULL;
    e = calloc(1, sizeof(*e) + name.len + 1);
    if (!e)
        return NULL;
    e->dns = d;
    e->half[0] = (struct half){.entry = e, .family = AF_INET6};
    e->half[1] = (struct half){.entry = e, .family = AF_INET};
    list_init(&e->waiters);
    e->name_len = name.len;
    memcpy(e->name, name.ptr, name.len);
    if (map_put(&d->entries, slice_of(e->name, e->name_len), e) != 0) {
        free(e);
        return NULL;
    }
    return e;
}

static void add_address(struct dns_answer *answer, const struct sockaddr *sa, size_t len)
{
    if (answer->count == DNS_ADDRESSES_MAX || len > sizeof(struct sockaddr_storage))
        return;
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return;
    struct dns_address *a = &answer->address[answer->count++];
    *a = (struct dns_address){.len = (socklen_t)len};
    memcpy(&a->address, sa, len);
}

// Returns the smallest TTL in seconds, within the bounds.
static int64_t read_answer(const struct ares_addrinfo *info, struct dns_answer *ret)
{
    int64_t ttl = DNS_TTL_MAX_S;
    ret->count = 0;
    for (const struct ares_addrinfo_node *n = info ? info->nodes : NULL; n; n = n->ai_next) {
        add_address(ret, n->ai_addr, (size_t)n->ai_addrlen);
        if (n->ai_ttl < ttl)
            ttl = n->ai_ttl;
    }
    return ttl < DNS_TTL_MIN_S ? DNS_TTL_MIN_S : ttl;
}

// One family's addresses join the other's, in turn, so that neither is cut off by a long list.
static void join(struct dns_answer *to, const struct dns_answer *more, bool more_first)
{
    struct dns_answer old = *to;
    const struct dns_answer *first = more_first ? more : &old, *second = more_first ? &old : more;
    to->count = 0;
    for (unsigned i = 0; i < DNS_ADDRESSES_MAX; i++) {
        if (i < first->count && to->count < DNS_ADDRESSES_MAX)
            to->address[to->count++] = first->address[i];
        if (i < second->count && to->count < DNS_ADDRESSES_MAX)
            to->address[to->count++] = second->address[i];
    }
}

static void wake_waiters(struct entry *e, int rc)
{
    struct list *l;
    while ((l = list_pop_front(&e->waiters))) {
        struct waiter *w = container_of(l, struct waiter, link);
        w->done = true;
        w->result = rc;
        fiber_wake(w->fiber);
    }
}

static void give_part(struct entry *e)
{
    ASSERT(e->state == DNS_ASKING && e->answer.count > 0);
    set_state(e, DNS_PARTLY, 0);
    wake_waiters(e, 0);
}

static void on_patience(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    give_part(container_of(timer, struct entry, patience));
}

static void give_all(struct entry *e)
{
    int rc = e->answer.count > 0 ? 0 : ERR_RESOLVE;
    ring_timer_clear(e->dns->core->ring, &e->patience);
    set_state(e, rc == 0 ? DNS_KNOWN : DNS_FAILED, (rc == 0 ? e->ttl_s : DNS_FAIL_S) * 1000);
    wake_waiters(e, rc);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct half *half = arg;
    struct entry *e = half->entry;
    struct ring *ring = e->dns->core->ring;
    struct dns_answer more;
    int64_t ttl_s = read_answer(status == ARES_SUCCESS ? info : NULL, &more);
    bool six = half->family == AF_INET6;
    (void)timeouts;
    if (info)
        ares_freeaddrinfo(info);
    half->out = false;
    if (more.count > 0) {
        join(&e->answer, &more, six);
        e->ttl_s = ttl_s < e->ttl_s ? ttl_s : e->ttl_s;
    }
    if (!is_out(e))
        give_all(e);
    else if (more.count > 0 && six)
        give_part(e);
    else if (more.count > 0)
        ring_timer_set(ring, &e->patience, mono_add_ms(ring_now(ring), DNS_PATIENCE_MS),
                       on_patience);
}

static void on_ask(struct ring *ring, struct ring_task *task)
{
    struct entry *e = container_of(task, struct entry, task);
    struct dns *d = e->dns;
    (void)ring;
    e->answer.count = 0;
    e->ttl_s = DNS_TTL_MAX_S;
    e->half[0].out = e->half[1].out = true; // each may be answered at once
    for (unsigned i = 0; i < ARRAY_LEN(e->half); i++) {
        struct ares_addrinfo_hints hints = {.ai_family = e->half[i].family,
                                            .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(d->channel, e->name, NULL, &hints, on_answer, &e->half[i]);
    }
    timer_update(d);
}

// c-ares runs on the loop's stack, never on a fiber's: how much it needs is its own business.
static void ask(struct entry *e)
{
    set_state(e, DNS_ASKING, 0);
    ring_defer(e->dns->core->ring, &e->task, on_ask);
}

// ---- Names that need no query ----------------------------------------------------------------

static void add_v4(struct dns_answer *answer, struct in_addr ip)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = ip};
    add_address(answer, (const struct sockaddr *)&sin, sizeof(sin));
}

static void add_v6(struct dns_answer *answer, struct in6_addr ip)
{
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_addr = ip};
    add_address(answer, (const struct sockaddr *)&sin6, sizeof(sin6));
}

// RFC 6761 6.3: `localhost` and what ends in it never leaves the machine.
static bool is_localhost(struct slice name)
{
    struct slice tail = SLICE(".localhost");
    if (name.len < tail.len)
        return slice_ieq(name, SLICE("localhost"));
    return slice_ieq(slice_skip(name, name.len - tail.len), tail);
}

static bool without_query(const char *name, struct slice text, struct dns_answer *ret)
{
    struct in_addr v4;
    struct in6_addr v6;
    ret->count = 0;
    if (inet_pton(AF_INET, name, &v4) == 1) {
        add_v4(ret, v4);
    } else if (inet_pton(AF_INET6, name, &v6) == 1) {
        add_v6(ret, v6);
    } else if (is_localhost(text)) {
        add_v4(ret, (struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
        add_v6(ret, in6addr_loopback);
    }
    return ret->count > 0;
}

static void set_port(struct dns_answer *answer, unsigned port)
{
    for (unsigned i = 0; i < answer->count; i++) {
        struct sockaddr *sa = (struct sockaddr *)&answer->address[i].address;
        if (sa->sa_family == AF_INET)
            ((struct sockaddr_in *)sa)->sin_port = htons((uint16_t)port);
        else
            ((struct sockaddr_in6 *)sa)->sin6_port = htons((uint16_t)port);
    }
}

// ---- The interface ---------------------------------------------------------------------------

static int answer_await(struct entry *e, struct fiber *self)
{
    struct waiter w = {.fiber = self};
    int rc = 0;
    list_push_back(&e->waiters, &w.link);
    if (e->state != DNS_ASKING)
        ask(e);
    while (!w.done && rc == 0)
        rc = fiber_park_await(self);
    list_remove(&w.link);
    return w.done ? w.result : rc;
}

int dns_resolve_await(struct dns *d, struct fiber *self, struct slice host, unsigned port,
                      struct dns_answer *ret)
{
    char name[DNS_NAME_MAX + 1];
    int rc = 0;
    ASSERT(port <= UINT16_MAX);
    if (host.len == 0 || host.len > DNS_NAME_MAX || memchr(host.ptr, 0, host.len))
        return ERR_RESOLVE;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    if (!without_query(name, host, ret)) {
        struct entry *e = entry_find(d, host);
        if (!e)
            return ERR_NOMEM;
        bool fresh = mono_before(ring_now(d->core->ring), e->until);
        if (e->state == DNS_FAILED && fresh)
            return ERR_RESOLVE;
        if (e->state != DNS_PARTLY && (e->state != DNS_KNOWN || !fresh))
            rc = answer_await(e, self);
        if (rc != 0)
            return rc;
        *ret = e->answer;
    }
    set_port(ret, port);
    return 0;
}

int dns_set_servers(struct dns *d, const char *servers)
{
    return ares_set_servers_ports_csv(d->channel, servers) == ARES_SUCCESS ? 0 : ERR_CONFIG;
}

int dns_new(struct net_core *core, struct dns **ret)
{
    struct ares_options options = {.timeout = DNS_TRY_MS, .tries = DNS_TRIES};
    uint64_t seed[2] = {prng_next(&core->prng), prng_next(&core->prng)};
    struct dns *d = calloc(1, sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->core = core;
    list_init(&d->watches);
    map_init(&d->entries, seed);
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = d;
    int status = ares_init_options(&d->channel, &options,
                                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS) {
        map_done(&d->entries);
        free(d);
        return status == ARES_ENOMEM ? ERR_NOMEM : ERR_SYSTEM;
    }
    *ret = d;
    return 0;
}

void dns_free(struct dns *d)
{
    struct map_entry *found;
    if (!d)
        return;
    ares_destroy(d->channel); // answers what still runs, closes every socket
    ring_timer_clear(d->core->ring, &d->timer);
    while (!list_empty(&d->watches)) // their polls have been cancelled
        ring_turn(d->core->ring, MONO_NEVER);
    for (size_t i = 0; (found = map_next(&d->entries, &i));) {
        struct entry *e = found->value;
        ASSERT(list_empty(&e->waiters));
        ring_undefer(d->core->ring, &e->task);
        free(e);
    }
    map_done(&d->entries);
    free(d);
}
