// SPDX-License-Identifier: Apache-2.0
//
// watchdog.h: says so when a core's loop does not turn.
//
// A loop that hangs serves nobody and says nothing: its log lines leave with its turns. So another
// thread looks now and then how long each core's turn has been under way, and writes a line with
// the core, for how long and where it is, again each time that has doubled, and one when it turns
// again. A loop that waits for events is not in a turn.
//
//     main thread ── look ──► ring_busy_since(core n): longer than the limit?
//          ▲                        │ signal with a place for the stack
//          │ line                   ▼
//          └──────── stack ◄── core's thread, on a stack for signals
//
// The stack is one of addresses, `ringgate+0x1a2b3`: `addr2line -fpe build/release/ringgate
// 0x1a2b3` names the line, given the file with the build's id that the line has as well. A thread
// that hangs inside the kernel does not answer; then there is none.
#ifndef RINGGATE_GATEWAY_WATCHDOG_H
#define RINGGATE_GATEWAY_WATCHDOG_H

#include "base/log.h"
#include "net/core.h"
#include <pthread.h>

#define WATCHDOG_FRAMES_MAX  24
#define WATCHDOG_BUILD_CHARS 40 // a SHA-1 in hex

// Filled by the signal's handler. A handler may run late, so it outlives the thread.
struct watchdog_stack {
    _Atomic bool pending;
    unsigned count;
    uintptr_t pc[WATCHDOG_FRAMES_MAX];
};

struct watchdog_core {
    struct ring *ring;
    pthread_t thread;
    struct mono since; // of the turn that has been reported; 0: none
    int64_t next_ns;   // it is reported again when it has taken so long
    struct watchdog_stack stack;
};

struct watchdog {
    unsigned limit_ms;
    unsigned cores;
    struct watchdog_core core[CORES_MAX];
    char build[WATCHDOG_BUILD_CHARS + 1]; // what `readelf -n` says of the program; "": nothing
    struct log log;                       // written to standard error by whoever looks
};

// On the thread that looks, before the cores' threads turn. limit_ms is not 0. 0, ERR_NOMEM,
// ERR_SYSTEM.
int watchdog_init(struct watchdog *w, unsigned limit_ms, enum log_style style);
void watchdog_done(struct watchdog *w);
// The ring must stay until the last look, the thread until watchdog_done.
void watchdog_add(struct watchdog *w, struct ring *ring, pthread_t thread);
// Lines into w->log. Waits for a stack for STACK_MS at most.
void watchdog_look(struct watchdog *w, struct mono now);
// How long to the next look.
unsigned watchdog_pause_ms(const struct watchdog *w);

// On a core's thread: a stack for the handler. A fiber's has no room for a signal.
int watchdog_thread_begin(void **ret_memory); // 0, ERR_NOMEM, ERR_SYSTEM
void watchdog_thread_end(void *memory);       // NULL is fine

#endif
