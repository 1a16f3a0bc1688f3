// SPDX-License-Identifier: Apache-2.0
//
// target.c: the split of model strings and the draw among keys. exchange.c and attempt.c call it.
//
// Keys are few, so the draw walks them: once to add up the weights of those that may serve, once to
// the drawn point. Nothing is kept between requests.

#include "gateway/target.h"
#include "base/assert.h"

// ---- Provider and model ----------------------------------------------------------------------

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (unsigned char)s.ptr[0] <= ' ')
        s = slice_skip(s, 1);
    while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

static enum target_result resolve_bare(const struct config *config, enum mount mount,
                                       struct slice model, struct slice prefix,
                                       struct target *ret_target, struct slice *ret_provider)
{
    const struct config_provider *provider;

    if (mount_traits[mount].bare_provider.len > 0) {
        *ret_provider = mount_traits[mount].bare_provider;
        provider = config_provider(config, *ret_provider);
        if (!provider)
            return TARGET_UNCONFIGURED;
    } else {
        provider = config_provider_of_model(config, model);
        if (!provider && prefix.len > 0 && provider_is_standard(prefix)) {
            *ret_provider = prefix;
            return TARGET_UNCONFIGURED;
        }
        if (!provider)
            return TARGET_UNRESOLVED;
    }
    *ret_target = (struct target){.provider = provider, .model = model};
    return TARGET_OK;
}

enum target_result target_resolve(const struct config *config, enum mount mount, struct slice model,
                                  struct target *ret_target, struct slice *ret_provider)
{
    ASSERT(config && mount > MOUNT_NONE && mount < MOUNT_COUNT);

    *ret_provider = SLICE_EMPTY;
    model = trim(model);
    if (model.len == 0)
        return TARGET_EMPTY;

    struct slice prefix = SLICE_EMPTY;
    ptrdiff_t slash = slice_find_char(model, '/');
    if (slash > 0) {
        prefix = slice_take(model, (size_t)slash);
        const struct config_provider *provider = config_provider(config, prefix);
        if (provider) {
            struct slice rest = trim(slice_skip(model, (size_t)slash + 1));
            if (rest.len == 0)
                return TARGET_EMPTY;
            *ret_target = (struct target){.provider = provider, .model = rest};
            return TARGET_OK;
        }
    }
    return resolve_bare(config, mount, model, prefix, ret_target, ret_provider);
}

bool target_has(const struct config_provider *provider, enum operation op, bool stream,
                struct slice model)
{
    ASSERT(op < OPERATION_COUNT);

    bool claude = provider->row->by_family && config_is_claude(provider, model);
    if (provider->path[op].len == 0 || !provider_has(provider->row, op, claude))
        return false;
    return !(stream && (op == OP_TEXT || op == OP_COMPLETE) && !provider->row->streams_text);
}

bool target_allows(const struct config_provider *provider, enum operation op, bool stream)
{
    ASSERT(op < OPERATION_COUNT);

    unsigned bit = stream ? 1u << (16 + op) : 1u << op;
    return !provider->custom || (provider->allowed & bit) != 0;
}

// ---- Keys ------------------------------------------------------------------------------------

// `lent`: the keys that may be used at all, by index; NULL: all.
static bool key_eligible(const struct config_provider *provider, const bool *lent,
                         const struct config_key *key, struct slice model, struct slice *ret_model)
{
    if (lent && !lent[key - provider->keys])
        return false;
    if (key->value.len == 0 && !provider->row->key_optional)
        return false;
    return config_key_serves(key, model, ret_model);
}

static const struct config_key *key_pinned(const struct config_provider *provider,
                                           const struct key_pin *pin)
{
    for (unsigned i = 0; i < provider->key_count; i++) {
        const struct config_key *key = &provider->keys[i];
        bool hit = pin->id.len > 0 ? slice_eq(key->id, pin->id) : slice_eq(key->name, pin->name);
        if (hit && key->enabled)
            return key;
    }
    return NULL;
}

static bool is_used(uint64_t used, unsigned index)
{
    return index < KEYS_TRIED_MAX && (used >> index & 1) != 0;
}

// What the draw is made of: the eligible keys and their weights.
struct urn {
    unsigned eligible; // in all
    unsigned unused;
    bool weighted;        // an eligible key has a weight: those without one are out
    double unused_weight; // sum over unused
};

static double weight_of(const struct config_key *key)
{
    return key->weight > 0 ? key->weight : 0;
}

static struct urn count_keys(const struct config_provider *provider, const bool *lent,
                             struct slice model, uint64_t used)
{
    struct urn urn = {0};
    struct slice ignored;

    for (unsigned i = 0; i < provider->key_count && !urn.weighted; i++)
        urn.weighted = weight_of(&provider->keys[i]) > 0 &&
                       key_eligible(provider, lent, &provider->keys[i], model, &ignored);
    for (unsigned i = 0; i < provider->key_count; i++) {
        const struct config_key *key = &provider->keys[i];
        if (!key_eligible(provider, lent, key, model, &ignored) ||
            (urn.weighted && weight_of(key) <= 0))
            continue;
        urn.eligible++;
        if (is_used(used, i))
            continue;
        urn.unused++;
        urn.unused_weight += weight_of(key);
    }
    return urn;
}

// The key at `point` of the line that the unused keys' weights make up.
static unsigned draw(const struct config_provider *provider, const bool *lent, struct slice model,
                     uint64_t used, const struct urn *urn, double point)
{
    struct slice ignored;
    unsigned last = provider->key_count;

    for (unsigned i = 0; i < provider->key_count; i++) {
        const struct config_key *key = &provider->keys[i];
        double share = urn->weighted ? weight_of(key) : 1.0;
        if (share <= 0 || is_used(used, i) || !key_eligible(provider, lent, key, model, &ignored))
            continue;
        last = i;
        point -= share;
        if (point < 0)
            break;
    }
    ASSERT(last < provider->key_count);
    return last;
}

enum key_result key_choose(const struct config_provider *provider, struct slice model,
                           const struct key_pin *pin, struct prng *prng, uint64_t *used,
                           const struct config_key **ret_key, struct slice *ret_model)
{
    const bool *lent = pin ? pin->lent : NULL;

    if (provider->key_less) {
        *ret_key = NULL;
        *ret_model = model;
        return KEY_NOT_NEEDED;
    }
    if (pin && (pin->id.len > 0 || pin->name.len > 0)) {
        const struct config_key *key = key_pinned(provider, pin);
        if (!key)
            return KEY_PIN_UNKNOWN;
        if (!key_eligible(provider, lent, key, model, ret_model))
            return KEY_NONE;
        *ret_key = key;
        return KEY_FOUND;
    }

    struct urn urn = count_keys(provider, lent, model, *used);
    if (urn.eligible == 0)
        return KEY_NONE;
    if (urn.unused == 0) {
        *used = 0;
        urn = count_keys(provider, lent, model, 0);
    }
    double line = urn.weighted ? urn.unused_weight : (double)urn.unused;
    unsigned i = draw(provider, lent, model, *used, &urn, line * prng_unit(prng));
    if (i < KEYS_TRIED_MAX)
        *used |= UINT64_C(1) << i;
    *ret_key = &provider->keys[i];
    bool eligible = key_eligible(provider, lent, *ret_key, model, ret_model);
    ASSERT(eligible);
    return KEY_FOUND;
}
