// SPDX-License-Identifier: Apache-2.0
//
// Tickets: sealed by any core, opened by any other, for as long as the keys say.
#include "base/err.h"
#include "net/tls_ticket.h"
#include "tests/support/toy_pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Fresh sessions, the server's with `tickets`. True: the handshake resumed.
static bool connect_with(struct toy_pair *p, const struct tls_tickets *tickets)
{
    toy_pair_connect(p, TOY_NAME);
    if (tickets)
        tls_set_tickets(p->server, tickets);
    assert_int_equal(toy_handshake(p, SIZE_MAX), 0);
    assert_int_equal(tls_resumed(p->client), tls_resumed(p->server));
    return tls_resumed(p->server);
}

static struct tls_ticket_key make_key(void)
{
    struct tls_ticket_key key;
    assert_int_equal(tls_ticket_key_make(&key), 0);
    return key;
}

static void one_cores_ticket_is_good_on_another(void **state)
{
    (void)state;
    struct toy_pair p;
    struct tls_ticket_key key = make_key();
    struct tls_tickets *one = tls_tickets_new(&key), *other = tls_tickets_new(&key);
    toy_pair_listen(&p, TOY_NAME);
    assert_false(connect_with(&p, one));
    toy_bring_tickets(&p);
    assert_true(connect_with(&p, other));
    tls_tickets_free(one);
    tls_tickets_free(other);
    toy_pair_close(&p);
}

static void a_key_opens_for_one_period_more(void **state)
{
    (void)state;
    struct toy_pair p;
    struct tls_ticket_key first = make_key(), second = make_key(), third = make_key();
    struct tls_tickets *t = tls_tickets_new(&first);
    toy_pair_listen(&p, TOY_NAME);
    assert_false(connect_with(&p, t));
    toy_bring_tickets(&p); // two, sealed with the first
    tls_tickets_rotate(t, &second);
    tls_tickets_rotate(t, &second); // said twice: once
    assert_true(connect_with(&p, t));
    tls_tickets_rotate(t, &third);
    assert_false(connect_with(&p, t));
    tls_tickets_free(t);
    toy_pair_close(&p);
}

static void somebody_elses_ticket_is_a_full_handshake(void **state)
{
    (void)state;
    struct toy_pair p;
    struct tls_ticket_key mine = make_key(), theirs = make_key();
    struct tls_tickets *one = tls_tickets_new(&mine);
    toy_pair_listen(&p, TOY_NAME);
    assert_false(connect_with(&p, one));
    toy_bring_tickets(&p);
    memcpy(theirs.name, mine.name, sizeof(mine.name)); // the name fits, the key does not
    struct tls_tickets *other = tls_tickets_new(&theirs);
    assert_false(connect_with(&p, other));
    tls_tickets_free(one);
    tls_tickets_free(other);
    toy_pair_close(&p);
}

static void without_keys_there_are_no_tickets(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_listen(&p, TOY_NAME);
    assert_false(connect_with(&p, NULL));
    toy_bring_tickets(&p); // a byte, and nothing else
    assert_false(connect_with(&p, NULL));
    toy_pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cores_ticket_is_good_on_another),
        cmocka_unit_test(a_key_opens_for_one_period_more),
        cmocka_unit_test(somebody_elses_ticket_is_a_full_handshake),
        cmocka_unit_test(without_keys_there_are_no_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
