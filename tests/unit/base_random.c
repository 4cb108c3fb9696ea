#include <base/random.h>
#include <criterion/criterion.h>
#include <pthread.h>

Test(random_unit, is_at_least_0_and_below_1)
{
    for (int i = 0; i < 100000; i++) {
        double unit = random_unit();
        cr_assert(unit >= 0 && unit < 1, "was %.17g", unit);
    }
}

Test(random_unit, is_spread_evenly)
{
    enum {
        DRAWS = 100000,
        BINS = 10
    };
    unsigned counts[BINS] = {0};
    for (int i = 0; i < DRAWS; i++)
        counts[(unsigned)(random_unit() * BINS)]++;
    for (unsigned i = 0; i < BINS; i++)
        cr_assert(counts[i] > 9000 && counts[i] < 11000, "bin %u has %u of %d", i, counts[i], DRAWS);
}

static void *draw(void *unit)
{
    *(double *)unit = random_unit();
    return NULL;
}

Test(random_unit, differs_between_threads)
{
    double here = random_unit(), there = here;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, draw, &there), 0);
    pthread_join(thread, NULL);
    cr_assert(here != there, "both drew %.17g", here);
}
