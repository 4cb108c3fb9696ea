#include <async/loop.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <whippet/sync.h>

static struct loop *loop;
static int ends[2]; /* of a pipe, non-blocking: to read from, to write to */

static void set_up(void)
{
    loop = loop_create(65536, NULL);
    cr_assert_not_null(loop);
    cr_assert_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static void tear_down(void)
{
    cr_expect_eq(loop_scheduler(loop)->tasks, 0);
    loop_destroy(loop);
    close(ends[0]);
    close(ends[1]);
}

TestSuite(waiting_for_descriptors, .init = set_up, .fini = tear_down, .timeout = 20);

enum {
    UNSET = 12345
};

struct subject {
    int descriptor;
    int events;
    int result;
    int second; /* of another wait for the same */
};

static void stop(void *arg, int result)
{
    (void)arg, (void)result;
    loop_stop(loop);
}

static int waits(whippet_task *task, void *arg)
{
    struct subject *subject = arg;
    subject->result = whippet_wait_fd(task, subject->descriptor, subject->events);
    return 0;
}

static whippet_task *start(struct subject *subject, double deadline)
{
    subject->result = UNSET;
    return task_start(loop_scheduler(loop), waits, subject, deadline, NULL, stop, NULL);
}

Test(waiting_for_descriptors, returns_when_there_is_something_to_read)
{
    struct subject subject = {.descriptor = ends[0], .events = WHIPPET_READABLE};
    whippet_task *task = start(&subject, INFINITY);
    cr_expect_str_eq(task_activity(task), "waiting for a descriptor");
    cr_expect_eq(subject.result, UNSET);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_READABLE, "%d", subject.result);
}

Test(waiting_for_descriptors, returns_when_there_is_room_to_write)
{
    struct subject subject = {.descriptor = ends[1], .events = WHIPPET_WRITABLE};
    start(&subject, INFINITY);
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_WRITABLE, "%d", subject.result);
}

static int echoes(whippet_task *task, void *arg)
{
    int descriptor = *(int *)arg;
    char text[64];
    size_t total = 0;
    for (;;) {
        ssize_t length = read(descriptor, text, sizeof text);
        if (length == 0)
            return (int)total;
        if (length < 0 && errno != EAGAIN)
            return WHIPPET_E_SYSTEM;
        if (length < 0) {
            int ready = whippet_wait_fd(task, descriptor, WHIPPET_READABLE);
            if (ready < 0)
                return ready;
            continue;
        }
        total += (size_t)length;
    }
}

static int talks(whippet_task *task, void *arg)
{
    int *descriptors = arg;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(write(descriptors[1], "0123456789", 10), 10);
        if (i % 10 == 0)
            whippet_sleep(task, 0);
    }
    close(descriptors[1]);
    return 0;
}

static int result_of_echo = UNSET;

static void note_and_stop(void *arg, int result)
{
    (void)arg;
    result_of_echo = result;
    loop_stop(loop);
}

Test(waiting_for_descriptors, lets_straight_line_code_read_a_stream)
{
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    task_start(loop_scheduler(loop), echoes, &pair[0], INFINITY, NULL, note_and_stop, NULL);
    task_start(loop_scheduler(loop), talks, pair, INFINITY, NULL, NULL, NULL);
    loop_run(loop);
    cr_expect_eq(result_of_echo, 1000, "%d", result_of_echo);
    close(pair[0]);
}

Test(waiting_for_descriptors, wakes_each_of_two_tasks_at_the_same_one)
{
    struct subject one = {.descriptor = ends[1], .events = WHIPPET_WRITABLE};
    struct subject other = one;
    start(&one, INFINITY);
    start(&other, INFINITY);
    loop_run(loop);
    cr_expect_eq(one.result, WHIPPET_WRITABLE, "%d", one.result);
    cr_expect_eq(other.result, WHIPPET_WRITABLE, "%d", other.result);
}

Test(waiting_for_descriptors, ends_at_the_deadline)
{
    struct subject subject = {.descriptor = ends[0], .events = WHIPPET_READABLE};
    start(&subject, loop_refresh_now(loop) + 0.010);
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_E_TIMEOUT, "%d", subject.result);
}

Test(waiting_for_descriptors, ends_when_cancelled)
{
    struct subject subject = {.descriptor = ends[0], .events = WHIPPET_READABLE};
    task_cancel(start(&subject, INFINITY));
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_E_CANCELLED, "%d", subject.result);
}

Test(waiting_for_descriptors, refuses_what_is_no_descriptor)
{
    int closed = dup(ends[0]);
    close(closed);
    const int wrong[] = {-1, INT_MIN, INT_MAX, 1 << 30, closed};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct subject subject = {.descriptor = wrong[i], .events = WHIPPET_READABLE};
        cr_expect_null(start(&subject, INFINITY));
        cr_expect_eq(subject.result, WHIPPET_E_INVALID, "%d: %d", wrong[i], subject.result);
    }
}

