/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot.c - a copy of a running process, to go on from later: a module for LD_PRELOAD.
 *
 * At SIGUSR2 the process forks. The copy writes its process id into the file named by TWOBEAT_SNAPSHOT, then sleeps until it gets
 * SIGUSR2 itself: all it knows is of the instant at which it was made, as with a virtual machine that is set back. Its sockets are those of
 * the process, which should be dead by then. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file = -1;
static volatile sig_atomic_t is_copy, is_restored;

static void on_signal(int number)
{
    char text[16];
    sigset_t none;
    (void)number;
    if (is_copy) {
        is_restored = 1;
        return;
    }
    pid_t pid = fork();
    if (pid != 0) {
        if (pid < 0)
            abort();
        return;
    }
    is_copy = 1;
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (write(file, text, (size_t)len) != len)
        abort();
    (void)sigemptyset(&none);
    while (!is_restored)
        (void)sigsuspend(&none);
}

__attribute__((constructor)) static void listen_to_signal(void)
{
    const char *path = getenv("TWOBEAT_SNAPSHOT");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (file < 0 || sigaction(SIGUSR2, &action, NULL) != 0)
        abort(); /* a test that tests nothing */
}
