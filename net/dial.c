// SPDX-License-Identifier: Apache-2.0
//
// dial.c: see dial.h. The race first, then the proxy, then the whole.
//
//   race   waits for whichever comes first: a completion, the delay's timer, an interruption
//   proxy  one send or receive at a time, on a page that also holds what was said
#include "net/dial.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/proxy.h"
#include "net/upstream_internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

_Static_assert(sizeof(struct proxy_talk) <= PAGE_BYTES, "a page holds a talk");

// ---- Which addresses, in which order
// -------------------------------------------------------------

static struct ip ip_of(const struct dns_address *a)
{
    struct ip ip = {0};
    bool known = ip_of_sockaddr((const struct sockaddr *)&a->address, &ip);
    ASSERT(known);
    return ip;
}

static int refusal(const struct ip *ip, bool numeric, bool refuse_private)
{
    switch (ip_place(ip)) {
    case IP_LINK_LOCAL:
    case IP_METADATA:
        return ERR_ADDRESS_REFUSED;
    case IP_UNSPECIFIED: // a name that leads to this machine under a false number
        return numeric ? 0 : ERR_ADDRESS_REFUSED;
    case IP_PRIVATE:
        return refuse_private ? ERR_ADDRESS_PRIVATE : 0;
    default:
        return 0;
    }
}

int dial_screen(struct dns_answer *answer, bool numeric, bool refuse_private)
{
    int why = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < answer->count; i++) {
        struct ip ip = ip_of(&answer->address[i]);
        int rc = refusal(&ip, numeric, refuse_private);
        if (rc == 0)
            answer->address[kept++] = answer->address[i];
        else if (why == 0)
            why = rc;
    }
    answer->count = kept;
    return kept > 0 ? 0 : why ? why : ERR_RESOLVE;
}

static bool has_failed(const struct dial_memory *memory, const struct dns_address *a,
                       struct mono now)
{
    struct ip ip = ip_of(a);
    for (unsigned i = 0; i < DIAL_MEMORY; i++) {
        if (ip_eq(&memory->failed[i].ip, &ip) && mono_before(now, memory->failed[i].until))
            return true;
    }
    return false;
}

void dial_note_failed(struct dial_memory *memory, const struct dns_address *a, struct mono now)
{
    struct ip ip = ip_of(a);
    unsigned at = memory->next;
    for (unsigned i = 0; i < DIAL_MEMORY; i++) {
        if (ip_eq(&memory->failed[i].ip, &ip))
            at = i;
    }
    if (at == memory->next)
        memory->next = (memory->next + 1) % DIAL_MEMORY;
    memory->failed[at].ip = ip;
    memory->failed[at].until = mono_add_ms(now, DIAL_MEMORY_MS);
}

static void note_well(struct dial_memory *memory, const struct dns_address *a)
{
    struct ip ip = ip_of(a);
    for (unsigned i = 0; i < DIAL_MEMORY; i++) {
        if (ip_eq(&memory->failed[i].ip, &ip))
            memory->failed[i].until = (struct mono){0};
    }
}

// The next of `family` at or behind `from`; count when there is none.
static unsigned find_family(const struct dns_answer *a, unsigned from, int family)
{
    while (from < a->count && a->address[from].address.ss_family != family)
        from++;
    return from;
}

// The addresses of `from` that have (not) failed, families in turn, behind what `to` holds.
static void add_turns(struct dns_answer *to, const struct dns_answer *from)
{
    int family = from->address[0].address.ss_family;
    int other = family == AF_INET ? AF_INET6 : AF_INET;
    unsigned a = find_family(from, 0, family), b = find_family(from, 0, other);
    while (a < from->count || b < from->count) {
        if (a < from->count) {
            to->address[to->count++] = from->address[a];
            a = find_family(from, a + 1, family);
        }
        if (b < from->count) {
            to->address[to->count++] = from->address[b];
            b = find_family(from, b + 1, other);
        }
    }
}

void dial_order(struct dns_answer *answer, const struct dial_memory *memory, struct mono now)
{
    struct dns_answer good = {.count = 0}, bad = {.count = 0};
    if (answer->count < 2)
        return;
    for (unsigned i = 0; i < answer->count; i++) {
        struct dns_answer *side = has_failed(memory, &answer->address[i], now) ? &bad : &good;
        side->address[side->count++] = answer->address[i];
    }
    answer->count = 0;
    if (good.count > 0)
        add_turns(answer, &good);
    if (bad.count > 0)
        add_turns(answer, &bad);
}

// ---- The race
// ------------------------------------------------------------------------------------

