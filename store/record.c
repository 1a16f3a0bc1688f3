// SPDX-License-Identifier: Apache-2.0
//
// record.c: written by a core in the middle of its requests, read by the drain. What is read is
// not believed: a ring outlives the program that wrote it.
#include "store/record.h"

#include "base/assert.h"
#include "base/err.h"
#include "store/keys.h"

// RECORD_SHARED, in a content.
#define CONTENT_SHARED 1

struct head {
    uint8_t version;
    uint8_t flags;
    uint16_t status;
    uint32_t number;
    uint64_t time_us;
    uint32_t latency_ms;
    uint8_t moves;
    uint8_t word_len[STORE_WORD_COUNTER];
    uint8_t more_flags;
    uint32_t losses;
    uint64_t input_tokens, output_tokens, cached_read_tokens, cached_write_tokens;
    int64_t cost;
    uint32_t row_len, request_len, answer_len;
    uint32_t zero_too;
};
_Static_assert(sizeof(struct head) == RECORD_HEAD_BYTES, "as record.h draws it");
_Static_assert(STORE_WORD_COUNTER == 6, "a new dictionary is a new version");
_Static_assert(STORE_WORD_BYTES_MAX <= UINT8_MAX, "lengths of words are a byte");

// ---- Bounds ----------------------------------------------------------------------------------

// Not in the middle of a character.
static struct slice cut(struct slice s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return slice_take(s, max);
}

unsigned record_trim(struct store_record *record)
{
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        record->word[i] = cut(record->word[i], STORE_WORD_BYTES_MAX);
    if (record->request.len + record->answer.len <= STORE_CONTENT_BYTES_MAX)
        return 0;
    // The shorter one keeps what it has, up to a half.
    const size_t half = STORE_CONTENT_BYTES_MAX / 2;
    size_t answer = record->answer.len < half ? record->answer.len : half;
    record->request = cut(record->request, STORE_CONTENT_BYTES_MAX - answer);
    record->answer = cut(record->answer, STORE_CONTENT_BYTES_MAX - record->request.len);
    return RECORD_CUT;
}

static size_t request_bytes(const struct store_record *record, const struct share_recipe *recipe)
{
    if (record->early.refers.len > 0)
        return record->early.refers.len;
    return recipe ? recipe->bytes : record->request.len;
}

uint64_t record_bytes(const struct store_record *record, const struct share_recipe *recipe,
                      enum store_kept kept)
{
    uint64_t bytes = RECORD_HEAD_BYTES + (uint64_t)record->moves * RECORD_MOVE_BYTES;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        bytes += record->word[i].len;
    for (unsigned i = 0; i < record->moves; i++)
        bytes += record->move[i].counter.len;
    if (kept <= STORE_KEPT_NO_CONTENT)
        bytes += record->row.len;
    if (kept == STORE_KEPT_ALL)
        bytes += request_bytes(record, recipe) + record->answer.len;
    return bytes;
}

// ---- Into the ring ---------------------------------------------------------------------------

static unsigned flags_of(const struct store_record *record)
{
    return (record->streamed ? RECORD_STREAMED : 0u) |
           (record->usage_known ? RECORD_USAGE_KNOWN : 0u) |
           (record->cost_estimated ? RECORD_COST_ESTIMATED : 0u) |
           (record->row.len > 0 ? RECORD_HAS_ROW : 0u) | (record->content_cut ? RECORD_CUT : 0u) |
           (record->answer_folded ? RECORD_FOLDED : 0u);
}

static void add(struct spool *spool, struct slice s)
{
    spool_add(spool, s.ptr, s.len);
}

static void add_recipe(struct spool *spool, const struct share_recipe *recipe)
{
    add(spool, recipe->head);
    for (unsigned i = 0; i < recipe->literals; i++)
        add(spool, recipe->literal[i]);
}

static void add_request(struct spool *spool, const struct store_record *record,
                        const struct share_recipe *recipe)
{
    if (record->early.refers.len > 0) {
        add(spool, record->early.refers);
        return;
    }
    if (!recipe) {
        add(spool, record->request);
        return;
    }
    add_recipe(spool, recipe);
}

