// SPDX-License-Identifier: Apache-2.0
//
// row.c: lengths in front, bytes behind; and the one list of a LogEntry's members.
//
// What is read comes from the disk: any byte may stand in it, so every text is escaped when it is
// told, names of headers too. A price that nobody knows leaves `cost` out: it is not nothing.

#include "gateway/row.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/civil.h"
#include "base/container.h"
#include "base/err.h"
#include "providers/price.h"
#include "store/store.h"

struct head {
    uint8_t version;
    uint8_t state;
    uint8_t flags;
    uint8_t headers;
    uint32_t retries;
    uint32_t fallback;
    uint16_t text_len[ROW_TEXT_COUNT];
    uint32_t zero;
    uint64_t total_tokens;
};

struct header_len {
    uint16_t name, value;
};

#define ROW_BYTES_MAX                                                                              \
    (ROW_HEAD_BYTES + ROW_TEXT_COUNT * ROW_TEXT_BYTES_MAX +                                        \
     ROW_HEADERS_MAX * (sizeof(struct header_len) + 2 * ROW_TEXT_BYTES_MAX))

_Static_assert(sizeof(struct head) == ROW_HEAD_BYTES, "as row.h draws it");
_Static_assert(ROW_TEXT_COUNT == 8, "a new text is a new version");
_Static_assert(ROW_TEXT_BYTES_MAX <= UINT16_MAX && ROW_HEADERS_MAX <= UINT8_MAX, "they fit");
_Static_assert(ROW_BYTES_MAX <= STORE_ROW_BYTES_MAX, "the store keeps the longest");

// ---- Written ---------------------------------------------------------------------------------

void row_init(struct row *row)
{
    memset(row, 0, offsetof(struct row, header)); // the headers are most of it
}

static size_t cut_len(struct slice text)
{
    return text.len < ROW_TEXT_BYTES_MAX ? text.len : ROW_TEXT_BYTES_MAX;
}

static size_t bytes_of(const struct row *row)
{
    size_t bytes = ROW_HEAD_BYTES + row->headers * sizeof(struct header_len);

    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        bytes += cut_len(row->text[i]);
    for (unsigned i = 0; i < row->headers; i++)
        bytes += cut_len(row->header[i].name) + cut_len(row->header[i].value);
    return bytes;
}

static char *put(char *to, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(to, bytes, len);
    return to + len;
}

static char *put_text(char *to, struct slice text)
{
    return put(to, text.ptr, cut_len(text));
}

int row_write(const struct row *row, struct arena *arena, struct slice *ret)
{
    ASSERT(row->state < ROW_PROCESSING && (row->flags & ~(unsigned)ROW_FLAGS) == 0);
    ASSERT(row->headers <= ROW_HEADERS_MAX);
    size_t bytes = bytes_of(row);
    char *begin = arena_bytes(arena, bytes), *to = begin;
    struct head head = {
        .version = ROW_VERSION,
        .state = (uint8_t)row->state,
        .flags = (uint8_t)row->flags,
        .headers = (uint8_t)row->headers,
        .retries = row->retries,
        .fallback = row->fallback,
        .total_tokens = row->total_tokens,
    };

    if (!begin)
        return ERR_NOMEM;
    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        head.text_len[i] = (uint16_t)cut_len(row->text[i]);
    to = put(to, &head, sizeof(head));
    for (unsigned i = 0; i < row->headers; i++) {
        struct header_len len = {.name = (uint16_t)cut_len(row->header[i].name),
                                 .value = (uint16_t)cut_len(row->header[i].value)};
        to = put(to, &len, sizeof(len));
    }
    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        to = put_text(to, row->text[i]);
    for (unsigned i = 0; i < row->headers; i++)
        to = put_text(put_text(to, row->header[i].name), row->header[i].value);
    ASSERT(to == begin + bytes);
    *ret = slice_of(begin, bytes);
    return 0;
}

// ---- Read ------------------------------------------------------------------------------------

// False: it is not there, or longer than it may be.
static bool take(struct slice *rest, size_t len, struct slice *ret)
{
    if (rest->len < len || len > ROW_TEXT_BYTES_MAX)
        return false;
    *ret = slice_take(*rest, len);
    *rest = slice_skip(*rest, len);
    return true;
}