struct racer {
    struct ring_op op;
    struct race *race;
    struct fiber_wait ended;
    int fd; // -1: there is no socket (any more)
};

struct race {
    struct fiber *fiber; // to be woken; NULL: the race is over
    struct ring_timer timer;
    bool next; // the delay is over
    unsigned begun;
    struct racer racer[DNS_ADDRESSES_MAX];
};

static void on_connected(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct racer *r = container_of(op, struct racer, op);
    (void)ring;
    ASSERT(event->final);
    fiber_wait_done(&r->ended, event->res);
    if (r->race->fiber)
        fiber_wake(r->race->fiber);
}

static void on_delay(struct ring *ring, struct ring_timer *timer)
{
    struct race *race = container_of(timer, struct race, timer);
    (void)ring;
    race->next = true;
    fiber_wake(race->fiber);
}

static void begin(struct race *race, struct ring *ring, const struct dns_address *a)
{
    struct racer *r = &race->racer[race->begun++];
    int one = 1;
    *r = (struct racer){.race = race};
    fiber_wait_begin(&r->ended);
    r->fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->fd < 0) {
        fiber_wait_done(&r->ended, -errno);
        return;
    }
    (void)setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    ring_connect(ring, &r->op, on_connected, r->fd, (const struct sockaddr *)&a->address, a->len);
}

static bool is_running(const struct racer *r)
{
    return !r->ended.done;
}

static bool any_runs(const struct race *race)
{
    for (unsigned i = 0; i < race->begun; i++) {
        if (is_running(&race->racer[i]))
            return true;
    }
    return false;
}

static struct racer *winner(struct race *race)
{
    for (unsigned i = 0; i < race->begun; i++) {
        if (race->racer[i].ended.done && race->racer[i].ended.result == 0)
            return &race->racer[i];
    }
    return NULL;
}

// Until somebody has won, all have lost, or we are interrupted.
static int run_await(struct race *race, struct upstream_core *side, struct fiber *self,
                     const struct dns_answer *answer)
{
    struct ring *ring = side->core->ring;
    int rc = 0;
    while (rc == 0 && !winner(race)) {
        bool more = race->begun < answer->count;
        if (more && (race->next || !any_runs(race))) {
            race->next = false;
            begin(race, ring, &answer->address[race->begun]);
            ring_timer_clear(ring, &race->timer);
            if (race->begun < answer->count)
                ring_timer_set(ring, &race->timer, mono_add_ms(ring_now(ring), side->dial_delay_ms),
                               on_delay);
        } else if (!any_runs(race)) {
            return ERR_CONNECT;
        } else {
            rc = fiber_park_await(self);
        }
    }
    return winner(race) ? 0 : rc;
}

// What every address of a lost race failed with, or was too slow for.
static int why_lost(const struct race *race)
{
    for (unsigned i = 0; i < race->begun; i++) {
        if (race->racer[i].ended.result != -ETIMEDOUT)
            return ERR_CONNECT;
    }
    return ERR_CONNECT_TIMEOUT;
}

static void end_await(struct race *race, struct upstream_core *side, struct fiber *self,
                      const struct dns_answer *answer, const struct racer *first)
{
    struct ring *ring = side->core->ring;
    race->fiber = NULL;
    ring_timer_clear(ring, &race->timer);
    for (unsigned i = 0; i < race->begun; i++)
        ring_cancel(ring, &race->racer[i].op);
    for (unsigned i = 0; i < race->begun; i++) {
        struct racer *r = &race->racer[i];
        bool slow = is_running(r);
        (void)fiber_wait_shielded_await(&r->ended, self);
        ASSERT(!ring_op_busy(&r->op));
        if (r == first)
            continue;
        if (r->fd >= 0)
            ring_close(ring, r->fd);
        // Overtaken by one that began later, or refused.
        if (slow ? first && r < first : r->ended.result < 0)
            dial_note_failed(&side->dialled, &answer->address[i], ring_now(ring));
    }
}

static int race_await(struct upstream_core *side, struct fiber *self,
                      const struct dns_answer *answer, int *ret_fd)
{
    struct race race = {.fiber = self, .next = true};
    ASSERT(answer->count > 0 && answer->count <= DNS_ADDRESSES_MAX);
    int rc = run_await(&race, side, self, answer);
    struct racer *first = winner(&race);
    end_await(&race, side, self, answer, first);
    if (first) {
        note_well(&side->dialled, &answer->address[first - race.racer]);
        *ret_fd = first->fd;
        return 0;
    }
    return rc == ERR_CONNECT ? why_lost(&race) : rc;
}

