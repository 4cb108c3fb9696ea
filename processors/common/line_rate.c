#include "line_rate.h"
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

bool line_rate_begins(struct line_rate *rate)
{
    double moment = now();
    if (moment - rate->second < 1)
        return false;
    rate->second = moment;
    rate->said = 0;
    return true;
}

bool line_rate_take(struct line_rate *rate)
{
    bool may = rate->said < rate->most;
    rate->said += may;
    rate->dropped += !may;
    return may;
}

double line_rate_left(const struct line_rate *rate)
{
    return rate->second + 1 - now();
}
