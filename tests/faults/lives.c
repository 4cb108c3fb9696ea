/* The kinds of lives: each has the worker do with something else that can fail. */
#include "../../cmd/tracing.h"
#include "calls.h"
#include "scenario.h"
#include <admin/admin.h>
#include <arangodb.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <web_server.h>

/* --- libcurl --------------------------------------------------------------------------------------------*/

/* libcurl takes the memory of whoever begins it first: from libc then, where none of it fails. 7.88 divides
 * by zero where it gets none. */
static void begin_libcurl(void)
{
    static const long ALL = 3; /* CURL_GLOBAL_ALL; its headers may be absent */
    int (*begin)(long) = NULL;
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    void *address = library != NULL ? dlsym(library, "curl_global_init") : NULL;
    scenario_check(address != NULL, "libcurl is installed");
    memcpy(&begin, &address, sizeof address);
    scenario_check(begin(ALL) == 0, "libcurl begins");
}

/* --- A web server that says yes, to the processor `http` and as a collector of traces --------------------*/

static struct web_server *web;

static void say_yes(struct web_exchange *exchange, void *owner)
{
    (void)owner;
    exchange->answer = "yes";
}

static void start_web(void)
{
    char port[8];
    web = web_server_start(say_yes, NULL, NULL, NULL);
    snprintf(port, sizeof port, "%u", web_server_port(web));
    setenv("FAULTS_WEB_PORT", port, 1);
}

static void stop_web(void)
{
    calls_shield(true);
    web_server_stop(web);
    calls_shield(false);
}

static void start_http(void)
{
    begin_libcurl();
    start_web();
}

/* --- ArangoDB's stand-in --------------------------------------------------------------------------------*/

static pid_t arangodb;
static int password; /* a descriptor */

/* In a process of its own, since cJSON takes memory where we do. */
static unsigned begin_arangodb(void)
{
    unsigned port = 0;
    int ends[2];
    scenario_check(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    arangodb = fork();
    if (arangodb == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        port = arangodb_port(arangodb_start(true));
        while (write(ends[1], &port, sizeof port) > 0)
            pause();
        _exit(1);
    }
    close(ends[1]);
    scenario_check(read(ends[0], &port, sizeof port) == sizeof port, "a stand-in for ArangoDB");
    close(ends[0]);
    return port;
}

static void start_arangodb(void)
{
    char port[8], path[64];
    begin_libcurl();
    snprintf(port, sizeof port, "%u", begin_arangodb());
    setenv("FAULTS_ARANGODB_PORT", port, 1);
    password = memfd_create("password", MFD_CLOEXEC);
    scenario_check(write(password, ARANGODB_PASSWORD, strlen(ARANGODB_PASSWORD)) > 0, "a password");
    snprintf(path, sizeof path, "/proc/self/fd/%d", password);
    setenv("FAULTS_PASSWORD", path, 1);
}

static void stop_arangodb(void)
{
    calls_shield(true);
    kill(arangodb, SIGKILL);
    waitpid(arangodb, NULL, 0);
    close(password);
    calls_shield(false);
}

/* --- The admin port, which somebody asks, and traces -----------------------------------------------------*/

static struct tracing tracing;
static struct admin *admin;

static void prepare_to_observe(void)
{
    char endpoint[64];
    start_web();
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%s/", getenv("FAULTS_WEB_PORT"));
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, 1);
}

static bool observe(struct worker *worker)
{
    const struct admin_options options = {
        .host = "127.0.0.1", .commit = "none", .stats = worker_stats(worker)};
    struct whippet_failure failure = {0};
    admin = admin_start(&options, &failure);
    scenario_check(admin != NULL || (failure.error != 0 && failure.text[0] != '\0'),
                   "a failure says what is wrong");
    if (admin != NULL)
        tracing_begin(&tracing, worker);
    return admin != NULL;
}

/* The answer's status; 0: there was none. */
static int ask(const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_port(admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    char text[256], answer[16384];
    size_t length = 0;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    snprintf(text, sizeof text, "GET %s HTTP/1.0\r\n\r\n", path);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(descriptor, text, strlen(text), MSG_NOSIGNAL) > 0) {
        ssize_t count;
        while (length < sizeof answer - 1 &&
               (count = recv(descriptor, answer + length, sizeof answer - 1 - length, 0)) > 0)
            length += (size_t)count;
    }
    close(descriptor);
    answer[length] = '\0';
    sscanf(answer, "HTTP/1.%*d %d", &status);
    return status;
}

