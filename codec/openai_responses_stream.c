// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_stream.c: canonical events, written as a client's stream of a response.
//
// This API says everything twice and the whole at the end. A delta leaves as it comes; beside that
// its literal's inside is added to the text of the open part, from which the `.done` events, the
// item and at last the response's `output` are made.
//
//     text ──part ends──► parts ──item ends──► output ──END──► response.completed
//
// The three buffers live in the stream's arena and are used again for the next part and the next
// item; all of them together are bounded by CANON_REPEAT_BYTES_MAX. So is what a text's citations
// take: they are written when their text has ended, because an annotation says how long it is.
//
//     START         created, in_progress
//     BLOCK_START   text: [message added], part added    call: added    thought, search: added
//     BLOCK_DELTA   text, refusal, arguments: delta      thought: [part added], delta
//     BLOCK_STOP    text: annotations, done, part done   others: done, item done
//     END           message done, completed or incomplete
//
// A text block does not end its message: the next text is another part of it. What does is any
// other block, and the end. The events of a custom tool that the model took for a function carry
// what it was told, not the JSON around it, so that is given when it is whole.
//
// Source: platform.openai.com/docs/api-reference/responses-streaming.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_responses_internal.h"

struct state {
    struct responses_frame frame;
    struct slice *repeat;       // RESPONSES_REPEAT_COUNT
    struct json_writer output;  // ended items
    struct json_writer parts;   // ended parts of the open message
    struct json_writer text;    // of the open part, the inside of a literal
    struct json_writer aside;   // citations, a signature, data: what is told when its block ends
    struct json_writer logs;    // log probabilities of the open part
    struct responses_call call; // the open one
    struct slice place;         // of the open block: see set_place
    struct canon_usage usage;
    uint32_t sequence;
    uint16_t item;       // output_index of the open item or the next one
    uint16_t part;       // content_index of the open part or the next one
    uint8_t stop;        // enum canon_stop
    bool in_message : 1; // a message item is open
    bool summarised : 1; // the open thought has a summary part
    bool unwraps : 1;    // a custom tool that the model took for a function
};

_Static_assert(sizeof(struct state) <= CANON_STATE_BYTES, "fits");
_Static_assert(CANON_STREAM_BLOCKS_MAX <= UINT16_MAX, "item, part");

static struct state *state_of(struct canon_writer *w)
{
    return (struct state *)w->state;
}

// ---- Buffers ---------------------------------------------------------------------------------

static struct slice held(const struct json_writer *b)
{
    return slice_of(b->ptr, b->len);
}

static void empty(struct json_writer *b)
{
    b->len = 0;
    b->comma = false;
}

static int check(const struct state *s)
{
    const struct json_writer *buffers[] = {&s->output, &s->parts, &s->text, &s->aside, &s->logs};
    size_t bytes = 0;

    for (size_t i = 0; i < ARRAY_LEN(buffers); i++) {
        if (buffers[i]->err)
            return buffers[i]->err;
        bytes += buffers[i]->len;
    }
    return bytes > CANON_REPEAT_BYTES_MAX ? ERR_LIMIT : 0;
}

// ---- Events ----------------------------------------------------------------------------------

static void open_event(struct canon_writer *w, struct slice type)
{
    canon_event_open(w->out, type);
    json_object(w->out);
    json_key(w->out, SLICE("type"));
    json_string_open(w->out);
    json_string_inner(w->out, type);
    json_string_close(w->out);
    json_member_number(w->out, SLICE("sequence_number"), state_of(w)->sequence++);
}

static void close_event(struct canon_writer *w)
{
    json_object_end(w->out);
    canon_event_close(w->out);
}

