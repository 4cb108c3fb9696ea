/* From a queue's configuration to a processor that is ready to be set up. */
#include <stdio.h>
#include <string.h>
#include <worker/worker.h>

bool queue_prepare(const struct config *config, size_t index, struct plugin **plugin,
                   whippet_settings **settings, struct config_errors *errors)
{
    const struct queue_config *queue = &config->queues[index];
    struct whippet_failure failure;
    char path[64];
    snprintf(path, sizeof path, "queues[%zu].processor", index);
    size_t count = config->processor_path_count;
    const char *const *folders = count > 0 ? config->processor_path : plugin_default_path(&count);
    *plugin = plugin_load(queue->processor, folders, count, &failure);
    if (*plugin == NULL) {
        config_errors_add(errors, config, path, "%s", failure.text);
        return false;
    }
    size_t before = errors->count;
    snprintf(path, sizeof path, "queues[%zu].settings", index);
    *settings = settings_check(*plugin, queue->settings, path, config, errors);
    if (*settings != NULL)
        return true;
    if (errors->count == before)
        config_errors_add(errors, config, path, "out of memory");
    plugin_unload(*plugin);
    return false;
}

enum run_mode queue_run_mode(const struct queue_config *queue, const whippet_processor *descriptor)
{
    if (queue->run != RUN_AS_WISHED)
        return queue->run;
    const char *wish = descriptor->run != NULL ? descriptor->run : "loop";
    if (strcmp(wish, "thread") == 0)
        return RUN_THREAD;
    return strcmp(wish, "process") == 0 ? RUN_PROCESS : RUN_LOOP;
}
