// SPDX-License-Identifier: Apache-2.0
//
// process_stored.c: rows of the store's `config` on their way into snapshots, and to the process
// that comes after this one.
//
//   store ── load_stored ──► memfd ──┬── config_source.stored ──► every snapshot
//                                    └── "stored", a descriptor ──► take_stored ──► memfd …
//
//     offset 0  magic  8 bytes, "stored 1"
//            8  {"virtual_keys":[…],"budgets":[…]}: lists as the file's `governance` has them
//
// They are read once, when the store has been opened: only this process changes them. The next one
// of an upgrade cannot ask the store, which this one has; it gets the memory, sealed.
#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "gateway/process_internal.h"
#include "store/store.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "stored 1"
// All rows together; a store of more is something else.
#define STORED_BYTES_MAX ((size_t)64 << 20)
// With what reading them takes beside.
#define READING_BYTES_MAX (4 * STORED_BYTES_MAX)
#define SEALS             (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct stored_list {
    enum store_kind kind;
    const char *member; // of `governance`
};
static const struct stored_list lists[] = {
    {STORE_CUSTOMER, "customers"},        {STORE_TEAM, "teams"},
    {STORE_VIRTUAL_KEY, "virtual_keys"},  {STORE_BUDGET, "budgets"},
    {STORE_RATE_LIMIT, "rate_limits"},    {STORE_PROVIDER_LIMIT, "providers"},
    {STORE_MODEL_LIMIT, "model_configs"}, {STORE_PRICE, "pricing_overrides"},
};

// ---- The memory ------------------------------------------------------------------------------

static int map_sealed(struct stored *s)
{
    struct stat st;
    int seals = fcntl(s->fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(s->fd, &st) != 0 ||
        st.st_size < (off_t)sizeof(MAGIC) - 1)
        return ERR_UNSUPPORTED;
    s->bytes = (size_t)st.st_size;
    void *memory = mmap(NULL, s->bytes, PROT_READ, MAP_SHARED, s->fd, 0);
    if (memory == MAP_FAILED)
        return ERR_NOMEM;
    s->memory = memory;
    struct slice all = slice_of(memory, s->bytes);
    if (!slice_starts(all, SLICE(MAGIC)))
        return ERR_UNSUPPORTED;
    s->text = slice_skip(all, sizeof(MAGIC) - 1);
    return 0;
}

static int write_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n <= 0)
            return ERR_SYSTEM;
        s = slice_skip(s, (size_t)n);
    }
    return 0;
}

static int keep(struct stored *s, struct slice text)
{
    s->fd = memfd_create("ringgate-stored", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->fd < 0 || write_all(s->fd, text) != 0 || fcntl(s->fd, F_ADD_SEALS, SEALS) != 0)
        return ERR_SYSTEM;
    return map_sealed(s);
}

void process__stored_free(struct process *p)
{
    struct stored *s = &p->stored;
    if (s->memory != NULL)
        (void)munmap(s->memory, s->bytes);
    if (s->fd >= 0)
        (void)close(s->fd);
    *s = (struct stored){.fd = -1};
}

int process__take_stored(struct process *p)
{
    p->stored.fd = handover_take(&p->upgrade.inherited, "stored");
    int rc = p->stored.fd < 0 ? 0 : map_sealed(&p->stored);
    if (rc < 0)
        fprintf(stderr,
                "ringgate: the rows that the process before passes on are not understood\n");
    return rc;
}

// ---- From the store --------------------------------------------------------------------------

// A limit that is not understood must not be left out: then it would limit nobody.
static int add_row(struct buf *out, const struct stored_list *list, const struct store_row *row)
{
    yyjson_doc *doc = NULL;
    int rc = json_parse(row->value, &doc, NULL, NULL);
    if (rc == 0 && !yyjson_is_obj(yyjson_doc_get_root(doc)))
        rc = ERR_BAD_TYPE;
    yyjson_doc_free(doc);
    if (rc < 0) {
        fprintf(stderr, "ringgate: not started: the store: %s: %.*s: %s\n", list->member,
                SLICE_ARG(slice_take(row->id, 64)), err_text(rc));
        return rc;
    }
    buf_add(out, row->value);
    return out->err;
}

static int add_list(struct buf *out, const struct stored_list *list, const struct store_row *rows,
                    unsigned count)
{
    int rc = 0;
    buf_printf(out, "%s\"%s\":[", out->len > sizeof(MAGIC) ? "," : "", list->member);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        rc = add_row(out, list, &rows[i]);
    }
    buf_add_char(out, ']');
    return rc;
}

// *ret_count: of all of them.
static int gather(struct store *store, struct arena *arena, struct buf *out, size_t *ret_count)
{
    int rc = 0;
    buf_add(out, SLICE(MAGIC "{"));
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lists); i++) {
        struct store_row *rows = NULL;
        unsigned count = 0;
        rc = store_load_rows(store, lists[i].kind, arena, &rows, &count);
        if (rc < 0)
            fprintf(stderr, "ringgate: not started: the store: %s: %s\n", lists[i].member,
                    err_text(rc));
        else if (count > 0)
            rc = add_list(out, &lists[i], rows, count);
        *ret_count += count;
    }
    buf_add_char(out, '}');
    return rc < 0 ? rc : out->err;
}

int process__load_stored(struct process *p)
{
    struct store *store = p->gateway.store;
    struct block_pool pool;
    struct arena arena;
    struct buf text;
    size_t count = 0;
    if (store == NULL || !store_is_ready(store) || p->config->no_stored)
        return 0;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, READING_BYTES_MAX);
    buf_init(&text, STORED_BYTES_MAX);
    int rc = gather(store, &arena, &text, &count);
    if (rc == 0 && count > 0) {
        process__stored_free(p);
        rc = keep(&p->stored, buf_slice(&text));
        if (rc < 0)
            fprintf(stderr, "ringgate: not started: rows of the store: %s\n", err_text(rc));
    } else if (rc < 0 && text.err != 0) {
        fprintf(stderr, "ringgate: not started: rows of the store: %s\n", err_text(rc));
    }
    if (text.ptr != NULL)
        explicit_bzero(text.ptr, text.len);
    buf_done(&text);
    arena_done(&arena);
    block_pool_done(&pool);
    return rc;
}
