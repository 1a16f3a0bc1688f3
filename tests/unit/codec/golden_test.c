// SPDX-License-Identifier: Apache-2.0
//
// golden_test.c: translation does what tests/golden says, case by case.
//
// Of each case: the request is written (or refused, and for what), and what was dropped; the
// answer; the stream, given whole, an event at a time, and cut anywhere. What is written for a
// client is also held against the validators of its dialect (tests/support/stream_rules.h).
//
// And of each text of a dialect, whichever pair it stands in: through the canonical form and back
// it may lose something once (docs/translation.md), never twice. For w(r(x)) = y, w(r(y)) is y
// again, byte for byte.
//
// A pair whose dialects do not translate yet is skipped, and said so.
//
//   RINGGATE_GOLDEN_CUTS   random cuts of all streams together (500)
//   RINGGATE_GOLDEN_SEED   of the cuts; printed
#include "tests/support/golden.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/prng.h"
#include "tests/unit/base/cm.h"
#include <stdio.h>
#include <stdlib.h>

#define FOLDER     "tests/golden"
#define NOW_S      1700000000
#define REQUEST_ID "req-0123456789abcdef"
// Fewer cases or pairs than this: the folder is not what it was.
#define CASES_MIN 230
#define PAIRS_MIN 12

// One text through the codec: memory, and what the writers are told.
struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_context context;
    bool keeps_thoughts;
};

static void desk_open(struct desk *d, const struct golden_case *c)
{
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, (size_t)64 << 20);
    d->context = (struct canon_context){
        .now_s = NOW_S, .model = SLICE("test-model"), .id = SLICE(REQUEST_ID)};
    d->keeps_thoughts = false;
    if (c) {
        d->context.model = slice_str(c->model);
        d->context.request = c->file[GOLDEN_REQUEST_CLIENT];
        d->keeps_thoughts = c->file[GOLDEN_KEEPS_THOUGHTS].ptr != NULL;
    }
}

static void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

// ---- Saying what is wrong -----------------------------------------------------------------------

// A case goes on after a difference: all of them are worth knowing at once.
struct report {
    const struct golden_case *c;
    unsigned wrong;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct report *r, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    print_error("%s: %s\n", r->c->name, text);
    r->wrong++;
}

static void wrong_text(struct report *r, const char *what, const struct golden_diff *diff,
                       struct slice got)
{
    wrong(r, "%s: %s", what, diff->text);
    print_error("    written: %.*s\n", SLICE_ARG(got));
}

// ---- Requests -----------------------------------------------------------------------------------

static int write_request(struct desk *d, const struct dialect *from, const struct dialect *to,
                         struct slice text, struct slice model, struct canon_request *r,
                         struct slice *ret)
{
    struct json_writer w;
    *r = (struct canon_request){
        .arena = &d->arena, .from = from, .keep_thoughts = d->keeps_thoughts};
    int rc = from->translation->read_request(r, text);
    if (rc)
        return rc;
    json_writer_init(&w, &d->arena, 0);
    rc = to->translation->write_request(r, model, &w);
    return rc ? rc : json_writer_done(&w, ret);
}

static void check_dropped(struct report *report, struct desk *d, const struct canon_request *r)
{
    struct slice expected = report->c->file[GOLDEN_DROPPED];
    struct slice got = SLICE_EMPTY;
    for (struct canon_member *m = r->dropped; m; m = m->next)
        got = arena_printf(&d->arena, "%.*s%.*s\n", SLICE_ARG(got), SLICE_ARG(m->name));
    if (!slice_eq(expected, got))
        wrong(report, "dropped:\n%.*sexpected:\n%.*s", SLICE_ARG(got), SLICE_ARG(expected));
}

static void check_refused(struct report *report, int rc, const struct canon_request *r)
{
    struct slice expected = slice_trim(report->c->file[GOLDEN_REFUSED]);
    while (expected.len > 0 && expected.ptr[expected.len - 1] == '\n')
        expected.len--;
    if (rc != ERR_UNSUPPORTED && rc != ERR_BAD_TYPE && rc != ERR_MISSING)
        wrong(report, "the request is not refused (%d)", rc);
    else if (!slice_eq(r->refusal.param, expected))
        wrong(report, "refused for '%.*s', expected '%.*s'", SLICE_ARG(r->refusal.param),
              SLICE_ARG(expected));
    else if (r->refusal.message.len == 0)
        wrong(report, "refused without a word");
}

