/* Counts the calls of setup() and teardown() in its state, and fails as its settings say: with a reason,
 * without one, or not at all. */
#include <whippet/processor.h>

#include <string.h>

static const whippet_option options[] = {
    {"mode", WHIPPET_OPTION_STRING, "works", false, "works, fails or fails_silently"},
    {0},
};

static int counts[2];

static int setup(const whippet_settings *settings, void **state, whippet_failure *failure)
{
    const char *mode = whippet_setting_string(settings, "mode");

    if (strcmp(mode, "fails") == 0) {
        whippet_fail(failure, "mode: found \"%s\"", mode);
    }
    if (strcmp(mode, "works") != 0) {
        return 3;
    }
    counts[0]++;
    *state = counts;
    return 0;
}

static void teardown(void *state)
{
    ((int *)state)[1]++;
}

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "counting", .version = "1.0", .options = options, .setup = setup,
                  .process = process, .teardown = teardown);
