// SPDX-License-Identifier: Apache-2.0
//
// session.c: the table of bindings, and the choice of a key by it. attempt.c calls it.
//
// Sets are small arrays that are searched from one end: eight entries of 32 bytes are four cache
// lines, next to each other. A binding that is over is a free place.

#include "gateway/session.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
#include "gateway/config_build.h"
#include "gateway/exchange.h"
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/random.h>

// Two who are first at the same time, and a third: then the caller's own draw serves, unbound.
#define CHOICES_MAX 3

struct binding {
    struct session_who who;
    uint64_t key; // 0: free
    int64_t until_ns;
};

struct shard {
    alignas(64) pthread_mutex_t mutex; // guards what the pointer leads to, and the pointer
    struct binding *bindings;          // SESSION_SETS × SESSION_WAYS; NULL until the first
};

struct sessions {
    uint64_t seed[3][2];
    struct shard shard[SESSION_SHARDS];
};

// ---- The table -------------------------------------------------------------------------------

int sessions_new(struct sessions **ret)
{
    struct sessions *s = aligned_alloc(64, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    memset(s, 0, sizeof(*s));
    if (getrandom(s->seed, sizeof(s->seed), 0) != (ssize_t)sizeof(s->seed)) {
        free(s);
        return ERR_SYSTEM;
    }
    for (unsigned i = 0; i < SESSION_SHARDS; i++)
        pthread_mutex_init(&s->shard[i].mutex, NULL);
    *ret = s;
    return 0;
}

void sessions_free(struct sessions *s)
{
    for (unsigned i = 0; s && i < SESSION_SHARDS; i++) {
        free(s->shard[i].bindings);
        pthread_mutex_destroy(&s->shard[i].mutex);
    }
    free(s);
}

struct session_who session_who(const struct sessions *s, struct slice provider, struct slice scope,
                               struct slice id)
{
    struct session_who who;

    // Lengths stand between the texts in the hash of hashes: no two triples read alike.
    for (unsigned i = 0; i < 2; i++) {
        uint64_t parts[3] = {map_hash(s->seed[i], provider), map_hash(s->seed[i], scope),
                             map_hash(s->seed[i], id)};
        who.word[i] = map_hash(s->seed[i], slice_of((const char *)parts, sizeof(parts)));
    }
    return who;
}

uint64_t session_key(const struct sessions *s, struct slice key_id)
{
    return map_hash(s->seed[2], key_id) | 1;
}

static struct shard *lock_shard(struct sessions *s, struct session_who who)
{
    struct shard *shard = &s->shard[who.word[0] % SESSION_SHARDS];
    pthread_mutex_lock(&shard->mutex);
    return shard;
}

static struct binding *set_of(struct shard *shard, struct session_who who)
{
    return shard->bindings + who.word[1] % SESSION_SETS * SESSION_WAYS;
}

static bool is_live(const struct binding *b, struct mono now)
{
    return b->key != 0 && b->until_ns > now.ns;
}

static struct binding *find(struct binding *set, struct session_who who, struct mono now)
{
    for (unsigned i = 0; i < SESSION_WAYS; i++)
        if (is_live(&set[i], now) && set[i].who.word[0] == who.word[0] &&
            set[i].who.word[1] == who.word[1])
            return &set[i];
    return NULL;
}

// A free one, or the one that would end first.
static struct binding *place(struct binding *set, struct mono now)
{
    struct binding *first = set;

    for (unsigned i = 0; i < SESSION_WAYS; i++) {
        if (!is_live(&set[i], now))
            return &set[i];
        if (set[i].until_ns < first->until_ns)
            first = &set[i];
    }
    return first;
}

uint64_t sessions_get(struct sessions *s, struct session_who who, struct mono now, int64_t ttl_ms)
{
    struct shard *shard = lock_shard(s, who);
    struct binding *b = shard->bindings ? find(set_of(shard, who), who, now) : NULL;
    uint64_t key = b ? b->key : 0;

    if (b)
        b->until_ns = mono_add_ms(now, ttl_ms).ns;
    pthread_mutex_unlock(&shard->mutex);
    return key;
}

static struct binding *bindings_new(void)
{
    return calloc(SESSION_SETS * SESSION_WAYS, sizeof(struct binding));
}

uint64_t sessions_put(struct sessions *s, struct session_who who, uint64_t seen, uint64_t key,
                      struct mono now, int64_t ttl_ms)
{
    ASSERT(key != 0 && ttl_ms > 0);
    struct shard *shard = lock_shard(s, who);

    if (!shard->bindings)
        shard->bindings = bindings_new();
    if (!shard->bindings) { // the draw serves, unbound
        pthread_mutex_unlock(&shard->mutex);
        return key;
    }
    struct binding *set = set_of(shard, who);
    struct binding *b = find(set, who, now);
    if (b && b->key != seen)
        key = b->key;
    else
        *(b ? b : place(set, now)) =
            (struct binding){.who = who, .key = key, .until_ns = mono_add_ms(now, ttl_ms).ns};
    pthread_mutex_unlock(&shard->mutex);
    return key;
}

// ---- The choice ------------------------------------------------------------------------------

int64_t session_ttl_ms(struct slice value)
{
    uint64_t seconds, ms = 0;

    if (slice_to_u64(value, &seconds) == 0)
        ms = seconds < (uint64_t)SESSION_TTL_MS_MAX ? seconds * 1000 : (uint64_t)SESSION_TTL_MS_MAX;
    else if (config__parse_duration(value, &ms) != 0)
        ms = 0;
    if (ms == 0)
        return SESSION_TTL_MS;
    return ms < (uint64_t)SESSION_TTL_MS_MAX ? (int64_t)ms : SESSION_TTL_MS_MAX;
}

static struct slice value_of(const struct exchange *x, enum http_name name)
{
    const struct http_field *f = http_head_get(&x->stream->request, name);
    return f ? f->value : SLICE_EMPTY;
}

static bool is_off(const struct exchange *x)
{
    const struct http_field *f =
        http_head_find(&x->stream->request, SLICE("x-bf-session-affinity"));
    return f && slice_ieq(f->value, SLICE("off"));
}

static struct slice id_of(const struct sessions *s, const struct config_provider *provider,
                          uint64_t key)
{
    for (unsigned i = 0; key != 0 && i < provider->key_count; i++)
        if (session_key(s, provider->keys[i].id) == key)
            return provider->keys[i].id;
    return SLICE_EMPTY;
}

static enum key_result draw(struct exchange *x, const struct target *t, const struct key_pin *pin,
                            uint64_t *used)
{
    return key_choose(t->provider, t->model, pin, &x->core->net.prng, used, &x->key,
                      &x->model_sent);
}

enum key_result session_key_choose(struct exchange *x, const struct target *t,
                                   const struct key_pin *pin, uint64_t *used)
{
    struct sessions *s = x->core->gateway->sessions;
    struct slice id = value_of(x, HTTP_N_X_BF_SESSION_ID);

    if (id.len > 0 && is_off(x))
        id = SLICE_EMPTY;
    if (!s || id.len == 0 || id.len > SESSION_ID_BYTES_MAX || x->target_index > 0 ||
        pin->id.len > 0 || pin->name.len > 0 || t->provider->key_less || t->provider->key_count < 2)
        return draw(x, t, pin, used);

    struct mono now = ring_now(x->core->net.ring);
    int64_t ttl_ms = session_ttl_ms(value_of(x, HTTP_N_X_BF_SESSION_TTL));
    struct slice scope = x->virtual_key ? x->virtual_key->id : SLICE_EMPTY;
    struct session_who who = session_who(s, t->provider->name, scope, id);
    uint64_t bound = sessions_get(s, who, now, ttl_ms);
    enum key_result result = KEY_NONE;
    for (unsigned i = 0; i < CHOICES_MAX; i++) {
        struct key_pin own = {.id = id_of(s, t->provider, bound), .lent = pin->lent};
        if (own.id.len > 0 && draw(x, t, &own, used) == KEY_FOUND)
            return KEY_FOUND;
        result = draw(x, t, pin, used);
        if (result != KEY_FOUND)
            return result;
        uint64_t drawn = session_key(s, x->key->id);
        uint64_t now_bound = sessions_put(s, who, bound, drawn, now, ttl_ms);
        if (now_bound == drawn)
            return KEY_FOUND;
        bound = now_bound;
    }
    return result;
}
