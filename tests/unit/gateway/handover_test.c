// SPDX-License-Identifier: Apache-2.0
//
// handover_test.c: what is written is read, what is not what was promised is refused, and memory
// that two map is one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "base/err.h"
#include "gateway/handover.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct handover list;

static int spare(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD, 3);
    assert_true(fd >= 3);
    return fd;
}

// ---- Names and descriptors -------------------------------------------------------------------

static void what_is_written_is_read(void **state)
{
    (void)state;
    static struct handover offer;
    struct buf text;
    int a = spare(), b = spare(), c = spare();
    char expected[96];
    buf_init(&text, 4096);
    handover_add(&offer, "main", a);
    handover_add(&offer, "link", b);
    handover_add(&offer, "main", c);
    handover_write(&offer, &text);
    snprintf(expected, sizeof(expected), "RINGGATE_HANDOVER=1 main=%d link=%d main=%d", a, b, c);
    assert_string_equal(text.ptr, expected);

    assert_int_equal(handover_read(&list, text.ptr + strlen("RINGGATE_HANDOVER=")), 0);
    assert_int_equal(list.count, 3);
    assert_int_equal(fcntl(b, F_GETFD), FD_CLOEXEC);
    assert_int_equal(handover_take(&list, "link"), b);
    assert_int_equal(handover_take(&list, "link"), -1);
    assert_int_equal(handover_take(&list, "main"), a);
    handover_drop(&list);
    assert_int_equal(list.count, 0);
    assert_int_equal(fcntl(c, F_GETFD), -1);
    assert_true(fcntl(a, F_GETFD) >= 0 && fcntl(b, F_GETFD) >= 0);
    close(a);
    close(b);
    buf_done(&text);
}

static void another_version_is_told_from_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"1", 0},
        {"2", ERR_UNSUPPORTED},
        {"2 anything at all", ERR_UNSUPPORTED},
        {"", ERR_CONFIG},
        {"one", ERR_CONFIG},
        {"1 main", ERR_CONFIG},
        {"1 main=", ERR_CONFIG},
        {"1 =3", ERR_CONFIG},
        {"1 main=x", ERR_CONFIG},
        {"1 main=-1", ERR_CONFIG},
        {"1 main=1", ERR_CONFIG},           // standard output
        {"1 main=9999", ERR_CONFIG},        // not open
        {"1 main=99999999999", ERR_CONFIG}, // no descriptor
        {"1  main=3", ERR_CONFIG},          // a word of nothing
        {"1 a-name-of-24-characters-=3", ERR_CONFIG},
    };
    int fd = spare();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(handover_read(&list, cases[i].text), cases[i].rc);
        assert_int_equal(list.count, 0);
    }
    close(fd);
}

// ---- systemd's -------------------------------------------------------------------------------

