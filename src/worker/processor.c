#include <stdarg.h>
#include <worker/plugin.h>

void whippet_fail(whippet_failure *failure, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    failure_set_v(failure, WHIPPET_E_INVALID, format, arguments);
    va_end(arguments);
}

int processor_setup(struct processor *processor, struct plugin *plugin, whippet_settings *settings,
                    struct whippet_failure *failure)
{
    const whippet_processor *descriptor = &plugin->descriptor;
    void *state = NULL;
    struct whippet_failure reason = {0};
    int result = descriptor->setup != NULL ? descriptor->setup(settings, &state, &reason) : 0;
    if (result != 0 && reason.error == 0)
        return failure_set(failure, WHIPPET_E_INVALID, "its setup() returned %d without giving a reason",
                           result);
    if (result != 0)
        return failure_set(failure, reason.error, "%s", reason.text);
    *processor = (struct processor){.plugin = plugin, .settings = settings, .state = state};
    return 0;
}

void processor_teardown(struct processor *processor)
{
    if (processor->plugin == NULL)
        return;
    if (processor->plugin->descriptor.teardown != NULL)
        processor->plugin->descriptor.teardown(processor->state);
    settings_destroy(processor->settings);
    plugin_unload(processor->plugin);
    *processor = (struct processor){0};
}
