/* Criterion's runner itself leaks a little now and then (2.4.1: list nodes of 48 bytes), which must not fail
 * a run. Each test runs in a process of its own, and there leaks are looked for. */
#include <criterion/criterion.h>

/* As <sanitizer/lsan_interface.h> has it, which is not there with every clang. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
    return criterion_current_test == NULL;
}
