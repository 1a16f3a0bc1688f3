// SPDX-License-Identifier: Apache-2.0
//
// stream_rules_responses.c: the order of the Responses API's events. Items stand one behind the
// other, and parts inside an item; every `done` repeats what its deltas said, every item what its
// parts said, and the last event the whole of it.
//
//   created ─► in_progress ─► ( item.added ─► …parts or arguments… ─► item.done )* ─► completed
//                                                                                    incomplete
//   part:       added ─► delta* ─► text.done ─► part.done                            failed
//   arguments:  delta* ─► done
#include "tests/support/stream_rules.h"
#include "tests/support/stream_walk.h"

#include "base/container.h"
#include <stdio.h>

enum phase { NEW, CREATED, RUNNING };
enum part { PART_NONE, PART_OPEN, PART_TEXT_DONE };

struct responses {
    struct stream_walk walk;
    enum phase phase;
    uint64_t sequence;
    uint64_t items; // begun
    bool item_open;
    char item_id[16384], item_type[64];
    uint64_t parts; // of the open item
    enum part part;
    char part_type[64];
    uint64_t annotations; // of the open part
    bool input_done;      // arguments or custom input
    struct buf text;      // of the open part or call
    struct buf item_text; // of all parts of the item
    struct buf all_text;  // of all items
};

// What an event is about: the item, and the part in it.
struct step {
    const char *name;
    const char *item;  // only for items of this type; NULL: any
    const char *part;  // only in an open part of this type; NULL: any or none
    const char *index; // the member that numbers the part; NULL: none
    bool (*run)(struct responses *r, yyjson_val *data, const struct step *s);
};

static bool created(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    yyjson_val *response = yyjson_obj_get(data, "response");
    if (r->phase != NEW)
        return stream_broke(&r->walk, "response.created twice");
    if (strcmp(stream_str(response, "status"), "in_progress") != 0 ||
        yyjson_arr_size(yyjson_obj_get(response, "output")) != 0)
        return stream_broke(&r->walk, "a response that is created with a status or output");
    r->phase = CREATED;
    return true;
}

static bool in_progress(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)data, (void)s;
    if (r->phase != CREATED)
        return stream_broke(&r->walk, "response.in_progress is not the second event");
    r->phase = RUNNING;
    return true;
}

static bool item_added(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    yyjson_val *item = yyjson_obj_get(data, "item");
    if (r->item_open)
        return stream_broke(&r->walk, "an item begins in another");
    if (yyjson_get_uint(yyjson_obj_get(data, "output_index")) != r->items)
        return stream_broke(&r->walk, "item indices do not rise by one from 0");
    if (yyjson_arr_size(yyjson_obj_get(item, "content")) != 0 ||
        yyjson_arr_size(yyjson_obj_get(item, "summary")) != 0 || stream_str(item, "arguments")[0])
        return stream_broke(&r->walk, "an item that begins with content");
    if (!stream_str(item, "id")[0])
        return stream_broke(&r->walk, "an item without an id");
    r->items++;
    r->item_open = true;
    r->parts = 0;
    r->input_done = false;
    snprintf(r->item_id, sizeof(r->item_id), "%s", stream_str(item, "id"));
    snprintf(r->item_type, sizeof(r->item_type), "%s", stream_str(item, "type"));
    buf_reset(&r->text);
    buf_reset(&r->item_text);
    return true;
}

static bool part_added(struct responses *r, yyjson_val *data, const struct step *s)
{
    yyjson_val *part = yyjson_obj_get(data, "part");
    if (r->part != PART_NONE)
        return stream_broke(&r->walk, "a part begins in another");
    if (yyjson_get_uint(yyjson_obj_get(data, s->index)) != r->parts)
        return stream_broke(&r->walk, "part indices do not rise by one from 0");
    if (stream_str(part, "text")[0] || stream_str(part, "refusal")[0])
        return stream_broke(&r->walk, "a part that begins with text");
    r->parts++;
    r->part = PART_OPEN;
    r->annotations = 0;
    snprintf(r->part_type, sizeof(r->part_type), "%s", stream_str(part, "type"));
    buf_reset(&r->text);
    return true;
}

static bool text_delta(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    if (r->part != PART_OPEN)
        return stream_broke(&r->walk, "a delta behind its done");
    stream_add(&r->text, yyjson_obj_get(data, "delta"));
    return true;
}

static bool annotation(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    if (yyjson_get_uint(yyjson_obj_get(data, "annotation_index")) != r->annotations)
        return stream_broke(&r->walk, "annotations do not rise by one from 0");
    r->annotations++;
    return true;
}

