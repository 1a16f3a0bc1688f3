// SPDX-License-Identifier: Apache-2.0
//
// tls.c: one TLS session as bytes in, bytes out.
//
// BoringSSL reads through a BIO that copies from the caller's span and writes through one that
// appends to a chain of pages. Neither ever blocks or refuses: an empty span is "retry", the chain
// grows by a page when the last one is full.
//
//     in:   [ span the owner fed ]──bio_read──► BoringSSL's record buffer ──open──► caller
//     out:  caller's iovecs ──gather──► SSL_write ──bio_write──► [page]─►[page]──► one sendmsg
//
// Gathering: a record should hold as much of the request as fits, but a request is several runs of
// bytes. Runs are put together in the free end of the last output page, from where SSL_write seals
// them into its own buffer; bio_write then lays the record over them. No buffer exists only for
// gathering. A run that fills a record by itself is sealed where it lies.
//
// A session may stand inside another (https through an https:// proxy): its BIO reads and writes
// the outer session instead, which alone knows spans and pages. Then it is the outer's records that
// are fed and sent, and the inner one's pages are scratch for gathering.
//
//     socket ─► outer: in ─► SSL_read ─► inner: BIO ─► SSL_read ─► caller      and back
//
// Errors are sticky in `err`; the alert that explains them to the peer stands in the output.
// BoringSSL gives up its buffers by itself when they are empty.
#include "base/assert.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

// Room a record needs around its plaintext: header 5, TLS 1.2 nonce 8, type 1, tag 16, generously.
#define RECORD_OVERHEAD 128

// ---- The BIO ---------------------------------------------------------------------------------

static int read_below(struct tls *t, BIO *bio, char *out, size_t size)
{
    ptrdiff_t n = tls_read(t->below, out, size);
    if (n == ERR_MORE)
        BIO_set_retry_read(bio);
    t->nomem |= n == ERR_NOMEM;
    return n < 0 ? -1 : (int)n;
}

static int write_below(struct tls *t, const char *data, size_t size)
{
    const struct iovec run = {(char *)(uintptr_t)data, size};
    int rc = tls_write(t->below, &run, 1);
    t->nomem |= rc == ERR_NOMEM;
    return rc == 0 ? (int)size : -1;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = len > 0 ? (size_t)len : 0;
    BIO_clear_retry_flags(bio);
    if (t->below && n > 0)
        return read_below(t, bio, out, n);
    if (t->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n > t->in.len)
        n = t->in.len;
    memcpy(out, t->in.ptr, n);
    t->in = slice_skip(t->in, n);
    return (int)n;
}

// The last page when it has `room`, or a fresh one behind it. NULL without memory.
static struct page *output_page(struct tls *t, size_t room)
{
    struct page *page = t->out_last;
    ASSERT(room <= PAGE_BYTES);
    if (page && page_room(page) >= room)
        return page;
    page = page_get(t->pages);
    if (!page) {
        t->nomem = true;
        return NULL;
    }
    if (t->out_last)
        t->out_last->next = page;
    else
        t->out_first = page;
    t->out_last = page;
    return page;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    size_t left = len > 0 ? (size_t)len : 0;
    BIO_clear_retry_flags(bio);
    if (t->below && left > 0)
        return write_below(t, data, left);
    while (left > 0) {
        struct page *page = output_page(t, left < PAGE_BYTES ? left : PAGE_BYTES);
        if (!page)
            return -1;
        size_t n = left < page_room(page) ? left : page_room(page);
        memcpy(page->data + page->used, data, n);
        page->used += (uint32_t)n;
        data += n;
        left -= n;
    }
    return len;
}

static long bio_ctrl(BIO *bio, int cmd, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls__method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "span");
    if (!m)
        return NULL;
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

// ---- Life ------------------------------------------------------------------------------------

// The name is verified as what it is: an address against addresses, a name against names. Only
// names go out as SNI (RFC 6066 3).
static int set_server_name(struct tls *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    if (t->name_len == 0)
        return t->context->verify ? ERR_TLS : 0;
    if (X509_VERIFY_PARAM_set1_ip_asc(param, t->name))
        return 0;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_host(param, t->name, t->name_len))
        return ERR_TLS;
    return SSL_set_tlsext_host_name(t->ssl, t->name) ? 0 : ERR_TLS;
}

static void offer_session(struct tls *t)
{
    SSL_SESSION *session = tls__session_find(t->context, slice_of(t->name, t->name_len));
    if (!session)
        return;
    (void)SSL_set_session(t->ssl, session); // without one the handshake is merely longer
    SSL_SESSION_free(session);
}

