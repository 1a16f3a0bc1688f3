// SPDX-License-Identifier: Apache-2.0
//
// process_upgrade.c: SIGUSR2 puts a new program in the place of this process. The side that is
// replaced; process_takeover.c is the other.
//
// Its control (process_control.c) stays RUNNING until DONE:
//
//   ┌──────┐ SIGUSR2: begin  ┌──────────┐ READY: succeed          ┌──────┐
//   │ NONE │ ──────────────► │ STARTING │ ──────────────────────► │ DONE │ control: DRAINING, and
//   └──────┘                 └──────────┘                         └──────┘ STOPPED when no core
//       ▲                      │      │ SIGTERM, SIGINT                    accepts any more
//       │ the cores ask anew   │      │ process__upgrade_end_asked
//       │ who waits            │      ▼
//       │                      │  ┌────────────┐ READY, its end, or CALL_OFF_MS
//       └──────────────────────┤  │ CALLED_OFF │ ─────────────────────────────────► NONE
//         fail: it has ended,  │  └────────────┘
//         or is silent for
//         upgrade_timeout_s
//
//   NONE        a SIGUSR2 is taken up, unless this process ends, has not yet heard STOPPED from the
//               one before it, or is process 1 (whose end would end its container)
//   STARTING    serves as ever; a thread (supervise) starts the program and waits for its word. A
//               SIGUSR2 is refused. A SIGHUP reloads here and is passed on, because the new process
//               may have read the file before it changed
//   CALLED_OFF  this process drains as after any SIGTERM; so does the new one, which was sent the
//               signal. One that does not yet serve has nothing to drain: it is killed after
//               CALL_OFF_MS
//   DONE        the new process has the name (systemd is told MAINPID), the sockets, and the keys
//               of session tickets. This one never goes back
//
// The program is found as it was given to us (argv[0], by PATH when it has no slash), so what lies
// there now is what is started.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/notify.h"
#include "gateway/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

// How long a new process that does not yet serve may take to end when it is called off.
#define CALL_OFF_MS 1000
#define TEXT_BYTES  (64 * 1024)

// ---- What is passed --------------------------------------------------------------------------

// Everything that the next process gets; what is shared later gets its line here.
static void offer(struct process *p, int link)
{
    struct upgrade *u = &p->upgrade;
    u->offer.count = 0;
    handover_add(&u->offer, "link", link);
    handover_add(&u->offer, "area", u->area_fd);
    if (p->stored.fd >= 0)
        handover_add(&u->offer, "stored", p->stored.fd);
    for (unsigned i = 0; i < p->sockets.count; i++) {
        const struct net_socket *s = &p->sockets.socket[i];
        char name[HANDOVER_NAME_BYTES];
        snprintf(name, sizeof(name), "%s%s", net_role_name(s->role),
                 s->trusted ? PROCESS_NAMED : "");
        handover_add(&u->offer, name, s->fd);
    }
}

// ---- The thread that starts the program -------------------------------------------------------

extern char **environ;

