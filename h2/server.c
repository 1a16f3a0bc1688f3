// SPDX-License-Identifier: Apache-2.0
//
// server.c: the session: frames become events, bounds are watched, the connection ends. What is
// said of a server's holds for a client's too, but where `client` is asked; client.c has the rest.
//
// nghttp2's callbacks come here, in this order for a request:
//
//     begin_frame ─► begin_headers ─► header … ─► frame_recv ─► data_chunk … ─► stream_close
//     every frame:   on_open          head.c      on_head       on_data         on_close
//     its rate                                    on_end
//
// A bound that is passed inside a callback queues GOAWAY and makes the callback fail: nghttp2 reads
// no further, and the connection is over from there on. Its own bounds (32 settings a frame, header
// blocks of 64 kB, queued acknowledgements) stay as they are; ours are narrower.
//
// Stream ids, window arithmetic and the legality of frames in a state are nghttp2's alone.
#include "base/assert.h"
#include "base/err.h"
#include "h2/h2_internal.h"

#define NO_RATE     H2_RATE_COUNT
#define KNOWN_TYPES 17
// What our answers' fields may keep of a connection's memory. Dates and ids of requests would fill
// any table and never be used again; this holds the fields that do come again.
#define DEFLATE_TABLE_BYTES 1024
// RFC 9113 has those before it.
#define FIRST_EXTENSION 0xa

// By type of frame, without what depends on its flags.
static const uint8_t rate_by_type[KNOWN_TYPES] = {
    [NGHTTP2_DATA] = NO_RATE,
    [NGHTTP2_HEADERS] = NO_RATE,
    [NGHTTP2_PRIORITY] = H2_RATE_PRIORITY,
    [NGHTTP2_RST_STREAM] = H2_RATE_RESET,
    [NGHTTP2_SETTINGS] = H2_RATE_SETTINGS,
    [NGHTTP2_PUSH_PROMISE] = H2_RATE_OTHER,
    [NGHTTP2_PING] = H2_RATE_PING,
    [NGHTTP2_GOAWAY] = H2_RATE_OTHER,
    [NGHTTP2_WINDOW_UPDATE] = H2_RATE_WINDOW,
    [NGHTTP2_CONTINUATION] = NO_RATE,
    [NGHTTP2_ALTSVC] = H2_RATE_OTHER,
    [0xb] = H2_RATE_OTHER,
    [NGHTTP2_ORIGIN] = H2_RATE_OTHER,
    [0xd] = H2_RATE_OTHER,
    [0xe] = H2_RATE_OTHER,
    [0xf] = H2_RATE_OTHER,
    [NGHTTP2_PRIORITY_UPDATE] = H2_RATE_PRIORITY,
};

static struct h2_stream *stream_of(struct h2_session *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->ng, id);
}

// ---- Bounds ----------------------------------------------------------------------------------

void h2__count(struct h2_session *h, unsigned limit)
{
    ASSERT(limit < H2_LIMIT_COUNT);
    if (h->counts)
        counter_add(&h->counts->hit[limit], 1);
}

void h2_session_terminate(struct h2_session *h, enum h2_code code)
{
    if (h->state == H2_OVER)
        return;
    h->state = H2_OVER;
    (void)nghttp2_session_terminate_session(h->ng, code); // no memory: closed without a word
}