void record_put(struct spool *spool, const struct store_record *record,
                const struct share_recipe *recipe, enum store_kept kept, unsigned flags,
                uint32_t number)
{
    bool early = record->early.refers.len > 0;
    bool shared = (recipe || early) && kept == STORE_KEPT_ALL;
    ASSERT(record->moves <= STORE_MOVES_MAX && record->time.ns >= 0);
    struct head head = {
        .version = RECORD_VERSION,
        .flags = (uint8_t)(flags | flags_of(record)),
        .status = record->status,
        .number = number,
        .time_us = (uint64_t)(record->time.ns / NS_PER_US),
        .latency_ms = record->latency_ms,
        .moves = (uint8_t)record->moves,
        .more_flags = shared ? RECORD_SHARED >> 8 : 0,
        .losses = record->early.losses,
        .input_tokens = record->input_tokens,
        .output_tokens = record->output_tokens,
        .cached_read_tokens = record->cached_read_tokens,
        .cached_write_tokens = record->cached_write_tokens,
        .cost = record->cost,
        .row_len = kept <= STORE_KEPT_NO_CONTENT ? (uint32_t)record->row.len : 0,
        .request_len = kept == STORE_KEPT_ALL ? (uint32_t)request_bytes(record, recipe) : 0,
        .answer_len = kept == STORE_KEPT_ALL ? (uint32_t)record->answer.len : 0,
    };
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        head.word_len[i] = (uint8_t)record->word[i].len;

    spool_begin(spool, record_bytes(record, recipe, kept));
    spool_add(spool, &head, sizeof(head));
    for (unsigned i = 0; i < record->moves; i++) {
        const struct store_move *move = &record->move[i];
        ASSERT(move->counter.len > 0 && move->counter.len <= STORE_WORD_BYTES_MAX);
        unsigned char bytes[RECORD_MOVE_BYTES];
        memcpy(bytes, &move->window, 8);
        memcpy(bytes + 8, &move->delta, 8);
        bytes[16] = (unsigned char)move->counter.len;
        spool_add(spool, bytes, sizeof(bytes));
    }
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        add(spool, record->word[i]);
    for (unsigned i = 0; i < record->moves; i++)
        add(spool, record->move[i].counter);
    if (head.row_len > 0)
        add(spool, record->row);
    if (head.request_len > 0)
        add_request(spool, record, recipe);
    if (head.answer_len > 0)
        add(spool, record->answer);
    spool_commit(spool);
}

uint64_t record_early_bytes(const struct share_recipe *recipe)
{
    return RECORD_HEAD_BYTES + recipe->bytes;
}

void record_put_early(struct spool *spool, uint64_t time_us, const struct share_recipe *recipe,
                      uint32_t losses, uint32_t number)
{
    struct head head = {
        .version = RECORD_VERSION,
        .more_flags = (RECORD_SHARED | RECORD_EARLY) >> 8,
        .losses = losses,
        .number = number,
        .time_us = time_us,
        .request_len = recipe->bytes,
    };
    spool_begin(spool, record_early_bytes(recipe));
    spool_add(spool, &head, sizeof(head));
    add_recipe(spool, recipe);
    spool_commit(spool);
}

// ---- Out of it -------------------------------------------------------------------------------

// False: so much is not there.
static bool take(struct slice *rest, size_t len, struct slice *ret)
{
    if (rest->len < len)
        return false;
    *ret = slice_take(*rest, len);
    *rest = slice_skip(*rest, len);
    return true;
}

static bool read_parts(const struct head *head, struct slice rest, struct store_record *r)
{
    struct slice moves;
    if (!take(&rest, (size_t)head->moves * RECORD_MOVE_BYTES, &moves))
        return false;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        if (!take(&rest, head->word_len[i], &r->word[i]))
            return false;
    for (unsigned i = 0; i < head->moves; i++) {
        const char *at = moves.ptr + (size_t)i * RECORD_MOVE_BYTES;
        memcpy(&r->move[i].window, at, 8);
        memcpy(&r->move[i].delta, at + 8, 8);
        if (!take(&rest, (unsigned char)at[16], &r->move[i].counter) || r->move[i].counter.len == 0)
            return false;
    }
    return take(&rest, head->row_len, &r->row) && take(&rest, head->request_len, &r->request) &&
           take(&rest, head->answer_len, &r->answer) && rest.len == 0;
}

