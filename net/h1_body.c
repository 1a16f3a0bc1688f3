// SPDX-License-Identifier: Apache-2.0
//
// h1_body.c: a body out of its framing, byte runs in, byte runs out.
//
// The chunked machine looks at framing bytes one by one and at data by the run. Its state is a few
// words, so input may be cut anywhere: the fuzz target checks that no cut changes the result.
//
//                hex digit        ';'            CR            LF, size > 0
//   ┌──────┐ ──────► ┌──────┐ ──► ┌─────┐ ──► ┌─────────┐ ──────────────► ┌──────┐
//   │ SIZE │         │ MORE │     │ EXT │     │ SIZE_LF │                 │ DATA │
//   └──────┘         └──────┘     └─────┘     └─────────┘                 └──────┘
//      ▲                 └───── CR ──────────────▲   │ LF, size 0            │ all of it
//      │ LF   ┌─────────┐  CR   ┌─────────┐          │                       │
//      └───── │ DATA_LF │ ◄──── │ DATA_CR │ ◄────────┼───────────────────────┘
//             └─────────┘       └─────────┘          ▼
//   ┌────────┐   CR   ┌─────────┐ tchar ┌──────┐ ':' ┌───────┐ CR ┌─────────┐
//   │ END_LF │ ◄───── │ TRAILER │ ────► │ NAME │ ──► │ VALUE │ ─► │ LINE_LF │ ─ LF ─► TRAILER
//   └────────┘        └─────────┘       └──────┘     └───────┘    └─────────┘
//       │ LF: complete
//
// Strict on purpose: no space around a size, no sign, at most 15 digits, every CR with its LF and
// the reverse. An extension is skipped but counted twice: against its line and, with the trailers,
// against the body, or one-byte chunks with long extensions would cost us without end.
#include "net/h1.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"

enum {
    SIZE,
    SIZE_MORE,
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    NAME,
    VALUE,
    LINE_LF,
    END_LF
};

#define SIZE_DIGITS_MAX 15

void h1_body_init(struct h1_body *b, enum h1_framing framing, uint64_t length)
{
    *b = (struct h1_body){.framing = framing, .state = SIZE};
    if (framing == H1_LENGTH)
        b->left = length;
    b->complete = framing == H1_NO_BODY || (framing == H1_LENGTH && length == 0);
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static int on_size(struct h1_body *b, unsigned char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        b->left = b->left << 4 | (unsigned)digit;
        b->state = SIZE_MORE;
        return ++b->line_bytes <= SIZE_DIGITS_MAX ? 0 : ERR_BAD_CHUNK;
    }
    if (b->state == SIZE)
        return ERR_BAD_CHUNK; // a line without a digit
    if (c == '\r')
        b->state = SIZE_LF;
    else if (c == ';')
        b->state = EXT;
    else
        return ERR_BAD_CHUNK;
    return 0;
}

static int on_extension(struct h1_body *b, unsigned char c)
{
    if (c == '\r') {
        b->state = SIZE_LF;
        return 0;
    }
    if (!is_text(c) || ++b->line_bytes > LIMIT_CHUNK_LINE_BYTES)
        return ERR_BAD_CHUNK;
    return ++b->trailer_bytes > LIMIT_TRAILER_BYTES ? ERR_BAD_CHUNK : 0;
}

static int on_trailer(struct h1_body *b, unsigned char c)
{
    if (++b->trailer_bytes > LIMIT_TRAILER_BYTES)
        return ERR_BAD_CHUNK;
    if (b->state == VALUE) {
        if (c == '\r')
            b->state = LINE_LF;
        else if (!is_text(c))
            return ERR_BAD_CHUNK;
        return 0;
    }
    if (http__token_lower[c])
        b->state = NAME;
    else if (b->state == NAME && c == ':')
        b->state = VALUE;
    else if (b->state == TRAILER && c == '\r')
        b->state = END_LF;
    else
        return ERR_BAD_CHUNK; // a fold, a nameless field, space before the colon, …
    return 0;
}