static int start(struct tls *t)
{
    BIO *bio = NULL;
    t->ssl = SSL_new(t->context->ctx);
    bio = BIO_new(t->context->method);
    if (!t->ssl || !bio) {
        BIO_free(bio);
        return ERR_NOMEM;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); // takes the reference
    if (!SSL_set_app_data(t->ssl, t))
        return ERR_NOMEM;
    SSL_set_shed_handshake_config(t->ssl, 1);
    if (t->context->server) {
        SSL_set_accept_state(t->ssl);
        if (t->context->identity_count > 0) // until it is given keys
            SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
        return 0;
    }
    SSL_set_connect_state(t->ssl);
    if (set_server_name(t) != 0)
        return ERR_TLS;
    offer_session(t);
    return 0;
}

int tls_new(struct tls_context *c, struct slice server_name, struct tls **ret)
{
    struct slice name = server_name;
    struct tls *t = NULL;
    int rc = 0;
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--; // a rooted name has no dot in certificates
    t = calloc(1, sizeof(*t) + name.len + 1);
    if (!t)
        return ERR_NOMEM;
    t->context = tls_context_get(c);
    t->name_len = name.len;
    if (name.len > 0)
        memcpy(t->name, name.ptr, name.len);
    rc = start(t);
    ERR_clear_error();
    if (rc != 0) {
        tls_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int tls_new_inside(struct tls_context *c, struct slice server_name, struct tls *below,
                   struct tls **ret)
{
    struct tls *t = NULL;
    ASSERT(tls_ready(below));
    int rc = tls_new(c, server_name, &t);
    if (rc != 0)
        return rc;
    t->below = below;
    t->pages = below->pages;
    *ret = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    tls_free(t->below);
    page_put_all(t->pages, t->out_first);
    tls_context_put(t->context);
    free(t);
}

void tls_set_pages(struct tls *t, struct page_pool *pages)
{
    ASSERT(!t->out_first);
    t->pages = pages;
}

void tls_set_tickets(struct tls *t, const struct tls_tickets *tickets)
{
    ASSERT(t->context->identity_count > 0 && !t->hello);
    t->tickets = tickets;
    SSL_clear_options(t->ssl, SSL_OP_NO_TICKET);
}

int tls_offer_h2(struct tls *t)
{
    static const char offer[] = "\x02h2\x08http/1.1";
    ASSERT(!t->context->server);
    return SSL_set_alpn_protos(t->ssl, (const uint8_t *)offer, sizeof(offer) - 1) == 0 ? 0
                                                                                       : ERR_NOMEM;
}

bool tls_chose_h2(const struct tls *t)
{
    const uint8_t *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return slice_eq(slice_of(name, len), SLICE("h2"));
}

// ---- Ciphertext ------------------------------------------------------------------------------

// The session whose records the socket carries.
static struct tls *outermost(struct tls *t)
{
    while (t->below)
        t = t->below;
    return t;
}

void tls_feed(struct tls *t, struct slice ciphertext)
{
    t = outermost(t);
    ASSERT(t->in.len == 0);
    t->in = ciphertext;
}

struct slice tls_unfed(const struct tls *t)
{
    ASSERT(!t->below); // a listener's
    return t->in;
}

struct slice tls_unfeed(struct tls *t)
{
    ASSERT(!t->below);
    struct slice rest = t->in;
    t->in = SLICE_EMPTY;
    return rest;
}

struct slice tls_output(struct tls *t)
{
    t = outermost(t);
    return t->out_first ? page_bytes(t->out_first) : SLICE_EMPTY;
}

unsigned tls_output_iov(struct tls *t, struct iovec *iov, unsigned max)
{
    unsigned n = 0;
    t = outermost(t);
    for (struct page *page = t->out_first; page && n < max; page = page->next) {
        struct slice bytes = page_bytes(page);
        if (bytes.len == 0)
            continue;
        iov[n++] = (struct iovec){.iov_base = page->data + page->start, .iov_len = bytes.len};
    }
    return n;
}

void tls_output_sent(struct tls *t, size_t bytes)
{
    if (t->below) {
        tls_output_sent(t->below, bytes);
        bytes = 0; // here lies scratch alone
    }
    while (bytes > 0 || (t->out_first && page_bytes(t->out_first).len == 0)) {
        struct page *page = t->out_first;
        ASSERT(page);
        size_t n = page_bytes(page).len;
        if (n > bytes)
            n = bytes;
        page->start += (uint32_t)n;
        bytes -= n;
        if (page->start < page->used)
            return;
        t->out_first = page->next;
        if (!t->out_first)
            t->out_last = NULL;
        page_put(t->pages, page);
    }
}

void tls_idle(struct tls *t)
{
    tls_output_sent(t, 0);
}

// ---- Handshake, records ----------------------------------------------------------------------

// What went wrong, from BoringSSL's queue, which is emptied.
static int reason(const struct tls *t)
{
    bool verify = false;
    uint32_t code = 0;
    while ((code = ERR_get_error()) != 0) {
        int what = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
        if (what == SSL_R_CERTIFICATE_VERIFY_FAILED ||
            what == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            verify = true;
    }
    if (t->nomem)
        return ERR_NOMEM;
    return verify ? ERR_TLS_VERIFY : ERR_TLS;
}

int tls_handshake(struct tls *t)
{
    if (t->err != 0)
        return t->err;
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        return 0;
    if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ && !t->nomem)
        return ERR_MORE;
    t->err = reason(t);
    return t->err;
}

bool tls_ready(const struct tls *t)
{
    return t->err == 0 && SSL_is_init_finished(t->ssl);
}

bool tls_said_hello(const struct tls *t)
{
    return t->hello;
}

bool tls_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) != 0;
}

