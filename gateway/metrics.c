// SPDX-License-Identifier: Apache-2.0
//
// metrics.c: finding a series and counting in it.
//
// A request is counted on its own core, so nothing here is shared. Finding costs one key in a stack
// buffer and one look-up; the exchange keeps the upstream series it found, so an event of a stream
// costs neither. A series is allocated once, the first time its label values are seen.
//
// Label values come from outside: a model's name from the body, custom labels from x-bf-prom-
// headers. Each is cut at LABEL_VALUE_MAX bytes, and past METRICS_SERIES_MAX series a new one has
// "other" in place of what a client chose; what is left then is bounded by the configuration. The
// page reads `labels` only: bytes that would break it are replaced when they are written.
#include "gateway/metrics.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/exchange.h"
#include "gateway/metrics_series.h"
#include <stdlib.h>

// A client's longest label value; stops a 100 kB model name from being kept.
#define LABEL_VALUE_MAX 192
#define CUSTOM_MAX      16
// Above METRICS_SERIES_MAX, for the series named "other".
#define SERIES_RESERVE 1024
#define FIXED_MAX      12
#define KEY_BYTES_MAX  ((FIXED_MAX + 2 * CUSTOM_MAX) * (LABEL_VALUE_MAX + 2))
// Worst case of escaping: each byte becomes three (U+FFFD).
#define LABELS_BYTES_MAX (3 * KEY_BYTES_MAX + 1024)
#define OTHER            SLICE("other")

static const double upstream_bounds[] = {.005, .01, .025, .05, .1, .25, .5,  1,   2.5, 5,  10,
                                         15,   30,  45,   60,  90, 120, 180, 300, 600, 900};
static const double first_token_bounds[] = {.005, .01, .025, .05, .1, .25, .5,  1,
                                            2.5,  5,   10,   20,  30, 60,  120, 300};
static const double token_gap_bounds[] = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
static const double http_bounds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
static const double size_bounds[] = {1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

// Names a custom label may not take: two labels of one name make the whole page unreadable.
static const char *const upstream_label_names[] = {
    "provider",          "model",          "method",         "selected_key_id",
    "selected_key_name", "fallback_index", "virtual_key_id", "virtual_key_name",
    "team_id",           "team_name",      "customer_id",    "customer_name",
};
static const char *const http_label_names[] = {"path", "method", "status"};
static const char *const empty_label_names[] = {
    "routing_engine_used",
    "routing_rule_id",
    "routing_rule_name",
};
static const char *const page_label_names[] = {"le", "status_code", "is_success", "core"};

// The label values of one observation.
struct labels {
    struct slice fixed[FIXED_MAX];
    unsigned fixed_count;
    struct slice custom_name[CUSTOM_MAX], custom_value[CUSTOM_MAX];
    unsigned custom_count;
};

// ---- Life ------------------------------------------------------------------------------------

int metrics_init(struct metrics *m, const uint64_t seed[2])
{
    *m = (struct metrics){0};
    map_init(&m->upstream, seed);
    map_init(&m->http, seed);
    return 0;
}

static void free_values(struct map *m)
{
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(m, &i)) != NULL;)
        free(e->value);
    map_done(m);
}

void metrics_done(struct metrics *m)
{
    free_values(&m->upstream);
    free_values(&m->http);
}

void upstream_series_init(struct upstream_series *s)
{
    histogram_init(&s->latency[0], upstream_bounds, ARRAY_LEN(upstream_bounds));
    histogram_init(&s->latency[1], upstream_bounds, ARRAY_LEN(upstream_bounds));
    histogram_init(&s->first_token, first_token_bounds, ARRAY_LEN(first_token_bounds));
    histogram_init(&s->token_gap, token_gap_bounds, ARRAY_LEN(token_gap_bounds));
}

void http_series_init(struct http_series *s)
{
    histogram_init(&s->seconds, http_bounds, ARRAY_LEN(http_bounds));
    histogram_init(&s->request_bytes, size_bounds, ARRAY_LEN(size_bounds));
    histogram_init(&s->response_bytes, size_bounds, ARRAY_LEN(size_bounds));
}

