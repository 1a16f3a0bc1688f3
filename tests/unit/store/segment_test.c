// SPDX-License-Identifier: Apache-2.0
//
// segment_test.c: files that are appended to, kept in step with a database that this test plays.
#include "tests/unit/store/fixture.h"

#include <signal.h>
#include <sys/resource.h>

#define HOUR_US (UINT64_C(3600) * 1000000)
#define MAX     SEGMENT_BYTES

static struct segments *make(const char *dir)
{
    struct segments *s = NULL;
    assert_int_equal(segments_new(dir, &s), 0);
    return s;
}

// A folder of its own, and its files.
struct folder {
    char top[64], dir[80];
};

static struct segments *folder_make(struct folder *f)
{
    snprintf(f->top, sizeof(f->top), "/dev/shm/ringgate-segment-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->dir, sizeof(f->dir), "%s/" STORE_SEGMENTS, f->top);
    return make(f->dir);
}

static void folder_done(struct folder *f)
{
    assert_int_equal(nftw(f->top, place_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void path_of(const struct folder *f, const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", f->dir, name);
}

static struct stat status_of(const struct folder *f, const char *name)
{
    char path[160];
    struct stat status;
    path_of(f, name, path);
    assert_int_equal(stat(path, &status), 0);
    return status;
}

static bool is_there(const struct folder *f, const char *name)
{
    char path[160];
    path_of(f, name, path);
    return access(path, F_OK) == 0;
}

// Appends and does not commit.
static struct segment append(struct segments *s, enum segment_kind kind, const char *text,
                             uint64_t us, struct segment_place *ret)
{
    struct segment segment;
    uint32_t offset;
    struct slice bytes = slice_str(text);
    assert_int_equal(segments_append(s, kind, bytes, us, us, MAX, &segment, &offset), 0);
    if (ret)
        *ret = (struct segment_place){segment.number, offset, (uint32_t)bytes.len};
    return segment;
}

static struct segment appended(struct segments *s, enum segment_kind kind, const char *text,
                               uint64_t us, struct segment_place *ret)
{
    struct segment segment = append(s, kind, text, us, ret);
    segments_commit(s);
    return segment;
}

static int read_at(struct segments *s, enum segment_kind kind, struct segment_place place,
                   char text[128])
{
    struct buf buf;
    buf_init(&buf, 127);
    int err = segments_read(s, kind, place, &buf);
    if (!err)
        memcpy(text, buf.ptr, buf.len);
    text[err ? 0 : buf.len] = '\0';
    buf_done(&buf);
    return err;
}

static void reads(struct segments *s, enum segment_kind kind, struct segment_place place,
                  const char *expected)
{
    char text[128];
    assert_int_equal(read_at(s, kind, place, text), 0);
    assert_string_equal(text, expected);
}

// ---- Appending -------------------------------------------------------------------------------

static void append_and_read(struct segments *s)
{
    struct segment_place a, b, c;
    struct segment one = appended(s, SEGMENT_ROWS, "first", 1000, &a);
    assert_int_equal(one.number, 1);
    assert_int_equal(one.bytes, 5);
    struct segment two = append(s, SEGMENT_ROWS, "second", 500, &b);
    appended(s, SEGMENT_CONTENT, "a content", 700, &c); // one of each kind at once
    assert_int_equal(two.number, 1);
    assert_int_equal(two.bytes, 11);
    assert_int_equal(two.first_us, 500);
    assert_int_equal(two.last_us, 1000);
    assert_int_equal(b.offset, 5);
    assert_int_equal(c.offset, 0);
    reads(s, SEGMENT_ROWS, a, "first");
    reads(s, SEGMENT_ROWS, b, "second");
    reads(s, SEGMENT_CONTENT, c, "a content");
    reads(s, SEGMENT_ROWS, (struct segment_place){1, 3, 4}, "stse");
    assert_int_equal(segments_bytes(s), 20);
}

static void what_is_appended_is_read(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    append_and_read(s);
    assert_int_equal(status_of(&f, "rows-00000001").st_size, 11);
    assert_int_equal(status_of(&f, "rows-00000001").st_mode & 0777, 0600);
    segments_free(s);
    folder_done(&f);
}

static void in_memory_too(void **state)
{
    (void)state;
    struct segments *s = make(NULL);
    append_and_read(s);
    segments_erase(s, SEGMENT_ROWS, (struct segment_place){1, 0, 5});
    char text[128];
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){1, 0, 6}, text), 0);
    assert_memory_equal(text, "\0\0\0\0\0s", 6);
    segments_settle(s);
    assert_int_equal(segments_sync(s), 0);
    segments_seal(s, UINT64_MAX);
    segments_drop(s, SEGMENT_ROWS, 1);
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){1, 0, 5}, text),
                     ERR_NOT_FOUND);
    reads(s, SEGMENT_CONTENT, (struct segment_place){1, 0, 9}, "a content");
    segments_free(s);
    segments_free(NULL);
}

