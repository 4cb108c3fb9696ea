/* What cannot work is refused before the first message, with exit status 78 and the reason. */
#include "stage.h"

TestSuite(starting, .init = stage_open, .fini = stage_close, .timeout = 120);

enum {
    CONFIGURATION = 78
};

/* A worker whose one queue uses `processor` with `settings` is refused, and says each of the two texts. */
static void assert_refused(const char *processor, const char *settings, const char *text, const char *other)
{
    struct worker *worker =
        worker_start("", "[{'name': 'orders', 'processor': '%s', 'settings': {%s}}]", processor, settings);

    worker_await_saying(worker, 10, text);
    worker_await_saying(worker, 10, other);
    worker_await_end(worker, 10, CONFIGURATION);
}

Test(starting, refuses_an_unknown_processor)
{
    assert_refused("no_such_processor", "", "queues[0].processor", "no_such_processor");
}

Test(starting, refuses_a_processor_of_another_abi)
{
    assert_refused("wrong_abi", "", "wrong_abi.so", "4711");
}

Test(starting, refuses_a_shared_object_that_is_no_processor)
{
    assert_refused("not_a_plugin", "", "not_a_plugin.so", "queues[0].processor");
}

Test(starting, refuses_a_processor_with_an_unresolved_symbol)
{
    assert_refused("unresolved", "", "unresolved.so", "whippet_no_such_function");
}

Test(starting, refuses_a_processor_that_cannot_set_itself_up)
{
    assert_refused("refuses_setup", "", "no licence found on a rainy day", "refuses_setup");
}

Test(starting, refuses_a_setting_that_the_processor_does_not_know)
{
    assert_refused("record", "'path': '/dev/null', 'colour': 'red'", "queues[0].settings.colour", "colour");
}

Test(starting, refuses_a_setting_of_another_type)
{
    assert_refused("record", "'path': '/dev/null', 'delay': 'soon'", "queues[0].settings.delay", "soon");
}

Test(starting, refuses_settings_without_one_that_is_required)
{
    assert_refused("record", "", "path", "queues[0]");
}

Test(starting, reports_all_errors_at_once_with_their_lines)
{
    struct worker *worker = worker_start("'shutdown_timeout': 'soon'",
                                         "[{'name': 'orders', 'processor': 'record', 'concurency': 3,\n"
                                         "  'retry': {'attempts': 0},\n"
                                         "  'settings': {'path': '/dev/null'}}]");

    worker_await_end(worker, 10, CONFIGURATION);
    worker_await_saying(worker, 1, ":4: shutdown_timeout");
    worker_await_saying(worker, 1, ":5: queues[0].concurency");
    worker_await_saying(worker, 1, ":6: queues[0].retry.attempts");
}
