/* The pool of whippet_pg_…: who gets a connection, how it is made, and what happens when it can't be. */
#include "clients_postgres_testing.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

TestSuite(postgres_pool, .init = set_up, .fini = tear_down, .timeout = 120);

/* --- Taking turns ---------------------------------------------------------------------------------------*/

enum {
    TASKS = 12,
    CONNECTIONS = 3,
};

struct crowd {
    whippet_pg *pool;
    int most;     /* connections that were seen at once */
    int finished; /* tasks */
    bool in_order;
};

struct visitor {
    struct crowd *crowd;
    int number;
};

static int visit(whippet_task *task, void *arg)
{
    struct visitor *visitor = arg;
    struct crowd *crowd = visitor->crowd;
    whippet_pg_parameter name = whippet_pg_text_parameter(application_name);
    const whippet_pg_result *result;
    int64_t connections = 0;
    int error =
        whippet_pg_query(task, crowd->pool,
                         "SELECT count(*), pg_sleep(0.02) FROM pg_stat_activity WHERE application_name = $1",
                         &name, 1, &result);
    cr_assert_eq(error, 0, "%s", whippet_pg_error(result));
    whippet_pg_integer(result, 0, 0, &connections);
    if (connections > crowd->most)
        crowd->most = (int)connections;
    crowd->in_order = crowd->in_order && visitor->number == crowd->finished;
    crowd->finished++;
    return 0;
}

static void let_visit(whippet_task *task, struct crowd *crowd)
{
    struct visitor visitors[TASKS];
    for (int i = 0; i < TASKS; i++) {
        visitors[i] = (struct visitor){.crowd = crowd, .number = i};
        cr_assert_not_null(whippet_spawn(task, visit, &visitors[i]));
    }
    cr_assert_eq(whippet_join_all(task), 0);
    cr_assert_eq(crowd->finished, TASKS);
}

static int visit_several(whippet_task *task, void *pool)
{
    struct crowd crowd = {.pool = pool};
    let_visit(task, &crowd);
    cr_assert_leq(crowd.most, CONNECTIONS);
    return 0;
}

Test(postgres_pool, has_no_more_connections_than_it_may)
{
    run_with_pool(visit_several, &(whippet_pg_options){.connections = CONNECTIONS});
}

static int visit_one(whippet_task *task, void *pool)
{
    struct crowd crowd = {.pool = pool, .in_order = true};
    let_visit(task, &crowd);
    cr_assert(crowd.in_order);
    return 0;
}

Test(postgres_pool, lets_tasks_take_turns_in_the_order_they_came)
{
    run_with_pool(visit_one, &(whippet_pg_options){.connections = 1});
}

static int occupy(whippet_task *task, void *pool)
{
    return whippet_pg_query(task, pool, "SELECT pg_sleep(1000)", NULL, 0, NULL);
}

static int ask_in_vain(whippet_task *task, void *pool)
{
    const whippet_pg_result *result;
    int error = whippet_pg_query(task, pool, "SELECT 1", NULL, 0, &result);
    assert_contains(whippet_pg_error(result), "waiting for one of 1 connections to PostgreSQL: timed out");
    return error;
}

static int wait_in_vain(whippet_task *task, void *pool)
{
    whippet_task *child = whippet_spawn(task, occupy, pool);
    cr_assert_eq(whippet_sleep(task, 0), 0);
    cr_assert_eq(whippet_with_timeout(task, 0.2, ask_in_vain, pool), WHIPPET_E_TIMEOUT);
    whippet_cancel(child);
    cr_assert_eq(whippet_join(task, child, NULL), 0);
    ask(task, pool, "SELECT 1");
    return 0;
}

Test(postgres_pool, ends_a_wait_for_a_connection_at_the_deadline)
{
    run_with_pool(wait_in_vain, &(whippet_pg_options){.connections = 1});
}

struct threaded {
    struct loop *loop;
    whippet_pg *pool;
    int error;
};

