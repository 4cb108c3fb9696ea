#include "progress.h"
#include <base/clock.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double TERMINAL_SECONDS = 0.1;
static const double PLAIN_SECONDS = 5;

enum {
    BAR_WIDTH = 30, /* columns of the bar, where there is room */
    BAR_LEAST = 5,
    COLUMNS_UNTOLD = 80, /* of a terminal that does not tell how many it has */
    FIGURES_SIZE = 160,
};

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){
        .what = what, .total = total, .terminal = isatty(STDERR_FILENO) == 1, .started = clock_monotonic()};
    progress->shown = progress->started;
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_UNTOLD;
}

/* In one line, over the last one: beyond the terminal's edge there would be a new one each time. */
static void show_bar(struct progress *progress, double share, const char *figures)
{
    char bar[BAR_WIDTH + sizeof "[] "] = "";
    int most = terminal_columns() - 1, length = (int)strlen(figures);
    int room = most - length - (int)strlen("[] ");
    int width = room < BAR_WIDTH ? room : BAR_WIDTH;
    if (width >= BAR_LEAST) {
        int filled = (int)(share * width);
        memset(bar, '-', sizeof bar);
        memset(bar + 1, '#', (size_t)filled);
        bar[0] = '[';
        strcpy(bar + 1 + width, "] ");
    }
    int shown = (int)strlen(bar) + length < most ? (int)strlen(bar) + length : most;
    fprintf(stderr, "\r%s%.*s%*s", bar, most, figures,
            progress->columns > shown ? progress->columns - shown : 0, "");
    progress->columns = shown;
}

static void show(struct progress *progress, uint64_t done)
{
    char figures[FIGURES_SIZE];
    unsigned long long so_far = done, total = progress->total;
    double share = done < total ? (double)done / (double)total : 1;
    double elapsed = clock_monotonic() - progress->started;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    if (!progress->terminal) {
        fprintf(stderr, "%s %llu of %llu, %.0f/s\n", progress->what, so_far, total, rate);
        return;
    }
    snprintf(figures, sizeof figures, "%3.0f %% %llu/%llu %s, %.0f/s", share * 100, so_far, total,
             progress->what, rate);
    show_bar(progress, share, figures);
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
