/* A processor with an option of each type, with and without a default. */
#include <whippet/processor.h>

static const whippet_option options[] = {
    {"text", WHIPPET_OPTION_STRING, NULL, true, "some text"},
    {"integer", WHIPPET_OPTION_INTEGER, "-7", false, "a whole number"},
    {"number", WHIPPET_OPTION_NUMBER, "2.5", false, "any number"},
    {"boolean", WHIPPET_OPTION_BOOLEAN, "true", false, "yes or no"},
    {"duration", WHIPPET_OPTION_DURATION, "250ms", false, "a time"},
    {"size", WHIPPET_OPTION_SIZE, "16KiB", false, "an amount"},
    {"strings", WHIPPET_OPTION_STRINGS, "[\"a\", \"b\"]", false, "a list"},
    {"map", WHIPPET_OPTION_MAP, "{\"k\": \"v\"}", false, "names and values"},
    {"plain_text", WHIPPET_OPTION_STRING, NULL, false, NULL},
    {"plain_strings", WHIPPET_OPTION_STRINGS, NULL, false, NULL},
    {"plain_integer", WHIPPET_OPTION_INTEGER, NULL, false, NULL},
    {0},
};

static whippet_verdict process(whippet_task *task, const whippet_message *message, void *state)
{
    (void)task, (void)message, (void)state;
    return WHIPPET_ACK;
}

WHIPPET_PROCESSOR(.name = "options", .version = "1.0", .summary = "has options", .options = options,
                  .process = process);
