#include "../../src/trace/sampler.h"
#include <base/random.h>
#include <criterion/criterion.h>

static struct sampler sampler;

static const struct trace_context SAMPLED = {.trace_low = UINT64_MAX, .flags = TRACE_SAMPLED};
static const struct trace_context UNSAMPLED = {.trace_low = UINT64_MAX};

static void expect(const char *name, const char *argument, bool root, bool sampled, bool unsampled)
{
    cr_assert(sampler_read(&sampler, name, argument));
    cr_expect_eq(sampler_takes(&sampler, UINT64_MAX, NULL), root, "%s: without a parent", name);
    cr_expect_eq(sampler_takes(&sampler, UINT64_MAX, &SAMPLED), sampled, "%s: sampled by the parent", name);
    cr_expect_eq(sampler_takes(&sampler, UINT64_MAX, &UNSAMPLED), unsampled, "%s: not sampled by the parent",
                 name);
}

Test(sampler, does_as_it_is_named)
{
    expect(NULL, NULL, true, true, false);
    expect("", "0.5", true, true, false);
    expect("always_on", NULL, true, true, true);
    expect("always_off", NULL, false, false, false);
    expect("traceidratio", "1", true, true, true);
    expect("traceidratio", NULL, true, true, true);
    expect("traceidratio", "0.5", false, false, false);
    expect("parentbased_always_on", NULL, true, true, false);
    expect("parentbased_always_off", NULL, false, true, false);
    expect("parentbased_traceidratio", "0.1", false, true, false);
}

Test(sampler, takes_as_many_traces_as_the_ratio_says)
{
    unsigned taken = 0;
    cr_assert(sampler_read(&sampler, "traceidratio", "0.1"));
    for (int i = 0; i < 100000; i++)
        taken += sampler_takes(&sampler, random_bits(), NULL);
    cr_assert(taken > 9000 && taken < 11000, "%u of 100000", taken);
}

Test(sampler, that_nobody_knows_is_the_usual_one)
{
    cr_assert_not(sampler_read(&sampler, "jaeger_remote", NULL));
    cr_assert(sampler.parent_based && sampler_takes(&sampler, UINT64_MAX, NULL));
}

Test(sampler, with_a_ratio_that_is_none_takes_all)
{
    static const char *const wrong[] = {"a tenth", "1.1", "-0.1", "0.1x", "nan"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_not(sampler_read(&sampler, "traceidratio", wrong[i]), "\"%s\"", wrong[i]);
        cr_expect(!sampler.parent_based && sampler_takes(&sampler, UINT64_MAX, NULL));
    }
}
