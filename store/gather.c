// SPDX-License-Identifier: Apache-2.0
//
// gather.c: a record becomes a row, a content, a row of the open digest, words and moved counters.
#include "store/drain_internal.h"

#include "base/assert.h"
#include "base/err.h"
#include "store/keys.h"

// ---- Words -----------------------------------------------------------------------------------

// The number of a word, which the batch makes known when it is new. 0 for no word.
static int number_of(struct drain *d, enum store_word dictionary, struct slice word, uint32_t *ret)
{
    struct store *s = d->store;
    uint32_t fresh[2] = {dictionary, 0};

    *ret = word.len > 0 ? words_find(s->words, dictionary, word) : 0;
    if (word.len == 0 || *ret != 0)
        return 0;
    buf_add(&d->fresh_words, slice_of(fresh, sizeof(fresh))); // before the word is there
    if (d->fresh_words.err) {
        int err = d->fresh_words.err;
        d->fresh_words.err = 0;
        return err;
    }
    char *place = d->fresh_words.ptr + d->fresh_words.len - sizeof(fresh);
    int err = words_add(s->words, dictionary, word, &fresh[1]);
    if (err || fresh[1] == WORDS_OTHER)
        d->fresh_words.len -= sizeof(fresh);
    else
        memcpy(place, fresh, sizeof(fresh));
    if (!err)
        *ret = fresh[1];
    return err;
}

static void put_words(struct drain *d)
{
    struct store *s = d->store;
    uint32_t fresh[2];
    for (size_t at = 0; at < d->fresh_words.len; at += sizeof(fresh)) {
        memcpy(fresh, d->fresh_words.ptr + at, sizeof(fresh));
        enum store_word dictionary = (enum store_word)fresh[0];
        struct keys_key key = keys_word(dictionary, fresh[1]);
        rocks_batch_put(d->batch, keys_slice(&key), words_text(s->words, dictionary, fresh[1]));
    }
}

// ---- Counters --------------------------------------------------------------------------------

void store__forget_counters(struct drain *d)
{
    memset(d->counters, 0, COUNTERS_KEPT * sizeof(d->counters[0]));
    d->counters_used = 0;
    d->moved_count = 0;
}

static struct counter_value *counter_place(struct drain *d, uint32_t word, uint64_t window)
{
    uint64_t hash = (word * UINT64_C(0x9e3779b97f4a7c15)) ^ (window * UINT64_C(0xbf58476d1ce4e5b9));
    uint32_t at = (uint32_t)(hash >> 40) & (COUNTERS_KEPT - 1);
    while (d->counters[at].word != 0 &&
           (d->counters[at].word != word || d->counters[at].window != window))
        at = (at + 1) & (COUNTERS_KEPT - 1);
    return &d->counters[at];
}

static int read_counter(struct drain *d, uint32_t word, uint64_t window, int64_t *ret)
{
    struct keys_key key = keys_counter(word, window);
    buf_reset(&d->value);
    int err = rocks_get(d->store->logs, keys_slice(&key), &d->value);
    *ret = 0;
    if (err == ERR_NOT_FOUND)
        return 0;
    if (!err && d->value.len == 8)
        *ret = (int64_t)keys_u64(d->value.ptr);
    return err;
}

static int move(struct drain *d, const struct store_move *m)
{
    uint32_t word;
    int64_t value;

    int err = number_of(d, STORE_WORD_COUNTER, m->counter, &word);
    if (err)
        return err;
    struct counter_value *c = counter_place(d, word, m->window);
    if (c->word == 0) {
        err = read_counter(d, word, m->window, &value);
        if (err)
            return err;
        *c = (struct counter_value){.word = word, .window = m->window, .value = value};
        d->counters_used++;
    }
    if (__builtin_add_overflow(c->value, m->delta, &c->value))
        c->value = m->delta > 0 ? INT64_MAX : INT64_MIN;
    if (!c->moved) {
        c->moved = true;
        d->moved[d->moved_count++] = (uint32_t)(c - d->counters);
    }
    return 0;
}

static void put_counters(struct drain *d)
{
    for (unsigned i = 0; i < d->moved_count; i++) {
        struct counter_value *c = &d->counters[d->moved[i]];
        struct keys_key key = keys_counter(c->word, c->window);
        unsigned char value[8];
        keys_put_u64(value, (uint64_t)c->value);
        rocks_batch_put(d->batch, keys_slice(&key), slice_of(value, sizeof(value)));
        c->moved = false;
    }
    d->moved_count = 0;
}

// ---- Digests ---------------------------------------------------------------------------------

void store__open_add(struct drain *d, const struct digest_row *row)
{
    ASSERT(d->open_rows < STORE_DIGEST_ROWS);
    uint64_t time = row->column[DIGEST_TIME];
    if (d->open_rows == 0)
        d->open_min = d->open_max = time;
    d->open_min = time < d->open_min ? time : d->open_min;
    d->open_max = time > d->open_max ? time : d->open_max;
    d->open[d->open_rows++] = *row;
}

static int put_digest(struct drain *d, enum keys_table table, const struct digest_row *rows,
                      unsigned count)
{
    struct keys_key key = keys_id(table, digest_name(rows, count));
    buf_reset(&d->value);
    digest_write(rows, count, &d->value);
    if (d->value.err)
        return d->value.err;
    rocks_batch_put(d->batch, keys_slice(&key), buf_slice(&d->value));
    return 0;
}

