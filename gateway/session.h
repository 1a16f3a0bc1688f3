// SPDX-License-Identifier: Apache-2.0
//
// session.h: a conversation stays with the key it began with.
//
// A client that names its session (x-bf-session-id) gets the same key of a provider on each request
// of it (not with x-bf-session-affinity: off): providers keep prompt caches by account. The first
// request draws a key by weight as ever and binds the session to it; every request refreshes the
// binding for x-bf-session-ttl (a Go duration or seconds; an hour when it says nothing that can be
// read). Retries keep the key, fallbacks know no sessions, a key that the client names wins and
// binds nothing. A bound key that is gone, disabled or does not serve the model gives way to a new
// draw. Providers with one key need no table.
//
// The table is the process's, so that it holds whatever core a connection landed on:
//
//     fingerprint ──► shard (a mutex) ──► set ──► [who | key | until] × SESSION_WAYS
//
// Who is told by 128 bits of keyed hash over provider, virtual key and session: no text is kept,
// and nobody can choose a collision. A full set gives up the binding that ends first. Bindings are
// memory only; a restart begins without.
#ifndef RINGGATE_GATEWAY_SESSION_H
#define RINGGATE_GATEWAY_SESSION_H

#include "base/clock.h"
#include "gateway/target.h"

struct exchange;
struct sessions;

// Bindings of the process: 64 shards of 128 sets of 8. Clients choose the names; this is what they
// can fill, 2 MB.
#define SESSION_SHARDS 64
#define SESSION_SETS   128
#define SESSION_WAYS   8
#define SESSIONS_MAX   (SESSION_SHARDS * SESSION_SETS * SESSION_WAYS)
// A longer name is no session; stops hashing a head's worth of it for each request.
#define SESSION_ID_BYTES_MAX 255
#define SESSION_TTL_MS       ((int64_t)3600 * 1000)
#define SESSION_TTL_MS_MAX   ((int64_t)30 * 24 * 3600 * 1000)

struct session_who {
    uint64_t word[2];
};

// Takes no memory for bindings before the first one. 0, ERR_NOMEM, or ERR_SYSTEM without
// randomness.
int sessions_new(struct sessions **ret);
void sessions_free(struct sessions *s); // NULL is fine

struct session_who session_who(const struct sessions *s, struct slice provider, struct slice scope,
                               struct slice id);
// What stands for a key; never 0.
uint64_t session_key(const struct sessions *s, struct slice key_id);

// Any thread; a mutex that is held for a few dozen instructions.
//
// The key this session is bound to, whose binding then ends `ttl_ms` from `now`; 0 when there is
// none.
uint64_t sessions_get(struct sessions *s, struct session_who who, struct mono now, int64_t ttl_ms);
// Binds to `key` if the session is bound as the caller saw it (`seen`, 0: not at all). Returns what
// it is bound to now: another's key when another was first.
uint64_t sessions_put(struct sessions *s, struct session_who who, uint64_t seen, uint64_t key,
                      struct mono now, int64_t ttl_ms);

// In milliseconds, from the header's value.
int64_t session_ttl_ms(struct slice value);

// key_choose for an exchange whose client may have named a session: the bound key, or a draw that
// binds. `pin` is what the client asks for.
enum key_result session_key_choose(struct exchange *x, const struct target *target,
                                   const struct key_pin *pin, uint64_t *used);

#endif