void upstream_series_error(struct upstream_series *s, unsigned status, uint64_t count)
{
    unsigned i = 0;
    while (i < s->error_count && s->errors[i].status != status)
        i++;
    if (i == SERIES_STATUS_MAX) {
        i = SERIES_STATUS_MAX - 1; // holds "other" from now on
        s->errors[i].status = 0;
    } else if (i == s->error_count) {
        s->errors[s->error_count++] = (struct status_count){.status = status};
    }
    s->errors[i].count += count;
}

// ---- Keys ------------------------------------------------------------------------------------

static size_t key_add(char *key, size_t at, struct slice value)
{
    value = slice_take(value, LABEL_VALUE_MAX);
    ASSERT(at + 2 + value.len <= KEY_BYTES_MAX);
    key[at] = (char)(value.len & 0xff);
    key[at + 1] = (char)(value.len >> 8);
    if (value.len > 0)
        memcpy(&key[at + 2], value.ptr, value.len);
    return at + 2 + value.len;
}

static struct slice key_of(const struct labels *l, char *out)
{
    size_t at = 0;
    for (unsigned i = 0; i < l->fixed_count; i++)
        at = key_add(out, at, l->fixed[i]);
    for (unsigned i = 0; i < l->custom_count; i++) {
        at = key_add(out, at, l->custom_name[i]);
        at = key_add(out, at, l->custom_value[i]);
    }
    return slice_of(out, at);
}

// ---- Label text ------------------------------------------------------------------------------

// Bytes of the well-formed UTF-8 sequence at the start of `s`; 0 when there is none (RFC 3629).
static unsigned utf8_len(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n < 2)
        return n;
    if (p[0] > 0xf4 || s.len < n)
        return 0;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (unsigned i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

// Text exposition format 0.0.4: backslash, quote and line feed are escaped, the rest is UTF-8.
static void add_value(struct buf *b, struct slice value)
{
    value = slice_take(value, LABEL_VALUE_MAX);
    while (value.len > 0) {
        unsigned n = utf8_len(value);
        if (n == 0)
            buf_add(b, SLICE("\xef\xbf\xbd"));
        else if (value.ptr[0] == '\n')
            buf_add(b, SLICE("\\n"));
        else if (value.ptr[0] == '"' || value.ptr[0] == '\\')
            buf_printf(b, "\\%c", value.ptr[0]);
        else
            buf_add(b, slice_take(value, n));
        value = slice_skip(value, n > 0 ? n : 1);
    }
}

static bool name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// A name is [a-zA-Z_][a-zA-Z0-9_]*; anything else in it becomes '_'.
static void add_name(struct buf *b, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool fits = name_start(c) || (i > 0 && c >= '0' && c <= '9');
        buf_add_char(b, fits ? c : '_');
    }
}

static void add_label(struct buf *b, struct slice name, struct slice value)
{
    if (b->len > 0)
        buf_add_char(b, ',');
    add_name(b, name);
    buf_add(b, SLICE("=\""));
    add_value(b, value);
    buf_add_char(b, '"');
}

static void add_custom(struct buf *b, const struct labels *l)
{
    for (unsigned i = 0; i < l->custom_count; i++)
        add_label(b, l->custom_name[i], l->custom_value[i]);
}

static void upstream_text(struct buf *b, const struct labels *l)
{
    for (size_t i = 0; i < ARRAY_LEN(upstream_label_names); i++)
        add_label(b, slice_str(upstream_label_names[i]), l->fixed[i]);
    for (size_t i = 0; i < ARRAY_LEN(empty_label_names); i++)
        add_label(b, slice_str(empty_label_names[i]), SLICE_EMPTY);
    add_custom(b, l);
}

static void http_text(struct buf *b, const struct labels *l)
{
    for (size_t i = 0; i < ARRAY_LEN(http_label_names); i++)
        add_label(b, slice_str(http_label_names[i]), l->fixed[i]);
    add_custom(b, l);
}

// ---- Custom labels ---------------------------------------------------------------------------

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return name_start(c) || (c >= '0' && c <= '9') ? c : '_';
}

// Equal as label names: letter case ignored, '-' is '_'.
static bool names_equal(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.ptr[i]) != fold(b.ptr[i]))
            return false;
    }
    return true;
}

static bool listed(const char *const *names, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (names_equal(slice_str(names[i]), name))
            return true;
    }
    return false;
}