static int on_line_feed(struct h1_body *b, unsigned char c)
{
    if (c != '\n')
        return ERR_BAD_CHUNK;
    switch (b->state) {
    case SIZE_LF:
        b->state = b->left > 0 ? DATA : TRAILER;
        b->line_bytes = 0;
        break;
    case DATA_LF:
        b->state = SIZE;
        break;
    case LINE_LF:
        b->state = TRAILER;
        break;
    default:
        ASSERT(b->state == END_LF);
        b->complete = true;
    }
    return 0;
}

static int on_framing_byte(struct h1_body *b, unsigned char c)
{
    switch (b->state) {
    case SIZE:
    case SIZE_MORE:
        return on_size(b, c);
    case EXT:
        return on_extension(b, c);
    case DATA_CR:
        b->state = DATA_LF;
        return c == '\r' ? 0 : ERR_BAD_CHUNK;
    case TRAILER:
    case NAME:
    case VALUE:
        return on_trailer(b, c);
    default:
        return on_line_feed(b, c);
    }
}

static struct slice take_run(struct h1_body *b, struct slice *in)
{
    struct slice run = slice_take(*in, b->left < in->len ? (size_t)b->left : in->len);
    b->left -= run.len;
    *in = slice_skip(*in, run.len);
    return run;
}

// The usual way from one chunk's data to the next's, whole in the input: CR LF, digits, CR LF. What
// is not plainly that is left to the states, byte by byte.
static void skip_framing(struct h1_body *b, struct slice *in)
{
    const char *p = in->ptr;
    const char *end = in->ptr + in->len;
    uint64_t size = 0;
    unsigned digits = 0;

    if (b->state == DATA_CR && end - p >= 2 && p[0] == '\r' && p[1] == '\n')
        p += 2;
    else if (b->state != SIZE)
        return;
    for (int digit; p < end && digits < SIZE_DIGITS_MAX; p++, digits++) {
        digit = hex_value((unsigned char)*p);
        if (digit < 0)
            break;
        size = size << 4 | (unsigned)digit;
    }
    if (digits == 0 || size == 0 || end - p < 2 || p[0] != '\r' || p[1] != '\n')
        return;
    p += 2;
    b->left = size;
    b->state = DATA;
    *in = slice_of(p, (size_t)(end - p));
}

static int next_chunked(struct h1_body *b, struct slice *in, struct slice *ret_span)
{
    skip_framing(b, in);
    while (in->len > 0) {
        if (b->state == DATA) {
            *ret_span = take_run(b, in);
            if (b->left == 0)
                b->state = DATA_CR;
            return 0;
        }
        int rc = on_framing_byte(b, (unsigned char)in->ptr[0]);
        if (rc)
            return rc;
        *in = slice_skip(*in, 1);
        if (b->complete) {
            *ret_span = slice_of(in->ptr, 0);
            return 0;
        }
    }
    return ERR_MORE;
}

int h1_body_next(struct h1_body *b, struct slice *in, struct slice *ret_span)
{
    if (b->complete) {
        *ret_span = SLICE_EMPTY;
        return 0;
    }
    if (in->len == 0)
        return ERR_MORE;
    switch (b->framing) {
    case H1_LENGTH:
        ASSERT(b->left > 0);
        *ret_span = take_run(b, in);
        b->complete = b->left == 0;
        return 0;
    case H1_CHUNKED:
        return next_chunked(b, in, ret_span);
    default:
        ASSERT(b->framing == H1_UNTIL_CLOSE);
        *ret_span = *in;
        *in = slice_skip(*in, in->len);
        return 0;
    }
}

size_t h1_chunk_line(char *out, size_t chunk_bytes)
{
    ASSERT(chunk_bytes > 0); // zero would end the body
    size_t n = fmt_hex(out, chunk_bytes);
    out[n] = '\r';
    out[n + 1] = '\n';
    return n + 2;
}
