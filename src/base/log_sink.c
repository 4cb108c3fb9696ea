#include "log_sink.h"
#include <base/clock.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const double patience = 0.1; /* seconds */

static struct {
    int descriptor;
    bool is_own;     /* opened here, non-blocking */
    bool is_socket;  /* each send says for itself that it must not block */
    bool may_block;  /* so ask before each write whether there is room */
    size_t piece;    /* bytes, the most that is written at once */
    bool is_stalled; /* the last line found no room in time */
    bool is_torn;    /* the last line was cut: a newline comes first */
} sink = {.descriptor = STDERR_FILENO, .may_block = true, .piece = PIPE_BUF};

/* A descriptor of our own for the same pipe or terminal: setting O_NONBLOCK on the one we were given would
 * set it for everyone who shares it, our parent's shell included. -1 when the system refuses. */
static int open_again(int descriptor)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void log_sink_open(int descriptor)
{
    struct stat status;
    if (sink.is_own)
        close(sink.descriptor);
    bool known = descriptor >= 0 && fstat(descriptor, &status) == 0;
    bool is_stream = known && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode));
    int own = is_stream ? open_again(descriptor) : -1;
    sink.descriptor = own >= 0 ? own : descriptor;
    sink.is_own = own >= 0;
    sink.is_socket = known && S_ISSOCK(status.st_mode);
    sink.may_block = is_stream && own < 0;
    sink.piece = sink.may_block ? PIPE_BUF : SSIZE_MAX;
    sink.is_stalled = false;
    sink.is_torn = false;
}

/* Whether there is room, or becomes so before `deadline` (clock_monotonic). A reader that is gone counts as
 * room: the write then says so. */
static bool await_room(double deadline)
{
    for (;;) {
        struct pollfd request = {.fd = sink.descriptor, .events = POLLOUT};
        double left = deadline - clock_monotonic();
        int ready = poll(&request, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

static ssize_t write_piece(const char *data, size_t length)
{
    if (sink.is_socket)
        return send(sink.descriptor, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(sink.descriptor, data, length < sink.piece ? length : sink.piece);
}

/* How many bytes of it were written before `deadline`. */
static size_t write_until(const char *data, size_t length, double deadline)
{
    size_t written = 0;
    while (written < length) {
        if (sink.may_block && !await_room(deadline))
            break;
        ssize_t count = write_piece(data + written, length - written);
        if (count > 0)
            written += (size_t)count;
        else if (count == 0 || (errno != EINTR && (errno != EAGAIN || !await_room(deadline))))
            break;
    }
    return written;
}

static bool write_line(const char *line, size_t length)
{
    double deadline = sink.is_stalled ? 0 : clock_monotonic() + patience;
    if (sink.is_torn && write_until("\n", 1, deadline) == 0)
        return false;
    size_t written = write_until(line, length, deadline);
    sink.is_torn = written > 0 && written < length;
    sink.is_stalled = written < length;
    return written == length;
}

bool log_sink_write(const char *line, size_t length)
{
    const struct timespec now = {0};
    sigset_t pipe_signal, before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    /* A reader that went away must not end us, and what others decided about SIGPIPE is theirs. */
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int error_before = errno;
    errno = 0;
    bool written = write_line(line, length);
    if (!written && errno == EPIPE)
        sigtimedwait(&pipe_signal, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error_before;
    return written;
}

void log_sink_write_from_signal(const char *line, size_t length)
{
    int error_before = errno;
    write_until(line, length, clock_monotonic() + patience);
    errno = error_before;
}