static bool reserved(struct slice name)
{
    return listed(upstream_label_names, ARRAY_LEN(upstream_label_names), name) ||
           listed(http_label_names, ARRAY_LEN(http_label_names), name) ||
           listed(empty_label_names, ARRAY_LEN(empty_label_names), name) ||
           listed(page_label_names, ARRAY_LEN(page_label_names), name);
}

static struct slice header_value(const struct http_head *head, struct slice label)
{
    static const struct slice prefix = {"x-bf-prom-", 10};
    for (unsigned i = 0; i < head->count; i++) {
        const struct http_field *f = &head->fields[i];
        if (f->id == HTTP_N_OTHER && slice_istarts(f->name, prefix) &&
            names_equal(slice_skip(f->name, prefix.len), label))
            return f->value;
    }
    return SLICE_EMPTY;
}

static void custom_labels(const struct exchange *x, struct labels *l)
{
    const struct config *c = x->config;
    for (unsigned i = 0; i < c->prometheus_label_count && l->custom_count < CUSTOM_MAX; i++) {
        struct slice name = c->prometheus_labels[i];
        bool twice = false;
        for (unsigned k = 0; k < l->custom_count; k++)
            twice = twice || names_equal(l->custom_name[k], name);
        if (name.len == 0 || twice || reserved(name))
            continue;
        l->custom_name[l->custom_count] = name;
        l->custom_value[l->custom_count++] = header_value(&x->stream->request, name);
    }
}

// ---- Finding ---------------------------------------------------------------------------------

// A zeroed series with key and labels behind it, or NULL.
static void *make(size_t bytes, struct slice key, const struct buf *labels, struct slice *ret_key,
                  struct slice *ret_labels)
{
    char *s = labels->err ? NULL : calloc(1, bytes + key.len + labels->len);
    if (s == NULL)
        return NULL;
    memcpy(s + bytes, key.ptr, key.len);
    memcpy(s + bytes + key.len, labels->ptr, labels->len);
    *ret_key = slice_of(s + bytes, key.len);
    *ret_labels = slice_of(s + bytes + key.len, labels->len);
    return s;
}

