/* Tasks on a scheduler that the test turns by hand, at moments of its choice. */
#ifndef TESTS_SUPPORT_TASKS_H
#define TESTS_SUPPORT_TASKS_H

#include <async/scheduler.h>
#include <async/task.h>
#include <criterion/criterion.h>

extern struct scheduler scheduler;

/* For a suite's .init and .fini; nothing may be left of the tasks. */
void tasks_set_up(void);
void tasks_tear_down(void);

/* Starts a root task; `*result` is TASKS_UNSET until it ends. NULL when it has ended already. */
whippet_task *start(whippet_task_function *function, const void *arg, int *result);

enum {
    TASKS_UNSET = 12345
};

/* One turn at the moment `now`, in seconds. */
void turn(double now);

/* What happened, a letter each. */
extern char noted[128];
void note(char letter);

/* For memory_permit. */
bool tasks_deny(size_t size);

#endif