static void check_request(struct report *report, struct buf *written)
{
    const struct golden_case *c = report->c;
    struct canon_request r;
    struct golden_diff diff;
    struct slice got;
    struct desk d;
    if (!c->file[GOLDEN_REQUEST_CLIENT].ptr)
        return;
    desk_open(&d, c);
    struct slice expected = c->file[GOLDEN_REQUEST_PROVIDER];
    int rc = write_request(&d, c->client.dialect, c->provider.dialect,
                           c->file[GOLDEN_REQUEST_CLIENT], slice_str(c->model), &r, &got);
    if (c->file[GOLDEN_REFUSED].ptr) {
        check_refused(report, rc, &r);
    } else if (rc) {
        wrong(report, "the request fails: %d, '%.*s': %.*s", rc, SLICE_ARG(r.refusal.param),
              SLICE_ARG(r.refusal.message));
    } else {
        if (!golden_same_json(expected, got, &diff))
            wrong_text(report, "request", &diff, got);
        check_dropped(report, &d, &r);
        buf_add(written, got);
    }
    desk_close(&d);
}

// ---- Answers ------------------------------------------------------------------------------------

static int write_answer(struct desk *d, const struct dialect *from, const struct dialect *to,
                        struct slice text, struct slice *ret)
{
    struct json_writer w;
    struct canon_answer a = {.arena = &d->arena, .from = from};
    int rc = from->translation->read_answer(&a, text);
    if (rc)
        return rc;
    json_writer_init(&w, &d->arena, 0);
    rc = to->translation->write_answer(&a, &d->context, &w);
    return rc ? rc : json_writer_done(&w, ret);
}

static void check_answer(struct report *report, struct buf *written)
{
    const struct golden_case *c = report->c;
    struct golden_diff diff;
    struct slice got;
    struct desk d;
    if (!c->file[GOLDEN_ANSWER_PROVIDER].ptr)
        return;
    desk_open(&d, c);
    int rc = write_answer(&d, c->provider.dialect, c->client.dialect,
                          c->file[GOLDEN_ANSWER_PROVIDER], &got);
    if (rc)
        wrong(report, "the answer fails: %d", rc);
    else if (!golden_same_json(c->file[GOLDEN_ANSWER_CLIENT], got, &diff))
        wrong_text(report, "answer", &diff, got);
    if (!rc)
        buf_add(written, got);
    desk_close(&d);
}

// ---- Streams ------------------------------------------------------------------------------------

// How a stream is given: how many bytes the next span has.
struct cutter {
    size_t (*next)(struct cutter *self, struct slice rest);
    struct prng *prng;
};

static size_t cut_nowhere(struct cutter *self, struct slice rest)
{
    (void)self;
    return rest.len;
}

static size_t cut_behind_events(struct cutter *self, struct slice rest)
{
    (void)self;
    ptrdiff_t blank = slice_find(rest, SLICE("\n\n"));
    return blank < 0 ? rest.len : (size_t)blank + 2;
}

static size_t cut_anywhere(struct cutter *self, struct slice rest)
{
    size_t most = rest.len < 400 ? rest.len : 400;
    return 1 + (size_t)prng_below(self->prng, most);
}

struct outcome {
    int rc;
    bool ended;
    struct slice text;       // what the client got
    struct slice error_type; // of a reported error
};

// Feeds until the stream is used up, ends or breaks, as the gateway does.
static struct outcome translate(struct desk *d, const struct dialect *from,
                                const struct dialect *to, struct slice stream,
                                struct cutter *cutter)
{
    struct sse_splitter splitter;
    struct sse_event event;
    struct canon_translator t;
    struct json_writer out;
    struct outcome o = {0};

    canon_translator_init(&t, from, to, &d->arena, &d->context);
    json_writer_init(&out, &d->arena, 0);
    sse_init(&splitter);
    while (stream.len > 0 && !o.rc && !t.ended) {
        size_t len = cutter->next(cutter, stream);
        sse_feed(&splitter, slice_take(stream, len));
        stream = slice_skip(stream, len);
        while (!o.rc && !t.ended && sse_next(&splitter, &event) == 0)
            o.rc = canon_translate(&t, &event, &out);
    }
    sse_done(&splitter);
    o.ended = t.ended;
    o.error_type = t.error.type;
    if (json_writer_done(&out, &o.text) && !o.rc)
        o.rc = ERR_NOMEM;
    return o;
}

// Did it end as `broken` says, or whole when there is no such file?
static void check_end(struct report *report, const struct outcome *o)
{
    struct slice said = report->c->file[GOLDEN_BROKEN];
    while (said.len > 0 && said.ptr[said.len - 1] == '\n')
        said.len--;
    if (!said.ptr && (o->rc || !o->ended))
        wrong(report, "the stream is not whole (%d)", o->rc);
    else if (slice_eq(said, SLICE("truncated")) && (o->rc || o->ended))
        wrong(report, "the stream should end early (%d)", o->rc);
    else if (slice_eq(said, SLICE("malformed")) && o->rc != ERR_BAD_SSE)
        wrong(report, "the stream is malformed, and that is not seen (%d)", o->rc);
    else if (slice_starts(said, SLICE("error ")) &&
             (o->rc != ERR_UPSTREAM_PROTOCOL || !slice_eq(o->error_type, slice_skip(said, 6))))
        wrong(report, "the error is not seen (%d, '%.*s')", o->rc, SLICE_ARG(o->error_type));
}

