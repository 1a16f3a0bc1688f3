// SPDX-License-Identifier: Apache-2.0
//
// proxy.c: see proxy.h. Nothing here does I/O.
#include "net/proxy.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/ip.h"
#include "net/tls.h"
#include <openssl/base64.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES_MAX   253
#define BASIC            "Basic "
#define IDENTITY_BYTES   (2 * SHA256_DIGEST_LENGTH)
#define BASE64_BYTES(n)  (((n) + 2) / 3 * 4)
#define CREDENTIAL_BYTES (PROXY_USER_BYTES_MAX + 1 + PROXY_PASSWORD_BYTES_MAX)

// ---- The proxy
// -----------------------------------------------------------------------------------

static bool is_good(const struct proxy_options *o)
{
    size_t password_max = o->type == PROXY_SOCKS5 ? PROXY_USER_BYTES_MAX : PROXY_PASSWORD_BYTES_MAX;
    if (o->host.len == 0 || o->host.len > HOST_BYTES_MAX || o->port == 0 || o->port > 65535)
        return false;
    if (o->username.len > PROXY_USER_BYTES_MAX || o->password.len > password_max)
        return false;
    if (o->username.len == 0 && o->password.len > 0)
        return false;
    if (o->tls && o->type != PROXY_HTTP)
        return false;
    // RFC 7617 2: the first colon ends the name.
    return o->type != PROXY_HTTP || slice_find_char(o->username, ':') < 0;
}

static struct slice append(char **at, struct slice s)
{
    struct slice copy = slice_of(*at, s.len);
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static struct slice append_basic(char **at, struct slice username, struct slice password)
{
    char plain[CREDENTIAL_BYTES], *end = plain, *begin = *at;
    (void)append(&end, username);
    (void)append(&end, SLICE(":"));
    (void)append(&end, password);
    (void)append(at, SLICE(BASIC));
    *at += EVP_EncodeBlock((uint8_t *)*at, (const uint8_t *)plain, (size_t)(end - plain));
    explicit_bzero(plain, sizeof(plain));
    return slice_of(begin, (size_t)(*at - begin));
}

// A digest of all that makes two connections differ; lengths keep parts from running together.
static struct slice append_identity(char **at, const struct proxy *p, struct slice tls_identity)
{
    static const char hex[] = "0123456789abcdef";
    const struct slice part[] = {p->host, p->username, p->password, tls_identity};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char *begin = *at;
    SHA256_CTX hash;
    SHA256_Init(&hash);
    unsigned head[3] = {(unsigned)p->type, p->port, p->tls != NULL};
    SHA256_Update(&hash, head, sizeof(head));
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        SHA256_Update(&hash, &part[i].len, sizeof(part[i].len));
        SHA256_Update(&hash, part[i].ptr, part[i].len);
    }
    SHA256_Final(digest, &hash);
    for (size_t i = 0; i < sizeof(digest); i++) {
        *(*at)++ = hex[digest[i] >> 4];
        *(*at)++ = hex[digest[i] & 15];
    }
    return slice_of(begin, IDENTITY_BYTES);
}

int proxy_new(const struct proxy_options *o, struct proxy **ret)
{
    ASSERT(o->type < PROXY_TYPE_COUNT);
    if (!is_good(o))
        return ERR_CONFIG;
    size_t secret = o->username.len + 1 + o->password.len;
    // EVP_EncodeBlock also writes a NUL.
    size_t bytes = o->host.len + secret + sizeof(BASIC) + BASE64_BYTES(secret) + 1 + IDENTITY_BYTES;
    struct proxy *p = calloc(1, sizeof(*p) + bytes);
    if (!p)
        return ERR_NOMEM;
    char *at = p->text;
    atomic_init(&p->refs, 1);
    p->type = o->type;
    p->port = o->port;
    p->text_bytes = bytes;
    p->host = append(&at, o->host);
    p->username = append(&at, o->username);
    p->password = append(&at, o->password);
    if (o->type == PROXY_HTTP && o->username.len > 0)
        p->authorization = append_basic(&at, o->username, o->password);
    p->tls = o->tls ? tls_context_get(o->tls) : NULL;
    p->identity = append_identity(&at, p, o->tls_identity);
    ASSERT((size_t)(at - p->text) <= bytes);
    *ret = p;
    return 0;
}

struct proxy *proxy_get(struct proxy *p)
{
    unsigned before = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return p;
}

void proxy_put(struct proxy *p)
{
    if (!p)
        return;
    unsigned before = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    tls_context_put(p->tls);
    explicit_bzero(p->text, p->text_bytes);
    free(p);
}

