/* One test for all run modes. */
#ifndef TESTS_SUPPORT_EVERY_MODE_H
#define TESTS_SUPPORT_EVERY_MODE_H

#include <criterion/criterion.h>

/* Defines a test of the suite for each mode, with the mode as a text called `mode`; its body follows. */
#define IN_EVERY_MODE_OF(suite, name)                                                                        \
    static void name(const char *mode);                                                                      \
    Test(suite, name##_in_the_loop)                                                                          \
    {                                                                                                        \
        name("loop");                                                                                        \
    }                                                                                                        \
    Test(suite, name##_in_a_thread)                                                                          \
    {                                                                                                        \
        name("thread");                                                                                      \
    }                                                                                                        \
    Test(suite, name##_in_a_process)                                                                         \
    {                                                                                                        \
        name("process");                                                                                     \
    }                                                                                                        \
    static void name(const char *mode)

#endif
