// SPDX-License-Identifier: Apache-2.0
//
// anthropic_write.c: a canonical request becomes one for messages, or for the counting of its
// tokens. The gateway calls it through the rows of dialect_anthropic.c.
//
// The order is that of docs/translation.md: model, max_tokens, system, messages, tools,
// tool_choice, thinking, output_config, parameters, stream, unknown. What does not cross is
// reported when its place in that order comes. max_tokens and thinking depend on each other: Claude
// wants a limit always and a budget below it, so both are planned before the first is written.
//
// How thinking is asked for depends on the model: the older ones take a budget and nothing else,
// those from 4.6 on measure it themselves by an effort (anthropic_model.c says which is which).
// None thinks when it must call a tool.
//
// Counting takes no parameters of sampling; leaving them out changes no count and is not reported.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

#define MAX_TOKENS_UNSET 4096
#define BUDGET_MIN       1024
// No model writes more; above it sums could overflow.
#define TOKENS_MAX UINT32_MAX

// ---- max_tokens and thinking -------------------------------------------------------------------

static int plan_budget(struct anthropic_writing *x)
{
    struct slice name = x->own ? SLICE("thinking.budget_tokens") : SLICE("reasoning.max_tokens");
    uint64_t budget = x->r->reasoning.budget;

    if (budget == UINT64_MAX) // -1: as much as the provider likes
        budget = BUDGET_MIN;
    if (budget < BUDGET_MIN)
        return canon_refuse(x->r, ERR_UNSUPPORTED, name,
                            "%.*s: the provider thinks with at least %d tokens", SLICE_ARG(name),
                            BUDGET_MIN);
    if (budget > TOKENS_MAX || (x->has_limit && !x->counting && budget >= x->max_tokens))
        return canon_refuse(x->r, ERR_UNSUPPORTED, name, "%.*s: must be below the limit of tokens",
                            SLICE_ARG(name));
    x->budget = budget;
    if (x->version >= ANTHROPIC_ADAPTIVE)
        x->effort = canon_effort_of_budget(budget, x->has_limit ? x->max_tokens : MAX_TOKENS_UNSET);
    return 0;
}

// The effort in Claude's words; empty for one nobody knows.
static struct slice claude_effort(const struct anthropic_writing *x, struct slice effort)
{
    static const struct {
        struct slice theirs, older, ours; // older: before xhigh was known
    } efforts[] = {
        {SLICE("minimal"), SLICE("low"), SLICE("low")},
        {SLICE("low"), SLICE("low"), SLICE("low")},
        {SLICE("medium"), SLICE("medium"), SLICE("medium")},
        {SLICE("high"), SLICE("high"), SLICE("high")},
        {SLICE("xhigh"), SLICE("high"), SLICE("xhigh")},
        {SLICE("max"), SLICE("max"), SLICE("max")},
    };

    for (size_t i = 0; i < ARRAY_LEN(efforts); i++)
        if (slice_eq(efforts[i].theirs, effort))
            return x->version >= ANTHROPIC_SELF_MEASURED ? efforts[i].ours : efforts[i].older;
    return SLICE_EMPTY;
}

static void plan_effort(struct anthropic_writing *x)
{
    struct slice effort;
    uint64_t limit = x->has_limit ? x->max_tokens : MAX_TOKENS_UNSET;

    if (anthropic__plain(x->r->arena, x->r->reasoning.effort, &effort) != 0)
        return;
    if (x->version >= ANTHROPIC_ADAPTIVE) {
        x->effort = claude_effort(x, effort);
        if (slice_eq(effort, SLICE("max"))) // has no share: as much room as the next
            effort = SLICE("xhigh");
    }
    x->budget = canon_budget_of_effort(effort, limit);
}

static bool is_off(const struct canon_request *r)
{
    return r->reasoning.kind == CANON_REASONING_OFF ||
           (r->reasoning.kind == CANON_REASONING_EFFORT &&
            literal_is(r->reasoning.effort, SLICE("none")));
}

static bool forces(enum canon_choice_kind kind)
{
    return kind == CANON_CHOICE_REQUIRED || kind == CANON_CHOICE_TOOL;
}

