#include "exporter.h"
#include "otlp.h"
#include "sampler.h"
#include <base/log.h>
#include <base/memory.h>
#include <string.h>

struct tracer {
    struct sampler sampler;
    struct list sources; /* struct span_source, owned */
    struct trace_stats *stats;
    struct exporter exporter;
};

static void tracer_free(struct tracer *tracer)
{
    struct list *link;
    while ((link = list_take_first(&tracer->sources)) != NULL)
        span_source_destroy(list_entry(link, struct span_source, link));
    span_ring_destroy(&tracer->exporter.ring);
    buffer_destroy(&tracer->exporter.head);
    buffer_destroy(&tracer->exporter.request);
    memory_free(tracer);
}

struct tracer *tracer_create(const struct tracer_options *options, struct whippet_failure *failure)
{
    struct tracer *tracer = memory_allocate_zeroed(sizeof *tracer);
    if (tracer == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory");
        return NULL;
    }
    struct exporter *exporter = &tracer->exporter;
    list_init(&tracer->sources);
    buffer_init(&exporter->head);
    buffer_init(&exporter->request);
    tracer->sampler = options->settings->sampler;
    tracer->stats = exporter->stats = options->stats;
    exporter->upload = options->upload;
    exporter->upload_owner = options->upload_owner;
    exporter->endpoint = options->settings->where;
    exporter->timeout = options->settings->timeout;
    bool has_memory = span_ring_init(&exporter->ring) &&
                      otlp_write_head(&exporter->head, options->settings, options->version);
    if (has_memory && exporter_start(exporter))
        return tracer;
    failure_set(failure, WHIPPET_E_MEMORY, has_memory ? "there can be no thread for it" : "out of memory");
    tracer_free(tracer);
    return NULL;
}

bool tracer_destroy(struct tracer *tracer, double seconds)
{
    if (tracer == NULL)
        return true;
    if (!exporter_stop(&tracer->exporter, seconds))
        return false;
    tracer_free(tracer);
    return true;
}

/* Of a trace that nobody records the ids need only be there, and differ: one of them is made by chance, for
 * it decides, and the others follow from it. */
static struct trace_context begin_root(const struct sampler *sampler)
{
    uint64_t low = trace_id_make();
    if (!sampler_takes(sampler, low, NULL))
        return (struct trace_context){
            .trace_high = ~low, .trace_low = low, .span = low, .flags = TRACE_RANDOM};
    return (struct trace_context){.trace_high = trace_id_make(),
                                  .trace_low = low,
                                  .span = trace_id_make(),
                                  .flags = TRACE_RANDOM | TRACE_SAMPLED};
}

struct trace_context tracer_begin(const struct tracer *tracer, const struct trace_context *parent)
{
    if (parent == NULL)
        return begin_root(&tracer->sampler);
    struct trace_context context = *parent;
    bool is_sampled = sampler_takes(&tracer->sampler, context.trace_low, parent);
    context.span = trace_id_make();
    context.flags = (context.flags & TRACE_RANDOM) | (is_sampled ? TRACE_SAMPLED : 0);
    return context;
}

const struct span_source *tracer_source(struct tracer *tracer, const char *queue, const char *processor)
{
    list_each (link, &tracer->sources) {
        struct span_source *source = list_entry(link, struct span_source, link);
        if (strcmp(source->queue, queue) == 0 && strcmp(source->processor, processor) == 0)
            return source;
    }
    struct span_source *source = span_source_create(queue, processor);
    if (source != NULL)
        list_append(&tracer->sources, &source->link);
    return source;
}

void tracer_record(struct tracer *tracer, const struct span *span)
{
    size_t count = span_ring_push(&tracer->exporter.ring, span);
    if (count == 0)
        counter_add(&tracer->stats->dropped[TRACE_DROP_FULL], 1);
    else if (count == SPAN_RING_SLOTS / 2)
        exporter_wake(&tracer->exporter);
}
