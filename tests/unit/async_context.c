#include <async/context.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    STACK_SIZE = 65536
};

static struct context home;
static char *stack;

static void set_up(void)
{
    cr_assert(context_init_home(&home));
    stack = malloc(STACK_SIZE);
    cr_assert_not_null(stack);
}

static void tear_down(void)
{
    free(stack);
    context_destroy_home(&home);
}

TestSuite(contexts, .init = set_up, .fini = tear_down);

/* A context under test, and what it has to tell. */
struct subject {
    struct context context;
    int steps;
    double share;
    uintptr_t frame; /* an address in its frame */
};

static void start(struct subject *subject, char *low, context_entry *entry)
{
    *subject = (struct subject){0};
    context_init(&subject->context, low, low + STACK_SIZE, entry, subject);
}

static void end_at_once(void *argument)
{
    struct subject *subject = argument;
    subject->steps++;
    subject->frame = (uintptr_t)__builtin_frame_address(0);
    context_finish(&subject->context, &home);
}

Test(contexts, run_on_the_stack_they_were_given)
{
    struct subject subject;
    start(&subject, stack, end_at_once);
    cr_assert_eq(subject.steps, 0, "nothing runs before the first switch");
    context_switch(&home, &subject.context);
    context_destroy(&subject.context);
    cr_assert_eq(subject.steps, 1);
    uintptr_t low = (uintptr_t)stack;
    cr_assert(subject.frame > low && subject.frame < low + STACK_SIZE,
              "its frame is at %#lx, outside of %#lx + %d", (unsigned long)subject.frame, (unsigned long)low,
              STACK_SIZE);
}

static void count_for_ever(void *argument)
{
    struct subject *subject = argument;
    double share = 1.0;
    for (int i = 1;; i++) {
        share /= 2;
        subject->steps = i;
        subject->share = share;
        context_switch(&subject->context, &home);
    }
}

Test(contexts, go_on_where_they_left)
{
    struct subject subject;
    start(&subject, stack, count_for_ever);
    double share = 1.0;
    for (int i = 1; i <= 100; i++) {
        context_switch(&home, &subject.context);
        share /= 2;
        cr_assert_eq(subject.steps, i, "step %d, not %d", subject.steps, i);
        cr_assert_eq(subject.share, share, "%g, not %g", subject.share, share);
    }
    context_destroy(&subject.context);
}

Test(contexts, keep_apart_from_each_other)
{
    char *other_stack = malloc(STACK_SIZE);
    struct subject one;
    struct subject other;
    start(&one, stack, count_for_ever);
    start(&other, other_stack, count_for_ever);
    for (int i = 1; i <= 30; i++) {
        context_switch(&home, &one.context);
        if (i % 3 == 0)
            context_switch(&home, &other.context);
    }
    cr_expect_eq(one.steps, 30, "%d steps", one.steps);
    cr_expect_eq(other.steps, 10, "%d steps", other.steps);
    context_destroy(&one.context);
    context_destroy(&other.context);
    free(other_stack);
}

Test(contexts, leave_their_stack_fit_for_the_next_one)
{
    struct subject subject;
    for (int i = 0; i < 1000; i++) {
        start(&subject, stack, end_at_once);
        context_switch(&home, &subject.context);
        context_destroy(&subject.context);
        cr_assert_eq(subject.steps, 1);
    }
}

static int use_stack(int depth)
{
    volatile char taken[512];
    taken[depth % 512] = (char)depth;
    return depth == 0 ? 0 : use_stack(depth - 1) + (taken[depth % 512] == (char)depth);
}

static void recurse_and_suspend(void *argument)
{
    struct subject *subject = argument;
    for (;;) {
        subject->steps = use_stack(40);
        context_switch(&subject->context, &home);
    }
}

Test(contexts, use_their_stack_deeply_between_switches)
{
    struct subject subject;
    start(&subject, stack, recurse_and_suspend);
    for (int i = 0; i < 10; i++) {
        context_switch(&home, &subject.context);
        cr_assert_eq(subject.steps, 40, "%d", subject.steps);
    }
    context_destroy(&subject.context);
}

Test(contexts, may_be_destroyed_before_they_ran)
{
    struct subject subject;
    start(&subject, stack, end_at_once);
    context_destroy(&subject.context);
    cr_assert_eq(subject.steps, 0);
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

/* fcontext needs no memory for it, ucontext does. */
Test(contexts, of_the_thread_say_so_when_memory_is_short)
{
    struct context other;
    memory_permit = deny;
    bool made = context_init_home(&other);
    memory_permit = NULL;
    if (made)
        context_destroy_home(&other);
    else
        cr_assert_null(other.machine);
}