// Will a choice be written that leaves Claude no way but to call?
static bool is_forced(const struct anthropic_writing *x)
{
    struct slice options = x->r->param[CANON_P_WEB_SEARCH_OPTIONS];
    bool tools = options.len > 0 && options.ptr[0] == '{';

    if (!forces(x->r->tool_choice.kind) || x->version >= ANTHROPIC_UNFORCED)
        return false;
    for (const struct canon_tool *t = x->r->tools; t; t = t->next)
        tools |= t->kind != CANON_TOOL_OPAQUE;
    return tools;
}

static int plan(struct anthropic_writing *x)
{
    struct slice limit = x->r->param[CANON_P_MAX_TOKENS];
    int rc = 0;

    x->has_limit = limit.len > 0;
    if (x->has_limit && json_u64(limit, &x->max_tokens) != 0)
        return canon_refuse(x->r, ERR_BAD_TYPE, SLICE("max_tokens"),
                            "max_tokens: must be an integer");
    if (x->r->reasoning.kind == CANON_REASONING_BUDGET)
        rc = plan_budget(x);
    else if (x->r->reasoning.kind == CANON_REASONING_EFFORT && !x->own && !is_off(x->r))
        plan_effort(x);
    if (!x->own && is_forced(x)) {
        x->budget = 0;
        x->effort = SLICE_EMPTY;
    }
    x->thinks = x->budget > 0 || x->effort.len > 0 ||
                (x->own && x->r->reasoning.kind == CANON_REASONING_ADAPTIVE);
    if (!x->has_limit)
        x->max_tokens = x->budget + MAX_TOKENS_UNSET;
    return rc;
}

static void write_max_tokens(struct anthropic_writing *x)
{
    if (x->counting)
        return;
    anthropic__top_key(x, ANTHROPIC_TOP_MAX_TOKENS);
    if (x->has_limit)
        json_raw(x->w, x->r->param[CANON_P_MAX_TOKENS]);
    else
        json_number(x->w, x->max_tokens);
}

// What the client wished that thinking be, and it will not.
static void drop_thinking(struct anthropic_writing *x)
{
    bool whole =
        anthropic__is_from_responses(x->r) || x->r->reasoning.kind == CANON_REASONING_BUDGET;

    if (!x->own && x->r->reasoning.kind != CANON_REASONING_UNSET)
        canon_drop(x->r, whole ? SLICE("reasoning") : SLICE("reasoning_effort"));
}

// Models that cannot all be told not to think are told nothing; those that think unasked do it
// then.
static void write_off(struct anthropic_writing *x)
{
    if (x->version >= ANTHROPIC_THINKS_UNASKED)
        drop_thinking(x);
    if (x->version >= ANTHROPIC_SELF_MEASURED)
        return;
    anthropic__top_key(x, ANTHROPIC_TOP_THINKING);
    json_raw(x->w, SLICE("{\"type\":\"disabled\"}"));
}

static void write_thinking(struct anthropic_writing *x)
{
    bool measured = x->thinks && x->budget > 0 && x->effort.len == 0;

    if (is_off(x->r)) {
        write_off(x);
        return;
    }
    if (!x->thinks) {
        drop_thinking(x);
        return;
    }
    anthropic__top_key(x, ANTHROPIC_TOP_THINKING);
    json_object(x->w);
    json_member_string(x->w, SLICE("type"), measured ? SLICE("enabled") : SLICE("adaptive"));
    if (measured)
        json_member_number(x->w, SLICE("budget_tokens"), x->budget);
    else if (x->version >= ANTHROPIC_SELF_MEASURED) // which keep their thoughts otherwise
        json_member_string(x->w, SLICE("display"), SLICE("summarized"));
    json_object_end(x->w);
}

static void write_output_config(struct anthropic_writing *x)
{
    const struct canon_request *r = x->r;
    bool effort = x->own && r->reasoning.effort.len > 0 &&
                  (r->reasoning.kind == CANON_REASONING_ADAPTIVE ||
                   r->reasoning.kind == CANON_REASONING_EFFORT);
    bool schema = r->format.kind == CANON_FORMAT_JSON_SCHEMA && r->format.schema.len > 0;

    if (r->format.kind >= CANON_FORMAT_JSON_OBJECT && !schema)
        canon_drop(x->r,
                   anthropic__is_from_responses(r) ? SLICE("text") : SLICE("response_format"));
    if (!effort && !schema && x->effort.len == 0)
        return;
    anthropic__top_key(x, ANTHROPIC_TOP_OUTPUT_CONFIG);
    json_object(x->w);
    if (effort)
        json_member(x->w, SLICE("effort"), r->reasoning.effort);
    else if (x->effort.len > 0)
        json_member_string(x->w, SLICE("effort"), x->effort);
    if (schema) {
        json_key(x->w, SLICE("format"));
        json_object(x->w);
        json_member(x->w, SLICE("type"), SLICE("\"json_schema\""));
        json_member(x->w, SLICE("schema"), r->format.schema);
        json_object_end(x->w);
    }
    json_object_end(x->w);
}