static void what_is_forgotten_is_written_over(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment_place place;
    append(s, SEGMENT_ROWS, "a batch that was not written", 1, NULL);
    segments_forget(s);
    assert_int_equal(segments_bytes(s), 0);
    struct segment segment = appended(s, SEGMENT_ROWS, "one", 90, &place);
    assert_int_equal(segment.number, 1);
    assert_int_equal(place.offset, 0);
    assert_int_equal(segment.first_us, 90); // not that of the other
    append(s, SEGMENT_ROWS, "again not", 91, NULL);
    segments_forget(s);
    segment = appended(s, SEGMENT_ROWS, "two", 92, &place);
    assert_int_equal(place.offset, 3);
    assert_int_equal(segment.bytes, 6);
    reads(s, SEGMENT_ROWS, (struct segment_place){1, 0, 6}, "onetwo");
    segments_free(s);
    folder_done(&f);
}

// ---- Rotation --------------------------------------------------------------------------------

static void a_full_segment_is_followed_by_another(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment segment;
    uint32_t offset;
    const struct slice ten = SLICE("0123456789");
    static const unsigned expected[] = {1, 1, 2, 2, 3};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(segments_append(s, SEGMENT_ROWS, ten, i, i, 25, &segment, &offset), 0);
        segments_commit(s);
        assert_int_equal(segment.number, expected[i]);
    }
    // One that is longer than all has a segment of its own.
    assert_int_equal(segments_append(s, SEGMENT_ROWS, ten, 9, 9, 5, &segment, &offset), 0);
    segments_commit(s);
    assert_int_equal(segment.number, 4);
    assert_int_equal(segments_append(s, SEGMENT_CONTENT, ten, 9, 9, 5, &segment, &offset), 0);
    assert_int_equal(segment.number, 1); // kinds count for themselves
    segments_free(s);
    folder_done(&f);
}

static void segments_of_other_times_are_open_beside_the_newest(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    const uint64_t day = 24 * HOUR_US;
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day, NULL).number, 1);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day + 6 * HOUR_US, NULL).number, 1);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day + 6 * HOUR_US + 1, NULL).number, 2);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 2 * day, NULL).number, 3);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day + 7 * HOUR_US, NULL).number, 2);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 2 * day + 1, NULL).number, 3);
    // Where it fits in both, it goes to the newer one.
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day + 2 * HOUR_US, NULL).number, 2);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 4 * day, NULL).number, 4);
    // No more than four are open: the oldest is closed for good.
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 5 * day, NULL).number, 5);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 10 * day - HOUR_US, NULL).number, 6);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 5 * day + 1, NULL).number, 5);
    segments_free(s);
    folder_done(&f);
}

static void sealed_is_what_is_older(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment oldest;
    const uint64_t day = 24 * HOUR_US;
    appended(s, SEGMENT_ROWS, "x", 3 * day, NULL);
    appended(s, SEGMENT_ROWS, "x", 2 * day, NULL);
    appended(s, SEGMENT_CONTENT, "x", 1 * day, NULL);
    assert_false(segments_oldest(s, SEGMENT_KINDS, UINT64_MAX, &oldest)); // all are open
    append(s, SEGMENT_ROWS, "x", 2 * day, NULL);
    segments_seal(s, 3 * day); // but not what is being written
    assert_true(segments_oldest(s, SEGMENT_KINDS, UINT64_MAX, &oldest));
    assert_int_equal(oldest.kind, SEGMENT_CONTENT);
    assert_int_equal(oldest.number, 1);
    assert_false(segments_oldest(s, SEGMENT_ROWS, UINT64_MAX, &oldest));
    segments_commit(s);
    segments_seal(s, 2 * day); // nor what is as old
    assert_false(segments_oldest(s, SEGMENT_ROWS, UINT64_MAX, &oldest));
    segments_seal(s, 3 * day);
    assert_true(segments_oldest(s, SEGMENT_ROWS, UINT64_MAX, &oldest));
    assert_int_equal(oldest.number, 2);
    assert_false(segments_oldest(s, SEGMENT_ROWS, 2 * day, &oldest)); // not older than itself
    assert_true(segments_oldest(s, SEGMENT_ROWS, 2 * day + 1, &oldest));
    segments_drop(s, SEGMENT_ROWS, 2);
    assert_false(is_there(&f, "rows-00000002"));
    assert_true(is_there(&f, "rows-00000001"));
    assert_false(segments_oldest(s, SEGMENT_ROWS, UINT64_MAX, &oldest));
    assert_int_equal(segments_bytes(s), 2);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 2 * day, NULL).number, 3); // never 2 again
    segments_drop(s, SEGMENT_ROWS, 77);                                        // is not there
    segments_free(s);
    folder_done(&f);
}