static int ask_often(whippet_task *task, void *pool)
{
    const whippet_pg_result *result;
    int error = 0;
    for (int i = 0; i < 50 && error == 0; i++)
        error = whippet_pg_query(task, pool, "SELECT 1", NULL, 0, &result);
    return error;
}

static void end_thread(void *arg, int result)
{
    struct threaded *threaded = arg;
    threaded->error = result;
    loop_stop(threaded->loop);
}

static int ask_in_thread(whippet_task *task, void *arg)
{
    return ask_often(task, ((struct threaded *)arg)->pool);
}

static void *run_thread(void *arg)
{
    struct threaded *threaded = arg;
    threaded->loop = loop_create(256 * 1024, NULL);
    task_start(loop_scheduler(threaded->loop), ask_in_thread, threaded, INFINITY, NULL, end_thread, NULL);
    loop_run(threaded->loop);
    loop_destroy(threaded->loop);
    return NULL;
}

Test(postgres_pool, is_shared_by_threads)
{
    pthread_t threads[4];
    struct threaded threaded[4];
    whippet_pg *pool = open_pool(&(whippet_pg_options){.connections = 2});
    for (int i = 0; i < 4; i++) {
        threaded[i] = (struct threaded){.pool = pool, .error = 1};
        cr_assert_eq(pthread_create(&threads[i], NULL, run_thread, &threaded[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(threaded[i].error, 0, "%s", whippet_error_text(threaded[i].error));
    }
    whippet_pg_close(pool);
}

/* --- Connecting -----------------------------------------------------------------------------------------*/

static const char *url_by_tcp(const char *host, const char *more)
{
    static char url[512];
    snprintf(url, sizeof url, "postgresql://whippet@%s:%s/postgres?%s", host, server.port, more);
    return url;
}

static const char *file_in_folder(const char *name)
{
    static char path[2 * POSTGRES_TEXT_SIZE];
    snprintf(path, sizeof path, "%s/%s", server.folder, name);
    return path;
}

static int see_tls(whippet_task *task, void *pool)
{
    const whippet_pg_result *result =
        ask(task, pool, "SELECT ssl, inet_server_addr() FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    cr_assert_str_eq(whippet_pg_text(result, 0, 0), "t");
    cr_assert_str_eq(whippet_pg_text(result, 0, 1), "127.0.0.1");
    return 0;
}

Test(postgres_pool, connects_to_a_name_with_a_password_and_tls)
{
    char more[512], password[512];
    snprintf(more, sizeof more, "sslmode=verify-full&sslrootcert=%s", file_in_folder("tls/ca.pem"));
    snprintf(password, sizeof password, "%s", file_in_folder("password"));
    run_with_pool(see_tls,
                  &(whippet_pg_options){.url = url_by_tcp("localhost", more), .password_file = password});
}

static int expect_refusal(whippet_task *task, void *pool)
{
    const whippet_pg_result *result;
    cr_assert_eq(whippet_pg_query(task, pool, "SELECT 1", NULL, 0, &result), WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "28P01");
    assert_contains(whippet_pg_error(result), "password authentication failed for user \"whippet\"");
    assert_contains(whippet_pg_error(result), "127.0.0.1");
    cr_assert_null(strstr(whippet_pg_error(result), "s3cr3t"));
    cr_assert_null(strstr(whippet_pg_error(result), "auth.c"), "%s", whippet_pg_error(result));
    return 0;
}

Test(postgres_pool, says_at_once_that_a_password_is_wrong_and_does_not_tell_it)
{
    run_with_pool(expect_refusal, &(whippet_pg_options){.url = url_by_tcp("127.0.0.1", "password=s3cr3t")});
}

static int select_one(whippet_task *task, void *pool)
{
    ask(task, pool, "SELECT 1");
    return 0;
}

Test(postgres_pool, goes_on_to_the_next_of_several_hosts)
{
    char url[512];
    snprintf(url, sizeof url, "host=nowhere.invalid,127.0.0.1,%s port=%s,1,%s user=whippet dbname=postgres",
             server.socket, server.port, server.port);
    run_with_pool(select_one, &(whippet_pg_options){.url = url});
}

/* A socket that takes connections and says nothing, on a port of the kernel's choice. */
static int open_silent(int *port)
{
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    cr_assert_eq(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(silent, 16), 0);
    cr_assert_eq(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return silent;
}

Test(postgres_pool, goes_on_to_the_next_of_several_hosts_where_one_says_nothing)
{
    char url[512];
    int ports[2], silent[2] = {open_silent(&ports[0]), open_silent(&ports[1])};
    snprintf(url, sizeof url,
             "host=127.0.0.1,localhost,%s,127.0.0.1 port=%d,%d,%s,1 user=whippet dbname=postgres",
             server.socket, ports[0], ports[1], server.port);
    run_with_pool(select_one, &(whippet_pg_options){.url = url, .connect_timeout = patience_stretched(2)});
    close(silent[0]);
    close(silent[1]);
}

Test(postgres_pool, takes_what_the_environment_says)
{
    setenv("PGHOST", server.socket, 1);
    setenv("PGPORT", server.port, 1);
    run_with_pool(select_one, &(whippet_pg_options){.url = ""});
}

/* --- No server ------------------------------------------------------------------------------------------*/

struct vain {
    whippet_pg *pool;
    const char *part; /* of what it must say */
};

static int connect_in_vain(whippet_task *task, void *arg)
{
    const struct vain *vain = arg;
    const whippet_pg_result *result;
    int error = whippet_pg_query(task, vain->pool, "SELECT 1", NULL, 0, &result);
    assert_contains(whippet_pg_error(result), "no connection to PostgreSQL: ");
    assert_contains(whippet_pg_error(result), vain->part);
    return error;
}

static int try_for_a_while(whippet_task *task, void *arg)
{
    cr_assert_eq(whippet_with_timeout(task, patience_stretched(1), connect_in_vain, arg), WHIPPET_E_TIMEOUT);
    return 0;
}

static int try_for_two_seconds(whippet_task *task, void *arg)
{
    cr_assert_eq(whippet_with_timeout(task, patience_stretched(2), connect_in_vain, arg), WHIPPET_E_TIMEOUT);
    return 0;
}

static void assert_no_connection(const whippet_pg_options *options, const char *part)
{
    struct vain vain = {.pool = open_pool(options), .part = part};
    run_task(try_for_a_while, &vain);
    whippet_pg_close(vain.pool);
}

Test(postgres_pool, tries_until_the_deadline_where_nobody_listens)
{
    assert_no_connection(&(whippet_pg_options){.url = "postgresql://127.0.0.1:1/x"}, "Connection refused");
}

Test(postgres_pool, tries_until_the_deadline_where_a_name_leads_nowhere)
{
    assert_no_connection(&(whippet_pg_options){.url = "host=nowhere.invalid"}, "resolving nowhere.invalid: ");
}

Test(postgres_pool, gives_up_on_a_server_that_does_not_answer)
{
    char url[128];
    int port, silent = open_silent(&port);
    snprintf(url, sizeof url, "postgresql://127.0.0.1:%d/x", port);
    assert_no_connection(&(whippet_pg_options){.url = url, .connect_timeout = patience_stretched(0.2)},
                         "connecting to PostgreSQL at 127.0.0.1: timed out");
    close(silent);
}

Test(postgres_pool, gives_a_server_as_long_as_the_url_says)
{
    char url[128];
    int port, silent = open_silent(&port);
    snprintf(url, sizeof url, "postgresql://127.0.0.1:%d/x?connect_timeout=1", port);
    struct vain vain = {.pool = open_pool(&(whippet_pg_options){.url = url}), .part = "timed out"};
    run_task(try_for_two_seconds, &vain);
    whippet_pg_close(vain.pool);
    cr_assert_geq(accept(silent, NULL, NULL), 0);
    fcntl(silent, F_SETFL, O_NONBLOCK);
    cr_assert_geq(accept(silent, NULL, NULL), 0, "it was not tried again after a second");
    close(silent);
}

/* Runs beside the task that waits for the server. */
static void *start_server(void *arg)
{
    postgres_start(arg);
    return NULL;
}

static int lose_server(whippet_task *task, void *pool)
{
    pthread_t starting;
    const whippet_pg_result *result;
    ask(task, pool, "CREATE TABLE kept (a int)");
    ask(task, pool, "INSERT INTO kept VALUES (1)");
    whippet_task *child = whippet_spawn(task, occupy, pool);
    while (*postgres_ask(&server,
                         "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000)' "
                         "AND state = 'active'") == '0')
        cr_assert_eq(whippet_sleep(task, 0.02), 0);
    postgres_kill(&server);
    int error;
    cr_assert_eq(whippet_join(task, child, &error), 0);
    cr_assert_eq(error, WHIPPET_E_CLOSED, "%s", whippet_error_text(error));
    cr_assert_eq(pthread_create(&starting, NULL, start_server, &server), 0);
    error = whippet_pg_query(task, pool, "SELECT * FROM kept", NULL, 0, &result);
    pthread_join(starting, NULL);
    cr_assert_eq(error, 0, "%s", whippet_pg_error(result));
    cr_assert_eq(whippet_pg_rows(result), 1);
    return 0;
}

Test(postgres_pool, comes_back_with_a_server_that_was_killed)
{
    server = postgres_create();
    run_with_pool(lose_server, &(whippet_pg_options){.connections = 2});
    postgres_destroy(&server);
}

/* --- What is refused at once ----------------------------------------------------------------------------*/

static void assert_not_opened(const whippet_pg_options *options, const char *part)
{
    struct whippet_failure failure = {0};
    cr_assert_null(whippet_pg_open(options, &failure), "%s", part);
    assert_contains(failure.text, part);
    cr_assert_null(strstr(failure.text, "s3cr3t"), "%s", failure.text);
}

Test(postgres_pool, refuses_urls_that_make_no_sense_and_keeps_the_password_to_itself)
{
    assert_not_opened(&(whippet_pg_options){.url = "nonsense s3cr3t"}, "the url can't be read");
    assert_not_opened(&(whippet_pg_options){.url = "postgresql://me:s3cr3t%zz@h/x"}, "the url can't be read");
    assert_not_opened(&(whippet_pg_options){.url = "password=my s3cr3t"}, "the url can't be read");
    assert_not_opened(&(whippet_pg_options){.url = "mysql://me:s3cr3t@h/x"}, "the url can't be read");
    assert_not_opened(&(whippet_pg_options){.url = "host=h colour=red"}, "the url can't be read");
    assert_not_opened(&(whippet_pg_options){.url = "service=s password=s3cr3t"}, "names a service");
    assert_not_opened(&(whippet_pg_options){.url = "host=a,b,c port=1,2 password=s3cr3t"},
                      "3 hosts and 2 ports");
    assert_not_opened(&(whippet_pg_options){.url = "host=a port=70000"}, "a port that is none");
    assert_not_opened(&(whippet_pg_options){.url = "host=a,b port=1,x"}, "a port that is none");
    assert_not_opened(&(whippet_pg_options){.url = "host=a connect_timeout=soon"},
                      "a connect_timeout of \"soon\": expected whole seconds");
}

Test(postgres_pool, refuses_other_options_that_make_no_sense)
{
    assert_not_opened(&(whippet_pg_options){.password_file = "/nowhere/password"}, "/nowhere/password");
    assert_not_opened(&(whippet_pg_options){.connections = 1001}, "the most is 1000");
    assert_not_opened(&(whippet_pg_options){.connect_timeout = -1}, "must be above 0");
}
