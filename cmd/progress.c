#include "progress.h"
#include <base/clock.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double TERMINAL_SECONDS = 0.1;
static const double PLAIN_SECONDS = 5;

enum {
    BAR_WIDTH = 30
};

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){
        .what = what, .total = total, .terminal = isatty(STDERR_FILENO) == 1, .started = clock_monotonic()};
    progress->shown = progress->started;
}

static void show(const struct progress *progress, uint64_t done)
{
    char bar[BAR_WIDTH + 1];
    double share = progress->total > 0 ? (double)done / (double)progress->total : 1;
    double elapsed = clock_monotonic() - progress->started;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    int filled = (int)(share * BAR_WIDTH);
    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    if (progress->terminal)
        fprintf(stderr, "\r[%s] %3.0f %% %llu/%llu %s, %.0f/s ", bar, share * 100, (unsigned long long)done,
                (unsigned long long)progress->total, progress->what, rate);
    else
        fprintf(stderr, "%s %llu of %llu, %.0f/s\n", progress->what, (unsigned long long)done,
                (unsigned long long)progress->total, rate);
}

void progress_update(struct progress *progress, uint64_t done)
{
    double now = clock_monotonic();
    if (now - progress->shown < (progress->terminal ? TERMINAL_SECONDS : PLAIN_SECONDS))
        return;
    progress->shown = now;
    show(progress, done);
}

void progress_end(struct progress *progress, uint64_t done)
{
    show(progress, done);
    if (progress->terminal)
        fprintf(stderr, "\n");
}
