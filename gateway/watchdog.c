// SPDX-License-Identifier: Apache-2.0
//
// watchdog.c: looking, asking for a stack, and the handler that walks it.
//
// The stack is walked by libgcc's unwinder, which is linked in: glibc's backtrace would load a
// shared one while a thread hangs. On glibc 2.35 and newer it finds its tables without a lock, so
// the handler may interrupt anything. A fiber's stack ends where Boost.Context began it: there the
// tables end as well.
#include "gateway/watchdog.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

// The first real-time signal that libc leaves to programs: nobody else sends it.
#define STACK_SIGNAL SIGRTMIN
// The unwinder's state is some kilobytes, a frame with all vector registers a few more.
#define SIGNAL_STACK_BYTES ((size_t)64 * 1024)
#define STACK_MS           100
#define STACK_TURN_US      1000
#define STACK_TEXT_BYTES   2048
#define PAUSE_MS_MIN       5

// ---- On the core's thread --------------------------------------------------------------------

static _Unwind_Reason_Code take_frame(struct _Unwind_Context *context, void *stack)
{
    struct watchdog_stack *s = stack;
    int exact = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
    if (exact)
        s->count = 0; // the frame that was interrupted: what came before is the handler's
    if (pc == 0 || s->count == WATCHDOG_FRAMES_MAX)
        return _URC_END_OF_STACK;
    s->pc[s->count++] = pc - (exact ? 0 : 1); // a return address may belong to the next line
    return _URC_NO_REASON;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)number;
    (void)context;
    if (info->si_code != SI_QUEUE || info->si_pid != getpid())
        return; // somebody else's pointer
    struct watchdog_stack *s = info->si_value.sival_ptr;
    if (!atomic_load_explicit(&s->pending, memory_order_acquire))
        return; // never; the load orders what follows behind the asker's last look
    s->count = 0;
    (void)_Unwind_Backtrace(take_frame, s);
    atomic_store_explicit(&s->pending, false, memory_order_release);
    errno = saved;
}

int watchdog_thread_begin(void **ret_memory)
{
    void *memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return ERR_NOMEM;
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES};
    if (sigaltstack(&stack, NULL) != 0) {
        (void)munmap(memory, SIGNAL_STACK_BYTES);
        return ERR_SYSTEM;
    }
    *ret_memory = memory;
    return 0;
}

void watchdog_thread_end(void *memory)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    sigset_t set;
    if (memory == NULL)
        return;
    // One that is still on its way must not find the thread's own stack instead.
    sigemptyset(&set);
    sigaddset(&set, STACK_SIGNAL);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)sigaltstack(&none, NULL);
    (void)munmap(memory, SIGNAL_STACK_BYTES);
}

// ---- Which program this is -------------------------------------------------------------------

// The id in a note of GNU's, as hex. Names and contents are padded to four bytes (elf(5)).
static void read_notes(const char *notes, size_t size, char *out)
{
    size_t at = 0;
    ElfW(Nhdr) note;
    while (at + sizeof(note) <= size) {
        memcpy(&note, notes + at, sizeof(note));
        size_t name = at + sizeof(note), id = name + (((size_t)note.n_namesz + 3) & ~(size_t)3);
        if (id > size || note.n_descsz > size - id)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
            memcmp(notes + name, "GNU", sizeof("GNU")) == 0) {
            for (size_t i = 0; i < note.n_descsz && 2 * i < WATCHDOG_BUILD_CHARS; i++)
                snprintf(out + 2 * i, 3, "%02x", (unsigned char)notes[id + i]);
            return;
        }
        at = id + (((size_t)note.n_descsz + 3) & ~(size_t)3);
    }
}

// Of the first object, which is the program itself.
static int on_object(struct dl_phdr_info *object, size_t size, void *out)
{
    (void)size;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &object->dlpi_phdr[i];
        const char *notes = (const char *)(object->dlpi_addr + h->p_vaddr); // NOLINT
        if (h->p_type == PT_NOTE)
            read_notes(notes, h->p_memsz, out);
    }
    return 1;
}

// ---- On the thread that looks ----------------------------------------------------------------