static bool read_texts(const struct head *head, struct slice rest, struct row *row)
{
    struct header_len len[ROW_HEADERS_MAX];
    struct slice lengths;

    if (!take(&rest, head->headers * sizeof(len[0]), &lengths))
        return false;
    memcpy(len, lengths.ptr, lengths.len);
    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        if (!take(&rest, head->text_len[i], &row->text[i]))
            return false;
    for (unsigned i = 0; i < head->headers; i++)
        if (!take(&rest, len[i].name, &row->header[i].name) ||
            !take(&rest, len[i].value, &row->header[i].value))
            return false;
    row->headers = head->headers;
    return rest.len == 0;
}

int row_read(struct slice bytes, struct row *ret)
{
    struct head head;
    struct row row;

    if (bytes.len < 1)
        return ERR_BAD_LENGTH;
    if ((unsigned char)bytes.ptr[0] != ROW_VERSION)
        return ERR_UNSUPPORTED;
    if (bytes.len < sizeof(head))
        return ERR_BAD_LENGTH;
    memcpy(&head, bytes.ptr, sizeof(head));
    if (head.state >= ROW_PROCESSING || (head.flags & ~(unsigned)ROW_FLAGS) != 0 || head.zero != 0)
        return ERR_UNSUPPORTED;
    if (head.headers > ROW_HEADERS_MAX)
        return ERR_BAD_LENGTH;
    row_init(&row);
    row.state = (enum row_state)head.state;
    row.flags = head.flags;
    row.retries = head.retries;
    row.fallback = head.fallback;
    row.total_tokens = head.total_tokens;
    if (!read_texts(&head, slice_skip(bytes, sizeof(head)), &row))
        return ERR_BAD_LENGTH;
    *ret = row;
    return 0;
}

// ---- Told ------------------------------------------------------------------------------------

// Commas are of the keys: the first one of an object has none. Names of ours need no escape.
static void add_comma(struct buf *out)
{
    if (out->len > 0 && out->ptr[out->len - 1] != '{')
        buf_add_char(out, ',');
}

static void add_key(struct buf *out, struct slice name)
{
    add_comma(out);
    buf_add_char(out, '"');
    buf_add(out, name);
    buf_add(out, SLICE("\":"));
}

static void add_object(struct buf *out, struct slice name)
{
    add_key(out, name);
    buf_add_char(out, '{');
}

// One that has not ended was never written: its texts are as long as somebody made them.
static void add_literal(struct buf *out, struct slice text)
{
    buf_add_json(out, slice_take(text, ROW_TEXT_BYTES_MAX));
}

static void add_string(struct buf *out, struct slice name, struct slice value)
{
    add_key(out, name);
    add_literal(out, value);
}

static void add_text(struct buf *out, struct slice name, struct slice value)
{
    if (value.len > 0)
        add_string(out, name, value);
}

static void add_number(struct buf *out, struct slice name, uint64_t value)
{
    add_key(out, name);
    buf_add_u64(out, value);
}

static void add_bool(struct buf *out, struct slice name, bool value)
{
    add_key(out, name);
    buf_add(out, value ? SLICE("true") : SLICE("false"));
}

static void add_time(struct buf *out, struct slice name, struct wall at)
{
    char text[CIVIL_TEXT_BYTES];

    add_string(out, name, civil_text(at, 6, text));
}

static void add_begin(const struct row *row, const struct store_facts *f, struct buf *out)
{
    static const struct slice states[] = {
        [ROW_SUCCESS] = SLICE("success"),
        [ROW_ERROR] = SLICE("error"),
        [ROW_PROCESSING] = SLICE("processing"),
    };
    _Static_assert(ARRAY_LEN(states) == ROW_STATE_COUNT, "each has a name");
    struct wall began = f->time;

    if (row->state != ROW_PROCESSING)
        began.ns -= (int64_t)f->latency_ms * NS_PER_MS;
    add_text(out, SLICE("provider"), f->word[STORE_WORD_PROVIDER]);
    add_text(out, SLICE("model"), f->word[STORE_WORD_MODEL]);
    add_string(out, SLICE("status"), states[row->state]);
    add_text(out, SLICE("object"), f->word[STORE_WORD_OBJECT]);
    add_time(out, SLICE("timestamp"), began);
    add_time(out, SLICE("created_at"), f->time);
    add_number(out, SLICE("number_of_retries"), row->retries);
    add_number(out, SLICE("fallback_index"), row->fallback);
    if (row->fallback > 0)
        add_text(out, SLICE("parent_request_id"), row->text[ROW_REQUEST_ID]);
}