// ---- The proxy
// -----------------------------------------------------------------------------------

struct step {
    struct ring_op op;
    struct fiber_wait done;
};

static void on_step(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct step *s = container_of(op, struct step, op);
    (void)ring;
    ASSERT(event->final);
    fiber_wait_done(&s->done, event->res);
}

// Of a step that has been submitted: 0 with its result, or the interruption.
static int step_await(struct step *s, struct ring *ring, struct fiber *self, int *ret)
{
    int rc = fiber_wait_await(&s->done, self, ret);
    if (rc != 0) {
        ring_cancel(ring, &s->op);
        (void)fiber_wait_shielded_await(&s->done, self);
    }
    return rc;
}

static int talk_await(struct proxy_talk *t, struct ring *ring, struct fiber *self, int fd)
{
    int rc = ERR_MORE;
    while (rc == ERR_MORE) {
        struct step s = {0};
        struct slice out = proxy_talk_output(t);
        int n = 0;
        fiber_wait_begin(&s.done);
        if (out.len > 0)
            ring_send(ring, &s.op, on_step, fd, out.ptr, out.len);
        else
            ring_recv_into(ring, &s.op, on_step, fd, t->in + t->in_len, sizeof(t->in) - t->in_len);
        rc = step_await(&s, ring, self, &n);
        if (rc != 0)
            return rc;
        if (n <= 0)
            return ERR_PROXY_CLOSED;
        if (out.len > 0)
            proxy_talk_sent(t);
        rc = out.len > 0 ? ERR_MORE : proxy_talk_take(t, (size_t)n);
    }
    return rc;
}

static int tunnel_await(struct upstream_core *side, struct fiber *self, const struct origin *o,
                        int fd)
{
    struct page *page = page_get(&side->pages);
    if (!page)
        return ERR_NOMEM;
    struct proxy_talk *t = (void *)page->data;
    proxy_talk_begin(t, o->proxy, o->host, o->port);
    int rc = talk_await(t, side->core->ring, self, fd);
    proxy_talk_done(t);
    page_put(&side->pages, page);
    return rc;
}

// ---- The whole
// -----------------------------------------------------------------------------------

// What can be said of the provider's address without looking it up.
static int screen_unresolved(const struct origin *o)
{
    struct ip ip;
    if (ip_is_metadata_name(o->host))
        return ERR_ADDRESS_REFUSED;
    return ip_parse(o->host, &ip) ? refusal(&ip, true, o->refuse_private) : 0;
}

static int connect_await(struct upstream_core *side, struct fiber *self, struct slice host,
                         unsigned port, bool refuse_private, int *ret_fd)
{
    struct dns_answer answer;
    struct ip ip;
    int rc = dns_resolve_await(side->core->dns, self, host, port, &answer);
    if (rc == 0)
        rc = dial_screen(&answer, ip_parse(host, &ip), refuse_private);
    if (rc != 0)
        return rc;
    dial_order(&answer, &side->dialled, ring_now(side->core->ring));
    return race_await(side, self, &answer, ret_fd);
}

// The same trouble, when it is the proxy's.
int dial_of_proxy(int rc)
{
    switch (rc) {
    case ERR_RESOLVE:
        return ERR_PROXY_RESOLVE;
    case ERR_CONNECT:
        return ERR_PROXY_CONNECT;
    case ERR_ADDRESS_REFUSED:
        return ERR_PROXY_ADDRESS;
    case ERR_CONNECT_TIMEOUT:
    case ERR_DEADLINE:
        return ERR_PROXY_TIMEOUT;
    case ERR_TLS:
        return ERR_PROXY_TLS;
    case ERR_TLS_VERIFY:
        return ERR_PROXY_VERIFY;
    default:
        return rc;
    }
}

int dial_await(struct upstream_core *side, struct fiber *self, const struct origin *o, int *ret_fd)
{
    const struct proxy *p = o->proxy;
    int fd = -1;
    int rc = screen_unresolved(o);
    if (rc != 0)
        return rc;
    if (!p)
        return connect_await(side, self, o->host, o->port, o->refuse_private, ret_fd);
    rc = connect_await(side, self, p->host, p->port, false, &fd);
    // Absolute form needs no tunnel; one inside TLS is upstream_proxy.c's.
    if (rc == 0 && !origin__is_relayed(o) && !p->tls)
        rc = tunnel_await(side, self, o, fd);
    if (rc != 0 && fd >= 0)
        ring_close(side->core->ring, fd);
    else if (rc == 0)
        *ret_fd = fd;
    return dial_of_proxy(rc);
}
