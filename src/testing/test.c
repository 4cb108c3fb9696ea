/* A processor under test: how it comes and goes, and what it logs. */
#include "test.h"
#include "settings.h"
#include <base/log.h>
#include <base/memory.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <worker/publishing.h>

enum {
    STACK_SIZE = 256 * 1024, /* the worker's default */
    TEXT_SIZE = 4096,
};

static const double TIMEOUT = 300; /* seconds; the worker's default */

static whippet_test *current; /* logging and publishing are the whole program's */

/* --- Failing --------------------------------------------------------------------------------------------*/

void test_fail(whippet_test_fail *fail, const char *format, ...)
{
    static char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (fail != NULL)
        fail(text);
    fprintf(stderr, "%s\n", text);
    abort();
}

void test_check(const whippet_test *test, const char *function)
{
    if (test == NULL || test != current)
        test_fail(current != NULL ? current->fail : NULL,
                  "%s: the test was not started with whippet_test_start, or has ended", function);
    if (loop_scheduler(test->loop)->running != NULL)
        test_fail(NULL, "%s was called from inside process(): only the test itself may", function);
}

void *test_allocate(whippet_test *test, size_t size)
{
    void **grown = memory_resize(test->texts, (test->text_count + 1) * sizeof *grown);
    if (grown != NULL)
        test->texts = grown;
    void *memory = grown != NULL ? memory_allocate(size) : NULL;
    if (memory == NULL)
        test_fail(test->fail, "whippet_test: out of memory");
    test->texts[test->text_count++] = memory;
    return memory;
}

/* --- Coming and going ------------------------------------------------------------------------------------*/

const whippet_processor *whippet_test_load_with(const char *file, whippet_test_fail *fail)
{
    struct whippet_failure failure;
    char *path = NULL;
    /* A name without a slash would be looked for in folders. */
    if (file != NULL && (path = memory_allocate(strlen(file) + sizeof "./")) != NULL)
        sprintf(path, "%s%s", strchr(file, '/') != NULL ? "" : "./", file);
    struct plugin *plugin = path != NULL ? plugin_load(path, NULL, 0, &failure) : NULL;
    memory_free(path);
    if (file == NULL)
        test_fail(fail, "whippet_test_load: which file?");
    if (plugin == NULL)
        test_fail(fail, "whippet_test_load: %s", path != NULL ? failure.text : "out of memory");
    return &plugin->descriptor;
}

/* A test without a processor. */
static whippet_test *test_create(whippet_test_fail *fail)
{
    struct whippet_failure failure = {.text = "out of memory"};
    whippet_test *test = memory_allocate_zeroed(sizeof *test);
    struct loop *loop = test != NULL ? loop_create(STACK_SIZE, &failure) : NULL;
    int log = memfd_create("log", MFD_CLOEXEC);
    if (loop == NULL || log < 0)
        test_fail(fail, "whippet_test_start: %s", failure.text);
    loop_set_leaping(loop, true);
    *test = (whippet_test){.fail = fail, .loop = loop, .log = log, .timeout = TIMEOUT};
    return test;
}

/* Gives back all but the processor. */
static void test_destroy(whippet_test *test)
{
    publishing_install(NULL, NULL);
    log_configure(STDERR_FILENO, WHIPPET_INFO, LOG_FORMAT_TEXT);
    loop_destroy(test->loop);
    publications_clear(test);
    for (size_t i = 0; i < test->text_count; i++)
        memory_free(test->texts[i]);
    memory_free(test->texts);
    memory_free(test->publications);
    memory_free(test->answers);
    memory_free(test->log_text);
    close(test->log);
    memory_free(test);
}

/* Takes the complaints over. */
_Noreturn static void refuse(whippet_test_fail *fail, char *complaints)
{
    static char text[TEXT_SIZE];
    snprintf(text, sizeof text, "%s", complaints != NULL ? complaints : "out of memory");
    memory_free(complaints);
    test_fail(fail, "whippet_test_start: %s", text);
}

static void background_ended(void *owner)
{
    whippet_test *test = owner;
    loop_stop(test->loop);
}

static void start_background(whippet_test *test)
{
    test->background_fields =
        (struct log_fields){.queue = "test", .processor = test->processor.plugin->descriptor.name};
    test->background.ended = background_ended;
    test->background.owner = test;
    loop_refresh_now(test->loop);
    if (!background_start(&test->background, loop_scheduler(test->loop), &test->processor,
                          &test->background_fields))
        test_fail(test->fail, "whippet_test_start: out of memory for background()");
}

static void end_background(whippet_test *test)
{
    background_cancel(&test->background);
    while (background_runs(&test->background))
        loop_run(test->loop);
}

whippet_test *whippet_test_start_with(const whippet_processor *processor, const char *settings,
                                      whippet_test_fail *fail)
{
    if (current != NULL)
        test_fail(fail, "whippet_test_start: another test runs; end it with whippet_test_end first");
    whippet_test *test = test_create(fail);
    signal(SIGPIPE, SIG_IGN); /* as the worker does */
    log_configure(test->log, WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    char *complaints = NULL;
    if (settings_set_up(&test->processor, processor, settings, &complaints) != 0) {
        test_destroy(test);
        refuse(fail, complaints);
    }
    publishing_install(publications_take, test);
    current = test;
    start_background(test);
    return test;
}

void whippet_test_end(whippet_test *test)
{
    if (test == NULL)
        return;
    test_check(test, "whippet_test_end");
    end_background(test);
    processor_teardown(&test->processor);
    test_destroy(test);
    current = NULL;
}

const char *whippet_test_refusal(const whippet_processor *processor, const char *settings)
{
    static char text[TEXT_SIZE];
    struct processor started;
    char *complaints = NULL;
    if (settings_set_up(&started, processor, settings, &complaints) == 0) {
        processor_teardown(&started);
        return NULL;
    }
    snprintf(text, sizeof text, "%s", complaints != NULL ? complaints : "out of memory");
    memory_free(complaints);
    return text;
}

/* --- What it says ---------------------------------------------------------------------------------------*/

void whippet_test_set_timeout(whippet_test *test, double seconds)
{
    test_check(test, "whippet_test_set_timeout");
    if (!(seconds > 0) || !isfinite(seconds))
        test_fail(test->fail, "whippet_test_set_timeout: expected seconds above 0, found %g", seconds);
    test->timeout = seconds;
}

const char *whippet_test_log(whippet_test *test)
{
    test_check(test, "whippet_test_log");
    off_t size = lseek(test->log, 0, SEEK_END);
    char *text = memory_resize(test->log_text, (size_t)size + 1);
    if (text == NULL)
        test_fail(test->fail, "whippet_test_log: out of memory");
    ssize_t length = pread(test->log, text, (size_t)size, 0);
    text[length > 0 ? length : 0] = '\0';
    test->log_text = text;
    return text;
}

void whippet_test_clear(whippet_test *test)
{
    test_check(test, "whippet_test_clear");
    publications_clear(test);
    if (ftruncate(test->log, 0) != 0)
        test_fail(test->fail, "whippet_test_clear: can't empty the log");
    lseek(test->log, 0, SEEK_SET);
}

const char *whippet_test_text(whippet_test *test, whippet_bytes bytes)
{
    test_check(test, "whippet_test_text");
    if (bytes.data == NULL)
        return NULL;
    char *text = test_allocate(test, bytes.len + 1);
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    return text;
}
