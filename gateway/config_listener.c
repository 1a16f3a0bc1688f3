// SPDX-License-Identifier: Apache-2.0
//
// config_listener.c: `server.tls`: certificates, who may connect, and the plain port beside it.
//
// A file's member is a path (a relative one begins at the folder of config.json), the PEM text
// itself, or a variable that holds either. Files are read once when a snapshot is built and again
// when they change on disk; both ways say what is wrong in the same words, at the member's place.
// Whatever a key was read into is cleared.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

// Certificates with their chains are some kilobytes; a bundle of authorities some hundred.
#define PEM_BYTES_MAX (4u * 1024 * 1024)

static bool is_pem(struct slice text)
{
    return slice_find(text, SLICE("-----BEGIN ")) >= 0;
}

// ---- Files --------------------------------------------------------------------------------------

// Where a part of the listener stands: two members deep, or three with a list.
struct place {
    struct config_path server, tls, list, element, member;
};

static const struct config_path *place_of(struct place *p, const struct config_listener *l,
                                          enum tls_part part, unsigned certificate)
{
    static const char *const names[] = {
        [TLS_PART_CERT] = "cert_file",
        [TLS_PART_KEY] = "key_file",
        [TLS_PART_CLIENT_CA] = "client_ca_file",
    };
    p->server = CONFIG_MEMBER(NULL, "server");
    p->tls = CONFIG_MEMBER(&p->server, "tls");
    p->list = CONFIG_MEMBER(&p->tls, "certificates");
    p->element = CONFIG_ELEMENT(&p->list, certificate);
    bool listed = l->listed && part != TLS_PART_CLIENT_CA;
    p->member = CONFIG_MEMBER(listed ? &p->element : &p->tls, names[part]);
    return &p->member;
}

// The text of a member's file into `out`. False: said.
static bool read_part(struct config_builder *b, const struct config_path *at, struct slice from,
                      struct buf *out)
{
    char name[PATH_MAX];
    buf_init(out, PEM_BYTES_MAX);
    if (is_pem(from)) {
        buf_add(out, from);
        b->no_memory |= out->err != 0;
        return out->err == 0;
    }
    if (from.len >= sizeof(name)) {
        config__error(b, at, "the path is too long");
        return false;
    }
    memcpy(name, from.ptr, from.len);
    name[from.len] = '\0';
    int err = config__read_file(name, out);
    if (err == ERR_NOMEM)
        b->no_memory = true;
    else if (err == ERR_LIMIT)
        config__error(b, at, "larger than %u bytes", PEM_BYTES_MAX);
    else if (err != 0)
        config__error(b, at, "cannot be read: %s", strerror(errno));
    return err == 0;
}

static void clear(struct buf *text)
{
    if (text->ptr)
        explicit_bzero(text->ptr, text->cap);
    buf_done(text);
}

struct texts {
    struct buf cert[TLS_CERTIFICATES_MAX], key[TLS_CERTIFICATES_MAX], client_ca;
    struct tls_certificate pem[TLS_CERTIFICATES_MAX];
};

// Too large for a stack, and gone when the context is made.
static struct texts *texts_new(void)
{
    return calloc(1, sizeof(struct texts));
}

static void texts_free(struct texts *t, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        clear(&t->cert[i]);
        clear(&t->key[i]);
    }
    clear(&t->client_ca);
    free(t);
}

static bool read_all(struct config_builder *b, const struct config_listener *l, struct texts *t)
{
    struct place place;
    bool good = true;
    for (unsigned i = 0; i < l->count; i++) {
        const struct config_certificate *c = &l->certificates[i];
        good &= read_part(b, place_of(&place, l, TLS_PART_CERT, i), c->cert, &t->cert[i]);
        good &= read_part(b, place_of(&place, l, TLS_PART_KEY, i), c->key, &t->key[i]);
        t->pem[i] = (struct tls_certificate){buf_slice(&t->cert[i]), buf_slice(&t->key[i])};
    }
    if (l->client_auth != TLS_CLIENT_NONE)
        good &=
            read_part(b, place_of(&place, l, TLS_PART_CLIENT_CA, 0), l->client_ca, &t->client_ca);
    return good;
}

static void make_context(struct config_builder *b, const struct config_listener *l,
                         struct tls_context **ret)
{
    struct tls_complaint complaint = {0};
    struct place place;
    struct texts *t = texts_new();
    if (t == NULL) {
        b->no_memory = true;
        return;
    }
    if (read_all(b, l, t)) {
        struct tls_listener_options options = {
            .certificates = t->pem,
            .count = l->count,
            .only_1_3 = l->only_1_3,
            .client_auth = l->client_auth,
            .client_ca_pem = buf_slice(&t->client_ca),
        };
        int err = tls_context_listener_new(&options, ret, &complaint);
        if (err == ERR_TLS)
            config__error(b, place_of(&place, l, complaint.part, complaint.certificate), "%s",
                          complaint.reason);
        else
            b->no_memory |= err != 0;
    }
    texts_free(t, l->count);
}

