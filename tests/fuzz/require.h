/* SPDX-License-Identifier: GPL-2.0-or-later */
/* require.h - what must hold whatever the input is; the fuzzer keeps the input for which it does not. */
#ifndef TESTS_FUZZ_REQUIRE_H
#define TESTS_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition, why)                           \
    do {                                                  \
        if (!(condition)) {                               \
            fprintf(stderr, "%s: %s\n", #condition, why); \
            abort();                                      \
        }                                                 \
    } while (0)

#endif