// What every event of a block says first: the members item_id, output_index and, where there is
// one, the part's index. Made when the block begins, because a delta should cost little. The call
// that begins is known already. 0 or ERR_NOMEM.
static int set_place(struct canon_writer *w, enum canon_block_kind block)
{
    static const struct {
        const char *prefix, *part; // of the id; the name of the part's index or NULL
    } places[CANON_BLOCK_KIND_COUNT] = {
        [CANON_TEXT] = {"msg_", "content_index"},    [CANON_REFUSAL] = {"msg_", "content_index"},
        [CANON_THINKING] = {"rs_", "summary_index"}, [CANON_REDACTED_THINKING] = {"rs_", NULL},
        [CANON_TOOL_CALL] = {"fc_", NULL},           [CANON_WEB_SEARCH] = {"ws_", NULL},
    };
    struct state *s = state_of(w);
    bool custom = block == CANON_TOOL_CALL && s->call.tool == CANON_TOOL_CUSTOM;
    struct json_writer place;

    json_writer_init(&place, w->arena, 0);
    json_key(&place, SLICE("item_id"));
    responses__item_id(&place, &s->frame, custom ? "ctc_" : places[block].prefix, s->item);
    json_member_number(&place, SLICE("output_index"), s->item);
    if (places[block].part)
        json_member_number(&place, slice_str(places[block].part),
                           block == CANON_THINKING ? 0 : s->part);
    return json_writer_done(&place, &s->place);
}

// An event of the open block.
static void open_item_event(struct canon_writer *w, struct slice type)
{
    open_event(w, type);
    json_raw(w->out, state_of(w)->place); // members, with their own commas between
}

static void write_inner(struct json_writer *w, struct slice key, struct slice inner)
{
    json_key(w, key);
    json_string_open(w);
    json_string_inner(w, inner);
    json_string_close(w);
}

static void write_list(struct json_writer *w, struct slice key, struct slice elements)
{
    json_key(w, key);
    json_array(w);
    if (elements.len > 0)
        json_raw(w, elements);
    json_array_end(w);
}

// ---- Items -----------------------------------------------------------------------------------

// `item` is the function that writes it; it is called for the event and for the output.
static void begin_item(struct canon_writer *w)
{
    open_event(w, SLICE("response.output_item.added"));
    json_member_number(w->out, SLICE("output_index"), state_of(w)->item);
    json_key(w->out, SLICE("item"));
}

// The item has been added to the output behind `before`: it is told, and the next one may come.
static void end_item(struct canon_writer *w, size_t before)
{
    struct state *s = state_of(w);
    struct slice item = slice_skip(held(&s->output), before);

    if (s->output.err)
        return; // check() tells
    if (before > 0)
        item = slice_skip(item, 1); // the comma
    open_event(w, SLICE("response.output_item.done"));
    json_member_number(w->out, SLICE("output_index"), s->item);
    json_key(w->out, SLICE("item"));
    json_raw(w->out, item);
    close_event(w);
    s->item++;
}

static void end_message(struct canon_writer *w)
{
    struct state *s = state_of(w);
    size_t before = s->output.len;

    if (!s->in_message)
        return;
    responses__message(&s->output, &s->frame, s->item, held(&s->parts), false);
    end_item(w, before);
    empty(&s->parts);
    s->in_message = false;
}

// ---- Text and refusals -------------------------------------------------------------------------

static void write_part(struct json_writer *w, enum canon_block_kind block, struct slice text,
                       struct slice annotations, struct slice logs)
{
    if (block == CANON_REFUSAL)
        responses__refusal_part(w, text);
    else
        responses__text_part(w, text, annotations, logs);
}

static int begin_part(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    if (!s->in_message) {
        s->in_message = true;
        s->part = 0;
        begin_item(w);
        responses__message(w->out, &s->frame, s->item, SLICE_EMPTY, true);
        close_event(w);
    }
    int rc = set_place(w, e->block);
    if (rc)
        return rc;
    open_item_event(w, SLICE("response.content_part.added"));
    json_key(w->out, SLICE("part"));
    write_part(w->out, e->block, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY);
    close_event(w);
    return 0;
}

static void text_delta(struct canon_writer *w, const struct canon_event *e)
{
    bool refusal = e->block == CANON_REFUSAL;

    open_item_event(w, refusal ? SLICE("response.refusal.delta")
                               : SLICE("response.output_text.delta"));
    json_member(w->out, SLICE("delta"), e->text);
    if (!refusal)
        json_member(w->out, SLICE("logprobs"), SLICE("[]"));
    close_event(w);
}

