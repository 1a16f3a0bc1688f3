// SPDX-License-Identifier: Apache-2.0
//
// notify.h: what systemd is told about the process (sd_notify(3), Type=notify and notify-reload).
//
// A datagram to the socket that NOTIFY_SOCKET names; without it, or when it is not taken, nothing
// happens: the process serves all the same.
#ifndef RINGGATE_GATEWAY_NOTIFY_H
#define RINGGATE_GATEWAY_NOTIFY_H

#include <sys/types.h>

// Accepting; also the end of a reload.
void notify_ready(void);
// With the time, by which the reload's READY is told from an older one.
void notify_reloading(void);
void notify_stopping(void);
// By the main process: from now on that is `pid`, and it serves.
void notify_replaced(pid_t pid);

#endif