int record_read(struct slice payload, struct record_view *ret)
{
    struct head head;
    struct record_view view = {.payload = payload};

    if (payload.len < 1)
        return ERR_BAD_LENGTH;
    if (payload.ptr[0] != RECORD_VERSION)
        return ERR_UNSUPPORTED;
    if (payload.len < sizeof(head))
        return ERR_BAD_LENGTH;
    memcpy(&head, payload.ptr, sizeof(head));
    if (head.moves > STORE_MOVES_MAX || head.time_us > (uint64_t)INT64_MAX / NS_PER_US)
        return ERR_BAD_LENGTH;
    view.record = (struct store_record){
        .time.ns = (int64_t)head.time_us * NS_PER_US,
        .status = head.status,
        .streamed = head.flags & RECORD_STREAMED,
        .usage_known = head.flags & RECORD_USAGE_KNOWN,
        .cost_estimated = head.flags & RECORD_COST_ESTIMATED,
        .latency_ms = head.latency_ms,
        .input_tokens = head.input_tokens,
        .output_tokens = head.output_tokens,
        .cached_read_tokens = head.cached_read_tokens,
        .cached_write_tokens = head.cached_write_tokens,
        .cost = head.cost,
        .moves = head.moves,
        .answer_folded = head.flags & RECORD_FOLDED,
        .content_cut = head.flags & RECORD_CUT,
    };
    view.id = (struct store_id){.time_us = head.time_us, .number = head.number};
    view.flags = head.flags | (unsigned)head.more_flags << 8;
    view.losses = head.losses;
    if (!read_parts(&head, slice_skip(payload, sizeof(head)), &view.record))
        return ERR_BAD_LENGTH;
    *ret = view;
    return 0;
}

void record_row_parts(const struct record_view *view, unsigned char head[RECORD_HEAD_BYTES],
                      struct slice ret_parts[2])
{
    struct slice payload = view->payload;
    size_t content = view->record.request.len + view->record.answer.len;
    memcpy(head, payload.ptr, RECORD_HEAD_BYTES);
    memset(head + offsetof(struct head, request_len), 0, 2 * sizeof(uint32_t));
    ret_parts[0] = slice_of(head, RECORD_HEAD_BYTES);
    ret_parts[1] = slice_skip(slice_take(payload, payload.len - content), RECORD_HEAD_BYTES);
}

// ---- Content ---------------------------------------------------------------------------------

void record_content_parts(const struct record_view *view, unsigned char head[RECORD_CONTENT_BYTES],
                          struct slice ret_parts[3])
{
    head[0] = RECORD_VERSION;
    head[1] = (unsigned char)((view->flags & (RECORD_CUT | RECORD_FOLDED)) |
                              (view->flags & RECORD_SHARED ? CONTENT_SHARED : 0));
    keys_put_u32(head + 2, (uint32_t)view->record.request.len);
    ret_parts[0] = slice_of(head, RECORD_CONTENT_BYTES);
    ret_parts[1] = view->record.request;
    ret_parts[2] = view->record.answer;
}

int record_content_read(struct slice value, struct slice *ret_request, struct slice *ret_answer,
                        unsigned *ret_flags)
{
    if (value.len < RECORD_CONTENT_BYTES || value.ptr[0] != RECORD_VERSION)
        return ERR_BAD_LENGTH;
    uint32_t len = keys_u32(value.ptr + 2);
    struct slice rest = slice_skip(value, RECORD_CONTENT_BYTES);
    if (len > rest.len)
        return ERR_BAD_LENGTH;
    *ret_request = slice_take(rest, len);
    *ret_answer = slice_skip(rest, len);
    *ret_flags = ((unsigned char)value.ptr[1] & (RECORD_CUT | RECORD_FOLDED)) |
                 (value.ptr[1] & CONTENT_SHARED ? RECORD_SHARED : 0);
    return 0;
}
