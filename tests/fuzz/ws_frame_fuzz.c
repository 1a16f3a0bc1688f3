// SPDX-License-Identifier: Apache-2.0
//
// ws_frame_fuzz.c: any bytes as frames, in both roles, whole and cut into pieces.
//
// The first byte is the length of the pieces, and its top bit the role. Both runs must end alike,
// with the same messages and controls. Each control frame is written again, as one of the other
// role with its key, and must be read as the same.
#include "base/assert.h"
#include "base/err.h"
#include "net/ws_frame.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_BYTES ((size_t)1 << 16)

struct outcome {
    int rc;
    unsigned code, controls, messages;
    size_t bytes;
    uint64_t sum;
};

static const struct ws_limits limits = {
    .message_bytes = MESSAGE_BYTES, .frame_bytes = MESSAGE_BYTES, .fragments = 64};

static void add(struct outcome *o, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        o->sum = o->sum * 31 + (unsigned char)s.ptr[i] + 1;
}

// Writes a control frame to the other side's reader, which must see the same.
static void write_again(enum ws_role role, const struct ws_event *e)
{
    static const uint8_t key[4] = {1, 2, 3, 0xff};
    char frame[WS_HEAD_BYTES + WS_CONTROL_BYTES], payload[WS_CONTROL_BYTES];
    enum ws_role other = role == WS_SERVER ? WS_CLIENT : WS_SERVER;
    static const enum ws_opcode opcodes[] = {0, WS_PING, WS_PONG, WS_CLOSE};
    struct slice body = e->bytes;
    struct ws_parser p;
    struct ws_event again;
    if (e->type == WS_EVENT_DATA)
        return;
    if (e->type == WS_EVENT_CLOSE)
        body = slice_of(payload, ws_close_payload(payload, e->code, e->bytes));
    size_t n = ws_frame_control(frame, opcodes[e->type], body, other == WS_SERVER ? key : NULL);
    struct slice in = slice_of(frame, n);
    ws_parser_init(&p, other, NULL);
    ASSERT(ws_parser_next(&p, &in, &again) == 0);
    ASSERT(again.type == e->type && again.code == e->code && slice_eq(again.bytes, e->bytes));
    ASSERT(in.len == 0);
}

static void on_event(struct outcome *o, enum ws_role role, const struct ws_event *e, bool *inside)
{
    add(o, e->bytes);
    if (e->type != WS_EVENT_DATA) {
        o->controls++;
        ASSERT(e->bytes.len <= WS_CONTROL_BYTES);
        ASSERT(e->type != WS_EVENT_CLOSE || e->code == WS_CODE_NONE || ws_code_valid(e->code));
        write_again(role, e);
        return;
    }
    ASSERT(e->first == !*inside && (e->opcode == WS_TEXT || e->opcode == WS_BINARY));
    *inside = !e->last;
    o->bytes = e->first ? e->bytes.len : o->bytes + e->bytes.len;
    o->messages += e->last;
    ASSERT(o->bytes <= MESSAGE_BYTES);
}

static struct outcome run(enum ws_role role, struct slice wire, size_t piece)
{
    struct outcome o = {.rc = ERR_MORE};
    struct ws_parser p;
    struct ws_event e;
    bool inside = false;
    ws_parser_init(&p, role, &limits);
    while (o.rc == ERR_MORE && wire.len > 0) {
        struct slice part = slice_take(wire, piece);
        char *copy = malloc(part.len); // the parser writes into it, and not beyond
        ASSERT(copy);
        memcpy(copy, part.ptr, part.len);
        struct slice in = slice_of(copy, part.len);
        while ((o.rc = ws_parser_next(&p, &in, &e)) == 0)
            on_event(&o, role, &e, &inside);
        ASSERT(o.rc == ERR_BAD_FRAME || in.len == 0);
        free(copy);
        wire = slice_skip(wire, piece);
    }
    ASSERT(o.rc == ERR_MORE || o.rc == ERR_BAD_FRAME);
    ASSERT((o.rc == ERR_BAD_FRAME) == ws_code_valid(ws_parser_code(&p)));
    o.code = ws_parser_code(&p);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum ws_role role = data[0] & 0x80 ? WS_SERVER : WS_CLIENT;
    struct slice wire = slice_of(data + 1, size - 1);
    struct outcome whole = run(role, wire, wire.len), parts = run(role, wire, 1u + data[0] % 17u);
    ASSERT(whole.rc == parts.rc && whole.code == parts.code);
    ASSERT(whole.controls == parts.controls && whole.messages == parts.messages);
    // A text that fails at a byte hands out what lay before it only where the input was cut.
    if (whole.rc == ERR_MORE)
        ASSERT(whole.sum == parts.sum && whole.bytes == parts.bytes);
    return 0;
}