// ---- What the database says --------------------------------------------------------------------

static void the_start_goes_on_behind_what_is_known(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment_place place;
    struct segment first = appended(s, SEGMENT_ROWS, "known", 50, NULL);
    append(s, SEGMENT_ROWS, "torn", 60, NULL); // killed before the batch was written
    append(s, SEGMENT_CONTENT, "of nobody", 60, NULL);
    segments_free(s);
    s = make(f.dir);
    assert_int_equal(segments_know(s, &first), 0);
    segments_settle(s);
    assert_true(is_there(&f, "rows-00000001"));
    assert_false(is_there(&f, "content-00000001"));
    assert_int_equal(segments_bytes(s), 5);
    struct segment next = appended(s, SEGMENT_ROWS, "!", 70, &place);
    assert_int_equal(place.offset, 5);
    assert_int_equal(next.number, 1);
    assert_int_equal(next.first_us, 50);
    assert_int_equal(next.last_us, 70);
    reads(s, SEGMENT_ROWS, (struct segment_place){1, 0, 9}, "known!orn");
    segments_free(s);
    folder_done(&f);
}

static void a_stranger_in_the_folder_stays(void **state)
{
    (void)state;
    static const char *const names[] = {"rows-1", "rows-0000000x", "content-000000001", "notes"};
    struct folder f;
    struct segments *s = folder_make(&f);
    char path[160];
    for (unsigned i = 0; i < 4; i++) {
        path_of(&f, names[i], path);
        assert_true(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    segments_settle(s);
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_there(&f, names[i]));
    segments_free(s);
    folder_done(&f);
}

static void only_the_newest_known_is_appended_to(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment oldest;
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(segments_know(s, &(struct segment){.kind = SEGMENT_ROWS,
                                                            .number = i * 10,
                                                            .bytes = 100,
                                                            .first_us = i,
                                                            .last_us = i}),
                         0);
    assert_true(segments_oldest(s, SEGMENT_ROWS, UINT64_MAX, &oldest));
    assert_int_equal(oldest.number, 10);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 5, NULL).number, 30);
    segments_free(s);
    folder_done(&f);
}

// The engine has failed, was opened anew, and says what it has.
static void what_the_database_says_counts(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment_place place;
    struct segment before = appended(s, SEGMENT_ROWS, "one", 10, NULL);
    struct segment written = append(s, SEGMENT_ROWS, "two", 20, NULL);
    assert_int_equal(segments_know(s, &written), 0); // it has the batch though it said no
    segments_forget(s);
    appended(s, SEGMENT_ROWS, "three", 30, &place);
    assert_int_equal(place.offset, 6);
    assert_int_equal(segments_know(s, &before), 0); // or has lost some
    appended(s, SEGMENT_ROWS, "2", 40, &place);
    assert_int_equal(place.offset, 3);
    // One that was dropped while the database was read does not come back.
    appended(s, SEGMENT_CONTENT, "x", 10, NULL);
    segments_seal(s, UINT64_MAX);
    struct segment gone = {.kind = SEGMENT_CONTENT, .number = 1, .bytes = 1};
    segments_drop(s, SEGMENT_CONTENT, 1);
    assert_int_equal(segments_know(s, &gone), 0);
    assert_int_equal(segments_bytes(s), 4);
    segments_free(s);
    folder_done(&f);
}

// ---- Errors ----------------------------------------------------------------------------------

static void what_is_not_there_is_told_apart(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    char text[128], reason[SEGMENT_REASON_BYTES];
    struct buf small;
    appended(s, SEGMENT_ROWS, "text", 1, NULL);
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){2, 0, 4}, text),
                     ERR_NOT_FOUND);
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){1, 0, 5}, text),
                     ERR_BAD_LENGTH);
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){1, 4000000000u, 5}, text),
                     ERR_BAD_LENGTH);
    buf_init(&small, 3);
    assert_int_equal(segments_read(s, SEGMENT_ROWS, (struct segment_place){1, 0, 4}, &small),
                     ERR_LIMIT);
    buf_done(&small);
    char path[160];
    path_of(&f, "rows-00000003", path); // a folder: it opens, and does not read
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(read_at(s, SEGMENT_ROWS, (struct segment_place){3, 0, 4}, text), ERR_SYSTEM);
    segments_reason(s, reason);
    assert_string_equal(reason, "segments/rows-00000003: Is a directory");
    segments_free(s);
    assert_int_equal(segments_new("/dev/shm/no/such/folder", &s), ERR_SYSTEM);
    folder_done(&f);
}

