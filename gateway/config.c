// SPDX-License-Identifier: Apache-2.0
//
// config.c: the life of a snapshot: built, looked at, retired, freed.
//
// Counting needs no atomics but one. A core's exchanges on a snapshot are counted in a cache line
// of that core; when the core has retired the snapshot and its count is zero, it gives back its
// share of `cores`, and whoever gives back the last share frees. A share is given back once: in
// config_retire when nothing runs, else in the config_exchange_end that brings the count to zero.
//
// Limiters get their numbers last, when nothing can fail any more: they live on, and a reload that
// is refused must not have changed them.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "gateway/limiter.h"
#include "providers/catalog.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// A configuration file larger than this is something else.
#define FILE_BYTES_MAX (16u * 1024 * 1024)
// What a snapshot of such a file can come to.
#define MEMORY_BYTES_MAX (256u * 1024 * 1024)

// ---- Making and freeing -------------------------------------------------------------------------

static struct config *config_new(void)
{
    uint64_t seed[2];
    if (random_bytes(seed, sizeof(seed)) != 0)
        return NULL;
    struct config *c = aligned_alloc(_Alignof(struct config), sizeof(*c));
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof(*c));
    block_pool_init(&c->blocks, 0);
    arena_init(&c->memory, &c->blocks, MEMORY_BYTES_MAX);
    map_init(&c->by_name, seed);
    map_init(&c->governance.key_by_value, seed);
    map_init(&c->governance.model_by_name, seed);
    return c;
}

static void free_provider(struct config_provider *p)
{
    for (unsigned i = 0; i < p->key_count; i++) {
        origin_put(p->keys[i].origin);
        if (p->keys[i].entra)
            origin_put(p->keys[i].entra->origin);
    }
    for (unsigned i = 0; i < OPERATION_COUNT; i++)
        origin_put(p->path_origin[i]);
    origin_put(p->origin);
}

static void wipe(struct slice secret)
{
    if (secret.len > 0)
        explicit_bzero((void *)(uintptr_t)secret.ptr, secret.len);
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    ASSERT(atomic_load(&c->cores) == 0);
    for (unsigned i = 0; i < c->provider_count; i++)
        free_provider(&c->providers[i]);
    if (c->tls != NULL)
        tls_context_put(c->tls->context);
    origin_put(c->pricing.origin);
    catalog_put(c->catalog);
    wipe(c->text);
    wipe(c->encryption_key);
    map_done(&c->by_name);
    map_done(&c->governance.key_by_value);
    map_done(&c->governance.model_by_name);
    arena_done(&c->memory);
    block_pool_done(&c->blocks);
    free(c);
}

// ---- Building -----------------------------------------------------------------------------------

static void finish(struct config_builder *b, struct limiters *limiters)
{
    struct config *c = b->config;
    for (unsigned i = 0; i < c->provider_count && !b->no_memory; i++) {
        struct config_provider *p = &c->providers[i];
        if (map_put(&c->by_name, p->name, p) != 0)
            b->no_memory = true;
    }
    for (unsigned i = 0; i < c->provider_count && !b->no_memory && limiters != NULL; i++) {
        struct config_provider *p = &c->providers[i];
        p->limiter =
            limiters_get(limiters, p->name, b->slots[i].concurrency, b->slots[i].buffer_size);
        b->no_memory |= p->limiter == NULL;
    }
}

static void build_document(struct config_builder *b, struct limiters *limiters, yyjson_val *root)
{
    config__check(b, root);
    if (config__failed(b))
        return;
    config__load_encryption(b, root);
    config__load_pricing(b, root);
    config__load_client(b, root);
    config__load_listener(b, root);
    config__load_peers(b, root);
    config__load_providers(b, root);
    if (!config__failed(b))
        config__load_governance(b, root);
    if (!config__failed(b))
        finish(b, limiters);
}

