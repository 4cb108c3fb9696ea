#include "patience.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

enum {
    PAUSE_MILLISECONDS = 25 /* on a busy machine, looking more often is what makes it busy */
};

double patience_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double patience_stretched(double seconds)
{
    const char *factor = getenv("WHIPPET_TEST_PATIENCE");

    return seconds * (factor ? strtod(factor, NULL) : 1.0);
}

double patience_deadline(double seconds)
{
    return patience_now() + patience_stretched(seconds);
}

void patience_pause(void)
{
    poll(NULL, 0, PAUSE_MILLISECONDS);
}
