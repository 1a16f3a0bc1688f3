// SPDX-License-Identifier: Apache-2.0
//
// story.h: who asked what, and what providers answered: by which everything a client gets is
// judged.
//
// Each request and each answer of a provider has a number, and its bytes follow from it. So a
// client that finds an answer's number in what it got can say byte for byte what should be there.
#ifndef RINGGATE_TESTS_SIM_STORY_H
#define RINGGATE_TESTS_SIM_STORY_H

#include "tests/sim/sim.h"

enum story_kind {
    STORY_CHAT,      // answered whole
    STORY_STREAM,    // answered by events
    STORY_HEALTH,    // the gateway's own answer
    STORY_UNKNOWN,   // no such path
    STORY_BROKEN,    // no JSON
    STORY_MALFORMED, // no HTTP
    STORY_KIND_COUNT,
};

struct story_request {
    enum story_kind kind;
    bool unified;     // /v1, else the drop-in
    bool fallback;    // names another target
    bool usage;       // stream_options.include_usage
    bool chunked;     // its own body
    unsigned padding; // letters in the prompt
    bool over;        // the client knows what came of it
};

struct story_attempt {
    unsigned request;
    bool stream;
    unsigned events; // of a stream, [DONE] and usage not counted
    unsigned filler; // letters in the answer, or in each event
    bool usage;      // one more event
    bool whole;      // its last byte has been sent
};

// What clients saw.
struct story_count {
    unsigned right, refused, marked, cut, unanswered, abandoned;
};

struct story {
    struct story_request *request;
    struct story_attempt *attempt;
    unsigned requests, attempts;
    struct story_count count;
};

// Bytes that grow; the simulator's memory.
struct text {
    char *ptr;
    size_t len, cap;
};

void text_add(struct text *t, const void *bytes, size_t len);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_cut(struct text *t, size_t n); // from the front
void text_free(struct text *t);
// The first `needle` in bytes [from, len); -1: none.
long text_find(const struct text *t, size_t from, const char *needle);
// The number behind the first `mark`; -1: none.
long text_number(const char *bytes, size_t len, const char *mark);

unsigned story_ask(struct story *s, bool with_large);
unsigned story_try(struct story *s, unsigned request, bool stream);
void story_free(struct story *s);

const char *story_path(const struct story *s, unsigned request);
void story_request_body(const struct story *s, unsigned request, struct text *out);
void story_request_text(const struct story *s, unsigned request, struct text *out); // HTTP/1.1
void story_answer_body(const struct story *s, unsigned attempt, struct text *out);
void story_event(const struct story *s, unsigned attempt, unsigned k, struct text *out);
void story_usage_event(const struct story *s, unsigned attempt, struct text *out);
// The body a provider got is the request's: fails the seed if not.
void story_check_request(const struct story *s, unsigned request, const char *body, size_t len);
// What a client got, its framing complete or not: fails the seed if it is wrong, else counts what
// it was.
void story_judge(struct story *s, unsigned request, unsigned status, const struct text *body,
                 bool complete);

#endif