// Probabilities come apart from their text.
static int logprobs_delta(struct canon_writer *w, struct slice value)
{
    struct state *s = state_of(w);
    enum json_type type;
    struct slice element;
    size_t at = 0;

    if (responses__is(value, '{')) // chat's
        value = json_object_get(value, SLICE("content")).value;
    if (!responses__is(value, '[') || !json_array_next(value, &at, &type, &element))
        return 0;
    int rc = responses__one_line(w->arena, value, &value);
    if (rc)
        return rc;
    json_raw(&s->logs, literal_inner(value));
    open_item_event(w, SLICE("response.output_text.delta"));
    json_member(w->out, SLICE("delta"), SLICE("\"\""));
    json_member(w->out, SLICE("logprobs"), value);
    close_event(w);
    return 0;
}

// The citations that were held, as annotations; *ret without brackets, in the arena.
static int tell_annotations(struct canon_writer *w, struct slice *ret)
{
    struct state *s = state_of(w);
    struct json_writer all;
    struct slice list;
    enum json_type type;
    struct slice citation;
    unsigned count = 0;

    *ret = SLICE_EMPTY;
    if (s->aside.len == 0)
        return s->aside.err;
    uint64_t length = responses__code_points(held(&s->text));
    json_array_end(&s->aside);
    int rc = json_writer_done(&s->aside, &list);
    json_writer_init(&all, w->arena, 0);
    for (size_t at = 0; rc == 0 && json_array_next(list, &at, &type, &citation);) {
        size_t before = all.len;
        if (!responses__annotation(&all, citation, length) || all.err)
            continue;
        open_item_event(w, SLICE("response.output_text.annotation.added"));
        json_member_number(w->out, SLICE("annotation_index"), count);
        json_key(w->out, SLICE("annotation"));
        json_raw(w->out, slice_skip(held(&all), before + (count > 0)));
        close_event(w);
        count++;
    }
    return rc ? rc : json_writer_done(&all, ret);
}

static int end_part(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);
    bool refusal = e->block == CANON_REFUSAL;
    struct slice text = held(&s->text);
    struct slice annotations = SLICE_EMPTY;

    int rc = refusal ? 0 : tell_annotations(w, &annotations);
    if (rc)
        return rc;
    open_item_event(w,
                    refusal ? SLICE("response.refusal.done") : SLICE("response.output_text.done"));
    write_inner(w->out, refusal ? SLICE("refusal") : SLICE("text"), text);
    if (!refusal)
        write_list(w->out, SLICE("logprobs"), held(&s->logs));
    close_event(w);
    open_item_event(w, SLICE("response.content_part.done"));
    json_key(w->out, SLICE("part"));
    write_part(w->out, e->block, text, annotations, held(&s->logs));
    close_event(w);
    write_part(&s->parts, e->block, text, annotations, held(&s->logs));
    s->part++;
    return 0;
}

// ---- Calls -----------------------------------------------------------------------------------

static int begin_call(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);
    struct slice id = arena_copy(w->arena, e->id);
    struct slice name = arena_copy(w->arena, e->name);

    if (!id.ptr || !name.ptr)
        return ERR_NOMEM;
    s->unwraps = e->tool == CANON_TOOL_FUNCTION && responses__is_custom(&s->frame, name);
    s->call = (struct responses_call){s->unwraps ? CANON_TOOL_CUSTOM : e->tool, id, name};
    begin_item(w);
    responses__call(w->out, &s->frame, s->item, &s->call, SLICE_EMPTY, true);
    close_event(w);
    return set_place(w, CANON_TOOL_CALL);
}

static void call_delta(struct canon_writer *w, struct slice inner)
{
    bool custom = state_of(w)->call.tool == CANON_TOOL_CUSTOM;

    open_item_event(w, custom ? SLICE("response.custom_tool_call_input.delta")
                              : SLICE("response.function_call_arguments.delta"));
    write_inner(w->out, SLICE("delta"), inner);
    close_event(w);
}

static int end_call(struct canon_writer *w)
{
    struct state *s = state_of(w);
    bool custom = s->call.tool == CANON_TOOL_CUSTOM;
    struct slice text = held(&s->text);
    size_t before = s->output.len;

    if (s->unwraps) {
        int rc = responses__custom_input(w->arena, text, &text);
        if (rc)
            return rc;
        if (text.len > 0)
            call_delta(w, text);
    } else if (!custom && text.len == 0) {
        text = SLICE("{}"); // a call without arguments is still a call with an object
        call_delta(w, text);
    }
    open_item_event(w, custom ? SLICE("response.custom_tool_call_input.done")
                              : SLICE("response.function_call_arguments.done"));
    write_inner(w->out, custom ? SLICE("input") : SLICE("arguments"), text);
    close_event(w);
    responses__call(&s->output, &s->frame, s->item, &s->call, text, false);
    end_item(w, before);
    return 0;
}

