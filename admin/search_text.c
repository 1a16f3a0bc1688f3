// SPDX-License-Identifier: Apache-2.0
//
// search_text.c: strings out of events, without building a document.

#include "admin/search_text.h"
#include "base/container.h"
#include "base/fold.h"
#include "codec/json_scan.h"
#include "codec/sse.h"

// Members whose strings are said piece by piece.
static const struct slice said[] = {
    SLICE("content"),           SLICE("text"),       SLICE("delta"),
    SLICE("arguments"),         SLICE("thinking"),   SLICE("partial_json"),
    SLICE("refusal"),           SLICE("completion"), SLICE("reasoning"),
    SLICE("reasoning_content"),
};

// The string that *rest begins with (behind its first quote), and past it. False: it does not end.
static bool take_string(struct slice *rest, struct slice *ret)
{
    size_t at = 0;
    while (at < rest->len && rest->ptr[at] != '"')
        at += rest->ptr[at] == '\\' ? 2 : 1;
    if (at >= rest->len)
        return false;
    *ret = slice_take(*rest, at);
    *rest = slice_skip(*rest, at + 1);
    return true;
}

static void add_said(struct slice data, struct buf *out)
{
    struct slice string, name = SLICE_EMPTY;
    const char *quote;

    while (data.len > 0 && (quote = memchr(data.ptr, '"', data.len)) != NULL) {
        data = slice_skip(data, (size_t)(quote - data.ptr) + 1);
        if (!take_string(&data, &string))
            return;
        struct slice behind = slice_trim(data);
        if (behind.len > 0 && behind.ptr[0] == ':')
            name = string;
        else if (slice_in(name, said, ARRAY_LEN(said)))
            json_unescape_all(string, out);
    }
}

static void add_events(struct slice events, struct buf *out)
{
    struct sse_splitter splitter;
    struct sse_event e;

    sse_init(&splitter);
    sse_feed(&splitter, events);
    while (sse_next(&splitter, &e) == 0)
        add_said(e.data, out);
    sse_done(&splitter);
}

void search_text(struct slice request, struct slice answer, bool answer_folded, struct buf *out)
{
    struct buf events;

    json_unescape_all(request, out);
    buf_add_char(out, '\n'); // nothing is found across
    if (!answer_folded) {
        json_unescape_all(answer, out);
        return;
    }
    buf_init(&events, SEARCH_TEXT_BYTES_MAX);
    (void)fold_read(answer, &events);
    add_events(buf_slice(&events), out);
    buf_add_char(out, '\n');
    buf_add(out, buf_slice(&events));
    buf_done(&events);
}
