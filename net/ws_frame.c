// SPDX-License-Identifier: Apache-2.0
//
// ws_frame.c: see ws_frame.h, where a frame and the parser's states are drawn.
//
// The first two bytes are judged alone, before the length behind them has come: a peer that breaks
// the rules is told so at the earliest byte, and no length of a bad frame is ever believed.
#include "net/ws_frame.h"

#include "base/assert.h"
#include "base/err.h"

enum { HEAD, MORE, PAYLOAD, FAILED };

#define FIN         0x80
#define RESERVED    0x70
#define OPCODE      0x0f
#define CONTROL     0x08
#define MASKED      0x80
#define LENGTH      0x7f
#define LENGTH_16   126
#define LENGTH_64   127
#define CLOSE_BYTES 2 // of the code

bool ws_code_valid(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

// ---- UTF-8 -----------------------------------------------------------------------------------

// What a first byte asks for; RFC 3629 4, row by row. None with left 0 but ASCII.
static bool utf8_begin(struct ws_utf8 *u, uint8_t c)
{
    static const struct {
        uint8_t first, last, left, low, high;
    } rows[] = {
        {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
        {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
        {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
    };
    if (c < 0x80)
        return true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (c >= rows[i].first && c <= rows[i].last) {
            *u = (struct ws_utf8){rows[i].left, rows[i].low, rows[i].high};
            return true;
        }
    }
    return false;
}

static size_t ascii_run(const char *p, size_t len)
{
    size_t n = 0;
    uint64_t word;
    while (len - n >= sizeof(word)) {
        memcpy(&word, p + n, sizeof(word));
        if (word & UINT64_C(0x8080808080808080))
            break;
        n += sizeof(word);
    }
    return n;
}

bool ws_utf8_add(struct ws_utf8 *u, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (u->left == 0) {
            i += ascii_run(s.ptr + i, s.len - i);
            if (i == s.len)
                return true;
            if (!utf8_begin(u, (uint8_t)s.ptr[i]))
                return false;
            continue;
        }
        uint8_t c = (uint8_t)s.ptr[i];
        if (c < u->low || c > u->high)
            return false;
        *u = (struct ws_utf8){(uint8_t)(u->left - 1), 0x80, 0xbf};
    }
    return true;
}

// ---- Masking ---------------------------------------------------------------------------------

unsigned ws_mask(char *bytes, size_t len, const uint8_t key[4], unsigned phase)
{
    uint8_t turned[8];
    uint64_t wide, word;
    size_t i = 0;
    ASSERT(phase < 4);
    for (unsigned k = 0; k < sizeof(turned); k++)
        turned[k] = key[(phase + k) & 3];
    memcpy(&wide, turned, sizeof(wide));
    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        word ^= wide;
        memcpy(bytes + i, &word, sizeof(word));
    }
    for (; i < len; i++)
        bytes[i] = (char)(bytes[i] ^ turned[i & 7]);
    return (unsigned)((phase + len) & 3);
}

// ---- Reading ---------------------------------------------------------------------------------

void ws_parser_init(struct ws_parser *p, enum ws_role role, const struct ws_limits *limits)
{
    *p = (struct ws_parser){.role = role, .state = HEAD, .head_need = 2};
    if (limits)
        p->limits = *limits;
    if (p->limits.message_bytes == 0)
        p->limits.message_bytes = LIMIT_WS_MESSAGE_BYTES;
    if (p->limits.frame_bytes == 0)
        p->limits.frame_bytes = LIMIT_WS_FRAME_BYTES;
    if (p->limits.fragments == 0)
        p->limits.fragments = LIMIT_WS_FRAGMENTS;
}

static int fail(struct ws_parser *p, unsigned code)
{
    ASSERT(ws_code_valid(code));
    p->state = FAILED;
    p->code = code;
    return ERR_BAD_FRAME;
}

static bool is_control(const struct ws_parser *p)
{
    return (p->opcode & CONTROL) != 0;
}

// Opcode and FIN of a frame against the message under way.
static int begin_data(struct ws_parser *p)
{
    if (p->opcode > WS_BINARY || (p->opcode == WS_CONTINUATION) != (p->message != 0))
        return fail(p, WS_CODE_PROTOCOL);
    if (p->message == 0) {
        p->message = p->opcode;
        p->begun = false;
        p->message_bytes = 0;
        p->fragments = 0;
        p->utf8 = (struct ws_utf8){0};
    }
    return ++p->fragments > p->limits.fragments ? fail(p, WS_CODE_TOO_BIG) : 0;
}

// The first two bytes.
static int on_head(struct ws_parser *p)
{
    uint8_t length = p->head[1] & LENGTH;
    bool masked = (p->head[1] & MASKED) != 0;
    p->fin = (p->head[0] & FIN) != 0;
    p->opcode = p->head[0] & OPCODE;
    if ((p->head[0] & RESERVED) != 0 || masked != (p->role == WS_SERVER))
        return fail(p, WS_CODE_PROTOCOL);
    if (is_control(p)) {
        if (!p->fin || length > WS_CONTROL_BYTES || p->opcode > WS_PONG)
            return fail(p, WS_CODE_PROTOCOL);
        p->control_len = 0;
    } else {
        int rc = begin_data(p);
        if (rc)
            return rc;
    }
    unsigned more = length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
    p->head_need = (uint8_t)(2 + more + (masked ? 4 : 0));
    p->state = MORE;
    return 0;
}

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

// Length and key.
static int on_more(struct ws_parser *p)
{
    uint8_t length = p->head[1] & LENGTH;
    p->left = length;
    if (length == LENGTH_16)
        p->left = big_endian(p->head + 2, 2);
    else if (length == LENGTH_64)
        p->left = big_endian(p->head + 2, 8);
    if ((length == LENGTH_16 && p->left < LENGTH_16) ||
        (length == LENGTH_64 && (p->left <= UINT16_MAX || p->left > INT64_MAX)))
        return fail(p, WS_CODE_PROTOCOL);
    if (!is_control(p)) {
        if (p->left > p->limits.frame_bytes || p->left > p->limits.message_bytes - p->message_bytes)
            return fail(p, WS_CODE_TOO_BIG);
        p->message_bytes += (size_t)p->left;
    }
    if (p->role == WS_SERVER)
        memcpy(p->key, p->head + p->head_need - 4, 4);
    p->phase = 0;
    p->state = PAYLOAD;
    return 0;
}

// Head bytes off the front of *in. 0: PAYLOAD.
static int take_head(struct ws_parser *p, struct slice *in)
{
    while (p->state != PAYLOAD) {
        while (p->head_len < p->head_need) {
            if (in->len == 0)
                return ERR_MORE;
            p->head[p->head_len++] = (uint8_t)in->ptr[0];
            *in = slice_skip(*in, 1);
        }
        int rc = p->state == HEAD ? on_head(p) : on_more(p);
        if (rc)
            return rc;
    }
    return 0;
}

// What of the payload is here, unmasked.
static struct slice take_payload(struct ws_parser *p, struct slice *in)
{
    size_t n = in->len < p->left ? in->len : (size_t)p->left;
    struct slice run = slice_take(*in, n);
    if (p->role == WS_SERVER && n > 0)
        p->phase = (uint8_t)ws_mask((char *)(uintptr_t)run.ptr, n, p->key, p->phase);
    *in = slice_skip(*in, n);
    p->left -= n;
    return run;
}

static void end_frame(struct ws_parser *p)
{
    ASSERT(p->left == 0);
    p->state = HEAD;
    p->head_len = 0;
    p->head_need = 2;
}

static int on_data(struct ws_parser *p, struct slice run, struct ws_event *ret)
{
    bool end = p->left == 0, last = end && p->fin;
    if (p->message == WS_TEXT &&
        (!ws_utf8_add(&p->utf8, run) || (last && !ws_utf8_whole(&p->utf8))))
        return fail(p, WS_CODE_NOT_UTF8);
    *ret = (struct ws_event){.type = WS_EVENT_DATA,
                             .bytes = run,
                             .opcode = p->message,
                             .first = !p->begun,
                             .last = last};
    p->begun = true;
    if (end)
        end_frame(p);
    if (last)
        p->message = 0;
    return 0;
}

static int on_close(struct ws_parser *p, struct ws_event *ret)
{
    struct slice all = slice_of(p->control, p->control_len);
    struct ws_utf8 utf8 = {0};
    ret->type = WS_EVENT_CLOSE;
    ret->code = WS_CODE_NONE;
    ret->bytes = slice_skip(all, CLOSE_BYTES);
    if (all.len == 0)
        return 0;
    if (all.len < CLOSE_BYTES)
        return fail(p, WS_CODE_PROTOCOL);
    ret->code = (unsigned)big_endian(p->control, CLOSE_BYTES);
    if (!ws_code_valid(ret->code))
        return fail(p, WS_CODE_PROTOCOL);
    if (!ws_utf8_add(&utf8, ret->bytes) || !ws_utf8_whole(&utf8))
        return fail(p, WS_CODE_NOT_UTF8);
    return 0;
}

// ERR_MORE: it is not all here.
static int on_control(struct ws_parser *p, struct slice run, struct ws_event *ret)
{
    ASSERT(run.len <= sizeof(p->control) - p->control_len);
    if (run.len > 0)
        memcpy(p->control + p->control_len, run.ptr, run.len);
    p->control_len = (uint8_t)(p->control_len + run.len);
    if (p->left > 0)
        return ERR_MORE;
    end_frame(p);
    struct ws_event event = {.type = p->opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG,
                             .bytes = slice_of(p->control, p->control_len)};
    int rc = p->opcode == WS_CLOSE ? on_close(p, &event) : 0;
    if (rc == 0)
        *ret = event;
    return rc;
}

int ws_parser_next(struct ws_parser *p, struct slice *in, struct ws_event *ret)
{
    if (p->state == FAILED)
        return ERR_BAD_FRAME;
    int rc = p->state == PAYLOAD ? 0 : take_head(p, in);
    if (rc)
        return rc;
    if (in->len == 0 && p->left > 0)
        return ERR_MORE;
    struct slice run = take_payload(p, in);
    return is_control(p) ? on_control(p, run, ret) : on_data(p, run, ret);
}

// ---- Writing ---------------------------------------------------------------------------------

size_t ws_frame_head(char *out, enum ws_opcode opcode, bool fin, uint64_t length,
                     const uint8_t *key)
{
    ASSERT(length <= INT64_MAX);
    unsigned more = length < LENGTH_16 ? 0 : length <= UINT16_MAX ? 2 : 8;
    uint8_t short_length = (uint8_t)(more == 0 ? length : more == 2 ? LENGTH_16 : LENGTH_64);
    size_t n = 0;
    out[n++] = (char)((fin ? FIN : 0) | (unsigned)opcode);
    out[n++] = (char)((key ? MASKED : 0) | short_length);
    for (unsigned i = more; i > 0; i--)
        out[n++] = (char)(length >> (8 * (i - 1)));
    if (key)
        memcpy(out + n, key, 4);
    return n + (key ? 4 : 0);
}

size_t ws_frame_control(char *out, enum ws_opcode opcode, struct slice payload, const uint8_t *key)
{
    ASSERT((opcode & CONTROL) && payload.len <= WS_CONTROL_BYTES);
    size_t n = ws_frame_head(out, opcode, true, payload.len, key);
    if (payload.len > 0)
        memcpy(out + n, payload.ptr, payload.len);
    if (key)
        (void)ws_mask(out + n, payload.len, key, 0);
    return n + payload.len;
}

size_t ws_close_payload(char *out, unsigned code, struct slice reason)
{
    if (code == WS_CODE_NONE)
        return 0;
    ASSERT(ws_code_valid(code));
    size_t n =
        reason.len < WS_CONTROL_BYTES - CLOSE_BYTES ? reason.len : WS_CONTROL_BYTES - CLOSE_BYTES;
    while (n < reason.len && n > 0 && ((uint8_t)reason.ptr[n] & 0xc0) == 0x80)
        n--;
    out[0] = (char)(code >> 8);
    out[1] = (char)code;
    if (n > 0)
        memcpy(out + CLOSE_BYTES, reason.ptr, n);
    return CLOSE_BYTES + n;
}