// ---- Thoughts and searches
// -----------------------------------------------------------------------

static void write_summary(struct json_writer *w, struct slice text)
{
    json_key(w, SLICE("part"));
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"summary_text\""));
    write_inner(w, SLICE("text"), text);
    json_object_end(w);
}

static void begin_thought(struct canon_writer *w)
{
    struct state *s = state_of(w);

    s->summarised = false;
    begin_item(w);
    responses__thought(w->out, &s->frame, s->item, SLICE_EMPTY, SLICE_EMPTY, false);
    close_event(w);
}

static void thought_delta(struct canon_writer *w, struct slice literal)
{
    struct state *s = state_of(w);

    if (!s->summarised) {
        s->summarised = true;
        open_item_event(w, SLICE("response.reasoning_summary_part.added"));
        write_summary(w->out, SLICE_EMPTY);
        close_event(w);
    }
    open_item_event(w, SLICE("response.reasoning_summary_text.delta"));
    json_member(w->out, SLICE("delta"), literal);
    close_event(w);
}

static int end_thought(struct canon_writer *w, bool redacted)
{
    struct state *s = state_of(w);
    struct slice text = held(&s->text);
    struct slice inner = held(&s->aside);
    struct slice seal = SLICE_EMPTY;
    size_t before = s->output.len;

    if (s->summarised) {
        open_item_event(w, SLICE("response.reasoning_summary_text.done"));
        write_inner(w->out, SLICE("text"), text);
        close_event(w);
        open_item_event(w, SLICE("response.reasoning_summary_part.done"));
        write_summary(w->out, text);
        close_event(w);
    }
    int rc = inner.len > 0 ? responses__join(w->arena, &inner, 1, &seal) : 0;
    if (rc)
        return rc;
    responses__thought(&s->output, &s->frame, s->item, text, seal, redacted);
    end_item(w, before);
    return 0;
}

static void begin_search(struct canon_writer *w)
{
    struct state *s = state_of(w);

    begin_item(w);
    responses__search(w->out, &s->frame, s->item, SLICE_EMPTY, true);
    close_event(w);
}

static void end_search(struct canon_writer *w)
{
    static const struct slice stages[] = {SLICE("response.web_search_call.in_progress"),
                                          SLICE("response.web_search_call.searching"),
                                          SLICE("response.web_search_call.completed")};
    struct state *s = state_of(w);
    size_t before = s->output.len;

    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        open_item_event(w, stages[i]);
        close_event(w);
    }
    responses__search(&s->output, &s->frame, s->item, held(&s->text), false);
    end_item(w, before);
}

// ---- Canonical events
// ----------------------------------------------------------------------------

static int write_start(struct canon_writer *w, const struct canon_event *e)
{
    static const struct slice types[] = {SLICE("response.created"), SLICE("response.in_progress")};
    struct state *s = state_of(w);
    struct json_writer *const buffers[] = {&s->output, &s->parts, &s->text, &s->aside, &s->logs};

    for (size_t i = 0; i < ARRAY_LEN(buffers); i++)
        json_writer_init(buffers[i], w->arena, 0);
    s->repeat = arena_alloc(w->arena, RESPONSES_REPEAT_COUNT * sizeof(*s->repeat));
    struct slice id = arena_copy(w->arena, e->id);
    struct slice model = arena_copy(w->arena, e->model);
    if (!s->repeat || !id.ptr || !model.ptr)
        return ERR_NOMEM;
    responses__repeat(w->context.request, s->repeat);
    s->usage = e->usage;
    int rc =
        responses__frame_init(&s->frame, w->arena, id, model, e->created_s, &w->context, s->repeat);
    for (size_t i = 0; rc == 0 && i < RESPONSES_REPEAT_COUNT; i++)
        rc = responses__one_line(w->arena, s->repeat[i], &s->repeat[i]);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(types); i++) {
        open_event(w, types[i]);
        json_key(w->out, SLICE("response"));
        responses__frame_open(w->out, &s->frame, true, CANON_STOP_UNSET);
        responses__frame_close(w->out, &s->frame, true, &s->usage, SLICE_EMPTY);
        close_event(w);
    }
    return rc;
}