int store__close_open(struct drain *d)
{
    if (d->open_rows == 0)
        return 0;
    int err = put_digest(d, KEYS_DIGEST, d->open, d->open_rows);
    for (unsigned i = 0; !err && i < d->pieces; i++) {
        struct keys_key key = keys_id(KEYS_PIECE, d->piece[i]);
        rocks_batch_delete(d->batch, keys_slice(&key));
    }
    d->pieces = 0;
    d->open_rows = d->open_old = 0;
    return err;
}

int store__write_piece(struct drain *d)
{
    unsigned fresh = d->open_rows - d->open_old;
    if (fresh == 0)
        return 0;
    const struct digest_row *rows = d->open + d->open_old;
    ASSERT(d->pieces < STORE_DIGEST_ROWS);
    d->piece[d->pieces++] = digest_name(rows, fresh);
    d->open_old = d->open_rows;
    return put_digest(d, KEYS_PIECE, rows, fresh);
}

static int add_row(struct drain *d, const struct digest_row *row)
{
    uint64_t time = row->column[DIGEST_TIME];
    int err = 0;
    if (d->open_rows > 0 && ((time > d->open_min && time - d->open_min > STORE_DIGEST_SPAN_US) ||
                             (time < d->open_max && d->open_max - time > STORE_DIGEST_SPAN_US)))
        err = store__close_open(d);
    if (err)
        return err;
    store__open_add(d, row);
    return d->open_rows == STORE_DIGEST_ROWS ? store__close_open(d) : 0;
}

// ---- The record ------------------------------------------------------------------------------

static int digest_row_of(struct drain *d, const struct record_view *view, struct digest_row *ret)
{
    const struct store_record *r = &view->record;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++) {
        uint32_t number;
        int err = number_of(d, (enum store_word)i, r->word[i], &number);
        if (err)
            return err;
        ret->column[DIGEST_WORD + i] = number;
    }
    ret->column[DIGEST_TIME] = view->id.time_us;
    ret->column[DIGEST_RING] = view->id.ring;
    ret->column[DIGEST_NUMBER] = view->id.number;
    ret->column[DIGEST_STATUS] = r->status;
    ret->column[DIGEST_FLAGS] = view->flags;
    ret->column[DIGEST_LATENCY] = r->latency_ms;
    ret->column[DIGEST_INPUT] = r->input_tokens;
    ret->column[DIGEST_OUTPUT] = r->output_tokens;
    ret->column[DIGEST_CACHED_READ] = r->cached_read_tokens;
    ret->column[DIGEST_CACHED_WRITE] = r->cached_write_tokens;
    ret->column[DIGEST_COST] = (uint64_t)r->cost;
    return 0;
}

static int put_row(struct drain *d, const struct record_view *view)
{
    unsigned char head[RECORD_HEAD_BYTES];
    struct slice parts[2];
    record_row_parts(view, head, parts);
    d->bytes += parts[0].len + parts[1].len;
    return store__outlet_add(d, SEGMENT_ROWS, view->id, parts, 2);
}

static int put_content(struct drain *d, const struct record_view *view)
{
    unsigned char head[RECORD_CONTENT_BYTES];
    struct slice parts[3];
    record_content_parts(view, head, parts);
    d->bytes += parts[1].len + parts[2].len;
    return store__outlet_add(d, SEGMENT_CONTENT, view->id, parts, 3);
}

// What its references lead to may have been given up.
static bool is_stale(const struct drain *d, const struct record_view *view)
{
    return view->flags & RECORD_SHARED && view->losses != spool_losses(d->from);
}

// What the ring had, the disk may have no room for.
static int put_bodies(struct drain *d, const struct record_view *view)
{
    int level = atomic_load_explicit(&d->store->level, memory_order_relaxed);
    bool content = view->record.request.len + view->record.answer.len > 0;
    bool keep_content =
        content && level == STORE_ALL && view->record.row.len > 0 && !is_stale(d, view);
    bool keep_row = view->record.row.len > 0 && level != STORE_NO_ROWS;

    d->content_dropped += (view->flags & RECORD_LOST_CONTENT) || (content && !keep_content);
    d->rows_dropped += (view->flags & RECORD_LOST_ROW) || (view->record.row.len > 0 && !keep_row);
    if (content && !keep_content)
        spool_lose(d->from);
    int err = keep_row ? put_row(d, view) : 0;
    if (!err && keep_content)
        err = put_content(d, view);
    return err;
}

// A request of a record to come, which counts it when it is lost.
static int gather_early(struct drain *d, const struct record_view *view)
{
    int level = atomic_load_explicit(&d->store->level, memory_order_relaxed);
    if (level == STORE_ALL && !is_stale(d, view))
        return put_content(d, view);
    spool_lose(d->from);
    return 0;
}

int store__gather(struct drain *d, const struct record_view *view)
{
    struct digest_row row;

    if (view->flags & RECORD_EARLY)
        return gather_early(d, view);

    // Room for all counters that a record moves, before it moves the first.
    if (d->counters_used + STORE_MOVES_MAX > COUNTERS_KEPT / 2)
        return ERR_MORE;
    int err = digest_row_of(d, view, &row);
    for (unsigned i = 0; !err && i < view->record.moves; i++)
        err = move(d, &view->record.move[i]);
    if (!err)
        err = add_row(d, &row);
    if (!err)
        err = put_bodies(d, view);
    d->records += !err;
    return err;
}

int store__gather_end(struct drain *d)
{
    int err = store__outlet_end(d);
    if (err)
        return err;
    put_words(d);
    put_counters(d);
    return store__write_piece(d);
}