Test(waiting_for_descriptors, refuses_events_that_do_not_exist)
{
    static const int wrong[] = {0, 4, 7, -1};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct subject subject = {.descriptor = ends[0], .events = wrong[i]};
        start(&subject, INFINITY);
        cr_expect_eq(subject.result, WHIPPET_E_INVALID, "%d: %d", wrong[i], subject.result);
    }
}

/* epoll takes no regular files; they are always ready. */
Test(waiting_for_descriptors, finds_a_regular_file_ready)
{
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    struct subject subject = {.descriptor = fileno(file), .events = WHIPPET_READABLE | WHIPPET_WRITABLE};
    start(&subject, INFINITY);
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_READABLE | WHIPPET_WRITABLE, "%d", subject.result);
    fclose(file);
}

Test(waiting_for_descriptors, returns_when_the_other_end_is_closed)
{
    struct subject subject = {.descriptor = ends[0], .events = WHIPPET_READABLE};
    start(&subject, INFINITY);
    int other = ends[1];
    ends[1] = dup(ends[0]);
    close(other);
    loop_run(loop);
    cr_expect_eq(subject.result, WHIPPET_READABLE, "%d", subject.result);
}

static bool deny(size_t size)
{
    (void)size;
    return false;
}

static int waits_without_memory(whippet_task *task, void *arg)
{
    memory_permit = deny;
    int result = waits(task, arg);
    memory_permit = NULL;
    return result;
}

Test(waiting_for_descriptors, says_when_memory_is_short)
{
    struct subject subject = {.descriptor = ends[0], .events = WHIPPET_READABLE};
    task_start(loop_scheduler(loop), waits_without_memory, &subject, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(subject.result, WHIPPET_E_MEMORY, "%d", subject.result);
}

Test(waiting_for_descriptors, is_not_available_without_a_loop)
{
    struct scheduler bare;
    cr_assert_eq(scheduler_init(&bare, 65536, NULL), 0);
    struct subject subject = {.descriptor = ends[1], .events = WHIPPET_WRITABLE};
    task_start(&bare, waits, &subject, INFINITY, NULL, NULL, NULL);
    cr_expect_eq(subject.result, WHIPPET_E_UNAVAILABLE, "%d", subject.result);
    scheduler_destroy(&bare);
}

/* --- One descriptor, many who wait ----------------------------------------------------------------------*/

static int told; /* how often the kernel was told of ends[0] */

/* Found here by libev before libc's. */
__attribute__((visibility("default"))) int epoll_ctl(int epoll, int operation, int descriptor,
                                                     struct epoll_event *event)
{
    told += descriptor == ends[0];
    return (int)syscall(SYS_epoll_ctl, epoll, operation, descriptor, event);
}

struct shared {
    whippet_semaphore *turn;
    struct loop *last;
    int users;
};

static int uses_in_turn(whippet_task *task, void *arg)
{
    struct shared *shared = arg;
    char byte;
    cr_assert_eq(whippet_semaphore_acquire(task, shared->turn), 0);
    int ready = loop_wait_fd(task, ends[0], WHIPPET_READABLE, &shared->last);
    cr_assert_eq(ready, WHIPPET_READABLE, "%d", ready);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    whippet_semaphore_release(shared->turn);
    if (--shared->users == 0)
        loop_stop(loop);
    return 0;
}

Test(waiting_for_descriptors, tells_the_kernel_once_of_one_that_goes_from_hand_to_hand)
{
    struct shared shared = {.turn = whippet_semaphore_create(1), .users = 5};
    for (int i = 0; i < 5; i++)
        task_start(loop_scheduler(loop), uses_in_turn, &shared, INFINITY, NULL, NULL, NULL);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    loop_run(loop);
    cr_expect_eq(shared.users, 0);
    cr_expect_eq(told, 1, "%d", told);
    whippet_semaphore_destroy(shared.turn);
}

static int waits_for_another_of_the_same_number(whippet_task *task, void *arg)
{
    struct loop *last = NULL;
    int others[2];
    (void)arg;
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(loop_wait_fd(task, ends[0], WHIPPET_READABLE, &last), WHIPPET_READABLE);
    cr_assert_eq(pipe2(others, O_NONBLOCK | O_CLOEXEC), 0);
    cr_assert_eq(write(others[1], "x", 1), 1);
    dup2(others[0], ends[0]);
    last = NULL;
    cr_assert_eq(loop_wait_fd(task, ends[0], WHIPPET_READABLE, &last), WHIPPET_READABLE);
    close(others[0]);
    close(others[1]);
    return 0;
}

Test(waiting_for_descriptors, sees_one_that_was_opened_under_the_number_of_another)
{
    task_start(loop_scheduler(loop), waits_for_another_of_the_same_number, NULL, INFINITY, NULL, stop, NULL);
    loop_run(loop);
}
