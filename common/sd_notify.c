/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sd_notify.c - see sd_notify.h. */
#include "common/sd_notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/time.h"

void sd_notify_send(const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len > sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract name space, where the length ends the name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Never blocks: a manager that is stuck must not stop heartbeats. */
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

/* A whole positive number, or 0. */
static uint64_t number_of(const char *text)
{
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    unsigned long long value = strtoull(text, &end, 10);
    return *end == '\0' ? value : 0;
}

int64_t sd_notify_watchdog_ns(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t usec = number_of(getenv("WATCHDOG_USEC"));
    if (pid && number_of(pid) != (uint64_t)getpid())
        return 0;
    if (usec > (uint64_t)INT64_MAX / 1000)
        return 0;
    return (int64_t)usec * 1000 / 2;
}