static bool text_done(struct responses *r, yyjson_val *data, const struct step *s)
{
    const char *member = strcmp(s->part, "refusal") == 0 ? "refusal" : "text";
    if (r->part != PART_OPEN)
        return stream_broke(&r->walk, "a text is done twice");
    if (!stream_text_is(&r->text, yyjson_obj_get(data, member)))
        return stream_broke(&r->walk, "a done text is not its deltas'");
    r->part = PART_TEXT_DONE;
    return true;
}

static yyjson_val *part_text(yyjson_val *part)
{
    yyjson_val *text = yyjson_obj_get(part, "text");
    return text ? text : yyjson_obj_get(part, "refusal");
}

static bool part_done(struct responses *r, yyjson_val *data, const struct step *s)
{
    yyjson_val *part = yyjson_obj_get(data, "part");
    if (r->part != PART_TEXT_DONE ||
        yyjson_get_uint(yyjson_obj_get(data, s->index)) + 1 != r->parts)
        return stream_broke(&r->walk, "a part is done before its text");
    if (!stream_text_is(&r->text, part_text(part)))
        return stream_broke(&r->walk, "a done part is not its deltas'");
    if (yyjson_arr_size(yyjson_obj_get(part, "annotations")) != r->annotations)
        return stream_broke(&r->walk, "a done part has other annotations");
    buf_add(&r->item_text, buf_slice(&r->text));
    r->part = PART_NONE;
    return true;
}

static bool input_delta(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    if (r->input_done)
        return stream_broke(&r->walk, "a delta behind its done");
    stream_add(&r->text, yyjson_obj_get(data, "delta"));
    return true;
}

static bool input_done(struct responses *r, yyjson_val *data, const struct step *s)
{
    const char *member = strcmp(s->item, "function_call") == 0 ? "arguments" : "input";
    if (r->input_done)
        return stream_broke(&r->walk, "arguments are done twice");
    if (!stream_text_is(&r->text, yyjson_obj_get(data, member)))
        return stream_broke(&r->walk, "done arguments are not their deltas'");
    buf_add(&r->item_text, buf_slice(&r->text));
    r->input_done = true;
    return true;
}

static bool search_step(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)r, (void)data, (void)s;
    return true;
}

// All that an item says, in the order in which its events said it.
static void add_item_text(struct buf *text, yyjson_val *item)
{
    static const char *const lists[] = {"content", "summary"};
    for (size_t i = 0; i < 2; i++) {
        yyjson_val *part;
        yyjson_arr_iter parts = yyjson_arr_iter_with(yyjson_obj_get(item, lists[i]));
        while ((part = yyjson_arr_iter_next(&parts)))
            stream_add(text, part_text(part));
    }
    stream_add(text, yyjson_obj_get(item, "arguments"));
    stream_add(text, yyjson_obj_get(item, "input"));
}

static bool item_done(struct responses *r, yyjson_val *data, const struct step *s)
{
    (void)s;
    yyjson_val *item = yyjson_obj_get(data, "item");
    bool is_call =
        strcmp(r->item_type, "function_call") == 0 || strcmp(r->item_type, "custom_tool_call") == 0;
    if (r->part != PART_NONE || (is_call && !r->input_done))
        return stream_broke(&r->walk, "an item is done before what is in it");
    if (strcmp(stream_str(item, "id"), r->item_id) != 0 ||
        strcmp(stream_str(item, "type"), r->item_type) != 0)
        return stream_broke(&r->walk, "another item is done");
    struct buf text;
    buf_init(&text, STREAM_TEXT_MAX);
    add_item_text(&text, item);
    bool same = slice_eq(buf_slice(&text), buf_slice(&r->item_text));
    buf_done(&text);
    if (!same)
        return stream_broke(&r->walk, "a done item is not what its events said");
    buf_add(&r->all_text, slice_str(r->item_id));
    buf_add(&r->all_text, buf_slice(&r->item_text));
    r->item_open = false;
    return true;
}

static bool ended(struct responses *r, yyjson_val *data, const struct step *s)
{
    yyjson_val *response = yyjson_obj_get(data, "response");
    yyjson_val *output = yyjson_obj_get(response, "output"), *item;
    if (r->phase != RUNNING || r->item_open)
        return stream_broke(&r->walk, "it ends in an item, or before it runs");
    if (strcmp(stream_str(response, "status"), s->name + strlen("response.")) != 0)
        return stream_broke(&r->walk, "it ends in another status than the event's");
    struct buf text;
    buf_init(&text, STREAM_TEXT_MAX);
    yyjson_arr_iter items = yyjson_arr_iter_with(output);
    while ((item = yyjson_arr_iter_next(&items))) {
        buf_add(&text, slice_str(stream_str(item, "id")));
        add_item_text(&text, item);
    }
    bool same =
        yyjson_arr_size(output) == r->items && slice_eq(buf_slice(&text), buf_slice(&r->all_text));
    buf_done(&text);
    if (!same)
        return stream_broke(&r->walk, "the whole response is not what its events said");
    r->walk.ended = true;
    return true;
}

