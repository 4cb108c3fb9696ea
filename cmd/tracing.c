#include "tracing.h"
#include "span_upload.h"
#include <base/log.h>

static const double FLUSH_SECONDS = 2; /* at the end; a container has some seconds left then */

static bool start(struct tracing *tracing, struct worker *worker, struct whippet_failure *failure)
{
    tracing->uploader = span_uploader_create(&tracing->settings, failure);
    if (tracing->uploader == NULL)
        return false;
    const struct tracer_options options = {
        .settings = &tracing->settings,
        .version = WHIPPET_VERSION,
        .upload = span_uploader_send,
        .upload_owner = tracing->uploader,
        .stats = &worker_stats(worker)->traces,
    };
    tracing->stats = options.stats;
    tracing->tracer = tracer_create(&options, failure);
    return tracing->tracer != NULL;
}

static void release(struct tracing *tracing)
{
    span_uploader_destroy(tracing->uploader);
    trace_settings_destroy(&tracing->settings);
    *tracing = (struct tracing){0};
}

void tracing_begin(struct tracing *tracing, struct worker *worker)
{
    struct whippet_failure failure = {0};
    *tracing = (struct tracing){0};
    if (!trace_settings_read(&tracing->settings))
        failure_set(&failure, WHIPPET_E_MEMORY, "out of memory");
    else if (tracing->settings.endpoint == NULL)
        return;
    if (failure.error != 0 || !start(tracing, worker, &failure)) {
        log_event(WHIPPET_ERROR, NULL, "no traces are exported: %s", failure.text);
        release(tracing);
        return;
    }
    worker_trace(worker, tracing->tracer);
    log_event(WHIPPET_INFO, NULL, "traces go to %s, of the service \"%s\"", tracing->settings.where,
              tracing->settings.service_name);
}

static void report(const struct trace_stats *stats)
{
    uint64_t dropped = 0;
    for (int i = 0; i < TRACE_DROP_COUNT; i++)
        dropped += counter_get(&stats->dropped[i]);
    log_event(dropped > 0 ? WHIPPET_WARNING : WHIPPET_INFO, NULL, "traces: %llu spans exported, %llu dropped",
              (unsigned long long)counter_get(&stats->exported), (unsigned long long)dropped);
}

bool tracing_end(struct tracing *tracing)
{
    if (tracing->tracer == NULL)
        return true;
    if (!tracer_destroy(tracing->tracer, FLUSH_SECONDS)) {
        log_event(WHIPPET_WARNING, NULL, "traces: the last upload does not end, and is left behind");
        return false;
    }
    report(tracing->stats);
    release(tracing);
    return true;
}