// ---- What we say
// -----------------------------------------------------------------------------------

static void say(struct proxy_talk *t, struct slice s)
{
    ASSERT(s.len <= sizeof(t->out) - t->out_len);
    if (s.len > 0)
        memcpy(t->out + t->out_len, s.ptr, s.len);
    t->out_len += s.len;
}

static void say_byte(struct proxy_talk *t, unsigned byte)
{
    char c = (char)byte;
    say(t, slice_of(&c, 1));
}

static void say_counted(struct proxy_talk *t, struct slice s)
{
    ASSERT(s.len <= 255);
    say_byte(t, (unsigned)s.len);
    say(t, s);
}

static void say_connect(struct proxy_talk *t)
{
    char target[HOST_BYTES_MAX + 16];
    bool six = slice_find_char(t->host, ':') >= 0;
    int n = snprintf(target, sizeof(target), six ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARG(t->host),
                     t->port);
    ASSERT(n > 0 && (size_t)n < sizeof(target));
    struct slice authority = slice_of(target, (size_t)n);
    say(t, SLICE("CONNECT "));
    say(t, authority);
    say(t, SLICE(" HTTP/1.1\r\nHost: "));
    say(t, authority);
    if (t->proxy->authorization.len > 0) {
        say(t, SLICE("\r\nProxy-Authorization: "));
        say(t, t->proxy->authorization);
    }
    say(t, SLICE("\r\n\r\n"));
}

// RFC 1928 3: 05, count, methods.
static void say_methods(struct proxy_talk *t)
{
    if (t->proxy->username.len > 0)
        say(t, SLICE("\x05\x02\x00\x02"));
    else
        say(t, SLICE("\x05\x01\x00"));
}

// RFC 1929 2.
static void say_credentials(struct proxy_talk *t)
{
    say_byte(t, 1);
    say_counted(t, t->proxy->username);
    say_counted(t, t->proxy->password);
}

// RFC 1928 4: 05, CONNECT, 00, type of address, address, port.
static void say_request(struct proxy_talk *t)
{
    struct ip ip;
    say(t, SLICE("\x05\x01\x00"));
    if (!ip_parse(t->host, &ip)) {
        say_byte(t, 3);
        say_counted(t, t->host);
    } else if (ip_is_v4(&ip)) {
        say_byte(t, 1);
        say(t, slice_of(ip.byte + 12, 4));
    } else {
        say_byte(t, 4);
        say(t, slice_of(ip.byte, 16));
    }
    say_byte(t, t->port >> 8);
    say_byte(t, t->port & 255);
}

void proxy_talk_begin(struct proxy_talk *t, const struct proxy *proxy, struct slice host,
                      unsigned port)
{
    ASSERT(host.len > 0 && host.len <= HOST_BYTES_MAX && port <= 65535);
    t->proxy = proxy;
    t->host = host;
    t->port = port;
    t->in_len = t->out_len = 0;
    bool http = proxy->type == PROXY_HTTP;
    t->state = http ? PROXY_TALK_STATUS : PROXY_TALK_METHOD;
    if (http)
        say_connect(t);
    else
        say_methods(t);
}

struct slice proxy_talk_output(const struct proxy_talk *t)
{
    return slice_of(t->out, t->out_len);
}

void proxy_talk_sent(struct proxy_talk *t)
{
    explicit_bzero(t->out, t->out_len);
    t->out_len = 0;
}

void proxy_talk_done(struct proxy_talk *t)
{
    explicit_bzero(t->out, sizeof(t->out));
}

// ---- What it answers
// -------------------------------------------------------------------------------

// The answer of `len` bytes has been understood; what follows was not asked for.
static int advance(struct proxy_talk *t, size_t len, enum proxy_talk_state next)
{
    ASSERT(len <= t->in_len);
    if (len < t->in_len)
        return ERR_PROXY_PROTOCOL;
    t->in_len = 0;
    t->state = next;
    return next == PROXY_TALK_OPEN ? 0 : ERR_MORE;
}