static void check_stream_cut(struct report *report, const char *how, struct cutter *cutter,
                             struct buf *written)
{
    const struct golden_case *c = report->c;
    struct golden_diff diff;
    struct stream_verdict verdict;
    struct desk d;
    desk_open(&d, c);
    struct outcome o = translate(&d, c->provider.dialect, c->client.dialect,
                                 c->file[GOLDEN_STREAM_PROVIDER], cutter);
    check_end(report, &o);
    if (!golden_same_stream(c->file[GOLDEN_STREAM_CLIENT], o.text, &diff))
        wrong_text(report, how, &diff, o.text);
    if (c->client.rules && !c->client.rules(o.text, o.ended, &verdict))
        wrong(report, "%s: not legal: event %zu: %s", how, verdict.event, verdict.why);
    if (written)
        buf_add(written, o.text);
    desk_close(&d);
}

static void check_stream(struct report *report, struct buf *written)
{
    struct cutter whole = {.next = cut_nowhere}, events = {.next = cut_behind_events};
    if (!report->c->file[GOLDEN_STREAM_PROVIDER].ptr)
        return;
    check_stream_cut(report, "stream, whole", &whole, written);
    check_stream_cut(report, "stream, event by event", &events, NULL);
}

// ---- There and back -----------------------------------------------------------------------------

enum text_kind { TEXT_REQUEST, TEXT_ANSWER, TEXT_STREAM };

static int rewrite(struct desk *d, enum text_kind kind, const struct dialect *dialect,
                   struct slice text, struct slice *ret)
{
    struct canon_request r;
    struct cutter whole = {.next = cut_nowhere};
    if (kind == TEXT_REQUEST)
        return write_request(d, dialect, dialect, text, SLICE("test-model"), &r, ret);
    if (kind == TEXT_ANSWER)
        return write_answer(d, dialect, dialect, text, ret);
    struct outcome o = translate(d, dialect, dialect, text, &whole);
    *ret = o.text;
    return o.rc ? o.rc : (o.ended ? 0 : ERR_UPSTREAM_TRUNCATED);
}

static void check_round(struct report *report, const char *what, enum text_kind kind,
                        const struct golden_side *side, struct slice text)
{
    struct slice once, twice;
    struct desk d;
    if (!text.ptr || (kind == TEXT_STREAM && report->c->file[GOLDEN_BROKEN].ptr))
        return;
    if (!dialect_translates(side->dialect, side->dialect, kind == TEXT_STREAM))
        return;
    desk_open(&d, NULL);
    int rc = rewrite(&d, kind, side->dialect, text, &once);
    // What another dialect refuses, its own may refuse to read.
    bool refused = kind == TEXT_REQUEST && report->c->file[GOLDEN_REFUSED].ptr &&
                   (rc == ERR_UNSUPPORTED || rc == ERR_BAD_TYPE);
    int again = rc ? rc : rewrite(&d, kind, side->dialect, once, &twice);
    if (again && !refused)
        wrong(report, "%s: %s through the canonical form fails %s: %d", what, side->name,
              rc ? "at once" : "the second time", again);
    else if (!again && !slice_eq(once, twice))
        wrong(report, "%s: %s through the canonical form:\n    once  %.*s\n    twice %.*s", what,
              side->name, SLICE_ARG(once), SLICE_ARG(twice));
    desk_close(&d);
}

static void check_rounds(struct report *report)
{
    const struct golden_case *c = report->c;
    const struct golden_side *client = &c->client, *provider = &c->provider;
    check_round(report, "request", TEXT_REQUEST, client, c->file[GOLDEN_REQUEST_CLIENT]);
    check_round(report, "request", TEXT_REQUEST, provider, c->file[GOLDEN_REQUEST_PROVIDER]);
    check_round(report, "answer", TEXT_ANSWER, client, c->file[GOLDEN_ANSWER_CLIENT]);
    check_round(report, "answer", TEXT_ANSWER, provider, c->file[GOLDEN_ANSWER_PROVIDER]);
    check_round(report, "stream", TEXT_STREAM, client, c->file[GOLDEN_STREAM_CLIENT]);
    check_round(report, "stream", TEXT_STREAM, provider, c->file[GOLDEN_STREAM_PROVIDER]);
}

// ---- Cases --------------------------------------------------------------------------------------

static void check_verbatim(struct report *report, const struct buf *written)
{
    struct slice rest = report->c->file[GOLDEN_VERBATIM];
    while (rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice line = slice_take(rest, end < 0 ? rest.len : (size_t)end);
        rest = slice_skip(rest, line.len + 1);
        if (line.len > 0 && slice_find(buf_slice(written), line) < 0)
            wrong(report, "not written as it was: %.*s", SLICE_ARG(line));
    }
}

