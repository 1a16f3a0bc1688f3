// SPDX-License-Identifier: Apache-2.0
//
// spool_file_test.c: who may hold which file, and what happens to those that nobody holds.
#include "tests/unit/store/fixture.h"

#include <fcntl.h>

#define BYTES SPOOL_BYTES_MIN

static struct spool *claim(const struct place *p, uint64_t bytes)
{
    struct spool *s = NULL;
    assert_int_equal(spool_claim(p->rings, bytes, &s), 0);
    return s;
}

static void put_one(struct spool *s)
{
    spool_begin(s, 4);
    spool_add(s, "abcd", 4);
    spool_commit(s);
}

static void files_are_held_by_one_and_found_again(void **state)
{
    (void)state;
    struct place p;
    uint16_t there[SPOOL_RINGS_MAX];
    struct slice got;
    place_make(&p);
    struct spool *a = claim(&p, BYTES), *b = claim(&p, BYTES);
    assert_int_equal(a->ring, 0);
    assert_int_equal(b->ring, 1);
    uint64_t identity = a->identity;
    assert_int_not_equal(identity, b->identity);
    put_one(a);
    uint32_t number = spool_number(a);
    spool_free(a);
    assert_int_equal(spool_list(p.rings, there), 2);
    a = claim(&p, BYTES);
    assert_int_equal(a->ring, 0);
    assert_int_equal(a->identity, identity);
    assert_int_equal(spool_number(a), number + 1);
    assert_int_equal(spool_next(a, &got), SPOOL_FRAME);
    put_one(a);
    assert_int_equal(spool_next(a, &got), SPOOL_FRAME);
    spool_free(a);
    spool_free(b);
    place_done(&p);
}

static void another_size_is_another_ring(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    spool_free(claim(&p, BYTES));
    struct spool *s = claim(&p, 2 * BYTES);
    assert_int_equal(s->ring, 1);
    assert_int_equal(s->bytes, 2 * BYTES);
    spool_free(s);
    place_done(&p);
}

static void a_file_that_is_no_ring_is_set_aside(void **state)
{
    (void)state;
    struct place p;
    char path[128];
    struct spool *watched;
    place_make(&p);
    spool_free(claim(&p, BYTES));
    snprintf(path, sizeof(path), "%s/ring-00000", p.rings);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
    assert_int_equal(spool_watch(p.rings, 0, &watched), ERR_SYSTEM);
    struct spool *s = claim(&p, BYTES);
    assert_int_equal(s->ring, 0);
    snprintf(path, sizeof(path), "%s/ring-00000.damaged", p.rings);
    assert_int_equal(access(path, F_OK), 0);
    spool_free(s);
    place_done(&p);
}

static void only_an_empty_ring_that_nobody_holds_is_removed(void **state)
{
    (void)state;
    struct place p;
    struct spool *watched;
    struct slice got;
    place_make(&p);
    struct spool *s = claim(&p, BYTES);
    assert_int_equal(spool_watch(p.rings, 0, &watched), 0);
    assert_false(spool_remove(watched, p.rings)); // held
    put_one(s);
    spool_free(s);
    assert_false(spool_remove(watched, p.rings)); // not empty
    assert_int_equal(spool_next(watched, &got), SPOOL_FRAME);
    spool_release(watched, watched->read);
    assert_true(spool_remove(watched, p.rings));
    assert_int_equal(spool_watch(p.rings, 0, &s), ERR_NOT_FOUND);
    spool_free(watched);
    place_done(&p);
}

static void no_room_in_memory_is_an_error_and_not_a_signal(void **state)
{
    (void)state;
    struct place p;
    struct spool *s;
    place_make(&p);
    if (system("true") != 0 || geteuid() != 0) {
        place_done(&p);
        skip();
    }
    char command[256];
    assert_int_equal(mkdir(p.rings, 0700), 0);
    snprintf(command, sizeof(command), "mount -t tmpfs -o size=256k none %s 2>/dev/null", p.rings);
    if (system(command) != 0) {
        print_message("skipped: no tmpfs can be mounted here\n");
        place_done(&p);
        skip();
    }
    int err = spool_claim(p.rings, UINT64_C(1) << 20, &s);
    snprintf(command, sizeof(command), "umount %s", p.rings);
    assert_int_equal(system(command), 0);
    assert_int_equal(err, ERR_LIMIT);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_held_by_one_and_found_again),
        cmocka_unit_test(another_size_is_another_ring),
        cmocka_unit_test(a_file_that_is_no_ring_is_set_aside),
        cmocka_unit_test(only_an_empty_ring_that_nobody_holds_is_removed),
        cmocka_unit_test(no_room_in_memory_is_an_error_and_not_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