static int status_error(unsigned status)
{
    if (status == 407)
        return ERR_PROXY_AUTH;
    return status >= 500 ? ERR_PROXY_UNREACHABLE : ERR_PROXY_REFUSED;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// RFC 9112 4: "HTTP/1.1 200 …"; RFC 9110 9.3.6: what 2xx says about a length is to be ignored.
static int take_status(struct proxy_talk *t)
{
    static const char begin[] = "HTTP/1.";
    struct slice in = slice_of(t->in, t->in_len);
    for (size_t i = 0; i < in.len && i < sizeof(begin) - 1; i++) {
        if (in.ptr[i] != begin[i])
            return ERR_PROXY_PROTOCOL;
    }
    ptrdiff_t end = slice_find(in, SLICE("\r\n\r\n"));
    if (end < 0)
        return t->in_len == sizeof(t->in) ? ERR_PROXY_PROTOCOL : ERR_MORE;
    if (end < 12 || !is_digit(in.ptr[7]) || in.ptr[8] != ' ' || !is_digit(in.ptr[9]) ||
        !is_digit(in.ptr[10]) || !is_digit(in.ptr[11]) || (in.ptr[12] != ' ' && in.ptr[12] != '\r'))
        return ERR_PROXY_PROTOCOL;
    unsigned status =
        (unsigned)((in.ptr[9] - '0') * 100 + (in.ptr[10] - '0') * 10 + (in.ptr[11] - '0'));
    if (status < 200)
        return ERR_PROXY_PROTOCOL;
    if (status > 299)
        return status_error(status);
    return advance(t, (size_t)end + 4, PROXY_TALK_OPEN);
}

static int take_method(struct proxy_talk *t)
{
    if (t->in[0] != 5)
        return ERR_PROXY_PROTOCOL;
    if (t->in_len < 2)
        return ERR_MORE;
    unsigned method = (unsigned char)t->in[1];
    bool offered = method == 0 || (method == 2 && t->proxy->username.len > 0);
    if (!offered)
        return method == 0xff ? ERR_PROXY_AUTH : ERR_PROXY_PROTOCOL;
    int rc = advance(t, 2, method == 2 ? PROXY_TALK_AUTH : PROXY_TALK_REPLY);
    if (rc == ERR_MORE && method == 2)
        say_credentials(t);
    else if (rc == ERR_MORE)
        say_request(t);
    return rc;
}

static int take_auth(struct proxy_talk *t)
{
    if (t->in[0] != 1)
        return ERR_PROXY_PROTOCOL;
    if (t->in_len < 2)
        return ERR_MORE;
    if (t->in[1] != 0)
        return ERR_PROXY_AUTH;
    int rc = advance(t, 2, PROXY_TALK_REPLY);
    if (rc == ERR_MORE)
        say_request(t);
    return rc;
}

// RFC 1928 6. A refusal counts from its second byte on: some proxies send no more.
static int take_reply(struct proxy_talk *t)
{
    static const int errors[] = {
        [1] = ERR_PROXY_UNREACHABLE, // general failure
        [2] = ERR_PROXY_REFUSED,     // not allowed by its rules
        [3] = ERR_PROXY_UNREACHABLE, // network
        [4] = ERR_PROXY_UNREACHABLE, // host
        [5] = ERR_PROXY_UNREACHABLE, // connection refused
        [6] = ERR_PROXY_UNREACHABLE, // TTL expired
        [7] = ERR_PROXY_REFUSED,     // command not supported
        [8] = ERR_PROXY_REFUSED,     // type of address not supported
    };
    if (t->in[0] != 5)
        return ERR_PROXY_PROTOCOL;
    if (t->in_len < 2)
        return ERR_MORE;
    unsigned reply = (unsigned char)t->in[1];
    if (reply != 0)
        return reply < ARRAY_LEN(errors) ? errors[reply] : ERR_PROXY_PROTOCOL;
    if (t->in_len < 5)
        return ERR_MORE;
    unsigned kind = (unsigned char)t->in[3];
    size_t address = kind == 1   ? 4
                     : kind == 4 ? 16
                     : kind == 3 ? 1 + (size_t)(unsigned char)t->in[4]
                                 : 0;
    if (address == 0 || t->in[2] != 0)
        return ERR_PROXY_PROTOCOL;
    if (t->in_len < 4 + address + 2)
        return ERR_MORE;
    return advance(t, 4 + address + 2, PROXY_TALK_OPEN);
}

int proxy_talk_take(struct proxy_talk *t, size_t bytes)
{
    static int (*const take[])(struct proxy_talk *) = {
        [PROXY_TALK_STATUS] = take_status,
        [PROXY_TALK_METHOD] = take_method,
        [PROXY_TALK_AUTH] = take_auth,
        [PROXY_TALK_REPLY] = take_reply,
    };
    ASSERT(t->state < PROXY_TALK_OPEN && bytes <= sizeof(t->in) - t->in_len);
    ASSERT(t->out_len == 0);
    t->in_len += bytes;
    return t->in_len == 0 ? ERR_MORE : take[t->state](t);
}