static void a_case(void **state)
{
    const struct golden_case *c = *state;
    struct report report = {.c = c};
    struct stream_verdict verdict;
    struct buf written;
    // What is expected must itself be a stream that a client may see.
    if (c->client.rules && c->file[GOLDEN_STREAM_CLIENT].ptr &&
        !c->client.rules(c->file[GOLDEN_STREAM_CLIENT], !c->file[GOLDEN_BROKEN].ptr, &verdict))
        wrong(&report, "the golden file is not legal: event %zu: %s", verdict.event, verdict.why);
    check_rounds(&report); // also of a dialect whose counterpart is not there yet
    bool whole = golden_translates(c, false), streams = golden_translates(c, true);
    if (!whole && !streams && report.wrong == 0)
        skip();
    buf_init(&written, (size_t)16 << 20);
    if (whole || streams)
        check_request(&report, &written);
    if (whole)
        check_answer(&report, &written);
    if (streams)
        check_stream(&report, &written);
    if (whole && streams)
        check_verbatim(&report, &written);
    buf_done(&written);
    if (report.wrong > 0)
        fail_msg("%s: %u differences", c->name, report.wrong);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    uint64_t value;
    const char *text = getenv(name);
    return text && slice_to_u64(slice_str(text), &value) == 0 ? value : otherwise;
}

// Bytes arrive as they like: what the client gets does not depend on it.
static void cuts_anywhere_change_nothing(void **state)
{
    const struct golden *g = *state;
    uint64_t cuts = number_from("RINGGATE_GOLDEN_CUTS", 500);
    uint64_t seed = number_from("RINGGATE_GOLDEN_SEED", 20260101);
    struct prng prng;
    unsigned wrongs = 0, tries = 0;
    prng_seed(&prng, seed);
    print_message("golden: seed %llu\n", (unsigned long long)seed);
    for (uint64_t tried = 0, cut = 0; cut < cuts && tried < 100 * cuts && wrongs == 0; tried++) {
        const struct golden_case *c = &g->cases[prng_below(&prng, g->count)];
        struct cutter cutter = {.next = cut_anywhere, .prng = &prng};
        struct report report = {.c = c};
        if (!golden_translates(c, true) || !c->file[GOLDEN_STREAM_PROVIDER].ptr)
            continue;
        check_stream_cut(&report, "stream, cut anywhere", &cutter, NULL);
        wrongs += report.wrong;
        cut++;
        tries++;
    }
    print_message("golden: %u streams cut anywhere\n", tries);
    assert_int_equal(wrongs, 0);
}

// The loud lines: which pairs did not run. Once every dialect translates, all do.
static void none_is_missing(void **state)
{
    const struct golden *g = *state;
    const struct golden_case *last = NULL;
    size_t ran = 0;
    bool all = true;
    for (size_t i = 0; i < g->count; i++) {
        const struct golden_case *c = &g->cases[i];
        all &= c->client.dialect->translation && c->provider.dialect->translation;
        bool runs = golden_translates(c, false) && golden_translates(c, true);
        ran += runs;
        if (!runs && (!last || strcmp(last->client.name, c->client.name) != 0 ||
                      strcmp(last->provider.name, c->provider.name) != 0)) {
            print_message("golden: SKIPPED: %s and %s do not translate (whole: %d, streams: %d)\n",
                          c->client.name, c->provider.name, golden_translates(c, false),
                          golden_translates(c, true));
            last = c;
        }
    }
    print_message("golden: %zu pairs, %zu cases: %zu run, %zu SKIPPED\n", g->pairs, g->count, ran,
                  g->count - ran);
    assert_true(g->count >= CASES_MIN);
    assert_true(g->pairs >= PAIRS_MIN);
    if (all)
        assert_int_equal(ran, g->count);
}

int main(void)
{
    struct golden golden;
    golden_read(&golden, FOLDER);
    struct CMUnitTest *tests = calloc(golden.count + 2, sizeof(*tests));
    if (!tests)
        return 1;
    for (size_t i = 0; i < golden.count; i++)
        tests[i] = (struct CMUnitTest){
            .name = golden.cases[i].name, .test_func = a_case, .initial_state = &golden.cases[i]};
    tests[golden.count] =
        (struct CMUnitTest)cmocka_unit_test_prestate(cuts_anywhere_change_nothing, &golden);
    tests[golden.count + 1] =
        (struct CMUnitTest)cmocka_unit_test_prestate(none_is_missing, &golden);
    int failed = _cmocka_run_group_tests("golden", tests, golden.count + 2, NULL, NULL);
    free(tests);
    golden_done(&golden);
    return failed;
}
