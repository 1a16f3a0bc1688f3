// SPDX-License-Identifier: Apache-2.0
//
// Requests in absolute form: RFC 9112 3.2.2.
#include "base/err.h"
#include "net/upstream_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int form(const char *username, struct iovec *iov, unsigned count, char *out, size_t size)
{
    struct proxy_options po = {.host = SLICE("p"),
                               .port = 1,
                               .username = slice_str(username),
                               .password = slice_str(username)};
    struct origin_options oo = {.host = SLICE("Vllm.test"), .port = 8000};
    struct block_pool pool;
    struct arena arena;
    struct upstream_call call = {.iov = iov, .iov_count = count, .arena = &arena}, made;
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 20);
    assert_int_equal(proxy_new(&po, &oo.proxy), 0);
    assert_int_equal(origin_new(&oo, &call.origin), 0);
    assert_true(origin__is_relayed(call.origin));
    int rc = proxy_form(&call, &made);
    size_t len = 0;
    for (unsigned i = 0; rc == 0 && i < made.iov_count; i++) {
        assert_true(len + made.iov[i].iov_len < size);
        memcpy(out + len, made.iov[i].iov_base, made.iov[i].iov_len);
        len += made.iov[i].iov_len;
    }
    out[len] = '\0';
    origin_put(call.origin);
    proxy_put(oo.proxy);
    arena_done(&arena);
    block_pool_done(&pool);
    return rc;
}

static struct iovec piece(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

static void the_target_is_the_whole_uri(void **state)
{
    (void)state;
    struct iovec iov[2] = {piece("POST /v1/chat?x=1 HTTP/1.1\r\nhost: vllm.test:8000\r\n\r\n"),
                           piece("{}")};
    char out[1024];
    assert_int_equal(form("", iov, 2, out, sizeof(out)), 0);
    assert_string_equal(out, "POST http://vllm.test:8000/v1/chat?x=1 HTTP/1.1\r\n"
                             "host: vllm.test:8000\r\n\r\n{}");
    assert_int_equal(form("u", iov, 2, out, sizeof(out)), 0);
    assert_string_equal(out, "POST http://vllm.test:8000/v1/chat?x=1 HTTP/1.1\r\n"
                             "Proxy-Authorization: Basic dTp1\r\n"
                             "host: vllm.test:8000\r\n\r\n{}");
}

static void a_request_line_in_pieces(void **state)
{
    (void)state;
    struct iovec iov[2] = {piece("POST /v1"), piece(" HTTP/1.1\r\n\r\n")};
    char out[64];
    assert_int_equal(form("", iov, 2, out, sizeof(out)), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_is_the_whole_uri),
        cmocka_unit_test(a_request_line_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