static void add_cost(const struct row *row, const struct store_facts *f, struct buf *out)
{
    if (row->flags & ROW_COST_KNOWN) {
        add_key(out, SLICE("cost"));
        buf_printf(out, "%.12g", (double)f->cost / (double)PRICE_DOLLAR);
    }
    if (f->cost_estimated)
        add_bool(out, SLICE("cost_estimated"), true);
}

static void add_who(const struct row *row, const struct store_facts *f, struct buf *out)
{
    add_text(out, SLICE("selected_key_id"), f->word[STORE_WORD_KEY]);
    add_text(out, SLICE("selected_key_name"), row->text[ROW_KEY_NAME]);
    add_text(out, SLICE("virtual_key_id"), f->word[STORE_WORD_VIRTUAL_KEY]);
    add_text(out, SLICE("virtual_key_name"), row->text[ROW_VIRTUAL_KEY_NAME]);
    add_bool(out, SLICE("stream"), f->streamed);
}

static void add_usage(const struct row *row, const struct store_facts *f, struct buf *out)
{
    add_object(out, SLICE("token_usage"));
    add_number(out, SLICE("prompt_tokens"), f->input_tokens);
    add_number(out, SLICE("completion_tokens"), f->output_tokens);
    add_number(out, SLICE("total_tokens"), row->total_tokens);
    if (f->cached_read_tokens > 0 || f->cached_write_tokens > 0) {
        add_object(out, SLICE("prompt_tokens_details"));
        add_number(out, SLICE("cached_read_tokens"), f->cached_read_tokens);
        add_number(out, SLICE("cached_write_tokens"), f->cached_write_tokens);
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
}

static void add_error(const struct row *row, const struct store_facts *f, struct buf *out)
{
    add_object(out, SLICE("error_details"));
    add_bool(out, SLICE("is_bifrost_error"), row->flags & ROW_FROM_GATEWAY);
    add_number(out, SLICE("status_code"), f->status);
    add_object(out, SLICE("error"));
    add_text(out, SLICE("type"), row->text[ROW_ERROR_TYPE]);
    add_text(out, SLICE("code"), row->text[ROW_ERROR_CODE]);
    add_text(out, SLICE("message"), row->text[ROW_ERROR_MESSAGE]);
    add_text(out, SLICE("param"), row->text[ROW_ERROR_PARAM]);
    buf_add(out, SLICE("}}"));
}

static void add_metadata(const struct row *row, struct buf *out)
{
    add_object(out, SLICE("metadata"));
    add_string(out, SLICE("request_id"), row->text[ROW_REQUEST_ID]);
    for (unsigned i = 0; i < row->headers; i++) {
        add_comma(out);
        add_literal(out, row->header[i].name);
        buf_add_char(out, ':');
        add_literal(out, row->header[i].value);
    }
    buf_add_char(out, '}');
}

void row_tell(const struct row *row, const struct store_facts *facts, struct buf *out)
{
    ASSERT(row->state < ROW_STATE_COUNT && row->headers <= ROW_HEADERS_MAX);
    add_begin(row, facts, out);
    if (row->state != ROW_PROCESSING) {
        add_number(out, SLICE("latency"), facts->latency_ms);
        add_cost(row, facts, out);
    }
    add_who(row, facts, out);
    if (row->flags & ROW_USAGE_TOLD)
        add_usage(row, facts, out);
    if (row->state == ROW_ERROR)
        add_error(row, facts, out);
    add_text(out, SLICE("dialect"), row->text[ROW_DIALECT]);
    add_metadata(row, out);
}
