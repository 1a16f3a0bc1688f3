// SPDX-License-Identifier: Apache-2.0
//
// ws_handshake.c: see ws_handshake.h.
//
// Connection, Upgrade and Sec-WebSocket-Protocol are lists that may come in several fields; key,
// version and accept key may come once only (RFC 6455 11.3): two of them are two opinions.
#include "net/ws_handshake.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "net/net_internal.h"
#include <openssl/base64.h>
#include <openssl/sha.h>

#define GUID       "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_RANDOM 16

const struct http_field ws_version_field = {HTTP_N_OTHER, {"sec-websocket-version", 21}, {"13", 2}};

// ---- Lists -----------------------------------------------------------------------------------

// The next element of a comma-separated list off the front of *rest. False: there is none.
static bool next_element(struct slice *rest, struct slice *ret)
{
    while (rest->len > 0) {
        ptrdiff_t comma = slice_find_char(*rest, ',');
        size_t n = comma < 0 ? rest->len : (size_t)comma;
        *ret = slice_trim(slice_take(*rest, n));
        *rest = slice_skip(*rest, comma < 0 ? n : n + 1);
        if (ret->len > 0)
            return true;
    }
    return false;
}

static bool is_named(const struct http_field *f, struct slice name)
{
    return slice_ieq(f->name, name);
}

static bool list_has(const struct http_head *h, struct slice name, struct slice token)
{
    for (unsigned i = 0; i < h->count; i++) {
        struct slice rest = h->fields[i].value, element;
        while (is_named(&h->fields[i], name) && next_element(&rest, &element)) {
            if (slice_ieq(element, token))
                return true;
        }
    }
    return false;
}

// The one field of the name; NULL: there is none, or several.
static const struct http_field *only(const struct http_head *h, struct slice name)
{
    const struct http_field *found = NULL;
    for (unsigned i = 0; i < h->count; i++) {
        if (!is_named(&h->fields[i], name))
            continue;
        if (found)
            return NULL;
        found = &h->fields[i];
    }
    return found;
}

// Subprotocols are compared as they are (RFC 6455 1.9, 11.5).
static bool find_protocol(struct slice wanted, const struct slice *protocols, unsigned count,
                          struct slice *ret)
{
    for (unsigned i = 0; i < count; i++) {
        if (slice_eq(wanted, protocols[i])) {
            *ret = protocols[i];
            return true;
        }
    }
    return false;
}

static struct slice choose(const struct http_head *h, const struct slice *protocols, unsigned count)
{
    struct slice chosen = SLICE_EMPTY;
    for (unsigned i = 0; i < h->count; i++) {
        struct slice rest = h->fields[i].value, element;
        while (is_named(&h->fields[i], SLICE("sec-websocket-protocol")) &&
               next_element(&rest, &element)) {
            if (find_protocol(element, protocols, count, &chosen))
                return chosen;
        }
    }
    return chosen;
}

// ---- Server ----------------------------------------------------------------------------------

bool ws_is_asked(const struct http_head *request)
{
    return request->method == HTTP_GET && list_has(request, SLICE("upgrade"), SLICE("websocket"));
}

// Sixteen bytes in base64, no more and no less.
static bool is_key(struct slice key)
{
    uint8_t raw[WS_KEY_BYTES];
    size_t n = 0;
    return key.len == WS_KEY_BYTES &&
           EVP_DecodeBase64(raw, &n, sizeof(raw), (const uint8_t *)key.ptr, key.len) &&
           n == KEY_RANDOM;
}

int ws_request_check(const struct http_head *request, const struct slice *protocols, unsigned count,
                     struct ws_request *ret)
{
    const struct http_field *key = only(request, SLICE("sec-websocket-key"));
    const struct http_field *version = only(request, SLICE("sec-websocket-version"));
    const struct http_field *origin = http_head_get(request, HTTP_N_ORIGIN);
    if (!ws_is_asked(request) || request->minor == 0 || request->chunked ||
        request->content_length > 0 || !list_has(request, SLICE("connection"), SLICE("upgrade")))
        return ERR_BAD_HEADER;
    if (!version || !slice_eq(version->value, SLICE("13")))
        return ERR_WS_VERSION;
    if (!key || !is_key(key->value))
        return ERR_BAD_HEADER;
    *ret = (struct ws_request){.key = key->value,
                               .origin = origin ? origin->value : SLICE_EMPTY,
                               .protocol = choose(request, protocols, count)};
    return 0;
}

void ws_accept_key(struct slice key, char out[WS_ACCEPT_BYTES])
{
    char text[WS_KEY_BYTES + sizeof(GUID)];
    uint8_t digest[SHA_DIGEST_LENGTH], coded[WS_ACCEPT_BYTES + 1];
    ASSERT(key.len == WS_KEY_BYTES);
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, GUID, sizeof(GUID) - 1);
    SHA1((const uint8_t *)text, key.len + sizeof(GUID) - 1, digest);
    size_t n = EVP_EncodeBlock(coded, digest, sizeof(digest)); // and a NUL
    ASSERT(n == WS_ACCEPT_BYTES);
    memcpy(out, coded, n);
}

struct slice ws_answer_write(const struct ws_request *r, struct arena *arena)
{
    char accept[WS_ACCEPT_BYTES];
    bool chosen = r->protocol.len > 0;
    ASSERT(!chosen || http__is_token(r->protocol));
    ws_accept_key(r->key, accept);
    return arena_printf(arena,
                        "HTTP/1.1 101 Switching Protocols\r\n"
                        "Upgrade: websocket\r\n"
                        "Connection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %.*s\r\n"
                        "%s%.*s%s\r\n",
                        WS_ACCEPT_BYTES, accept, chosen ? "Sec-WebSocket-Protocol: " : "",
                        (int)r->protocol.len, chosen ? r->protocol.ptr : "", chosen ? "\r\n" : "");
}

// ---- Client ----------------------------------------------------------------------------------

int ws_key_make(char out[WS_KEY_BYTES])
{
    uint8_t raw[KEY_RANDOM], coded[WS_KEY_BYTES + 1];
    int rc = random_bytes(raw, sizeof(raw));
    if (rc)
        return rc;
    size_t n = EVP_EncodeBlock(coded, raw, sizeof(raw));
    ASSERT(n == WS_KEY_BYTES);
    memcpy(out, coded, n);
    return 0;
}

int ws_answer_check(const struct http_head *answer, struct slice key, const struct slice *protocols,
                    unsigned count, struct slice *ret_protocol)
{
    const struct http_field *accept = only(answer, SLICE("sec-websocket-accept"));
    const struct http_field *protocol = only(answer, SLICE("sec-websocket-protocol"));
    struct slice chosen = SLICE_EMPTY;
    char expected[WS_ACCEPT_BYTES];
    ws_accept_key(key, expected);
    if (answer->status != 101 || !list_has(answer, SLICE("upgrade"), SLICE("websocket")) ||
        !list_has(answer, SLICE("connection"), SLICE("upgrade")))
        return ERR_UPSTREAM_PROTOCOL;
    if (!accept || !slice_eq(accept->value, slice_of(expected, sizeof(expected))))
        return ERR_UPSTREAM_PROTOCOL;
    if (http_head_find(answer, SLICE("sec-websocket-extensions")))
        return ERR_UPSTREAM_PROTOCOL;
    if (!protocol && http_head_find(answer, SLICE("sec-websocket-protocol")))
        return ERR_UPSTREAM_PROTOCOL; // several
    if (protocol && !find_protocol(protocol->value, protocols, count, &chosen))
        return ERR_UPSTREAM_PROTOCOL;
    *ret_protocol = chosen;
    return 0;
}