static struct upstream_series *make_upstream(struct metrics *m, const struct labels *l,
                                             struct slice key)
{
    struct buf text;
    struct slice own_key, own_labels;
    buf_init(&text, LABELS_BYTES_MAX);
    upstream_text(&text, l);
    struct upstream_series *s = make(sizeof(*s), key, &text, &own_key, &own_labels);
    buf_done(&text);
    if (s == NULL)
        return NULL;
    s->key = own_key;
    s->labels = own_labels;
    upstream_series_init(s);
    if (map_put(&m->upstream, s->key, s) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

static struct http_series *make_http(struct metrics *m, const struct labels *l, struct slice key)
{
    struct buf text;
    struct slice own_key, own_labels;
    buf_init(&text, LABELS_BYTES_MAX);
    http_text(&text, l);
    struct http_series *s = make(sizeof(*s), key, &text, &own_key, &own_labels);
    buf_done(&text);
    if (s == NULL)
        return NULL;
    s->key = own_key;
    s->labels = own_labels;
    http_series_init(s);
    if (map_put(&m->http, s->key, s) < 0) {
        free(s);
        return NULL;
    }
    return s;
}

// Replaces what clients chose; `model` is the position of a client's value, or -1.
static void anonymize(struct metrics *m, struct labels *l, int model)
{
    counter_add(&m->overflow, 1);
    if (model >= 0)
        l->fixed[model] = OTHER;
    for (unsigned i = 0; i < l->custom_count; i++)
        l->custom_value[i] = OTHER;
}

static struct upstream_series *find_upstream(struct metrics *m, struct labels *l)
{
    char bytes[KEY_BYTES_MAX];
    struct slice key = key_of(l, bytes);
    void *s = map_get(&m->upstream, key);
    if (s != NULL)
        return s;
    if (m->upstream.live >= METRICS_SERIES_MAX) {
        anonymize(m, l, 1);
        key = key_of(l, bytes);
        s = map_get(&m->upstream, key);
        if (s != NULL || m->upstream.live >= METRICS_SERIES_MAX + SERIES_RESERVE)
            return s;
    }
    return make_upstream(m, l, key);
}

static struct http_series *find_http(struct metrics *m, struct labels *l)
{
    char bytes[KEY_BYTES_MAX];
    struct slice key = key_of(l, bytes);
    void *s = map_get(&m->http, key);
    if (s != NULL)
        return s;
    if (m->http.live >= METRICS_SERIES_MAX) {
        anonymize(m, l, -1);
        key = key_of(l, bytes);
        s = map_get(&m->http, key);
        if (s != NULL || m->http.live >= METRICS_SERIES_MAX + SERIES_RESERVE)
            return s;
    }
    return make_http(m, l, key);
}

// Whose request it is: a virtual key, its team, its customer.
static void owner_labels(const struct virtual_key *key, struct labels *l)
{
    l->fixed[6] = key->id;
    l->fixed[7] = key->name;
    for (const struct governance_owner *o = key->owner.above; o != NULL; o = o->above) {
        unsigned at = o->level == GOVERNANCE_TEAM ? 8 : 10;
        l->fixed[at] = o->id;
        l->fixed[at + 1] = o->name;
    }
}

static struct upstream_series *series_of(struct exchange *x)
{
    if (x->series != NULL && x->series_key == x->key && x->series_target == x->target_index)
        return x->series;
    char index[20];
    struct labels l = {.fixed_count = FIXED_MAX};
    if (x->target_index < x->target_count) {
        l.fixed[0] = x->target[x->target_index].provider->name;
        l.fixed[1] = x->target[x->target_index].model;
    }
    if (x->route != NULL && x->route->mount != MOUNT_NONE)
        l.fixed[2] = operation_name(x->route->operation, x->stream_wanted);
    if (x->key != NULL) {
        l.fixed[3] = x->key->id;
        l.fixed[4] = x->key->name;
    }
    l.fixed[5] = slice_of(index, fmt_u64(index, x->target_index));
    if (x->virtual_key != NULL)
        owner_labels(x->virtual_key, &l);
    custom_labels(x, &l);
    x->series = find_upstream(&x->core->metrics, &l);
    x->series_key = x->key;
    x->series_target = x->target_index;
    return x->series;
}

// ---- Observing -------------------------------------------------------------------------------

void metrics_upstream(struct exchange *x, bool success, unsigned status, double seconds)
{
    struct upstream_series *s = series_of(x);
    if (s == NULL)
        return;
    counter_add(&s->requests, 1);
    histogram_observe(&s->latency[success ? 1 : 0], seconds);
    if (!success) {
        upstream_series_error(s, status, 1);
        return;
    }
    counter_add(&s->successes, 1);
    if (x->charge.cost_known)
        counter_add(&s->cost, (uint64_t)x->charge.cost);
    if (x->usage.known) {
        counter_add(&s->input_tokens, x->usage.input_tokens);
        counter_add(&s->output_tokens, x->usage.output_tokens);
        counter_add(&s->cache_read_tokens, x->usage.cached_read_tokens);
        counter_add(&s->cache_write_tokens, x->usage.cached_write_tokens);
    }
}

void metrics_first_event(struct exchange *x, double seconds)
{
    struct upstream_series *s = series_of(x);
    if (s != NULL)
        histogram_observe(&s->first_token, seconds);
}

void metrics_event_gap(struct exchange *x, double seconds)
{
    struct upstream_series *s = series_of(x);
    if (s != NULL)
        histogram_observe(&s->token_gap, seconds);
}

void metrics_http(struct exchange *x, double seconds, uint64_t request_bytes,
                  uint64_t response_bytes)
{
    char status[20];
    struct labels l = {.fixed_count = 3};
    l.fixed[0] = x->route != NULL ? slice_str(x->route->path) : OTHER;
    l.fixed[1] = http_method_name(x->stream->request.method);
    l.fixed[2] = slice_of(status, fmt_u64(status, x->status));
    custom_labels(x, &l);
    struct http_series *s = find_http(&x->core->metrics, &l);
    if (s == NULL)
        return;
    counter_add(&s->requests, 1);
    histogram_observe(&s->seconds, seconds);
    histogram_observe(&s->request_bytes, (double)request_bytes);
    histogram_observe(&s->response_bytes, (double)response_bytes);
}
