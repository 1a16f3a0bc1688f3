// SPDX-License-Identifier: Apache-2.0
//
// canon_stream.c: the reader's sink is the writer. The gateway calls canon_translate for each event
// of a provider whose dialect is not the client's.

#include "codec/canon_stream.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"

static int keep_error(struct canon_translator *t, const struct canon_error *e)
{
    struct arena *a = t->reader.arena;

    t->failed = true;
    t->error = (struct canon_error){
        .status = e->status,
        .type = arena_copy(a, e->type),
        .code = arena_copy(a, e->code),
        .message = arena_copy(a, e->message),
        .param = arena_copy(a, e->param),
    };
    return ERR_UPSTREAM_PROTOCOL;
}

static int take(struct canon_sink *self, const struct canon_event *e)
{
    struct canon_translator *t = container_of(self, struct canon_translator, sink);

    if (t->ended)
        return ERR_BAD_SSE; // something behind the end
    if (e->kind == CANON_ERROR)
        return keep_error(t, &e->error);
    t->ended = e->kind == CANON_END;
    return t->writer.dialect->translation->write_event(&t->writer, e);
}

void canon_translator_init(struct canon_translator *t, const struct dialect *from,
                           const struct dialect *to, struct arena *arena,
                           const struct canon_context *context)
{
    ASSERT(from->translation->read_event && to->translation->write_event);
    memset(t, 0, sizeof(*t));
    t->sink.take = take;
    t->reader.dialect = from;
    t->reader.arena = arena;
    t->writer.dialect = to;
    t->writer.arena = arena;
    t->writer.context = *context;
}

int canon_translate(struct canon_translator *t, const struct sse_event *event,
                    struct json_writer *out)
{
    ASSERT(!t->failed);
    t->writer.out = out;
    int rc = t->reader.dialect->translation->read_event(&t->reader, event, &t->sink);
    t->writer.out = NULL;
    return rc ? rc : out->err;
}

void canon_event_open(struct json_writer *out, struct slice type)
{
    if (type.len > 0) {
        json_plain(out, SLICE("event: "));
        json_plain(out, type);
        json_plain(out, SLICE("\n"));
    }
    json_plain(out, SLICE("data: "));
}

void canon_event_close(struct json_writer *out)
{
    json_plain(out, SLICE("\n\n"));
}