static void build_environment(struct config_builder *b, struct limiters *limiters)
{
    yyjson_doc *stored = NULL;
    config__join_stored(b, &stored);
    if (stored != NULL && !config__failed(b))
        config__check(b, yyjson_doc_get_root(stored));
    config__load_encryption(b, NULL);
    config__load_client(b, NULL);
    config__load_environment(b);
    if (stored != NULL && !config__failed(b))
        config__load_governance(b, yyjson_doc_get_root(stored));
    if (!config__failed(b))
        finish(b, limiters);
    yyjson_doc_free(stored);
}

static void say_syntax(struct config_builder *b, int err, struct slice text, size_t at,
                       const char *reason)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        column = text.ptr[i] == '\n' ? 1 : column + 1;
        line += text.ptr[i] == '\n';
    }
    if (err == ERR_LIMIT)
        config__error(b, NULL, "larger than a configuration can be");
    else
        config__error(b, NULL, "line %u, column %u: %s", line, column,
                      reason != NULL ? reason : err_text(err));
}

static void build_text(struct config_builder *b, struct limiters *limiters, struct slice text)
{
    yyjson_doc *doc = NULL;
    size_t at = 0;
    const char *reason = NULL;
    b->config->text = config__copy(b, text);
    int err = json_parse(text, &doc, &at, &reason);
    if (text.len == 0) {
        config__error(b, NULL, "empty; {} is the smallest configuration");
    } else if (err == ERR_NOMEM) {
        b->no_memory = true;
    } else if (err != 0) {
        say_syntax(b, err, text, at, reason);
    } else {
        config__join_stored(b, &doc);
        if (!config__failed(b))
            build_document(b, limiters, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
}

static int begin(struct config_builder *b, const struct config_source *source,
                 struct config_report *report)
{
    ASSERT(source != NULL && report != NULL);
    *b = (struct config_builder){
        .source = source, .report = report, .file = "config.json", .config = config_new()};
    if (b->config == NULL)
        return ERR_NOMEM;
    b->config->catalog = catalog_get(source->catalog);
    b->config->on_loopback = source->on_loopback;
    return 0;
}

static int end(struct config_builder *b, struct config **ret_config)
{
    int err = b->no_memory ? ERR_NOMEM : config__failed(b) ? ERR_CONFIG : 0;
    config__tls_done(b);
    if (err != 0)
        config_free(b->config);
    else
        *ret_config = b->config;
    return err;
}

int config_build_text(struct slice text, const struct config_source *source,
                      struct limiters *limiters, struct config_report *report,
                      struct config **ret_config)
{
    struct config_builder b;
    int err = begin(&b, source, report);
    if (err != 0)
        return err;
    build_text(&b, limiters, text);
    return end(&b, ret_config);
}

int config_build_again(const struct config *base, const struct config_source *source,
                       struct limiters *limiters, struct config_report *report,
                       struct config **ret_config)
{
    struct config_builder b;
    if (base->text.ptr != NULL)
        return config_build_text(base->text, source, limiters, report, ret_config);
    int err = begin(&b, source, report);
    if (err != 0)
        return err;
    b.file = "environment";
    build_environment(&b, limiters);
    return end(&b, ret_config);
}

int config__read_file(const char *name, struct buf *text)
{
    char chunk[16384];
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO does not hold us
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_SYSTEM;
    ssize_t n;
    do { // ends at the end of the file or at the buffer's ceiling
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
            buf_add(text, slice_of(chunk, (size_t)n));
    } while (text->err == 0 && (n > 0 || (n < 0 && errno == EINTR)));
    int saved = errno;
    close(fd);
    errno = saved;
    return text->err != 0 ? text->err : n < 0 ? ERR_SYSTEM : 0;
}

static void build_file(struct config_builder *b, struct limiters *limiters, const char *name)
{
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    int err = config__read_file(name, &text);
    switch (err) {
    case 0:
        build_text(b, limiters, buf_slice(&text));
        break;
    case ERR_NOT_FOUND:
        b->file = "environment";
        build_environment(b, limiters);
        break;
    case ERR_NOMEM:
        b->no_memory = true;
        break;
    case ERR_LIMIT:
        config__error(b, NULL, "larger than %u bytes", FILE_BYTES_MAX);
        break;
    default:
        config__error(b, NULL, "cannot be read: %s", strerror(errno));
        break;
    }
    wipe(buf_slice(&text));
    buf_done(&text);
}

int config_build(const struct config_source *source, struct limiters *limiters,
                 struct config_report *report, struct config **ret_config)
{
    struct config_builder b;
    int err = begin(&b, source, report);
    if (err != 0)
        return err;
    char name[PATH_MAX];
    const char *folder = source->app_dir != NULL ? source->app_dir : ".";
    int n = snprintf(name, sizeof(name), "%s/config.json", folder);
    if (n < 0 || (size_t)n >= sizeof(name))
        config__error(&b, NULL, "the folder's name is too long");
    else
        build_file(&b, limiters, name);
    return end(&b, ret_config);
}

// ---- Counting -----------------------------------------------------------------------------------

void config_publish(struct config *c, unsigned cores)
{
    ASSERT(cores > 0 && cores <= CORES_MAX);
    ASSERT(atomic_load(&c->cores) == 0);
    atomic_store(&c->cores, cores);
}

static void give_back(struct config *c)
{
    unsigned before = atomic_fetch_sub_explicit(&c->cores, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        config_free(c);
}

void config_exchange_begin(struct config *c, unsigned core)
{
    ASSERT(core < CORES_MAX && !c->core[core].retired);
    c->core[core].exchanges++;
    ASSERT(c->core[core].exchanges > 0);
}

void config_exchange_end(struct config *c, unsigned core)
{
    ASSERT(core < CORES_MAX && c->core[core].exchanges > 0);
    if (--c->core[core].exchanges == 0 && c->core[core].retired)
        give_back(c);
}

void config_retire(struct config *c, unsigned core)
{
    ASSERT(core < CORES_MAX && !c->core[core].retired);
    c->core[core].retired = true;
    if (c->core[core].exchanges == 0)
        give_back(c);
}

// ---- Looking ------------------------------------------------------------------------------------

const struct config_provider *config_provider(const struct config *c, struct slice name)
{
    return map_get(&c->by_name, name);
}

static bool is_blacklisted(const struct config_key *k, struct slice model)
{
    return k->blacklist_count > 0 && (slice_in(model, k->blacklist, k->blacklist_count) ||
                                      slice_in(SLICE("*"), k->blacklist, k->blacklist_count));
}

const struct config_alias *config_key_alias(const struct config_key *k, struct slice model)
{
    for (unsigned i = 0; i < k->alias_count; i++) {
        if (slice_ieq(k->aliases[i].name, model))
            return &k->aliases[i];
    }
    return NULL;
}

bool config_key_serves(const struct config_key *k, struct slice model, struct slice *ret_model)
{
    if (!k->enabled || is_blacklisted(k, model))
        return false;
    const struct config_alias *alias = config_key_alias(k, model);
    if (alias == NULL && !k->all_models && !slice_in(model, k->models, k->model_count))
        return false;
    *ret_model = alias != NULL ? alias->model_id : model;
    return true;
}

bool config_is_claude(const struct config_provider *p, struct slice model)
{
    for (unsigned i = 0; i < p->key_count; i++) {
        const struct config_alias *alias = config_key_alias(&p->keys[i], model);
        if (alias != NULL)
            return alias->claude;
    }
    return provider_is_claude(model);
}

// Does the key name the model, rather than admit every one? A model called "*" is not the star.
static bool names(const struct config_key *k, struct slice model)
{
    bool listed = slice_in(model, k->models, k->model_count) && !slice_eq(model, SLICE("*"));
    return k->enabled && !is_blacklisted(k, model) &&
           (listed || config_key_alias(k, model) != NULL);
}

const struct config_provider *config_provider_of_model(const struct config *c, struct slice model)
{
    for (unsigned i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        for (unsigned k = 0; k < p->key_count; k++) {
            if (names(&p->keys[k], model))
                return p;
        }
    }
    return NULL;
}