// How reading stopped: ERR_MORE, or sticky.
static ptrdiff_t read_stopped(struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return ERR_MORE;
    case SSL_ERROR_ZERO_RETURN:
        t->closed = true;
        return 0;
    default:
        t->err = reason(t);
        return t->err;
    }
}

ptrdiff_t tls_read(struct tls *t, void *out, size_t size)
{
    size_t got = 0;
    ptrdiff_t stopped = ERR_MORE;
    ASSERT(size > 0);
    if (t->err != 0)
        return t->err;
    if (t->closed)
        return 0;
    while (got < size) {
        size_t want = size - got < INT_MAX ? size - got : INT_MAX;
        int rc = SSL_read(t->ssl, (char *)out + got, (int)want);
        if (rc <= 0) {
            stopped = read_stopped(t, rc);
            break;
        }
        got += (size_t)rc;
    }
    return got > 0 ? (ptrdiff_t)got : stopped;
}

// One record of at most PAGE_RECORD_BYTES.
static int seal(struct tls *t, const void *data, size_t size)
{
    ASSERT(size > 0 && size <= PAGE_RECORD_BYTES);
    int rc = SSL_write(t->ssl, data, (int)size);
    if (rc == (int)size && !t->nomem)
        return 0;
    t->err = reason(t);
    return t->err;
}

// Copies `size` bytes from the iovecs at *index, *offset on.
static void gather(char *out, size_t size, const struct iovec *iov, unsigned *index, size_t *offset)
{
    while (size > 0) {
        size_t n = iov[*index].iov_len - *offset;
        if (n > size)
            n = size;
        if (n > 0)
            memcpy(out, (const char *)iov[*index].iov_base + *offset, n);
        out += n;
        size -= n;
        *offset += n;
        if (*offset == iov[*index].iov_len) {
            *offset = 0;
            ++*index;
        }
    }
}

int tls_write(struct tls *t, const struct iovec *iov, unsigned count)
{
    size_t left = 0, offset = 0;
    unsigned index = 0;
    int rc = 0;
    ASSERT(SSL_is_init_finished(t->ssl));
    for (unsigned i = 0; i < count; i++)
        left += iov[i].iov_len;
    while (left > 0 && t->err == 0) {
        size_t size = left < PAGE_RECORD_BYTES ? left : PAGE_RECORD_BYTES;
        if (iov[index].iov_len - offset >= size) {
            rc = seal(t, (const char *)iov[index].iov_base + offset, size);
            offset += size;
        } else {
            struct page *page = output_page(t, size + RECORD_OVERHEAD);
            if (!page)
                return t->err = ERR_NOMEM;
            gather(page->data + page->used, size, iov, &index, &offset);
            rc = seal(t, page->data + page->used, size);
        }
        if (rc != 0)
            return rc;
        left -= size;
    }
    return t->err;
}

void tls_close_notify(struct tls *t)
{
    if (t->err != 0 || !SSL_is_init_finished(t->ssl))
        return;
    if (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return; // BoringSSL would begin to wait for the peer's
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}
