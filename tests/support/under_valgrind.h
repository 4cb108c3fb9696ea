/* Whether a test runs under Valgrind, which does not model everything that the kernel does. */
#ifndef TESTS_SUPPORT_UNDER_VALGRIND_H
#define TESTS_SUPPORT_UNDER_VALGRIND_H

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define UNDER_VALGRIND (RUNNING_ON_VALGRIND != 0)
#else
#define UNDER_VALGRIND false
#endif

#define skip_under_valgrind(why)                                                                             \
    do {                                                                                                     \
        if (UNDER_VALGRIND)                                                                                  \
            cr_skip_test(why);                                                                               \
    } while (0)

#endif