static int write_block_start(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    empty(&s->text);
    empty(&s->aside);
    empty(&s->logs);
    if (responses__is_item(e->block))
        end_message(w);
    switch (e->block) {
    case CANON_TEXT:
    case CANON_REFUSAL:
        return begin_part(w, e);
    case CANON_THINKING:
    case CANON_REDACTED_THINKING:
        begin_thought(w);
        return set_place(w, e->block);
    case CANON_TOOL_CALL:
        return begin_call(w, e);
    case CANON_WEB_SEARCH:
        begin_search(w);
        return set_place(w, e->block);
    default: // nothing that a stream of this dialect has
        return 0;
    }
}

// A piece of a text is told and kept.
static void write_text(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);
    struct slice inner = literal_inner(e->text);

    if (inner.len == 0)
        return;
    json_string_inner(&s->text, inner);
    if (e->block == CANON_TEXT || e->block == CANON_REFUSAL)
        text_delta(w, e);
    else if (e->block == CANON_THINKING)
        thought_delta(w, e->text);
    else if (e->block == CANON_TOOL_CALL && !s->unwraps)
        call_delta(w, inner);
}

static int write_block_delta(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    switch (e->delta) {
    case CANON_DELTA_TEXT:
        write_text(w, e);
        return 0;
    case CANON_DELTA_SIGNATURE:
    case CANON_DELTA_DATA:
        json_string_inner(&s->aside, literal_inner(e->text));
        return 0;
    case CANON_DELTA_CITATION:
        if (e->block != CANON_TEXT)
            return 0;
        if (s->aside.len == 0)
            json_array(&s->aside);
        json_raw(&s->aside, e->text);
        return 0;
    case CANON_DELTA_LOGPROBS:
        return e->block == CANON_TEXT ? logprobs_delta(w, e->text) : 0;
    }
    return 0;
}

static int write_block_stop(struct canon_writer *w, const struct canon_event *e)
{
    switch (e->block) {
    case CANON_TEXT:
    case CANON_REFUSAL:
        return end_part(w, e);
    case CANON_THINKING:
    case CANON_REDACTED_THINKING:
        return end_thought(w, e->block == CANON_REDACTED_THINKING);
    case CANON_TOOL_CALL:
        return end_call(w);
    case CANON_WEB_SEARCH:
        end_search(w);
        return 0;
    default:
        return 0;
    }
}

static void write_end(struct canon_writer *w)
{
    struct state *s = state_of(w);
    enum canon_stop stop = (enum canon_stop)s->stop;

    end_message(w);
    open_event(w, responses__incomplete(stop) ? SLICE("response.incomplete")
                                              : SLICE("response.completed"));
    json_key(w->out, SLICE("response"));
    responses__frame_open(w->out, &s->frame, false, stop);
    if (s->output.len > 0)
        json_raw(w->out, held(&s->output));
    responses__frame_close(w->out, &s->frame, false, &s->usage, SLICE_EMPTY);
    close_event(w);
}

int responses__write_event(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);
    int rc = 0;

    ASSERT(e->kind == CANON_START ? !s->repeat : s->repeat != NULL);
    ASSERT(e->kind != CANON_ERROR && e->block < CANON_BLOCK_KIND_COUNT);
    switch (e->kind) {
    case CANON_START:
        rc = write_start(w, e);
        break;
    case CANON_BLOCK_START:
        rc = write_block_start(w, e);
        break;
    case CANON_BLOCK_DELTA:
        rc = write_block_delta(w, e);
        break;
    case CANON_BLOCK_STOP:
        rc = write_block_stop(w, e);
        break;
    case CANON_STOP:
        s->stop = (uint8_t)e->stop;
        break;
    case CANON_USAGE:
        s->usage = e->usage;
        break;
    default: // END
        write_end(w);
        break;
    }
    if (rc == 0)
        rc = check(s);
    return rc ? rc : w->out->err;
}
