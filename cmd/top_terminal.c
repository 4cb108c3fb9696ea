#include "top_terminal.h"
#include "exit_codes.h"
#include "top_page.h"
#include "top_screen.h"
#include "top_source.h"
#include <base/bytes.h>
#include <base/clock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    REDRAW_KEY = 'L' & 0x1f, /* control L, as everywhere */
};

struct session {
    struct top_screen *screen;
    struct top_feed *feed;
    int signals; /* a signalfd */
    struct top_view *view;
    struct top_figures figures;
    struct top_answers answers; /* the last ones, which say why where there was no answer */
    char where[300];
    double heard; /* clock_monotonic, of the last answer */
    bool over;
};

/* --- What happens ---------------------------------------------------------------------------------------*/

static whippet_bytes text_of(const struct buffer *buffer)
{
    return bytes_of(buffer_begin(buffer), buffer_length(buffer));
}

static void take_answers(struct session *session)
{
    struct top_answers *answers = &session->answers;
    if (!top_feed_take(session->feed, answers) || answers->failure.error != 0)
        return;
    struct top_status *status = top_status_read(text_of(&answers->status), text_of(&answers->ready));
    if (status == NULL) {
        failure_set(&answers->failure, WHIPPET_E_INVALID, "it answers with something else than its status");
        return;
    }
    top_figures_add(&session->figures, status);
    top_figures_take_history(&session->figures, text_of(&answers->history));
    session->heard = clock_monotonic();
}

static void take_signals(struct session *session)
{
    struct signalfd_siginfo signal;
    while (read(session->signals, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        if (signal.ssi_signo == SIGWINCH)
            top_screen_fit(session->screen, session->view);
        else if (signal.ssi_signo == SIGCONT)
            top_screen_spoil(session->screen);
        else
            session->over = true;
    }
}

static void take_keys(struct session *session)
{
    int key;
    while ((key = top_screen_key(session->screen)) != TOP_NO_KEY) {
        if (key == REDRAW_KEY)
            top_screen_spoil(session->screen);
        else if (top_view_press(session->view, key) == TOP_QUIT)
            session->over = true;
    }
}

/* --- What is shown --------------------------------------------------------------------------------------*/

static void draw(struct session *session)
{
    const struct whippet_failure *failure = &session->answers.failure;
    bool waits = failure->error == 0 && top_figures_status(&session->figures) == NULL;
    struct top_subject subject = {
        .where = session->where,
        .problem = failure->error != 0 ? failure->text
                   : waits             ? "asking it"
                                       : NULL,
        .silence = clock_monotonic() - session->heard,
        .figures = &session->figures,
    };
    struct top_page page = top_page_make(&subject, session->view);
    top_screen_draw(session->screen, &page);
    top_page_destroy(&page);
}

/* --- From beginning to end ------------------------------------------------------------------------------*/

static void turn(struct session *session)
{
    struct pollfd polled[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = top_feed_descriptor(session->feed), .events = POLLIN},
        {.fd = session->signals, .events = POLLIN},
    };
    draw(session);
    if (poll(polled, sizeof polled / sizeof polled[0], -1) < 0)
        return; /* curses has its own handler for the stop key */
    take_signals(session);
    take_answers(session);
    take_keys(session);
    if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        session->over = true; /* the terminal is gone */
}

/* Signals are read from a descriptor, so that none comes at a wrong moment. All threads have them blocked. */
static int catch_signals(void)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++)
        sigaddset(&set, SIGNALS[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* https://no-color.org */
static bool wants_colours(void)
{
    const char *refused = getenv("NO_COLOR");
    return refused == NULL || refused[0] == '\0';
}

static bool open_session(struct session *session, const struct admin_address *address,
                         struct whippet_failure *failure)
{
    session->signals = catch_signals();
    if (session->signals < 0) {
        failure_set(failure, WHIPPET_E_UNAVAILABLE, "can't catch signals: out of descriptors or memory");
        return false;
    }
    session->feed = top_feed_start(address, failure);
    session->screen = session->feed != NULL ? top_screen_open(wants_colours(), failure) : NULL;
    return session->screen != NULL;
}

int top_on_terminal(const struct admin_address *address, struct top_view *view)
{
    struct whippet_failure failure;
    struct session session = {.view = view, .heard = clock_monotonic()};
    snprintf(session.where, sizeof session.where, "%s port %s", address->host, address->port);
    top_figures_init(&session.figures);
    top_answers_init(&session.answers);
    bool opened = open_session(&session, address, &failure);
    if (opened) {
        top_screen_fit(session.screen, view);
        while (!session.over)
            turn(&session);
        top_screen_close(session.screen);
    } else {
        fprintf(stderr, "whippet top: %s\n", failure.text);
    }
    top_answers_destroy(&session.answers);
    top_figures_destroy(&session.figures);
    if (session.signals >= 0)
        close(session.signals);
    return opened ? EXIT_DONE : EXIT_FAILED;
}