int h2__calm(struct h2_session *h, unsigned limit)
{
    if (h->state != H2_OVER)
        h2__count(h, limit);
    h2_session_terminate(h, H2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int h2__rate(struct h2_session *h, enum h2_rate_name name)
{
    return h2_rate_take(&h->rate[name], name, h->now) ? 0 : h2__calm(h, name);
}

// Ids only rise (RFC 9113 5.1.1). nghttp2 ignores HEADERS of every stream it does not know any
// more, so that trailers may come late; that one of the last OPENED_IDS was never opened is ours to
// know.
static bool may_begin(struct h2_session *h, int32_t id)
{
    if (id <= 0 || id % 2 == 0)
        return true; // nghttp2's to refuse
    uint32_t n = (uint32_t)id / 2;
    if (id < h->id_next)
        return h->id_next - id > 2 * H2_OPENED_IDS ||
               (h->opened[n / 64 % (H2_OPENED_IDS / 64)] >> n % 64 & 1) != 0;
    for (uint32_t skipped = (uint32_t)h->id_next / 2; skipped <= n; skipped++) {
        if (n - skipped < H2_OPENED_IDS)
            h->opened[skipped / 64 % (H2_OPENED_IDS / 64)] &= ~(UINT64_C(1) << skipped % 64);
        else
            skipped = n - H2_OPENED_IDS;
    }
    h->opened[n / 64 % (H2_OPENED_IDS / 64)] |= UINT64_C(1) << n % 64;
    h->id_next = id < INT32_MAX ? id + 2 : id;
    return true;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_session *h = user;
    (void)session;
    bool ack = (hd->type == NGHTTP2_SETTINGS || hd->type == NGHTTP2_PING) &&
               (hd->flags & NGHTTP2_FLAG_ACK) != 0;
    if (hd->type == NGHTTP2_CONTINUATION)
        return ++h->continuations > H2_CONTINUATIONS_MAX ? h2__calm(h, H2_LIMIT_CONTINUATION) : 0;
    h->continuations = 0;
    if (h->client && hd->type == NGHTTP2_RST_STREAM && stream_of(h, hd->stream_id))
        return 0; // each has cost it a request of ours
    if (hd->type == NGHTTP2_HEADERS && !h->client && !may_begin(h, hd->stream_id)) {
        h2_session_terminate(h, H2_PROTOCOL_ERROR);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    // Our SETTINGS stand before every request; nghttp2 would wait until they are acknowledged.
    if (hd->type == NGHTTP2_PUSH_PROMISE && h->client) {
        h2_session_terminate(h, H2_PROTOCOL_ERROR);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    // nghttp2 reads no priorities here, so it does not mind (RFC 9113 6.3).
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) {
        h2_session_terminate(h, H2_PROTOCOL_ERROR);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    unsigned rate = hd->type < KNOWN_TYPES ? rate_by_type[hd->type] : H2_RATE_OTHER;
    // We send one SETTINGS and one PING: an acknowledgement of more is as idle as any frame.
    if (ack)
        rate = H2_RATE_OTHER;
    return rate == NO_RATE ? 0 : h2__rate(h, (enum h2_rate_name)rate);
}

// ---- Requests --------------------------------------------------------------------------------

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_session *h = user;
    const nghttp2_extpri turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    int32_t id = frame->hd.stream_id;
    h->block_bytes = 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; // trailers, or an answer
    struct h2_stream *s = h->state == H2_OVER ? NULL : h->events->on_open(h);
    if (!s) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, H2_REFUSED_STREAM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    ASSERT(s->arena && !s->session);
    s->session = h;
    s->id = id;
    s->state = H2_STREAM_HEAD;
    s->head = (struct h2_head){.content_length = -1};
    list_init(&s->writing);
    list_push_back(&h->streams, &s->link);
    h->streams_open++;
    h->head_open = true;
    if (h->counts)
        counter_add(&h->counts->streams, 1);
    if (nghttp2_session_set_stream_user_data(session, id, s) ||
        nghttp2_session_change_extpri_stream_priority(session, id, &turns, 1) == NGHTTP2_ERR_NOMEM)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = stream_of(h, frame->hd.stream_id);
    (void)session;
    (void)flags;
    size_t bytes = h->block_bytes + name_len + value_len + 32;
    if (bytes > (size_t)h->options.head_bytes_max * H2_HEAD_BOMB)
        return h2__calm(h, H2_LIMIT_BOMB);
    h->block_bytes = (uint32_t)bytes;
    if (s && s->state == H2_STREAM_HEAD)
        h2__head_add(s, slice_of(name, name_len), slice_of(value, value_len));
    return 0; // trailers are checked by nghttp2 and dropped
}

static void on_request_head(struct h2_session *h, struct h2_stream *s, bool whole)
{
    h->head_open = false;
    s->head.whole = whole;
    if (!h2__head_finish(s)) {
        if (h->counts)
            counter_add(&h->counts->malformed, 1);
        h2_stream_reset(s, H2_PROTOCOL_ERROR);
        return;
    }
    s->state = H2_STREAM_BODY;
    h->events->on_head(h, s, s->head_err);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_session *h = user;
    const nghttp2_frame_hd *hd = &frame->hd;
    bool end = (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (h->client && hd->type == NGHTTP2_SETTINGS && !(hd->flags & NGHTTP2_FLAG_ACK))
        h->settled = true;
    if (hd->type == NGHTTP2_PING && (hd->flags & NGHTTP2_FLAG_ACK) && h->state == H2_NOTICE)
        h2_session_shutdown(h);
    if (hd->type != NGHTTP2_DATA && hd->type != NGHTTP2_HEADERS)
        return 0;
    if (hd->type == NGHTTP2_DATA && hd->length == frame->data.padlen && !end) {
        int rc = h2__rate(h, H2_RATE_EMPTY_DATA);
        if (rc)
            return rc;
    }
    struct h2_stream *s = stream_of(h, hd->stream_id);
    if (s && s->state == H2_STREAM_HEAD && hd->type == NGHTTP2_HEADERS) {
        if (h->client)
            h2__client_head(h, s, end);
        else
            on_request_head(h, s, end);
    }
    s = stream_of(h, hd->stream_id); // unless the owner has let go
    if (s && end && !s->resetting && s->state == H2_STREAM_BODY) {
        s->state = H2_STREAM_WHOLE;
        h->events->on_end(h, s);
    }
    (void)session;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = stream_of(h, id);
    (void)flags;
    if (nghttp2_session_consume_connection(session, len))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (s && !s->resetting && s->state == H2_STREAM_BODY)
        h->events->on_data(h, s, slice_of(data, len));
    return 0;
}

void h2__close(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    ASSERT(s->session == h);
    if (s->state == H2_STREAM_HEAD)
        h->head_open = false;
    h2__stop_writing(s);
    list_remove(&s->link);
    h->streams_open--;
    s->session = NULL;
    s->state = H2_STREAM_ENDED;
    h->events->on_close(h, s, code);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = stream_of(h, id);
    (void)session;
    if (s)
        h2__close(h, s, code);
    return 0;
}

// Resets we owe to the peer's frames: by its code, since the owner uses none of these.
static void note_reset(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    if (s && h->client && !s->resetting) { // nghttp2's own: what came was no answer
        s->malformed = true;
        if (h->counts)
            counter_add(&h->counts->malformed, 1);
    }
    if (code == H2_REFUSED_STREAM)
        (void)h2__rate(h, H2_RATE_REFUSED);
    else if (code == H2_PROTOCOL_ERROR || code == H2_FLOW_CONTROL_ERROR ||
             code == H2_STREAM_CLOSED || code == H2_FRAME_SIZE_ERROR)
        (void)h2__rate(h, H2_RATE_PROVOKED);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_session *h = user;
    const nghttp2_frame_hd *hd = &frame->hd;
    if (hd->type == NGHTTP2_RST_STREAM)
        note_reset(h, stream_of(h, hd->stream_id), frame->rst_stream.error_code);
    if (hd->type == NGHTTP2_DATA)
        h2_rate_earn(&h->rate[H2_RATE_WINDOW], H2_RATE_WINDOW, 2);
    if (hd->type == NGHTTP2_DATA && h->client)
        h2_rate_earn(&h->rate[H2_RATE_PING], H2_RATE_PING, 1);
    if (hd->type != NGHTTP2_DATA && hd->type != NGHTTP2_HEADERS)
        return 0;
    struct h2_stream *s = stream_of(h, hd->stream_id);
    if (!s)
        return 0;
    // The answer is complete and the request is not: nobody will read the rest (RFC 9113 8.1).
    if (!h->client && (hd->flags & NGHTTP2_FLAG_END_STREAM) && s->state != H2_STREAM_WHOLE &&
        !s->resetting) {
        s->resetting = true;
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, H2_NO_ERROR);
    }
    if (hd->type == NGHTTP2_HEADERS && s->answered && s->ready == 0 && list_linked(&s->writing)) {
        h2__stop_writing(s);
        h->events->on_taken(h, s);
    }
    return 0;
}

// A head that could not be framed (it is too large): nobody must wait for it.
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = stream_of(h, frame->hd.stream_id);
    (void)session;
    if (h->client && frame->hd.type == NGHTTP2_HEADERS)
        h2__client_unsent(h, frame->hd.stream_id, error);
    else if (s && frame->hd.type == NGHTTP2_HEADERS)
        h2_stream_reset(s, H2_INTERNAL_ERROR);
    return 0;
}

// Frames of types nobody knows are ignored (RFC 9113 5.5), but nghttp2 shows their heads to
// on_begin_frame, where they are counted, only if somebody claims to read them.
static int ignore_extension(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
                            void *user)
{
    (void)session;
    (void)payload;
    (void)hd;
    (void)user;
    return NGHTTP2_ERR_CANCEL;
}

static void claim_extensions(nghttp2_option *option)
{
    for (unsigned type = FIRST_EXTENSION; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
}

// ---- Life ------------------------------------------------------------------------------------

static void set_callbacks(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    nghttp2_session_callbacks_set_unpack_extension_callback(c, ignore_extension);
    h2__answer_callbacks(c);
}

static int make_session(struct h2_session *h)
{
    bool client = h->client;
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_mem memory = h2__memory(&h->memory);
    int rc = nghttp2_session_callbacks_new(&callbacks);
    if (!rc)
        rc = nghttp2_option_new(&option);
    if (!rc) {
        set_callbacks(callbacks);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        if (!client) // a client's are few and say the same again and again
            nghttp2_option_set_max_deflate_dynamic_table_size(option, DEFLATE_TABLE_BYTES);
        claim_extensions(option);
        rc = client ? nghttp2_session_client_new3(&h->ng, callbacks, h, option, &memory)
                    : nghttp2_session_server_new3(&h->ng, callbacks, h, option, &memory);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return rc ? ERR_NOMEM : 0;
}

static int say_settings(struct h2_session *h)
{
    const nghttp2_settings_entry ours[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->options.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->options.head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    const nghttp2_settings_entry clients[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_CLIENT_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h->options.head_bytes_max},
    };
    if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, h->client ? clients : ours,
                                h->client ? ARRAY_LEN(clients) : ARRAY_LEN(ours)) ||
        nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, H2_CONNECTION_WINDOW))
        return ERR_NOMEM;
    return 0;
}

int h2__init(struct h2_session *h, const struct h2_events *events, const struct h2_options *options,
             bool client)
{
    *h = (struct h2_session){
        .events = events, .options = *options, .counts = options->counts, .client = client};
    if (!h->options.streams_max)
        h->options.streams_max = client ? H2_CLIENT_STREAMS_MAX : H2_STREAMS_MAX;
    if (!h->options.head_bytes_max)
        h->options.head_bytes_max = H2_HEAD_BYTES_MAX;
    if (!h->options.head_fields_max)
        h->options.head_fields_max = H2_HEAD_FIELDS_MAX;
    h->memory.max = H2_MEMORY_MAX;
    list_init(&h->streams);
    list_init(&h->writing);
    int rc = make_session(h);
    if (!rc)
        rc = say_settings(h);
    if (rc)
        h2_session_done(h);
    return rc;
}

int h2_server_init(struct h2_session *h, const struct h2_events *events,
                   const struct h2_options *options)
{
    return h2__init(h, events, options, false);
}

void h2_session_done(struct h2_session *h)
{
    if (!h || !h->events)
        return;
    while (!list_empty(&h->streams))
        h2_stream_detach(container_of(h->streams.next, struct h2_stream, link));
    nghttp2_session_del(h->ng);
    h2__memory_done(&h->memory);
    ASSERT(h->memory.bytes == 0);
    *h = (struct h2_session){0};
}

// What made nghttp2 stop reading; our own bounds have counted themselves already.
static int give_up(struct h2_session *h, ssize_t why)
{
    if (h->state == H2_OVER)
        return ERR_LIMIT;
    if (why == NGHTTP2_ERR_NOMEM || why == NGHTTP2_ERR_CALLBACK_FAILURE) {
        (void)h2__calm(h, H2_LIMIT_MEMORY);
        return ERR_NOMEM;
    }
    if (why == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        h2_session_terminate(h, H2_PROTOCOL_ERROR);
        return ERR_BAD_HEAD;
    }
    (void)h2__calm(h, H2_RATE_OTHER); // NGHTTP2_ERR_FLOODED
    return ERR_LIMIT;
}

int h2_session_feed(struct h2_session *h, struct mono now, struct slice bytes)
{
    ASSERT(h->ng && !h->out);
    h->now = now;
    if (h->state == H2_OVER || bytes.len == 0)
        return 0;
    ssize_t n = nghttp2_session_mem_recv(h->ng, (const uint8_t *)bytes.ptr, bytes.len);
    if (n < 0)
        return give_up(h, n);
    ASSERT((size_t)n == bytes.len); // nothing pauses it
    return 0;
}

bool h2_session_over(const struct h2_session *h)
{
    return h->state == H2_OVER || !nghttp2_session_want_read(h->ng);
}

bool h2_session_head_open(const struct h2_session *h)
{
    return h->head_open;
}

void h2_session_rest(struct h2_session *h)
{
    bool silent =
        h->pending.len == 0 && list_empty(&h->streams) && !nghttp2_session_want_write(h->ng);
    h2__memory_rest(&h->memory, silent);
}

void h2_session_shutdown(struct h2_session *h)
{
    int rc = 0;
    ASSERT(!h->client);
    if (h->state == H2_OPEN) {
        h->state = H2_NOTICE;
        rc = nghttp2_submit_shutdown_notice(h->ng);
        if (!rc)
            rc = nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
    } else if (h->state == H2_NOTICE) {
        h->state = H2_LAST;
        rc = nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                                   nghttp2_session_get_last_proc_stream_id(h->ng), H2_NO_ERROR,
                                   NULL, 0);
    }
    if (rc)
        h2_session_terminate(h, H2_INTERNAL_ERROR);
}
