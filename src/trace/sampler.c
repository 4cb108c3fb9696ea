/* The samplers that OpenTelemetry's environment variables know. A ratio looks at the trace id, so that all
 * who take part in a trace come to the same answer. */
#include "sampler.h"
#include <stdlib.h>
#include <string.h>

/* Of 63 bits of the trace id: below it, a trace is taken. */
#define EVERY (UINT64_C(1) << 63)

static const char PARENT_BASED[] = "parentbased_";

/* A ratio from 0 to 1 as a threshold. */
static bool read_ratio(const char *text, uint64_t *below)
{
    char *end;
    if (text == NULL || *text == '\0')
        return true; /* as the specification has it: all of them */
    double ratio = strtod(text, &end);
    if (end == text || *end != '\0' || !(ratio >= 0 && ratio <= 1))
        return false;
    *below = (uint64_t)(ratio * (double)EVERY);
    return true;
}

bool sampler_read(struct sampler *sampler, const char *name, const char *argument)
{
    *sampler = (struct sampler){.parent_based = true, .below = EVERY};
    if (name == NULL || *name == '\0')
        return true;
    bool parent_based = strncmp(name, PARENT_BASED, sizeof PARENT_BASED - 1) == 0;
    const char *root = parent_based ? name + sizeof PARENT_BASED - 1 : name;
    bool is_ratio = strcmp(root, "traceidratio") == 0, is_off = strcmp(root, "always_off") == 0;
    if (!is_ratio && !is_off && strcmp(root, "always_on") != 0)
        return false;
    sampler->parent_based = parent_based;
    if (is_off)
        sampler->below = 0;
    return !is_ratio || read_ratio(argument, &sampler->below);
}

bool sampler_takes(const struct sampler *sampler, uint64_t trace_low, const struct trace_context *parent)
{
    if (sampler->parent_based && parent != NULL)
        return trace_context_is_sampled(parent);
    return trace_low >> 1 < sampler->below;
}