// The environment with `word` at its end. Freed as one; NULL without memory.
static char **environment_new(char *word)
{
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    char **copy = calloc(n + 2, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    memcpy(copy, environ, n * sizeof(*copy));
    copy[n] = word;
    return copy;
}

// With nothing open but the standard descriptors and what is offered. 0 or an errno.
static int spawn(struct upgrade *u, pid_t *ret)
{
    char *const *argv = container_of(u, struct process, upgrade)->setup->argv;
    posix_spawn_file_actions_t files;
    struct buf text;
    buf_init(&text, TEXT_BYTES);
    handover_write(&u->offer, &text);
    char **envp = text.err == 0 ? environment_new(text.ptr) : NULL;
    int rc = envp != NULL ? posix_spawn_file_actions_init(&files) : ENOMEM;
    if (rc == 0) {
        // Onto itself: the descriptor loses CLOEXEC, in the child alone.
        for (unsigned i = 0; rc == 0 && i < u->offer.count; i++) {
            int fd = u->offer.item[i].fd;
            rc = posix_spawn_file_actions_adddup2(&files, fd, fd);
        }
        // Signals stay blocked: what is sent to it before it can serve waits for it.
        if (rc == 0)
            rc = posix_spawnp(ret, argv[0], &files, NULL, argv, envp);
        posix_spawn_file_actions_destroy(&files);
    }
    free(envp);
    buf_done(&text);
    return rc;
}

// The child is there: signals that came before go to it now.
static void publish_child(struct upgrade *u, pid_t child)
{
    pthread_mutex_lock(&u->mutex);
    u->child = child;
    for (unsigned i = 0; i < ARRAY_LEN(u->early) && u->early[i] != 0; i++)
        (void)kill(child, u->early[i]);
    pthread_mutex_unlock(&u->mutex);
}

static void reap(struct upgrade *u, const char *cause)
{
    int status = 0;
    pthread_mutex_lock(&u->mutex);
    pid_t child = u->child;
    u->child = 0; // its number may be another's as soon as it is collected
    pthread_mutex_unlock(&u->mutex);
    bool known = waitpid(child, &status, 0) == child; // not where SIGCHLD is ignored
    if (cause != NULL)
        snprintf(u->reason, sizeof(u->reason), "%s", cause);
    else if (known && WIFSIGNALED(status))
        snprintf(u->reason, sizeof(u->reason), "it was ended by signal %d", WTERMSIG(status));
    else if (known)
        snprintf(u->reason, sizeof(u->reason), "it ended with status %d", WEXITSTATUS(status));
    else
        snprintf(u->reason, sizeof(u->reason), "it ended");
}

static bool is_ready(struct upgrade *u, struct pollfd *link)
{
    struct handover_message message;
    int rc = link->revents != 0 ? handover_hear(link->fd, &message) : ERR_MORE;
    if (rc == ERR_SYSTEM)
        link->fd = -1; // it will say nothing any more; its end or the deadline decides
    u->served = rc == 0 && message.word == HANDOVER_READY;
    return u->served;
}

// Until it serves, has ended, or has been killed for its silence.
static void wait_for_word(struct upgrade *u)
{
    struct mono until = mono_add_ms(clock_mono(), u->timeout_ms);
    struct pollfd fds[] = {{u->pidfd, POLLIN, 0}, {u->link, POLLIN, 0}, {u->wake, POLLIN, 0}};
    for (;;) {
        int64_t left = mono_diff_ns(until, clock_mono()) / NS_PER_MS;
        int n = poll(fds, ARRAY_LEN(fds), left > 0 ? (int)left + 1 : 0);
        if (n < 0) // EINTR: whatever is there is still there
            continue;
        if (fds[0].revents != 0) {
            reap(u, NULL);
            return;
        }
        if (is_ready(u, &fds[1]))
            return;
        if (fds[2].revents != 0) { // called off
            until = mono_min(until, mono_add_ms(clock_mono(), CALL_OFF_MS));
            fds[2].fd = -1;
        }
        if (n == 0 && left <= 0) {
            char cause[64];
            snprintf(cause, sizeof(cause), "it was silent for %u ms and was killed", u->timeout_ms);
            (void)kill(u->child, SIGKILL);
            reap(u, cause);
            return;
        }
    }
}

static void on_outcome(struct ring *ring, struct ring_mail *mail);

static void *supervise(void *upgrade)
{
    struct upgrade *u = upgrade;
    pid_t child = 0;
    int rc = spawn(u, &child);
    (void)close(u->far_link); // the child's now
    u->pidfd = rc == 0 ? pidfd_open(child, 0) : -1;
    if (rc == 0)
        publish_child(u, child);
    if (rc != 0) {
        snprintf(u->reason, sizeof(u->reason), "%s: %s",
                 container_of(u, struct process, upgrade)->setup->argv[0], strerror(rc));
    } else if (u->pidfd < 0) {
        (void)kill(child, SIGKILL);
        reap(u, "no descriptor to wait for it with");
    } else {
        wait_for_word(u);
    }
    ring_mail_send(NULL, process__first_core(container_of(u, struct process, upgrade))->ring,
                   &u->mail, on_outcome);
    return NULL;
}

// ---- Core 0 -----------------------------------------------------------------------------------

static void set_state(struct upgrade *u, enum upgrade_state to)
{
    static const unsigned legal[UPGRADE_STATE_COUNT] = {
        [UPGRADE_NONE] = 1u << UPGRADE_STARTING,
        [UPGRADE_STARTING] = 1u << UPGRADE_NONE | 1u << UPGRADE_CALLED_OFF | 1u << UPGRADE_DONE,
        [UPGRADE_CALLED_OFF] = 1u << UPGRADE_NONE,
    };
    ASSERT(legal[u->state] & 1u << to);
    u->state = to;
}

static void close_link(struct upgrade *u)
{
    if (u->link >= 0)
        (void)close(u->link);
    u->link = -1;
}

bool process__listen_anew(struct tour *tour, struct gateway_core *core)
{
    (void)tour;
    net_listen_anew(&core->net);
    return true;
}

static void listened_anew(struct tour *tour)
{
    struct upgrade *u = container_of(tour, struct upgrade, tour);
    set_state(u, UPGRADE_NONE);
}

static void fail(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    atomic_fetch_add(&u->area->failed, 1);
    PROCESS__SAY(p, LOG_ERROR, "upgrade failed, this process goes on serving",
                 LOG_S("error", slice_str(u->reason)));
    close_link(u);
    tour_start(&u->tour, &process__first_core(p)->core, process__listen_anew, listened_anew);
}

static void succeed(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    atomic_fetch_add(&u->area->upgrades, 1);
    PROCESS__SAY(p, LOG_INFO, "upgraded, the new process serves", LOG_N("pid", (uint64_t)u->child));
    notify_replaced(u->child);
    set_state(u, UPGRADE_DONE);
    process__give_way(p);
}

static void on_outcome(struct ring *ring, struct ring_mail *mail)
{
    struct upgrade *u = container_of(mail, struct upgrade, mail);
    struct process *p = container_of(u, struct process, upgrade);
    ASSERT(ring == process__first_core(p)->ring);
    pthread_join(u->thread, NULL); // it has sent its last word
    (void)close(u->wake);
    u->wake = -1;
    if (u->pidfd >= 0)
        ring_close(ring, u->pidfd);
    if (u->state == UPGRADE_CALLED_OFF) {
        PROCESS__SAY(p, LOG_INFO, "upgrade called off");
        close_link(u);
        set_state(u, UPGRADE_NONE);
    } else if (u->served) {
        succeed(p);
    } else {
        fail(p);
    }
}

// Why not now; NULL: why not.
static const char *refusal(const struct process *p)
{
    const struct upgrade *u = &p->upgrade;
    if (p->control.state != CONTROL_RUNNING)
        return "this process is ending";
    if (u->state != UPGRADE_NONE)
        return "one is under way";
    if (u->taking_over)
        return "the process before this one still accepts";
    if (getpid() == 1)
        return "process 1 cannot be replaced, restart its container";
    if (p->setup->argv == NULL || p->setup->argv[0] == NULL)
        return "the program's name is not known";
    return NULL;
}

static struct handover_message keys_of(struct process *p)
{
    struct listener_care *care = &p->care;
    int64_t left =
        mono_diff_ns(care->rotate_at, ring_now(process__first_core(p)->ring)) / NS_PER_MS;
    return (struct handover_message){
        .word = HANDOVER_KEYS,
        .rotate_in_ms = left > 0 ? (uint32_t)left : 0,
        .has_before = care->has_before,
        .key = care->key,
        .before = care->before,
    };
}

// The link with the keys in it, the list, the thread. 0, or ERR_SYSTEM with a reason.
static int start(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    int fds[2];
    u->wake = eventfd(0, EFD_CLOEXEC);
    if (u->wake < 0 || handover_link_make(fds) < 0) {
        snprintf(u->reason, sizeof(u->reason), "%s", strerror(errno));
        return ERR_SYSTEM;
    }
    u->link = fds[0];
    u->far_link = fds[1];
    struct handover_message keys = keys_of(p);
    int rc = handover_say(u->link, &keys);
    explicit_bzero(&keys, sizeof(keys));
    offer(p, u->far_link);
    int err = rc == 0 ? pthread_create(&u->thread, NULL, supervise, u) : EIO;
    if (err == 0)
        return 0;
    snprintf(u->reason, sizeof(u->reason), "%s", strerror(err));
    (void)close(u->far_link);
    return ERR_SYSTEM;
}

void process__upgrade(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    const char *why = refusal(p);
    if (why != NULL) {
        atomic_fetch_add(&u->area->refused, 1);
        PROCESS__SAY(p, LOG_WARN, "upgrade refused", LOG_S("error", slice_str(why)));
        return;
    }
    set_state(u, UPGRADE_STARTING);
    u->served = false;
    u->child = 0;
    memset(u->early, 0, sizeof(u->early));
    u->timeout_ms = process__first_core(p)->core.config->upgrade_timeout_ms;
    PROCESS__SAY(p, LOG_INFO, "upgrade begins", LOG_S("program", slice_str(p->setup->argv[0])),
                 LOG_N("timeout_ms", u->timeout_ms));
    if (start(p) == 0)
        return;
    if (u->wake >= 0)
        (void)close(u->wake);
    u->wake = -1;
    fail(p);
}

// To the process that is being started, or kept for it; each signal once before it is there.
static void pass_on(struct upgrade *u, int signal)
{
    pthread_mutex_lock(&u->mutex);
    if (u->child > 0)
        (void)kill(u->child, signal);
    for (unsigned i = 0; u->child == 0 && i < ARRAY_LEN(u->early); i++) {
        if (u->early[i] == 0)
            u->early[i] = signal;
        if (u->early[i] == signal)
            break;
    }
    pthread_mutex_unlock(&u->mutex);
}

void process__upgrade_reload_asked(struct process *p)
{
    if (p->upgrade.state == UPGRADE_STARTING)
        pass_on(&p->upgrade, SIGHUP);
}

void process__upgrade_end_asked(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    const uint64_t one = 1;
    if (u->state != UPGRADE_STARTING || u->wake < 0)
        return; // it has failed already, and only tells the cores
    set_state(u, UPGRADE_CALLED_OFF);
    pass_on(u, SIGTERM);
    ssize_t n = write(u->wake, &one, sizeof(one));
    ASSERT(n == (ssize_t)sizeof(one));
}

bool process__upgrade_busy(const struct process *p)
{
    return p->upgrade.state == UPGRADE_STARTING || p->upgrade.state == UPGRADE_CALLED_OFF;
}

bool process__upgrade_waits(const struct process *p)
{
    return p->upgrade.state == UPGRADE_DONE && p->upgrade.link >= 0;
}

void process__upgrade_stopped(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    if (!process__upgrade_waits(p))
        return;
    const struct handover_message stopped = {.word = HANDOVER_STOPPED};
    (void)handover_say(u->link, &stopped); // its end says so too
    close_link(u);
}

// ---- Life -------------------------------------------------------------------------------------

void process__upgrade_init(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    u->link = u->far_link = u->wake = u->before = u->area_fd = -1;
    pthread_mutex_init(&u->mutex, NULL);
}

void process__upgrade_free(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    close_link(u);
    handover_drop(&u->inherited);
    handover_area_unmap(u->area);
    if (u->before >= 0)
        (void)close(u->before);
    if (u->area_fd >= 0)
        (void)close(u->area_fd);
    pthread_mutex_destroy(&u->mutex);
}
