// SPDX-License-Identifier: Apache-2.0
//
// desk.c: backups, and the desk where another process asks for a backup.
//
// The engine lets one process in. So `ringgate backup` asks the gateway that runs: a line on the
// socket <dir>/desk, "backup /where/to\n", answered by "ok\n" or a sentence. Whoever may write in
// the folder may ask; nothing else can be asked for. When nobody listens, the command opens the
// databases itself.
//
// One thread accepts, serves, and accepts again: backups come one at a time.
#include "base/err.h"
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_BYTES (STORE_PATH_BYTES + 64)
// Who connects and says nothing must not keep others out.
#define ASK_MS 5000
#define VERB   "backup "

struct desk {
    struct store *store;
    int listener;
    int stop; // an eventfd
    bool runs;
    pthread_t thread;
};

// ---- The checkpoint --------------------------------------------------------------------------

static int checkpoint_of(struct rocks *db, const char *dir, const char *name,
                         char reason[ROCKS_REASON_BYTES])
{
    char path[STORE_PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int err = rocks_checkpoint(db, path);
    if (err)
        rocks_reason(db, reason);
    return err;
}

// Behind the database that names what is in them.
static int link_segments(const char *from, const char *to, char reason[ROCKS_REASON_BYTES])
{
    char from_path[STORE_PATH_BYTES + 16], to_path[STORE_PATH_BYTES + 16];
    snprintf(from_path, sizeof(from_path), "%s/" STORE_SEGMENTS, from);
    snprintf(to_path, sizeof(to_path), "%s/" STORE_SEGMENTS, to);
    return segments_link(from_path, to_path, reason);
}

static int checkpoint(struct store *s, const char *dir, char reason[ROCKS_REASON_BYTES])
{
    if (mkdir(dir, 0700) < 0) {
        snprintf(reason, ROCKS_REASON_BYTES, "%.200s cannot be made: %s", dir, strerror(errno));
        return ERR_SYSTEM;
    }
    int err = checkpoint_of(s->config, dir, "config", reason);
    if (!err && !s->logs) {
        snprintf(reason, ROCKS_REASON_BYTES, "the database of logs is not open");
        err = ERR_SYSTEM;
    }
    if (!err)
        err = checkpoint_of(s->logs, dir, "logs", reason);
    return err ? err : link_segments(s->dir, dir, reason);
}

// What the copy of the database names is not to be erased before the files are linked.
int store__checkpoint(struct store *s, const char *dir, char reason[ROCKS_REASON_BYTES])
{
    segments_hold(s->segments);
    int err = checkpoint(s, dir, reason);
    segments_release(s->segments);
    return err;
}

static int locked_checkpoint(struct store *s, const char *dir, char reason[ROCKS_REASON_BYTES])
{
    pthread_rwlock_rdlock(&s->db_lock);
    int err = store__checkpoint(s, dir, reason);
    pthread_rwlock_unlock(&s->db_lock);
    if (err) {
        atomic_fetch_add(&s->numbers.errors, 1);
        store__notice(s, LOG_ERROR, "the backup was not made: %s", reason);
    }
    return err;
}

struct backup_call {
    struct store *store;
    const char *dir;
    int err;
};

static void backup_job(void *arg)
{
    struct backup_call *c = arg;
    char reason[ROCKS_REASON_BYTES];
    c->err = locked_checkpoint(c->store, c->dir, reason);
}

int store_backup_await(struct store *s, struct fiber *self, const char *dir)
{
    struct backup_call call = {.store = s, .dir = dir};
    if (s->memory)
        return ERR_UNSUPPORTED;
    int rc = store__call_await(s, self, backup_job, &call);
    return rc ? rc : call.err;
}

// ---- The desk --------------------------------------------------------------------------------

// The address of <dir>/desk, however long `dir` is: through the descriptor of the folder.
static bool address_of(const char *dir, int *ret_folder, struct sockaddr_un *ret)
{
    int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return false;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/desk", folder);
    *ret_folder = folder;
    return true;
}

// A line without its end. False: none came in time.
static bool read_line(int fd, char line[LINE_BYTES], int timeout_ms)
{
    size_t len = 0;
    while (len + 1 < LINE_BYTES) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (timeout_ms >= 0 && poll(&ready, 1, timeout_ms) <= 0)
            return false;
        ssize_t got = read(fd, line + len, LINE_BYTES - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        line[len] = '\0';
        char *end = memchr(line, '\n', len);
        if (end) {
            *end = '\0';
            return true;
        }
    }
    return false;
}

static void serve(struct store *s, int fd)
{
    char line[LINE_BYTES], answer[ROCKS_REASON_BYTES + 2], reason[ROCKS_REASON_BYTES];
    if (!read_line(fd, line, ASK_MS))
        return;
    if (strncmp(line, VERB "/", sizeof(VERB)) != 0)
        snprintf(reason, sizeof(reason), "not understood");
    else if (locked_checkpoint(s, line + sizeof(VERB) - 1, reason) == 0)
        snprintf(reason, sizeof(reason), "ok");
    int len = snprintf(answer, sizeof(answer), "%s\n", reason);
    (void)!send(fd, answer, (size_t)len, MSG_NOSIGNAL);
}

static void *desk_main(void *desk)
{
    struct desk *d = desk;
    pthread_setname_np(pthread_self(), "desk");
    for (;;) {
        struct pollfd ready[2] = {{.fd = d->stop, .events = POLLIN},
                                  {.fd = d->listener, .events = POLLIN}};
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (ready[0].revents)
            return NULL;
        int fd = ready[1].revents ? accept4(d->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            serve(d->store, fd);
            close(fd);
        }
    }
}

static int listen_at(const char *dir)
{
    struct sockaddr_un address;
    char path[STORE_PATH_BYTES + 16];
    int folder;

    if (!address_of(dir, &folder, &address))
        return -1;
    snprintf(path, sizeof(path), "%s/desk", dir);
    (void)unlink(path); // of a process that ended; the store's lock is ours
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
                    chmod(path, 0600) < 0 || listen(fd, 8) < 0)) {
        close(fd);
        fd = -1;
    }
    close(folder);
    return fd;
}