// ---- Tools -------------------------------------------------------------------------------------

#define EMPTY_SCHEMA SLICE("{\"type\":\"object\",\"properties\":{}}")
#define INPUT_SCHEMA                                                                               \
    SLICE("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"                 \
          "\"required\":[\"input\"]}")

static void write_function(struct anthropic_writing *x, const struct canon_tool *t)
{
    bool custom = t->kind == CANON_TOOL_CUSTOM;

    json_member(x->w, SLICE("name"), t->name);
    json_member(x->w, SLICE("description"), t->description);
    json_member(x->w, SLICE("input_schema"),
                custom                  ? INPUT_SCHEMA
                : t->parameters.len > 0 ? t->parameters
                                        : EMPTY_SCHEMA);
    if (slice_eq(t->strict, SLICE("true")))
        json_member(x->w, SLICE("strict"), t->strict);
}

// Chat wraps the place in a member `approximate`, the others do not.
static void write_location(struct json_writer *w, struct slice location)
{
    struct json_member m;

    if (location.len == 0)
        return;
    struct json_member inside = json_object_get(location, SLICE("approximate"));
    json_key(w, SLICE("user_location"));
    if (inside.type != JSON_OBJECT) {
        json_raw(w, location);
        return;
    }
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"approximate\""));
    for (size_t at = 0; json_object_next(inside.value, &at, &m);)
        if (!literal_is(m.key, SLICE("type"))) {
            json_raw(w, m.key);
            w->comma = false;
            json_plain(w, SLICE(":"));
            json_raw(w, m.value);
        }
    json_object_end(w);
}

static void write_search(struct anthropic_writing *x, const struct canon_tool *t)
{
    json_member(x->w, SLICE("type"), SLICE("\"web_search_20250305\""));
    json_member(x->w, SLICE("name"), SLICE("\"web_search\""));
    json_member(x->w, SLICE("max_uses"), t->max_uses);
    json_member(x->w, SLICE("allowed_domains"), t->allowed_domains);
    write_location(x->w, t->user_location);
}

static void write_tool(struct anthropic_writing *x, const struct canon_tool *t)
{
    if (t->raw.len > 0 && x->own) {
        json_raw(x->w, t->raw);
        return;
    }
    json_object(x->w);
    if (t->kind == CANON_TOOL_WEB_SEARCH)
        write_search(x, t);
    else
        write_function(x, t);
    json_member(x->w, SLICE("cache_control"), t->cache_control);
    anthropic__write_extra(x->r, x->w, t->extra);
    json_object_end(x->w);
}

static void open_tools(struct anthropic_writing *x)
{
    if (x->written & 1u << ANTHROPIC_TOP_TOOLS)
        return;
    anthropic__top_key(x, ANTHROPIC_TOP_TOOLS);
    json_array(x->w);
}

static void write_tools(struct anthropic_writing *x)
{
    struct slice options = x->r->param[CANON_P_WEB_SEARCH_OPTIONS];
    bool searches = false;

    for (const struct canon_tool *t = x->r->tools; t; t = t->next) {
        if (t->kind == CANON_TOOL_OPAQUE && !x->own) {
            canon_drop(x->r, SLICE("tools"));
            continue;
        }
        searches |= t->kind == CANON_TOOL_WEB_SEARCH;
        open_tools(x);
        write_tool(x, t);
    }
    if (options.len > 0 && options.ptr[0] == '{' && !searches) {
        struct json_member location = json_object_get(options, SLICE("user_location"));
        const struct canon_tool search = {
            .kind = CANON_TOOL_WEB_SEARCH,
            .user_location = location.type == JSON_OBJECT ? location.value : SLICE_EMPTY};
        open_tools(x);
        write_tool(x, &search);
    }
    if (x->written & 1u << ANTHROPIC_TOP_TOOLS)
        json_array_end(x->w);
}

