// SPDX-License-Identifier: Apache-2.0
//
// json_edit.c: edits kept in the order of the text, and one walk over them that yields the pieces.
//
// Only commas make this more than cutting. Which comma a removed member takes depends on what else
// goes, so it is settled in the final walk. The members at the front of the object that go are the
// *leading run*; each takes the comma behind it, because nothing stays before it to be separated
// from. Every later one takes the comma before it, which separates it from a member that stays or
// from one that went with its own comma:
//
//     {"a":1,"b":2,"c":3,"d":4}     a, b and d go: leading run a b, later d
//      └─────┘└────┘      └───┘     {"c":3}
//
// The walk recognises the run by its commas: a member belongs to it when the comma before it is the
// one the run's last member took. The object is empty afterwards when the run has reached the last
// member (which has no comma behind it); that decides whether an appended member brings a comma.
#include "codec/json_edit.h"

#include "base/assert.h"

struct piece_writer {
    struct slice text;
    struct iovec *out;
    unsigned count;
    size_t bytes;
    size_t cursor; // text before it is written or dropped
};

void json_edit_begin(struct json_edit *e, const struct json_scanner *scan)
{
    ASSERT(scan->type == JSON_OBJECT && scan->close > scan->open);
    ASSERT(scan->close < scan->text.len && scan->text.ptr[scan->close] == '}');
    e->scan = scan;
    e->count = 0;
    e->append_count = 0;
}

// Offset of `part`, which lies in the edited text.
static size_t offset(const struct json_edit *e, struct slice part)
{
    const struct slice *text = &e->scan->text;
    ASSERT(part.ptr >= text->ptr && part.ptr + part.len <= text->ptr + text->len);
    return (size_t)(part.ptr - text->ptr);
}

// Keeps the splices in order; one at the same place is superseded, but never a removal.
static void add_splice(struct json_edit *e, struct json_splice splice)
{
    unsigned i = e->count;
    while (i > 0 && e->splice[i - 1].at > splice.at)
        i--;
    if (i > 0 && e->splice[i - 1].at == splice.at) {
        if (!e->splice[i - 1].is_removal)
            e->splice[i - 1] = splice;
        return;
    }
    ASSERT(e->count + e->append_count < JSON_EDITS_MAX);
    memmove(&e->splice[i + 1], &e->splice[i], (e->count - i) * sizeof(e->splice[0]));
    e->splice[i] = splice;
    e->count++;
}

void json_edit_replace(struct json_edit *e, const struct json_member *m, struct slice value)
{
    ASSERT(m->type != JSON_NONE && value.len > 0);
    add_splice(e, (struct json_splice){
                      .at = offset(e, m->value), .remove = m->value.len, .insert = value});
}

void json_edit_rename(struct json_edit *e, const struct json_member *m, struct slice key)
{
    ASSERT(m->type != JSON_NONE && key.len >= 2 && key.ptr[0] == '"');
    add_splice(e,
               (struct json_splice){.at = offset(e, m->key), .remove = m->key.len, .insert = key});
}

void json_edit_remove(struct json_edit *e, const struct json_member *m)
{
    if (m->type == JSON_NONE)
        return;
    const char *text = e->scan->text.ptr;
    ASSERT(m->comma_before < 0 || text[m->comma_before] == ',');
    ASSERT(m->comma_after < 0 || text[m->comma_after] == ',');
    size_t at = offset(e, m->key);
    add_splice(e, (struct json_splice){.at = at,
                                       .remove = offset(e, m->value) + m->value.len - at,
                                       .is_removal = true,
                                       .comma_before = m->comma_before,
                                       .comma_after = m->comma_after});
}

void json_edit_append(struct json_edit *e, struct slice member)
{
    ASSERT(member.len > 0);
    ASSERT(e->count + e->append_count < JSON_EDITS_MAX);
    e->append[e->append_count++] = member;
}

static void put_piece(struct piece_writer *w, struct slice piece)
{
    if (piece.len == 0)
        return;
    ASSERT(w->count < JSON_PIECES_MAX);
    w->out[w->count++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)piece.ptr, .iov_len = piece.len};
    w->bytes += piece.len;
}

// Writes the text up to `at` and goes on at `next`.
static void put_text(struct piece_writer *w, size_t at, size_t next)
{
    ASSERT(w->cursor <= at && at <= next && next <= w->text.len);
    put_piece(w, slice_of(w->text.ptr + w->cursor, at - w->cursor));
    w->cursor = next;
}

// Writes the text and the splices; returns whether no member of the object stays.
static bool put_splices(const struct json_edit *e, struct piece_writer *w)
{
    ptrdiff_t run_comma = -1; // the comma the leading run's last member took
    bool run_ended = e->scan->empty;
    for (unsigned i = 0; i < e->count; i++) {
        const struct json_splice *s = &e->splice[i];
        if (s->at < w->cursor)
            continue; // an edit of a member that has gone
        if (!s->is_removal) {
            put_text(w, s->at, s->at + s->remove);
            put_piece(w, s->insert);
        } else if (s->comma_before != run_comma) {
            put_text(w, (size_t)s->comma_before, s->at + s->remove);
        } else if (s->comma_after >= 0) {
            put_text(w, s->at, (size_t)s->comma_after + 1);
            run_comma = s->comma_after;
        } else {
            put_text(w, s->at, s->at + s->remove);
            run_ended = true;
        }
    }
    return run_ended;
}

unsigned json_edit_pieces(const struct json_edit *e, struct iovec *out, size_t *ret_bytes)
{
    struct piece_writer w = {.text = e->scan->text, .out = out};
    bool empty = put_splices(e, &w);
    if (e->append_count > 0)
        put_text(&w, e->scan->close, e->scan->close);
    for (unsigned i = 0; i < e->append_count; i++) {
        put_piece(&w, empty ? SLICE_EMPTY : SLICE(","));
        put_piece(&w, e->append[i]);
        empty = false;
    }
    put_text(&w, w.text.len, w.text.len);
    *ret_bytes = w.bytes;
    return w.count;
}
