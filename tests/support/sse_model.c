// SPDX-License-Identifier: Apache-2.0
//
// sse_model.c: see sse_model.h. Plain loops over bytes; clear before fast.
#include "tests/support/sse_model.h"

#include "base/assert.h"
#include "base/err.h"
#include <stdlib.h>

#define LIST_BYTES_MAX ((size_t)64 << 20)

static void list_init(struct sse_list *list)
{
    *list = (struct sse_list){0};
    buf_init(&list->events, LIST_BYTES_MAX);
    buf_init(&list->raw, LIST_BYTES_MAX);
}

void sse_list_done(struct sse_list *list)
{
    buf_done(&list->events);
    buf_done(&list->raw);
}

static void add_event(struct sse_list *list, struct slice type, struct slice data, bool has_data)
{
    buf_add(&list->events, type);
    buf_add_char(&list->events, '\0');
    buf_add(&list->events, data);
    buf_add_char(&list->events, has_data ? '1' : '0');
    buf_add_char(&list->events, (char)0xFF);
    list->count++;
    ASSERT(list->events.err == 0);
}

// One line of an event, its ending taken off.
static void model_line(struct slice line, struct buf *type, struct buf *data, bool *has_data)
{
    size_t colon = 0;
    while (colon < line.len && line.ptr[colon] != ':')
        colon++;
    struct slice name = slice_take(line, colon);
    struct slice value = colon < line.len ? slice_skip(line, colon + 1) : SLICE_EMPTY;
    if (value.len > 0 && value.ptr[0] == ' ')
        value = slice_skip(value, 1);
    if (slice_eq(name, SLICE("data"))) {
        if (*has_data)
            buf_add_char(data, '\n');
        buf_add(data, value);
        *has_data = true;
    } else if (slice_eq(name, SLICE("event"))) {
        buf_reset(type);
        buf_add(type, value);
    }
}

struct sse_list sse_model(struct slice stream)
{
    struct sse_list list;
    list_init(&list);
    buf_add(&list.raw, stream);
    struct buf type;
    struct buf data;
    buf_init(&type, LIST_BYTES_MAX);
    buf_init(&data, LIST_BYTES_MAX);
    bool has_data = false;
    size_t given = 0; // bytes that belong to finished events
    for (size_t at = 0; at < stream.len;) {
        size_t end = at;
        while (end < stream.len && stream.ptr[end] != '\n' && stream.ptr[end] != '\r')
            end++;
        if (end == stream.len)
            break;
        struct slice line = slice_of(stream.ptr + at, end - at);
        at = end + 1;
        if (stream.ptr[end] == '\r' && at < stream.len && stream.ptr[at] == '\n')
            at++;
        if (line.len == 0) {
            add_event(&list, buf_slice(&type), buf_slice(&data), has_data);
            buf_reset(&type);
            buf_reset(&data);
            has_data = false;
            given = at;
            continue;
        }
        if (list.count == 0 && given == 0 && slice_starts(line, SLICE("\xEF\xBB\xBF")) &&
            line.ptr == stream.ptr)
            line = slice_skip(line, 3);
        model_line(line, &type, &data, &has_data);
    }
    list.partial = given < stream.len;
    buf_done(&type);
    buf_done(&data);
    return list;
}

static bool has_mark(struct slice data)
{
    return slice_find(data, SLICE("\"u\"")) >= 0;
}

const struct sse_marks sse_model_marks = {.letter = {'u', 'w'}, .special = has_mark};

// The events of a run, none of them special.
static void add_run(struct sse_list *list, struct sse_splitter *s, const struct sse_marks *marks)
{
    struct slice raw, before = s->in;
    unsigned count = sse_next_run(s, marks, &raw);
    if (count == 0) {
        ASSERT(slice_eq(s->in, before));
        return;
    }
    ASSERT(raw.ptr == before.ptr && !has_mark(raw));
    struct sse_list run = sse_model(raw);
    ASSERT(run.count == count && !run.partial && run.raw.len == raw.len);
    list->count += run.count;
    buf_add(&list->events, buf_slice(&run.events));
    buf_add(&list->raw, raw);
    sse_list_done(&run);
}

struct sse_list sse_collect(struct slice stream, size_t (*next_cut)(void *state, size_t position),
                            void *state, const struct sse_marks *marks)
{
    struct sse_list list;
    list_init(&list);
    struct sse_splitter s;
    sse_init(&s);
    for (size_t at = 0; at < stream.len;) {
        size_t len = next_cut(state, at);
        ASSERT(len > 0);
        if (len > stream.len - at)
            len = stream.len - at;
        // A span of its own, gone before the next one: the splitter must have kept nothing of it.
        char *span = malloc(len);
        ASSERT(span != NULL);
        memcpy(span, stream.ptr + at, len);
        at += len;
        sse_feed(&s, slice_of(span, len));
        struct sse_event event;
        int err;
        for (;;) {
            if (marks)
                add_run(&list, &s, marks);
            err = sse_next(&s, &event);
            if (err != 0)
                break;
            add_event(&list, event.type, event.data, event.has_data);
            buf_add(&list.raw, event.raw);
        }
        ASSERT(err == ERR_MORE);
        free(span);
    }
    buf_add(&list.raw, s.carry_given ? SLICE_EMPTY : buf_slice(&s.carry));
    list.partial = sse_partial(&s);
    sse_done(&s);
    return list;
}

void sse_list_same(const struct sse_list *a, const struct sse_list *b)
{
    ASSERT(a->count == b->count && a->partial == b->partial);
    ASSERT(slice_eq(buf_slice(&a->events), buf_slice(&b->events)));
    ASSERT(slice_eq(buf_slice(&a->raw), buf_slice(&b->raw)));
}