// Claude takes a choice only beside tools; without them it says nothing.
static void write_tool_choice(struct anthropic_writing *x)
{
    static const struct slice types[] = {
        [CANON_CHOICE_UNSET] = SLICE("auto"), [CANON_CHOICE_AUTO] = SLICE("auto"),
        [CANON_CHOICE_NONE] = SLICE("none"),  [CANON_CHOICE_REQUIRED] = SLICE("any"),
        [CANON_CHOICE_TOOL] = SLICE("tool"),  [CANON_CHOICE_OPAQUE] = SLICE("auto"),
    };
    enum canon_choice_kind kind = x->r->tool_choice.kind;
    bool serial = slice_eq(x->r->param[CANON_P_PARALLEL_TOOL_CALLS], SLICE("false")) &&
                  kind != CANON_CHOICE_NONE;

    bool unforced = forces(kind) && x->version >= ANTHROPIC_UNFORCED;
    if (unforced)
        kind = CANON_CHOICE_UNSET; // the model chooses
    if (unforced || (kind == CANON_CHOICE_OPAQUE && !x->own))
        canon_drop(x->r, SLICE("tool_choice"));
    if (!(x->written & 1u << ANTHROPIC_TOP_TOOLS))
        return;
    if (kind == CANON_CHOICE_OPAQUE && x->own) {
        anthropic__top_key(x, ANTHROPIC_TOP_TOOL_CHOICE);
        json_raw(x->w, x->r->tool_choice.raw);
        return;
    }
    if ((kind == CANON_CHOICE_UNSET || kind == CANON_CHOICE_OPAQUE) && !serial)
        return;
    anthropic__top_key(x, ANTHROPIC_TOP_TOOL_CHOICE);
    json_object(x->w);
    json_member_string(x->w, SLICE("type"), types[kind]);
    if (kind == CANON_CHOICE_TOOL)
        json_member(x->w, SLICE("name"), x->r->tool_choice.name);
    if (serial)
        json_member(x->w, SLICE("disable_parallel_tool_use"), SLICE("true"));
    json_object_end(x->w);
}

// ---- The whole ---------------------------------------------------------------------------------

static void write_unknown(struct anthropic_writing *x)
{
    bool pass = x->own || x->r->pass_extra;

    for (const struct canon_member *m = x->r->extra; m; m = m->next) {
        unsigned i = 0;
        while (i < ANTHROPIC_TOP_COUNT && !slice_eq(m->name, anthropic__top_names[i]))
            i++;
        if (!pass || (i < ANTHROPIC_TOP_COUNT && x->written & 1u << i)) {
            canon_drop(x->r, m->name);
            continue;
        }
        json_string(x->w, m->name);
        x->w->comma = false;
        json_plain(x->w, SLICE(":"));
        json_raw(x->w, m->value);
    }
}

static int write_content(struct anthropic_writing *x)
{
    bool written;

    int rc = anthropic__write_system(x->r, x->w, &written);
    if (rc)
        return rc;
    if (written)
        x->written |= 1u << ANTHROPIC_TOP_SYSTEM;
    x->written |= 1u << ANTHROPIC_TOP_MESSAGES;
    return anthropic__write_messages(x->r, x->w);
}

static int write_request(struct anthropic_writing *x, struct slice model)
{
    int rc = anthropic__refuse_several(x->r);
    x->version = x->own ? 0 : anthropic__version(model);
    if (rc == 0)
        rc = plan(x);
    if (rc)
        return rc;
    json_object(x->w);
    anthropic__top_key(x, ANTHROPIC_TOP_MODEL);
    json_string(x->w, model);
    write_max_tokens(x);
    rc = write_content(x);
    if (rc)
        return rc;
    write_tools(x);
    write_tool_choice(x);
    write_thinking(x);
    write_output_config(x);
    rc = anthropic__write_params(x);
    if (rc)
        return rc;
    if (x->r->stream && !x->counting) {
        anthropic__top_key(x, ANTHROPIC_TOP_STREAM);
        json_bool(x->w, true);
    }
    write_unknown(x);
    json_object_end(x->w);
    return x->w->err;
}

int anthropic__write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    struct anthropic_writing x = {.r = r, .w = w, .own = anthropic__is_family(r->from)};
    return write_request(&x, model);
}

int anthropic__write_count_request(struct canon_request *r, struct slice model,
                                   struct json_writer *w)
{
    struct anthropic_writing x = {
        .r = r, .w = w, .own = anthropic__is_family(r->from), .counting = true};
    return write_request(&x, model);
}