// Descriptors 3 and 4 are what systemd would leave there.
static void systemd_begins_at_three(void **state)
{
    (void)state;
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", getpid());
    assert_int_equal(dup2(STDERR_FILENO, 3), 3);
    assert_int_equal(dup2(STDERR_FILENO, 4), 4);
    assert_int_equal(handover_read_systemd(&list, pid, "2", "main:a-unit-with-a-long-name.socket"),
                     0);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.item[0].name, "main");
    assert_string_equal(list.item[1].name, "");
    assert_int_equal(list.item[1].fd, 4);
    assert_int_equal(fcntl(4, F_GETFD), FD_CLOEXEC);
    list.count = 0;
    assert_int_equal(handover_read_systemd(&list, pid, "1", NULL), 0); // older ones give no names
    assert_string_equal(list.item[0].name, "");
    list.count = 0;

    static const char *const others[][2] = {{"1", "2"}, {NULL, "2"}, {"x", "2"}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(handover_read_systemd(&list, others[i][0], others[i][1], NULL), 0);
    assert_int_equal(handover_read_systemd(&list, pid, NULL, NULL), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(handover_read_systemd(&list, pid, "many", NULL), ERR_CONFIG);
    assert_int_equal(handover_read_systemd(&list, pid, "100000", NULL), ERR_LIMIT);
    close(4);
    assert_int_equal(handover_read_systemd(&list, pid, "2", NULL), ERR_CONFIG);
    assert_int_equal(list.count, 0);
    close(3);
}

// ---- The link --------------------------------------------------------------------------------

static void words_wait_until_they_are_heard(void **state)
{
    (void)state;
    int fds[2];
    struct handover_message said = {.word = HANDOVER_KEYS, .rotate_in_ms = 5}, heard = {0};
    memset(said.key.secret, 'k', sizeof(said.key.secret));
    assert_int_equal(handover_link_make(fds), 0);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(handover_hear(fds[1], &heard), ERR_MORE);
    assert_int_equal(handover_say(fds[0], &said), 0);
    said.word = HANDOVER_STOPPED;
    assert_int_equal(handover_say(fds[0], &said), 0);
    assert_int_equal(handover_hear(fds[1], &heard), 0);
    assert_int_equal(heard.word, HANDOVER_KEYS);
    assert_int_equal(heard.rotate_in_ms, 5);
    assert_int_equal(heard.key.secret[15], 'k');
    assert_int_equal(handover_hear(fds[1], &heard), 0);
    assert_int_equal(heard.word, HANDOVER_STOPPED);
    assert_int_equal(send(fds[0], "short", 5, 0), 5);
    assert_int_equal(handover_hear(fds[1], &heard), ERR_SYSTEM);
    close(fds[0]);
    assert_int_equal(handover_hear(fds[1], &heard), ERR_SYSTEM);
    assert_int_equal(handover_say(fds[1], &said), ERR_SYSTEM); // and no SIGPIPE
    close(fds[1]);
}

// ---- The area --------------------------------------------------------------------------------

static void an_area_is_one_for_all_who_map_it(void **state)
{
    (void)state;
    struct handover_area *mine, *theirs;
    int fd;
    assert_int_equal(handover_area_make(&fd, &mine), 0);
    assert_int_equal(atomic_load(&mine->generation), 0);
    assert_int_equal(handover_area_map(fd, &theirs), 0);
    assert_ptr_not_equal(mine, theirs);
    atomic_fetch_add(&mine->upgrades, 3);
    assert_int_equal(atomic_load(&theirs->upgrades), 3);
    assert_int_equal(ftruncate(fd, 0), -1); // sealed
    handover_area_unmap(mine);
    assert_int_equal(atomic_load(&theirs->upgrades), 3);
    theirs->version++;
    assert_int_equal(handover_area_map(fd, &mine), ERR_UNSUPPORTED);
    theirs->version--;
    theirs->magic[0] = 'R';
    assert_int_equal(handover_area_map(fd, &mine), ERR_UNSUPPORTED);
    handover_area_unmap(theirs);
    handover_area_unmap(NULL);
    close(fd);
}

static void memory_that_may_shrink_is_no_area(void **state)
{
    (void)state;
    struct handover_area *a, image = {.version = HANDOVER_AREA_VERSION, .bytes = sizeof(image)};
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    memcpy(image.magic, HANDOVER_AREA_MAGIC, sizeof(image.magic));
    assert_int_equal(handover_area_map(fd, &a), ERR_UNSUPPORTED); // empty
    assert_int_equal(write(fd, &image, sizeof(image)), sizeof(image));
    assert_int_equal(handover_area_map(fd, &a), ERR_UNSUPPORTED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    assert_int_equal(handover_area_map(fd, &a), 0);
    handover_area_unmap(a);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(another_version_is_told_from_nonsense),
        cmocka_unit_test(systemd_begins_at_three),
        cmocka_unit_test(words_wait_until_they_are_heard),
        cmocka_unit_test(an_area_is_one_for_all_who_map_it),
        cmocka_unit_test(memory_that_may_shrink_is_no_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