int watchdog_init(struct watchdog *w, unsigned limit_ms, enum log_style style)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    ASSERT(limit_ms > 0);
    w->limit_ms = limit_ms;
    w->cores = 0;
    memset(w->build, 0, sizeof(w->build));
    (void)dl_iterate_phdr(on_object, w->build);
    sigfillset(&action.sa_mask);
    if (sigaction(STACK_SIGNAL, &action, NULL) != 0)
        return ERR_SYSTEM;
    return log_init(&w->log, LOG_INFO, style);
}

void watchdog_done(struct watchdog *w)
{
    log_done(&w->log);
}

void watchdog_add(struct watchdog *w, struct ring *ring, pthread_t thread)
{
    ASSERT(w->cores < CORES_MAX);
    w->core[w->cores++] = (struct watchdog_core){.ring = ring, .thread = thread};
}

unsigned watchdog_pause_ms(const struct watchdog *w)
{
    return w->limit_ms / 2 > PAUSE_MS_MIN ? w->limit_ms / 2 : PAUSE_MS_MIN;
}

// False: it does not answer.
static bool ask_for_stack(struct watchdog_core *c)
{
    struct watchdog_stack *s = &c->stack;
    union sigval value = {.sival_ptr = s};
    if (atomic_load_explicit(&s->pending, memory_order_acquire))
        return false; // an earlier one is still on its way
    atomic_store_explicit(&s->pending, true, memory_order_release);
    if (pthread_sigqueue(c->thread, STACK_SIGNAL, value) != 0) {
        atomic_store_explicit(&s->pending, false, memory_order_relaxed);
        return false;
    }
    for (unsigned i = 0; i < STACK_MS * 1000 / STACK_TURN_US; i++) {
        if (!atomic_load_explicit(&s->pending, memory_order_acquire))
            return true;
        (void)usleep(STACK_TURN_US);
    }
    return false;
}

static struct slice stack_text(struct watchdog_core *c, char *text, size_t room)
{
    size_t len = 0;
    if (!ask_for_stack(c))
        return SLICE("none: the thread does not answer");
    for (unsigned i = 0; i < c->stack.count && len < room; i++) {
        Dl_info where;
        const void *pc = (const void *)c->stack.pc[i]; // NOLINT: an address is all there is
        bool known = dladdr(pc, &where) != 0 && where.dli_fname != NULL;
        const char *file = known ? strrchr(where.dli_fname, '/') : NULL;
        file = file != NULL ? file + 1 : known ? where.dli_fname : "?";
        uintptr_t base = known ? (uintptr_t)where.dli_fbase : 0;
        int n = snprintf(text + len, room - len, "%s%s+0x%zx", i > 0 ? " " : "", file,
                         (size_t)(c->stack.pc[i] - base));
        if (n < 0 || (size_t)n >= room - len)
            break; // what is whole is enough
        len += (size_t)n;
    }
    return slice_of(text, len);
}

static void look_at(struct watchdog *w, unsigned index, struct mono now)
{
    struct watchdog_core *c = &w->core[index];
    struct mono since = ring_busy_since(c->ring);
    char text[STACK_TEXT_BYTES];
    if (c->since.ns != 0 && since.ns != c->since.ns) {
        LOG(&w->log, clock_wall(), LOG_WARN, "the core's loop turns again", LOG_N("core", index));
        c->since.ns = 0;
    }
    int64_t took = since.ns != 0 ? mono_diff_ns(now, since) : 0;
    int64_t limit = c->since.ns != 0 ? c->next_ns : (int64_t)w->limit_ms * NS_PER_MS;
    if (took < limit)
        return;
    struct slice stack = stack_text(c, text, sizeof(text));
    LOG(&w->log, clock_wall(), LOG_ERROR, "the core's loop does not turn", LOG_N("core", index),
        LOG_N("for_ms", took / NS_PER_MS), LOG_S("stack", stack),
        LOG_S("build", slice_str(w->build)));
    c->since = since;
    c->next_ns = 2 * took;
}

void watchdog_look(struct watchdog *w, struct mono now)
{
    for (unsigned i = 0; i < w->cores; i++)
        look_at(w, i, now);
}
