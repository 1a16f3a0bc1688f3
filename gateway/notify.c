// SPDX-License-Identifier: Apache-2.0
//
// notify.c: one datagram, sent without waiting.
//
// No libsystemd: the protocol is a few words of text and promised to stay. The socket is opened
// anew each time, since that happens a few times in a process's life.
#include "gateway/notify.h"

#include "base/clock.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = name != NULL ? strlen(name) : 0;
    // A path, or '@' for a name without a file. Others (vsock) are for virtual machines.
    if (len < 2 || len >= sizeof(to.sun_path) || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(to.sun_path, name, len);
    if (name[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, size);
    close(fd);
}

void notify_ready(void)
{
    notify("READY=1");
}

void notify_reloading(void)
{
    char text[64];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             clock_mono().ns / NS_PER_US);
    notify(text);
}

void notify_stopping(void)
{
    notify("STOPPING=1");
}

void notify_replaced(pid_t pid)
{
    char text[64];
    snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld", (long)pid);
    notify(text);
}