/* What failed may cost an answer; the next who asks has one. */
static void ask_for_all(void)
{
    static const char *const PATHS[] = {"/readyz", "/metrics", "/api/status", "/api/history", "/"};
    calls_shield(true);
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        int status = 0;
        for (int tries = 0; status != 200 && tries < 40; tries++)
            status = ask(PATHS[i]);
        scenario_check(status == 200, "the admin port answers");
    }
    calls_shield(false);
}

static void end_observation(void)
{
    scenario_check(tracing_end(&tracing), "the upload of traces comes to its end");
    admin_stop(admin);
    admin = NULL;
    stop_web();
}

/* --- All of them ----------------------------------------------------------------------------------------*/

/* clang-format off */
#define TO_DO(name, text) {.queue = (name), .body = (text)}
#define TO_DIE(name) {.queue = (name), .body = "reject", .is_dead_lettered = true}
/* clang-format on */
#define DEEDS(name) TO_DO(name, "ack"), TO_DO(name, "third"), TO_DIE(name)
#define RETRY       "'retry':{'attempts':5,'delay':'1ms'}"

/* `deeds` (tests/plugins/deeds.c) does what the body says. */
const struct life LIVES[] = {
    {
        .name = "worker",
        .queues = "{'name':'loop','processor':'deeds','prefetch':%d,'retry':{'attempts':3,'delay':'1ms'}},"
                  "{'name':'thread','processor':'deeds','run':'thread','retry':{'delay':'1ms'}},"
                  "{'name':'exec','processor':'exec','settings':{'command':['cat']}," RETRY "}",
        .messages = {DEEDS("loop"), TO_DO("thread", "ack"), TO_DIE("thread"), TO_DO("exec", "text")},
    },
    {
        .name = "process",
        .queues = "{'name':'q','processor':'deeds','run':'process','processes':2,'prefetch':%d," RETRY "}",
        .messages = {DEEDS("q")},
    },
    {
        .name = "in_child",
        .queues = "{'name':'q','processor':'deeds','run':'process','processes':1,'prefetch':%d," RETRY "}",
        .messages = {DEEDS("q")},
        .in_child = true,
    },
    {
        .name = "tls",
        .queues = "{'name':'q','processor':'deeds','prefetch':%d," RETRY "}",
        .messages = {DEEDS("q")},
        .tls = true,
    },
    {
        .name = "observed",
        .queues = "{'name':'q','processor':'deeds','prefetch':%d," RETRY "}",
        .messages = {DEEDS("q")},
        .prepare = prepare_to_observe,
        .begin = observe,
        .look = ask_for_all,
        .end = end_observation,
    },
    {
        .name = "pipe",
        .queues = "{'name':'q','processor':'pipe','prefetch':%d,'settings':{'command':['" PIPE_CHILD
                  "']}," RETRY "}",
        .messages = {TO_DO("q", "ack"), TO_DO("q", "ack too"), TO_DIE("q")},
    },
    {
        .name = "http",
        .queues = "{'name':'q','processor':'http','prefetch':%d,"
                  "'settings':{'url':'http://127.0.0.1:${FAULTS_WEB_PORT}/'}," RETRY "}",
        .messages = {TO_DO("q", "one"), TO_DO("q", "two")},
        .prepare = start_http,
        .end = stop_web,
    },
    {
        .name = "arangodb",
        .queues = "{'name':'q','processor':'arangodb','prefetch':%d,'settings':{"
                  "'url':'http://127.0.0.1:${FAULTS_ARANGODB_PORT}','database':'shop','collection':'orders',"
                  "'auth':'jwt','user':'" ARANGODB_USER "','password_file':'${FAULTS_PASSWORD}',"
                  "'key':'id','verify':true,'verify_delay':'1ms'}," RETRY "}",
        .messages = {TO_DO("q", "{\"id\": \"a\"}"), TO_DO("q", "{\"id\": \"b\", \"n\": [1, \"x\"]}"),
                     TO_DIE("q")},
        .prepare = start_arangodb,
        .end = stop_arangodb,
    },
    {
        .name = "postgres",
        .queues = "{'name':'q','processor':'postgres','prefetch':%d,'settings':{'statement':"
                  "'SELECT $1::text','parameters':['@queue'],'inbox':''}," RETRY "}",
        .messages = {TO_DO("q", "one"), TO_DO("q", "two")},
    },
    {0},
};