#define SUMMARY "summary_text", "summary_index"
static const struct step steps[] = {
    {"response.created", NULL, NULL, NULL, created},
    {"response.in_progress", NULL, NULL, NULL, in_progress},
    {"response.output_item.added", NULL, NULL, NULL, item_added},
    {"response.content_part.added", "message", NULL, "content_index", part_added},
    {"response.output_text.delta", "message", "output_text", "content_index", text_delta},
    {"response.output_text.annotation.added", "message", "output_text", "content_index",
     annotation},
    {"response.output_text.done", "message", "output_text", "content_index", text_done},
    {"response.refusal.delta", "message", "refusal", "content_index", text_delta},
    {"response.refusal.done", "message", "refusal", "content_index", text_done},
    {"response.content_part.done", "message", NULL, "content_index", part_done},
    {"response.reasoning_summary_part.added", "reasoning", NULL, "summary_index", part_added},
    {"response.reasoning_summary_text.delta", "reasoning", SUMMARY, text_delta},
    {"response.reasoning_summary_text.done", "reasoning", SUMMARY, text_done},
    {"response.reasoning_summary_part.done", "reasoning", NULL, "summary_index", part_done},
    {"response.function_call_arguments.delta", "function_call", NULL, NULL, input_delta},
    {"response.function_call_arguments.done", "function_call", NULL, NULL, input_done},
    {"response.custom_tool_call_input.delta", "custom_tool_call", NULL, NULL, input_delta},
    {"response.custom_tool_call_input.done", "custom_tool_call", NULL, NULL, input_done},
    {"response.web_search_call.in_progress", "web_search_call", NULL, NULL, search_step},
    {"response.web_search_call.searching", "web_search_call", NULL, NULL, search_step},
    {"response.web_search_call.completed", "web_search_call", NULL, NULL, search_step},
    {"response.output_item.done", "", NULL, NULL, item_done},
    {"response.completed", NULL, NULL, NULL, ended},
    {"response.incomplete", NULL, NULL, NULL, ended},
    {"response.failed", NULL, NULL, NULL, ended},
};

// Does the event speak of the item and the part that are open?
static bool in_place(struct responses *r, yyjson_val *data, const struct step *s)
{
    if (!s->item)
        return true;
    if (!r->item_open || (s->item[0] && strcmp(s->item, r->item_type) != 0))
        return stream_broke(&r->walk, "%s without such an item", s->name);
    if (yyjson_get_uint(yyjson_obj_get(data, "output_index")) + 1 != r->items ||
        (s->item[0] && strcmp(stream_str(data, "item_id"), r->item_id) != 0))
        return stream_broke(&r->walk, "%s of another item", s->name);
    if (!s->part)
        return true;
    if (r->part == PART_NONE || strcmp(s->part, r->part_type) != 0)
        return stream_broke(&r->walk, "%s without such a part", s->name);
    if (yyjson_get_uint(yyjson_obj_get(data, s->index)) + 1 != r->parts)
        return stream_broke(&r->walk, "%s of another part", s->name);
    return true;
}

static bool responses_step(struct stream_walk *w, const struct stream_event *e)
{
    struct responses *r = container_of(w, struct responses, walk);
    if (w->ended)
        return stream_broke(w, "something behind the terminal event");
    if (e->marker)
        return stream_broke(w, "[DONE] in a dialect without it");
    yyjson_val *sequence = yyjson_obj_get(e->data, "sequence_number");
    if (!yyjson_is_uint(sequence) || yyjson_get_uint(sequence) != r->sequence)
        return stream_broke(w, "sequence_number does not rise by one from 0");
    r->sequence++;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].name, e->name) != 0)
            continue;
        if (r->phase != RUNNING && i > 1)
            return stream_broke(w, "it does not begin with created and in_progress");
        return in_place(r, e->data, &steps[i]) && steps[i].run(r, e->data, &steps[i]);
    }
    return stream_broke(w, "an event named %s", e->name);
}

bool stream_rules_responses(struct slice text, bool whole, struct stream_verdict *ret)
{
    struct responses r = {.walk = {.named = true, .step = responses_step, .verdict = ret}};
    *ret = (struct stream_verdict){0};
    buf_init(&r.text, STREAM_TEXT_MAX);
    buf_init(&r.item_text, STREAM_TEXT_MAX);
    buf_init(&r.all_text, STREAM_TEXT_MAX);
    bool legal = stream_walk(&r.walk, text, whole);
    buf_done(&r.text);
    buf_done(&r.item_text);
    buf_done(&r.all_text);
    return legal;
}