// A disk that takes a part and no more; the bound on a file's size stands for it.
static void a_write_that_ends_in_the_middle_leaves_nothing(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct rlimit all, few;
    struct segment segment;
    struct segment_place place;
    char reason[SEGMENT_REASON_BYTES];
    uint32_t offset;
    appended(s, SEGMENT_ROWS, "kept", 1, NULL);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    few = (struct rlimit){.rlim_cur = 10, .rlim_max = all.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    int err =
        segments_append(s, SEGMENT_ROWS, SLICE("more than fits"), 2, 2, MAX, &segment, &offset);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(err, ERR_SYSTEM);
    assert_int_equal(status_of(&f, "rows-00000001").st_size, 4);
    segments_reason(s, reason);
    assert_string_equal(reason, "segments/rows-00000001: File too large");
    segments_commit(s); // the batch goes on with the usage
    assert_int_equal(segments_bytes(s), 4);
    appended(s, SEGMENT_ROWS, " on", 3, &place);
    assert_int_equal(place.offset, 4);
    reads(s, SEGMENT_ROWS, (struct segment_place){1, 0, 7}, "kept on");
    segments_free(s);
    folder_done(&f);
}

static void a_file_that_cannot_be_made_is_tried_again(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    struct segment segment;
    char path[160];
    uint32_t offset;
    path_of(&f, "rows-00000001", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(segments_append(s, SEGMENT_ROWS, SLICE("x"), 2, 2, MAX, &segment, &offset),
                     ERR_SYSTEM);
    segments_forget(s);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(appended(s, SEGMENT_ROWS, "x", 3, NULL).number, 1);
    segments_free(s);
    folder_done(&f);
}

// ---- Sync, erasing, backups ------------------------------------------------------------------

static void sync_takes_what_is_committed(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    uint32_t offset;
    struct segment segment;
    for (unsigned i = 0; i < 150; i++) { // more than one round
        assert_int_equal(segments_append(s, SEGMENT_ROWS, SLICE("x"), i, i, 1, &segment, &offset),
                         0);
        segments_commit(s);
    }
    segments_seal(s, 100);
    segments_drop(s, SEGMENT_ROWS, 50);
    char path[160];
    path_of(&f, "rows-00000060", path);
    assert_int_equal(unlink(path), 0); // one that is gone is no failure
    assert_int_equal(segments_sync(s), 0);
    assert_int_equal(segments_sync(s), 0);
    segments_free(s);
    folder_done(&f);
}

static void erased_space_is_given_back(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    static char body[64 * 4096 + 1];
    char text[128], path[160], other[160];
    struct segment_place place;
    memset(body, 'b', sizeof(body) - 1);
    appended(s, SEGMENT_CONTENT, body, 1, &place);
    const blkcnt_t all = status_of(&f, "content-00000001").st_blocks;
    place = (struct segment_place){1, 4096, 32 * 4096};
    // A backup that is being made may name it; one that has the file does.
    segments_hold(s);
    segments_hold(s);
    segments_erase(s, SEGMENT_CONTENT, place);
    assert_int_equal(status_of(&f, "content-00000001").st_blocks, all);
    segments_release(s);
    assert_int_equal(status_of(&f, "content-00000001").st_blocks, all);
    path_of(&f, "content-00000001", path);
    snprintf(other, sizeof(other), "%s/backup", f.top);
    assert_int_equal(link(path, other), 0);
    segments_release(s);
    segments_erase(s, SEGMENT_CONTENT, place);
    assert_int_equal(status_of(&f, "content-00000001").st_blocks, all);
    assert_int_equal(unlink(other), 0);
    segments_hold(s);
    segments_erase(s, SEGMENT_CONTENT, place);
    segments_release(s);
    assert_true(status_of(&f, "content-00000001").st_blocks <= all - 31 * 8);
    assert_int_equal(status_of(&f, "content-00000001").st_size, sizeof(body) - 1);
    assert_int_equal(read_at(s, SEGMENT_CONTENT, (struct segment_place){1, 4095, 2}, text), 0);
    assert_memory_equal(text, "b\0", 2);
    segments_erase(s, SEGMENT_CONTENT, (struct segment_place){9, 0, 1}); // is not there
    segments_free(s);
    folder_done(&f);
}

static void a_linked_segment_is_not_appended_to(void **state)
{
    (void)state;
    struct folder f;
    struct segments *s = folder_make(&f);
    char to[160], reason[SEGMENT_REASON_BYTES];
    struct segment first = appended(s, SEGMENT_ROWS, "one", 1, NULL);
    appended(s, SEGMENT_CONTENT, "two", 1, NULL);
    snprintf(to, sizeof(to), "%s/copy", f.top);
    assert_int_equal(segments_link(f.dir, to, reason), 0);
    assert_int_equal(status_of(&f, "rows-00000001").st_nlink, 2);
    assert_int_equal(appended(s, SEGMENT_ROWS, "three", 2, NULL).number, 2);
    // Nor by a store that is opened where the backup is.
    struct segments *b = make(to);
    assert_int_equal(segments_know(b, &first), 0);
    segments_settle(b);
    assert_int_equal(appended(b, SEGMENT_ROWS, "four", 2, NULL).number, 2);
    reads(b, SEGMENT_ROWS, (struct segment_place){1, 0, 3}, "one");
    reads(b, SEGMENT_ROWS, (struct segment_place){2, 0, 4}, "four");
    reads(s, SEGMENT_ROWS, (struct segment_place){2, 0, 5}, "three");
    assert_int_equal(status_of(&f, "rows-00000001").st_size, 3);
    segments_free(b);
    assert_int_equal(segments_link(f.dir, to, reason), ERR_SYSTEM); // it exists
    assert_non_null(strstr(reason, "/copy: File exists"));
    assert_int_equal(segments_link("/dev/shm/no/such", "/dev/shm/no/such/copy", reason),
                     ERR_SYSTEM);
    snprintf(to, sizeof(to), "%s/empty", f.top);
    assert_int_equal(segments_link("/dev/shm/no/such", to, reason), 0); // nothing was ever written
    segments_free(s);
    folder_done(&f);
}

// The kernel's own copying ends at the border of a file system.
static void onto_another_file_system_it_is_copied(void **state)
{
    (void)state;
    struct folder f;
    struct stat here, there;
    struct segments *s = folder_make(&f);
    char top[64] = "/var/tmp/ringgate-segment-XXXXXX", to[160], path[200];
    char reason[SEGMENT_REASON_BYTES];
    assert_non_null(mkdtemp(top));
    snprintf(to, sizeof(to), "%s/copy", top);
    appended(s, SEGMENT_ROWS, "one", 1, NULL);
    append(s, SEGMENT_ROWS, " and what nobody names", 1, NULL);
    if (segments_link(f.dir, to, reason) != 0)
        fail_msg("%s", reason);
    snprintf(path, sizeof(path), "%s/rows-00000001", to);
    assert_int_equal(stat(path, &there), 0);
    here = status_of(&f, "rows-00000001");
    if (here.st_dev == there.st_dev)
        print_message("one file system: it was linked\n");
    assert_int_equal(there.st_size, here.st_size);
    struct segments *b = make(to);
    reads(b, SEGMENT_ROWS, (struct segment_place){1, 0, 3}, "one");
    segments_free(b);
    segments_free(s);
    assert_int_equal(nftw(top, place_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    folder_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_read),
        cmocka_unit_test(in_memory_too),
        cmocka_unit_test(what_is_forgotten_is_written_over),
        cmocka_unit_test(a_full_segment_is_followed_by_another),
        cmocka_unit_test(segments_of_other_times_are_open_beside_the_newest),
        cmocka_unit_test(sealed_is_what_is_older),
        cmocka_unit_test(the_start_goes_on_behind_what_is_known),
        cmocka_unit_test(a_stranger_in_the_folder_stays),
        cmocka_unit_test(only_the_newest_known_is_appended_to),
        cmocka_unit_test(what_the_database_says_counts),
        cmocka_unit_test(what_is_not_there_is_told_apart),
        cmocka_unit_test(a_write_that_ends_in_the_middle_leaves_nothing),
        cmocka_unit_test(a_file_that_cannot_be_made_is_tried_again),
        cmocka_unit_test(sync_takes_what_is_committed),
        cmocka_unit_test(erased_space_is_given_back),
        cmocka_unit_test(a_linked_segment_is_not_appended_to),
        cmocka_unit_test(onto_another_file_system_it_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