int config_listener_context(const struct config_listener *l, struct config_report *report,
                            struct tls_context **ret)
{
    struct config_builder b = {.report = report, .file = "config.json"};
    make_context(&b, l, ret);
    return b.no_memory ? ERR_NOMEM : config__failed(&b) ? ERR_CONFIG : 0;
}

// ---- Members ------------------------------------------------------------------------------------

// A path made absolute, or the text itself; empty when something was said.
static struct slice take_part(struct config_builder *b, const struct config_listener *l,
                              enum tls_part part, unsigned certificate, yyjson_val *value)
{
    struct place place;
    const struct config_path *at = place_of(&place, l, part, certificate);
    struct slice text = SLICE_EMPTY;
    if (value == NULL) {
        config__error(b, at, "missing");
        return text;
    }
    if (!config__text_set(b, at, value, &text))
        return SLICE_EMPTY;
    if (text.len == 0 || memchr(text.ptr, '\0', text.len) != NULL) {
        config__error(b, at, "expected a path or a PEM text");
        return SLICE_EMPTY;
    }
    if (is_pem(text) || text.ptr[0] == '/' || b->source->app_dir == NULL)
        return text;
    text = arena_printf(&b->config->memory, "%s/%.*s", b->source->app_dir, SLICE_ARG(text));
    b->no_memory |= text.ptr == NULL;
    return text;
}

static void take_certificates(struct config_builder *b, struct config_listener *l, yyjson_val *tls)
{
    yyjson_val *list = config__get(tls, "certificates");
    struct place place;
    l->listed = list != NULL;
    l->count = list != NULL ? (unsigned)yyjson_arr_size(list) : 1;
    (void)place_of(&place, l, TLS_PART_CERT, 0);
    if (list != NULL && (config__get(tls, "cert_file") || config__get(tls, "key_file"))) {
        config__error(b, &place.list, "beside cert_file and key_file: give one or the other");
        return;
    }
    if (l->count == 0 || l->count > TLS_CERTIFICATES_MAX) {
        config__error(b, &place.list, "expected 1 to %u certificates", TLS_CERTIFICATES_MAX);
        return;
    }
    l->certificates = config__alloc(b, l->count, sizeof(*l->certificates));
    for (unsigned i = 0; l->certificates != NULL && i < l->count; i++) {
        yyjson_val *from = list != NULL ? yyjson_arr_get(list, i) : tls;
        l->certificates[i].cert = take_part(b, l, TLS_PART_CERT, i, config__get(from, "cert_file"));
        l->certificates[i].key = take_part(b, l, TLS_PART_KEY, i, config__get(from, "key_file"));
    }
}

static void take_clients(struct config_builder *b, struct config_listener *l, yyjson_val *tls)
{
    struct slice auth = json_str(config__get(tls, "client_auth"));
    yyjson_val *file = config__get(tls, "client_ca_file");
    struct place place;
    l->client_auth = slice_eq(auth, SLICE("require"))   ? TLS_CLIENT_REQUIRE
                     : slice_eq(auth, SLICE("request")) ? TLS_CLIENT_REQUEST
                                                        : TLS_CLIENT_NONE;
    if (l->client_auth != TLS_CLIENT_NONE)
        l->client_ca = take_part(b, l, TLS_PART_CLIENT_CA, 0, file);
    else if (file != NULL) // whoever wrote it believes that clients are checked
        config__error(b, place_of(&place, l, TLS_PART_CLIENT_CA, 0),
                      "means nothing while client_auth is \"none\"");
}

void config__load_listener(struct config_builder *b, yyjson_val *root)
{
    yyjson_val *tls = config__get(config__get(root, "server"), "tls");
    if (tls == NULL)
        return;
    struct config_listener *l = config__alloc(b, 1, sizeof(*l));
    if (l == NULL)
        return;
    b->config->tls = l;
    yyjson_val *plain = config__get(tls, "plain_port");
    l->only_1_3 = slice_eq(json_str(config__get(tls, "min_version")), SLICE("1.3"));
    l->plain = plain != NULL;
    l->plain_port = (unsigned)yyjson_get_uint(plain);
    take_certificates(b, l, tls);
    take_clients(b, l, tls);
    if (!config__failed(b))
        make_context(b, l, &l->context);
}
