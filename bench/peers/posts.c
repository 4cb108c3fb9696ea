/* What posting costs with nothing around it: libcurl's multi interface on epoll, the handles made once.
 *
 *     posts URL COUNT IN_FLIGHT SIZE    posts COUNT bodies of SIZE bytes, so many at once, and prints what it
 * took as a line of JSON */
#include "../measure.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    EVENTS = 512
};

struct poster {
    CURLM *multi;
    struct curl_slist *headers;
    const char *url;
    char *body;
    long size;
    long left; /* posts that are still to begin */
    long running;
    int epoll;
    long timeout; /* milliseconds until libcurl wants to be called; -1: it does not */
    long done;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "posts: %s: %s\n", what, why);
    exit(1);
}

static size_t drop(char *data, size_t one, size_t size, void *owner)
{
    (void)data, (void)one, (void)owner;
    return size;
}

/* --- What libcurl wants ---------------------------------------------------------------------------------*/

static int on_socket(CURL *easy, curl_socket_t descriptor, int what, void *owner, void *known)
{
    struct poster *poster = owner;
    struct epoll_event event = {
        .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
        .data.fd = descriptor,
    };
    int operation = what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL : known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    (void)easy;
    epoll_ctl(poster->epoll, operation, descriptor, &event);
    if (operation == EPOLL_CTL_ADD)
        curl_multi_assign(poster->multi, descriptor, poster);
    return 0;
}

static int on_timer(CURLM *multi, long milliseconds, void *owner)
{
    struct poster *poster = owner;
    (void)multi;
    poster->timeout = milliseconds;
    return 0;
}

/* --- Posting --------------------------------------------------------------------------------------------*/

static void begin(struct poster *poster, CURL *easy)
{
    if (poster->left == 0) {
        curl_easy_cleanup(easy);
        return;
    }
    poster->left--;
    poster->running++;
    curl_multi_add_handle(poster->multi, easy);
}

static CURL *make(struct poster *poster)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, poster->url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, poster->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, poster->size);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, poster->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    return easy;
}

static void check(const CURLMsg *message)
{
    long status = 0;
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    if (message->data.result != CURLE_OK || status != 200)
        die("a post failed", curl_easy_strerror(message->data.result));
}

static void act(struct poster *poster, curl_socket_t descriptor, int events)
{
    int count;
    CURLMsg *message;
    curl_multi_socket_action(poster->multi, descriptor, events, &count);
    while ((message = curl_multi_info_read(poster->multi, &count)) != NULL) {
        CURL *easy = message->easy_handle;
        check(message);
        poster->done++;
        curl_multi_remove_handle(poster->multi, easy);
        poster->running--;
        begin(poster, easy);
    }
}

static void turn(struct poster *poster)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poster->epoll, events, EVENTS, (int)poster->timeout);
    if (count < 0)
        die("epoll_wait", strerror(errno));
    for (int i = 0; i < count; i++)
        act(poster, events[i].data.fd,
            ((events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0));
    if (poster->timeout == 0 || count == 0)
        act(poster, CURL_SOCKET_TIMEOUT, 0);
}

static void open_all(struct poster *poster, long in_flight)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    poster->epoll = epoll_create1(EPOLL_CLOEXEC);
    poster->multi = curl_multi_init();
    poster->headers = curl_slist_append(NULL, "Content-Type: application/octet-stream");
    curl_multi_setopt(poster->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(poster->multi, CURLMOPT_SOCKETDATA, poster);
    curl_multi_setopt(poster->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(poster->multi, CURLMOPT_TIMERDATA, poster);
    curl_multi_setopt(poster->multi, CURLMOPT_MAXCONNECTS, 2 * in_flight);
    for (long i = 0; i < in_flight; i++)
        begin(poster, make(poster));
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 5)
        die("usage", "posts URL COUNT IN_FLIGHT SIZE");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct poster poster = {
        .url = argv[1], .left = strtol(argv[2], NULL, 10), .size = strtol(argv[4], NULL, 10)};
    poster.body = calloc(1, (size_t)poster.size + 1);
    memset(poster.body, 'x', (size_t)poster.size);
    open_all(&poster, strtol(argv[3], NULL, 10));
    while (poster.running > 0)
        turn(&poster);
    printf("{\"messages\": %ld, \"cpu\": %.6f}\n", poster.done, measure_cpu());
    curl_multi_cleanup(poster.multi);
    curl_slist_free_all(poster.headers);
    free(poster.body);
    return 0;
}
