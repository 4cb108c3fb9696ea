#include <async/scheduler.h>
#include <async/task.h>
#include <base/log.h>
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <whippet/log.h>

static struct scheduler scheduler;
static int log_file;

static void set_up(void)
{
    cr_assert_eq(scheduler_init(&scheduler, 65536, NULL), 0);
    log_file = memfd_create("log", MFD_CLOEXEC);
    log_configure(log_file, WHIPPET_INFO, LOG_FORMAT_TEXT);
}

static void tear_down(void)
{
    scheduler_destroy(&scheduler);
    close(log_file);
}

TestSuite(processor_log, .init = set_up, .fini = tear_down);

static const char *log_text(void)
{
    static char text[8192];
    ssize_t length = pread(log_file, text, sizeof text - 1, 0);
    cr_assert_geq(length, 0);
    text[length] = '\0';
    return text;
}

static int logs(whippet_task *task, void *arg)
{
    whippet_log(task, WHIPPET_WARNING, "%d bytes", *(int *)arg);
    return 0;
}

Test(processor_log, lines_carry_the_fields_of_the_task)
{
    const struct log_fields fields = {.queue = "orders", .processor = "sum"};
    int bytes = 17;
    task_start(&scheduler, logs, &bytes, INFINITY, &fields, NULL, NULL);
    cr_expect_not_null(strstr(log_text(), "17 bytes"), "%s", log_text());
    cr_expect_not_null(strstr(log_text(), "orders"), "%s", log_text());
    cr_expect_not_null(strstr(log_text(), "sum"), "%s", log_text());
}

Test(processor_log, lines_need_no_task)
{
    whippet_log(NULL, WHIPPET_INFO, "from setup");
    cr_expect_not_null(strstr(log_text(), "from setup"), "%s", log_text());
}

Test(processor_log, lines_below_the_level_are_left_out)
{
    whippet_log(NULL, WHIPPET_DEBUG, "too much");
    cr_expect_str_empty(log_text(), "%s", log_text());
}