static struct desk *desk_new(void)
{
    return calloc(1, sizeof(struct desk));
}

int store__desk_new(struct store *s, struct desk **ret)
{
    struct desk *d = desk_new();
    if (!d)
        return ERR_NOMEM;
    d->store = s;
    d->stop = eventfd(0, EFD_CLOEXEC);
    d->listener = listen_at(s->dir);
    if (d->listener < 0 || d->stop < 0)
        store__notice(s, LOG_WARN, "backups cannot be asked for: %s/desk: %s", s->dir,
                      strerror(errno));
    else
        d->runs = pthread_create(&d->thread, NULL, desk_main, d) == 0;
    *ret = d;
    return 0;
}

void store__desk_free(struct desk *d)
{
    char path[STORE_PATH_BYTES + 16];
    uint64_t one = 1;
    if (!d)
        return;
    if (d->runs && write(d->stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(d->thread, NULL);
    if (d->listener >= 0) {
        snprintf(path, sizeof(path), "%s/desk", d->store->dir);
        (void)unlink(path);
        close(d->listener);
    }
    if (d->stop >= 0)
        close(d->stop);
    free(d);
}

// ---- Commands --------------------------------------------------------------------------------

// ERR_NOT_FOUND: nobody listens.
static int ask(const char *dir, const char *to, char reason[STORE_REASON_BYTES])
{
    struct sockaddr_un address;
    char line[LINE_BYTES];
    int folder;

    if (!address_of(dir, &folder, &address)) {
        store__explain(reason, "%s: %s", dir, strerror(errno));
        return ERR_SYSTEM;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof(address));
    close(folder);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return ERR_NOT_FOUND;
    }
    int len = snprintf(line, sizeof(line), VERB "%s\n", to);
    int err = ERR_SYSTEM;
    if (len <= 0 || len >= (int)sizeof(line) || send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        store__explain(reason, "the running gateway cannot be asked");
    else if (!read_line(fd, line, -1))
        store__explain(reason, "the running gateway gave no answer");
    else if (strcmp(line, "ok") != 0)
        store__explain(reason, "%s", line);
    else
        err = 0;
    close(fd);
    return err;
}

// With the store's lock.
static int backup_alone(const char *dir, const char *to, char reason[STORE_REASON_BYTES])
{
    static const struct rocks_options wanted[2] = {{.must_exist = true},
                                                   {.logs = true, .must_exist = true}};
    static const char *const names[2] = {"config", "logs"};
    char path[STORE_PATH_BYTES + 16], words[ROCKS_REASON_BYTES] = "";
    int err = mkdir(to, 0700) < 0 ? ERR_SYSTEM : 0;
    if (err)
        store__explain(reason, "%s cannot be made: %s", to, strerror(errno));
    for (unsigned i = 0; !err && i < 2; i++) {
        struct rocks_options options = wanted[i];
        struct rocks *db = NULL;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        options.dir = path;
        err = rocks_open(&options, &db, words);
        if (!err)
            err = checkpoint_of(db, to, names[i], words);
        rocks_close(db);
        if (err)
            store__explain(reason, "%s: %s", path, words);
    }
    if (!err) {
        err = link_segments(dir, to, words);
        if (err)
            store__explain(reason, "%s", words);
    }
    return err;
}

int store_backup(const char *dir, const char *to, char ret_reason[STORE_REASON_BYTES])
{
    int lock;
    int err = ask(dir, to, ret_reason);
    if (err != ERR_NOT_FOUND)
        return err;
    if (store__lock(dir, &lock) < 0) {
        store__explain(ret_reason, "another process has %s open and cannot be asked", dir);
        return ERR_SYSTEM;
    }
    err = backup_alone(dir, to, ret_reason);
    close(lock);
    return err;
}
