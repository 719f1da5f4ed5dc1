/* SPDX-License-Identifier: GPL-2.0-or-later */
/* standalone_main.c - runs recorded inputs through a fuzz target without libFuzzer.
 *
 * Lets the corpora run as ordinary tests under any compiler and sanitizer. Each argument is a file, or a folder of which
 * every file is taken; an argument that does not exist is an empty corpus. The empty input is always tried. Every input
 * lies in a block of exactly its size, so that the address sanitizer sees a read one byte beyond. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH_LEN_MAX 4096

static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    int result = -1;

    if (file != NULL && data != NULL && fread(data, 1, size, file) == size) {
        /* Said before the run, so that a crash is preceded by the name of its input. */
        printf("%s\n", path);
        fflush(stdout);
        LLVMFuzzerTestOneInput(data, size);
        result = 0;
    } else {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    }
    free(data);
    if (file != NULL)
        fclose(file);
    return result;
}

static int run_path(const char *path, int depth)
{
    struct stat status;
    int result = 0;

    if (stat(path, &status) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(status.st_mode))
        return run_file(path, (size_t)status.st_size);
    DIR *folder = depth > 0 ? NULL : opendir(path);
    if (folder == NULL)
        return depth > 0 ? 0 : -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inner[PATH_LEN_MAX];

        if (entry->d_name[0] == '.')
            continue;
        int len = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (len < 0 || (size_t)len >= sizeof inner || run_path(inner, depth + 1) != 0)
            result = -1;
    }
    closedir(folder);
    return result;
}

int main(int argc, char **argv)
{
    const uint8_t nothing = 0;
    int result = EXIT_SUCCESS;

    LLVMFuzzerTestOneInput(&nothing, 0);
    for (int i = 1; i < argc; i++)
        if (run_path(argv[i], 0) != 0)
            result = EXIT_FAILURE;
    return result;
}
