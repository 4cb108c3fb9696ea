#include <base/thread.h>
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

struct seen {
    char name[16];
    sigset_t blocked;
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    while (strcmp(seen->name, "whippet-look") != 0) {
        pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
        sched_yield();
    }
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    return NULL;
}

static struct seen run(void)
{
    struct seen seen = {.name = ""};
    pthread_t thread;
    int error = thread_start(&thread, "whippet-look", look, &seen);
    cr_assert_eq(error, 0, "%s", strerror(error));
    pthread_join(thread, NULL);
    return seen;
}

Test(threads, take_no_signal_and_leave_their_starter_s_as_they_were)
{
    struct seen seen = run();
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    for (const int *signal = (const int[]){SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, 0}; *signal != 0; signal++) {
        cr_expect(sigismember(&seen.blocked, *signal), "the thread takes signal %d", *signal);
        cr_expect_not(sigismember(&mine, *signal), "the starter does not take signal %d any more", *signal);
    }
}

Test(threads, have_the_name_that_a_debugger_shows)
{
    cr_expect_str_eq(run().name, "whippet-look");
}
