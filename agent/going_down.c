/* SPDX-License-Identifier: GPL-2.0-or-later */
/* going_down.c - see going_down.h. */
#include "agent/going_down.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utmpx.h>

#define ANSWER_LIMIT_MS 1000

extern char **environ;

/* Starts `systemctl is-system-running` with its output into `out_fd`. Returns the child, or -1. */
static pid_t start_systemctl(int out_fd)
{
    char program[] = "systemctl", argument[] = "is-system-running";
    char *argv[] = {program, argument, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawnp(&child, program, &actions, NULL, argv, environ) != 0)
        child = -1;
    (void)posix_spawn_file_actions_destroy(&actions);
    return child;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the end of what the child prints, for a limited time. Fills in a terminated text. */
static void read_answer(int fd, char *text, size_t size)
{
    size_t len = 0;
    int64_t end_ms = now_ms() + ANSWER_LIMIT_MS;
    while (len < size - 1) {
        int64_t left_ms = end_ms - now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)
            break;
        ssize_t n = read(fd, text + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
}

static bool systemd_is_stopping(void)
{
    int pipe_fds[2];
    char text[64] = "";
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return false;
    pid_t child = start_systemctl(pipe_fds[1]);
    (void)close(pipe_fds[1]);
    if (child > 0) {
        read_answer(pipe_fds[0], text, sizeof text);
        (void)kill(child, SIGKILL); /* what it had to say is said, or comes too late */
        (void)waitpid(child, NULL, 0);
    }
    (void)close(pipe_fds[0]);
    return strcmp(text, "stopping\n") == 0;
}

/* The run level of System V and its heirs; systemd keeps the same record. */
static bool run_level_is_down(const char *utmp_path)
{
    bool down = false;
    struct utmpx *entry;
    if (utmpxname(utmp_path) != 0)
        return false;
    setutxent();
    while ((entry = getutxent()) != NULL)
        if (entry->ut_type == RUN_LVL)
            down = (entry->ut_pid & 0xff) == '0' || (entry->ut_pid & 0xff) == '6';
    endutxent();
    return down;
}

enum bye_reason going_down_reason(const char *systemd_dir, const char *utmp_path)
{
    struct stat st;
    bool down = stat(systemd_dir, &st) == 0 ? systemd_is_stopping() : run_level_is_down(utmp_path);
    return down ? BYE_SHUTDOWN : BYE_STOPPING;
}
