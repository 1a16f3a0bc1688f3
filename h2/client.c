// SPDX-License-Identifier: Apache-2.0
//
// client.c: what a client's session has beyond a server's: requests, room for them, answers' heads.
//
// A request is whole when it is submitted: its head is copied by nghttp2, its body is spans of the
// owner, taken as the provider's windows allow (answer.c). Fields that are secrets are sent as
// literals that never enter a compression table (RFC 7541 7.1.3): one table serves requests of many
// clients, and its size must not tell one of them what another's key is.
//
// Room: a provider says in its SETTINGS how many streams it allows. Until they have come there is
// room for one, the request that the connection was opened for, so that a provider with a small
// limit never has to refuse a burst; they follow its first flight. nghttp2 would queue what goes
// beyond the limit, but a request that waits is better off on another connection.
//
// Streams that were never looked at (RFC 9113 8.7) may be asked again elsewhere: those that the
// provider refuses, those above the last id of its GOAWAY, which nghttp2 closes with REFUSED_STREAM
// too, and those whose HEADERS did not get out because a GOAWAY came first.
//
// An answer's head is checked like a request's (head.c). Interim heads are read and forgotten, a
// few of them.
#include "base/assert.h"
#include "base/err.h"
#include "h2/h2_internal.h"

#define PSEUDO_FIELDS 4

int h2_client_init(struct h2_session *h, const struct h2_events *events,
                   const struct h2_options *options)
{
    return h2__init(h, events, options, true);
}

// ---- Room ------------------------------------------------------------------------------------

unsigned h2_client_limit(const struct h2_session *h)
{
    if (!h->settled)
        return 0;
    uint32_t peer =
        nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return peer < h->options.streams_max ? peer : h->options.streams_max;
}

bool h2_client_is_ending(const struct h2_session *h)
{
    ASSERT(h->client);
    return h->state == H2_OVER || !nghttp2_session_check_request_allowed(h->ng);
}

unsigned h2_client_room(const struct h2_session *h)
{
    if (h2_client_is_ending(h))
        return 0;
    unsigned limit = h->settled ? h2_client_limit(h) : 1;
    return limit > h->streams_open ? limit - h->streams_open : 0;
}

void h2_client_ping(struct h2_session *h)
{
    if (h->state != H2_OVER && nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL))
        h2_session_terminate(h, H2_INTERNAL_ERROR);
}

// ---- Requests --------------------------------------------------------------------------------

static bool is_secret(struct slice name)
{
    static const struct slice names[] = {
        {.ptr = "authorization", .len = 13},
        {.ptr = "x-api-key", .len = 9},
        {.ptr = "api-key", .len = 7},
        {.ptr = "x-goog-api-key", .len = 14},
        {.ptr = "proxy-authorization", .len = 19},
        {.ptr = "cookie", .len = 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i]))
            return true;
    }
    return false;
}

// Pseudo-fields first. NULL: no memory.
static nghttp2_nv *make_head(struct arena *arena, const struct h2_request *r)
{
    nghttp2_nv *head = arena_alloc(arena, (r->count + PSEUDO_FIELDS) * sizeof(*head));
    if (!head)
        return NULL;
    head[0] = h2__pair(SLICE(":method"), r->method);
    head[1] = h2__pair(SLICE(":scheme"), r->scheme);
    head[2] = h2__pair(SLICE(":authority"), r->authority);
    head[3] = h2__pair(SLICE(":path"), r->path);
    for (unsigned i = 0; i < r->count; i++) {
        nghttp2_nv *nv = &head[i + PSEUDO_FIELDS];
        *nv = h2__pair(r->fields[i].name, r->fields[i].value);
        if (is_secret(r->fields[i].name))
            nv->flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return head;
}

int h2_client_submit(struct h2_session *h, struct h2_stream *s, const struct h2_request *request,
                     const struct slice *spans, unsigned count)
{
    ASSERT(h->client && h->state != H2_OVER && s->arena && !s->session);
    nghttp2_nv *head = make_head(s->arena, request);
    if (!head)
        return ERR_NOMEM;
    s->session = h;
    s->state = H2_STREAM_HEAD;
    s->head = (struct h2_head){.content_length = -1};
    list_init(&s->writing);
    list_push_back(&h->streams, &s->link);
    h->streams_open++;
    h2__begin_writing(s, spans, count, true);
    s->answered = true;
    nghttp2_data_provider data = {.read_callback = h2__read_length};
    int32_t id = nghttp2_submit_request(h->ng, NULL, head, request->count + PSEUDO_FIELDS,
                                        s->ready > 0 ? &data : NULL, s);
    if (id < 0) { // no memory, or no id is left: then there was no room
        h2__stop_writing(s);
        list_remove(&s->link);
        h->streams_open--;
        s->session = NULL;
        s->state = H2_STREAM_ENDED;
        return ERR_NOMEM;
    }
    s->id = id;
    if (h->counts)
        counter_add(&h->counts->streams, 1);
    return 0;
}

// nghttp2 forgets such a stream, if it has opened it, with an event of its own: ours comes first.
void h2__client_unsent(struct h2_session *h, int32_t id, int error)
{
    uint32_t code = error == NGHTTP2_ERR_FRAME_SIZE_ERROR || error == NGHTTP2_ERR_HEADER_COMP
                        ? H2_INTERNAL_ERROR
                        : H2_REFUSED_STREAM;
    for (struct list *l = h->streams.next; l != &h->streams; l = l->next) {
        struct h2_stream *s = container_of(l, struct h2_stream, link);
        if (s->id != id)
            continue;
        (void)nghttp2_session_set_stream_user_data(h->ng, id, NULL);
        h2__close(h, s, s->resetting ? (uint32_t)H2_CANCEL : code);
        return;
    }
}

// ---- Answers ---------------------------------------------------------------------------------

static void refuse_head(struct h2_session *h, struct h2_stream *s)
{
    s->malformed = true;
    if (h->counts)
        counter_add(&h->counts->malformed, 1);
    h2_stream_reset(s, H2_PROTOCOL_ERROR);
}

void h2__client_head(struct h2_session *h, struct h2_stream *s, bool whole)
{
    if (s->resetting)
        return;
    s->head.whole = whole;
    if (!h2__answer_head_finish(s)) {
        refuse_head(h, s);
        return;
    }
    if (!s->head_err && s->head.status < 200) {
        if (++s->interim > H2_INTERIM_MAX)
            h2__count(h, H2_LIMIT_INTERIM);
        if (whole || s->head.status == 101 || s->interim > H2_INTERIM_MAX) {
            refuse_head(h, s);
            return;
        }
        // What it brought counts on against head_bytes_max.
        s->head.status = 0;
        s->head.count = 0;
        s->head.content_length = -1;
        s->regular = false;
        s->host_seen = false;
        return;
    }
    int err = s->head_err;
    s->state = H2_STREAM_BODY;
    h->events->on_head(h, s, err);
    if (err)
        h2_stream_reset(s, H2_CANCEL);
}
