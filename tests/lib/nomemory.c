/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nomemory.c - memory that runs out when a test wants it to: a module for LD_PRELOAD.
 *
 * The file named by TWOBEAT_NOMEMORY is mapped. The test writes which calls fail, counted from the last time that it set `calls` to
 * 0, and reads how many there were and from where. Not counted is what comes before main: constructors of libraries, and the tables of
 * names of users, for which the C library (2.36) crashes or asserts when it has no memory. Who aborts is written down, for libraries do.
 *
 * With the address sanitizer, its allocator is the next one behind this; so what an error path frees twice is seen. */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLACES 16384

struct shortage {
    _Atomic int64_t calls; /* so far */
    _Atomic int64_t first,
        count; /* the calls that fail: `count` of them from `first` on, where 1 is the next; first 0: none */
    _Atomic int64_t larger_than;   /* only those that ask for more bytes than this are counted */
    _Atomic int64_t main_only;     /* those of other threads are not counted */
    _Atomic int64_t failed;        /* how many have failed */
    char asked[256], aborted[256]; /* the files of the code that asked last in vain, and of the code that gave up */
    int64_t places[PLACES];        /* from where the calls came */
};

static struct shortage *shortage; /* NULL until the process has begun */

__attribute__((constructor)) static void map_shortage(void)
{
    const char *path = getenv("TWOBEAT_NOMEMORY");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shortage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        _exit(99); /* a test that tests nothing */
    (void)syscall(SYS_close, fd);
    (void)getpwnam("nobody");
    shortage = map;
}

static void write_down(char *out, size_t size, const void *caller)
{
    Dl_info info;
    const char *file = dladdr(caller, &info) && info.dli_fname ? info.dli_fname : "?";
    (void)strncpy(out, file, size - 1);
}

static bool fails(size_t size, const void *caller)
{
    if (!shortage || (int64_t)size <= shortage->larger_than || (shortage->main_only && syscall(SYS_gettid) != getpid()))
        return false;
    int64_t call = ++shortage->calls;
    int64_t first = shortage->first;
    if (call <= PLACES)
        shortage->places[call - 1] = (int64_t)(intptr_t)caller;
    if (first == 0 || call < first || call - first >= shortage->count)
        return false;
    shortage->failed++;
    write_down(shortage->asked, sizeof shortage->asked, caller);
    errno = ENOMEM;
    return true;
}

#define FAILS(size) fails((size), __builtin_return_address(0))

/* The next function of that name: the sanitizer's or the C library's. */
#define NEXT(name)                 \
    static __typeof__(name) *next; \
    if (!next)                     \
        *(void **)&next = dlsym(RTLD_NEXT, #name);

static void *get(size_t size)
{
    NEXT(malloc)
    return next(size);
}

void *malloc(size_t size)
{
    return FAILS(size) ? NULL : get(size);
}

void *calloc(size_t count, size_t size)
{
    NEXT(calloc)
    return FAILS(count * size) ? NULL : next(count, size);
}

void *realloc(void *old, size_t size)
{
    NEXT(realloc)
    return FAILS(size) ? NULL : next(old, size);
}

void *reallocarray(void *old, size_t count, size_t size)
{
    NEXT(reallocarray)
    return FAILS(count * size) ? NULL : next(old, count, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    NEXT(posix_memalign)
    return FAILS(size) ? ENOMEM : next(out, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    NEXT(aligned_alloc)
    return FAILS(size) ? NULL : next(alignment, size);
}

/* The sanitizer's own do not come by malloc. */
char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = FAILS(size) ? NULL : get(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *strndup(const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *copy = FAILS(len + 1) ? NULL : get(len + 1);
    if (!copy)
        return NULL;
    copy[len] = '\0';
    return memcpy(copy, text, len);
}

_Noreturn void abort(void)
{
    NEXT(abort)
    if (shortage && !shortage->aborted[0])
        write_down(shortage->aborted, sizeof shortage->aborted, __builtin_return_address(0));
    next();
    _exit(99);
}

_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
    NEXT(__assert_fail)
    if (shortage)
        write_down(shortage->aborted, sizeof shortage->aborted, __builtin_return_address(0));
    next(what, file, line, function);
    _exit(99);
}
