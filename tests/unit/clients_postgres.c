/* whippet_pg_… against a real server: statements, transactions, and what ends them. */
#include "clients_postgres_testing.h"

TestSuite(postgres, .init = set_up, .fini = tear_down, .timeout = 120);

/* --- Statements -----------------------------------------------------------------------------------------*/

static int read_types(whippet_task *task, void *arg)
{
    const whippet_pg_result *result = ask(task, arg,
                                          "SELECT 42 AS number, 0.5::float8, true AS yes, NULL::text, "
                                          "'\\x00ff'::bytea, 'it''s' AS text UNION ALL "
                                          "SELECT -7, 'NaN', false, '', NULL, NULL");
    int64_t number;
    double real;
    bool yes;
    cr_assert_eq(whippet_pg_rows(result), 2);
    cr_assert_eq(whippet_pg_columns(result), 6);
    cr_assert_eq(whippet_pg_affected(result), 2);
    cr_assert_eq(whippet_pg_column(result, "yes"), 2);
    cr_assert_eq(whippet_pg_column(result, "no"), 6);
    cr_assert_str_eq(whippet_pg_column_name(result, 0), "number");
    cr_assert_null(whippet_pg_column_name(result, 6));
    cr_assert(whippet_pg_integer(result, 0, 0, &number) && number == 42);
    cr_assert(whippet_pg_real(result, 0, 1, &real) && real == 0.5);
    cr_assert(whippet_pg_real(result, 1, 1, &real) && isnan(real));
    cr_assert(whippet_pg_boolean(result, 0, 2, &yes) && yes);
    cr_assert(whippet_pg_boolean(result, 1, 2, &yes) && !yes);
    cr_assert_null(whippet_pg_text(result, 0, 3));
    cr_assert_str_eq(whippet_pg_text(result, 1, 3), "");
    whippet_bytes bytes = whippet_pg_binary(task, result, 0, 4);
    cr_assert(bytes.len == 2 && memcmp(bytes.data, "\0\xff", 2) == 0);
    cr_assert_null(whippet_pg_binary(task, result, 1, 4).data);
    cr_assert_null(whippet_pg_binary(task, result, 0, 0).data);
    cr_assert_eq(whippet_pg_bytes(result, 0, 5).len, 4);
    return 0;
}

Test(postgres, reads_values_by_their_type)
{
    run_with_pool(read_types, &(whippet_pg_options){0});
}

static int read_misfits(whippet_task *task, void *arg)
{
    const whippet_pg_result *result =
        ask(task, arg, "SELECT 9223372036854775808::numeric, 'x', '1.5', NULL, 'tt'");
    int64_t number = 5;
    double real = 5;
    bool yes = true;
    for (size_t column = 0; column < 7; column++) {
        cr_expect_not(whippet_pg_integer(result, 0, column, &number), "column %zu", column);
        cr_expect_not(whippet_pg_boolean(result, 0, column, &yes), "column %zu", column);
    }
    cr_assert_not(whippet_pg_real(result, 0, 1, &real) || whippet_pg_real(result, 0, 3, &real));
    cr_assert_not(whippet_pg_integer(result, 1, 0, &number));
    cr_assert(number == 5 && real == 5 && yes);
    cr_assert_eq(whippet_pg_rows(NULL), 0);
    cr_assert_str_eq(whippet_pg_error(NULL), "");
    return 0;
}

Test(postgres, says_so_where_a_value_does_not_fit)
{
    run_with_pool(read_misfits, &(whippet_pg_options){0});
}

static int send_parameters(whippet_task *task, void *arg)
{
    whippet_bytes binary = {"\0\\x'\n", 5};
    whippet_pg_parameter parameters[] = {
        whippet_pg_text_parameter("O'Hara; DROP TABLE x; --"),
        whippet_pg_integer_parameter(INT64_MIN),
        whippet_pg_real_parameter(0.1),
        whippet_pg_boolean_parameter(true),
        whippet_pg_binary_parameter(binary),
        whippet_pg_text_parameter(NULL),
        {0},
        whippet_pg_text_parameter("2026-02-28"),
        whippet_pg_text_parameter(""),
    };
    const whippet_pg_result *result;
    int error = whippet_pg_query(task, arg,
                                 "SELECT $1::text, $2::bigint, $3::float8, $4::bool, $5::bytea, $6::text, "
                                 "$7::int, $8::date + 1, $9::text",
                                 parameters, 9, &result);
    cr_assert_eq(error, 0, "%s", whippet_pg_error(result));
    cr_assert_str_eq(whippet_pg_text(result, 0, 0), "O'Hara; DROP TABLE x; --");
    cr_assert_str_eq(whippet_pg_text(result, 0, 1), "-9223372036854775808");
    cr_assert_str_eq(whippet_pg_text(result, 0, 2), "0.1");
    cr_assert_str_eq(whippet_pg_text(result, 0, 3), "t");
    cr_assert_eq(whippet_pg_binary(task, result, 0, 4).len, 5);
    cr_assert_null(whippet_pg_text(result, 0, 5));
    cr_assert_null(whippet_pg_text(result, 0, 6));
    cr_assert_str_eq(whippet_pg_text(result, 0, 7), "2026-03-01");
    cr_assert_str_eq(whippet_pg_text(result, 0, 8), "");
    return 0;
}

Test(postgres, sends_parameters_of_every_kind)
{
    run_with_pool(send_parameters, &(whippet_pg_options){0});
}

static int send_nul(whippet_task *task, void *arg)
{
    whippet_pg_parameter parameters[] = {whippet_pg_integer_parameter(1),
                                         whippet_pg_bytes_parameter((whippet_bytes){"a\0b", 3})};
    const whippet_pg_result *result;
    cr_assert_eq(whippet_pg_query(task, arg, "SELECT $1::int, $2::text", parameters, 2, &result),
                 WHIPPET_E_INVALID);
    assert_contains(whippet_pg_error(result), "$2 can't be sent: a text with a NUL");
    cr_assert_eq(whippet_pg_query(task, arg, "SELECT 1", NULL, 65536, &result), WHIPPET_E_INVALID);
    assert_contains(whippet_pg_error(result), "at most 65535");
    return 0;
}

Test(postgres, refuses_what_can_not_be_sent)
{
    run_with_pool(send_nul, &(whippet_pg_options){0});
}

static int send_much(whippet_task *task, void *arg)
{
    size_t size = 8 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    whippet_pg_parameter parameter = whippet_pg_bytes_parameter((whippet_bytes){text, size});
    const whippet_pg_result *result;
    int error =
        whippet_pg_query(task, arg, "SELECT $1::text || 'y', length($1::text)", &parameter, 1, &result);
    free(text);
    cr_assert_eq(error, 0, "%s", whippet_pg_error(result));
    cr_assert_eq(whippet_pg_bytes(result, 0, 0).len, size + 1);
    return 0;
}

Test(postgres, moves_megabytes_both_ways)
{
    run_with_pool(send_much, &(whippet_pg_options){0});
}

/* --- Errors ---------------------------------------------------------------------------------------------*/

static int break_constraint(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    ask(task, arg, "CREATE TEMP TABLE t (id int CONSTRAINT only_once PRIMARY KEY)");
    ask(task, arg, "INSERT INTO t VALUES (7)");
    int error = whippet_pg_query(task, arg, "INSERT INTO t VALUES (7)", NULL, 0, &result);
    cr_assert_eq(error, WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_error(result),
                     "duplicate key value violates unique constraint \"only_once\": "
                     "Key (id)=(7) already exists. (SQLSTATE 23505)");
    cr_assert_str_eq(whippet_pg_sqlstate(result), "23505");
    cr_assert_str_eq(whippet_pg_error_field(result, WHIPPET_PG_CONSTRAINT), "only_once");
    cr_assert_str_eq(whippet_pg_error_field(result, WHIPPET_PG_TABLE), "t");
    cr_assert_str_eq(whippet_pg_error_field(result, WHIPPET_PG_HINT), "");
    cr_assert_str_eq(whippet_pg_error_field(result, (enum whippet_pg_field)'?'), "");
    cr_assert(whippet_pg_refuses_data(result));
    cr_assert_eq(whippet_pg_rows(result), 0);
    error = whippet_pg_query(task, arg, "SELEKT", NULL, 0, &result);
    cr_assert_eq(error, WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "42601");
    cr_assert_not(whippet_pg_refuses_data(result));
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, gives_a_servers_error_as_a_value)
{
    run_with_pool(break_constraint, &(whippet_pg_options){.connections = 1});
}

static int copy(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    cr_assert_eq(whippet_pg_query(task, arg, "COPY (SELECT 1) TO STDOUT", NULL, 0, &result),
                 WHIPPET_E_INVALID);
    cr_assert_str_eq(whippet_pg_error(result), "COPY can't be run this way");
    ask(task, arg, "CREATE TABLE IF NOT EXISTS copied (a int)");
    cr_assert_eq(whippet_pg_query(task, arg, "COPY copied FROM STDIN", NULL, 0, &result), WHIPPET_E_INVALID);
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, refuses_to_copy_and_goes_on)
{
    run_with_pool(copy, &(whippet_pg_options){.connections = 1});
}

static int end_own_backend(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    int error =
        whippet_pg_query(task, arg, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, 0, &result);
    cr_assert_eq(error, WHIPPET_E_CLOSED, "%d", error);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "57P01");
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, replaces_a_connection_that_broke)
{
    run_with_pool(end_own_backend, &(whippet_pg_options){.connections = 1});
}

static int lose_idle_connection(whippet_task *task, void *arg)
{
    char pid[32];
    snprintf(pid, sizeof pid, "%s", whippet_pg_text(ask(task, arg, "SELECT pg_backend_pid()"), 0, 0));
    postgres_ask(&server, "SELECT pg_terminate_backend(%s, 10000)", pid);
    cr_assert_str_neq(whippet_pg_text(ask(task, arg, "SELECT pg_backend_pid()"), 0, 0), pid);
    return 0;
}

Test(postgres, replaces_a_connection_that_broke_while_idle_without_an_error)
{
    run_with_pool(lose_idle_connection, &(whippet_pg_options){.connections = 1});
}

/* --- Prepared statements --------------------------------------------------------------------------------*/

static int count_prepared(whippet_task *task, whippet_pg *pg)
{
    int64_t count = -1;
    const whippet_pg_result *result;
    for (int i = 0; i < 3; i++) {
        ask(task, pg, "SELECT 1");
        ask(task, pg, "SELECT 2");
    }
    result = ask(task, pg, "SELECT count(*) FROM pg_prepared_statements");
    cr_assert(whippet_pg_integer(result, 0, 0, &count));
    return (int)count;
}

static int expect_three_prepared(whippet_task *task, void *arg)
{
    cr_assert_eq(count_prepared(task, arg), 3);
    return 0;
}

static int expect_one_prepared(whippet_task *task, void *arg)
{
    cr_assert_eq(count_prepared(task, arg), 1);
    return 0;
}

static int expect_none_prepared(whippet_task *task, void *arg)
{
    cr_assert_eq(count_prepared(task, arg), 0);
    return 0;
}

Test(postgres, prepares_each_statement_once)
{
    run_with_pool(expect_three_prepared, &(whippet_pg_options){.connections = 1});
    run_with_pool(expect_one_prepared, &(whippet_pg_options){.connections = 1, .statements = 1});
    run_with_pool(expect_none_prepared, &(whippet_pg_options){.connections = 1, .unprepared = true});
}

static int change_table(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    ask(task, arg, "CREATE TABLE changing (a int)");
    ask(task, arg, "SELECT * FROM changing");
    postgres_ask(&server, "ALTER TABLE changing ADD b int");
    cr_assert_eq(whippet_pg_query(task, arg, "SELECT * FROM changing", NULL, 0, &result), WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "0A000", "%s", whippet_pg_error(result));
    cr_assert_eq(whippet_pg_columns(ask(task, arg, "SELECT * FROM changing")), 2);
    return 0;
}

Test(postgres, prepares_anew_when_a_table_has_changed)
{
    run_with_pool(change_table, &(whippet_pg_options){.connections = 1});
}

static int insert_number(whippet_task *task, whippet_pg *pg, const char *number,
                         const whippet_pg_result **result)
{
    whippet_pg_parameter parameter = whippet_pg_text_parameter(number);
    return whippet_pg_query(task, pg, "INSERT INTO widened VALUES ($1)", &parameter, 1, result);
}

static void begin_with_narrow_column(whippet_task *task, whippet_pg *pg)
{
    postgres_ask(&server, "DROP TABLE IF EXISTS widened");
    postgres_ask(&server, "CREATE TABLE widened (a int)");
    cr_assert_eq(insert_number(task, pg, "1", NULL), 0);
}

static int widen_column(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    begin_with_narrow_column(task, arg);
    cr_assert_eq(insert_number(task, arg, "3000000000", &result), WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "22003", "%s", whippet_pg_error(result));
    cr_assert(whippet_pg_refuses_data(result));
    postgres_ask(&server, "ALTER TABLE widened ALTER a TYPE bigint");
    cr_assert_eq(insert_number(task, arg, "3000000000", &result), 0, "%s", whippet_pg_error(result));
    cr_assert_eq(insert_number(task, arg, "3000000000", &result), 0, "%s", whippet_pg_error(result));
    return 0;
}

Test(postgres, takes_what_fits_a_column_that_was_widened)
{
    run_with_pool(widen_column, &(whippet_pg_options){.connections = 1});
}

struct insertion {
    const char *number;
    const whippet_pg_result *result;
};

static int insert_in_transaction(whippet_task *task, whippet_pg *connection, void *arg)
{
    struct insertion *insertion = arg;
    return insert_number(task, connection, insertion->number, &insertion->result);
}

static int widen_column_before_transaction(whippet_task *task, void *arg)
{
    struct insertion insertion = {.number = "3000000000"};
    begin_with_narrow_column(task, arg);
    postgres_ask(&server, "ALTER TABLE widened ALTER a TYPE bigint");
    cr_assert_eq(whippet_pg_transaction(task, arg, insert_in_transaction, &insertion, NULL),
                 WHIPPET_E_REFUSED);
    cr_assert_not(whippet_pg_refuses_data(insertion.result), "it may fit next time");
    cr_assert_eq(whippet_pg_transaction(task, arg, insert_in_transaction, &insertion, NULL), 0, "%s",
                 whippet_pg_error(insertion.result));
    insertion.number = "x";
    cr_assert_eq(whippet_pg_transaction(task, arg, insert_in_transaction, &insertion, NULL),
                 WHIPPET_E_REFUSED);
    cr_assert(whippet_pg_refuses_data(insertion.result), "it was prepared anew just now");
    return 0;
}

Test(postgres, doubts_a_misfit_in_a_transaction_once)
{
    run_with_pool(widen_column_before_transaction, &(whippet_pg_options){.connections = 1});
}

static int write_where_it_cannot_be(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    ask(task, arg, "SET default_transaction_read_only = on");
    cr_assert_eq(whippet_pg_query(task, arg, "CREATE TABLE unwritten (a int)", NULL, 0, &result),
                 WHIPPET_E_REFUSED);
    cr_assert_str_eq(whippet_pg_sqlstate(result), "25006", "%s", whippet_pg_error(result));
    cr_assert(!whippet_pg_refuses_data(result));
    ask(task, arg, "CREATE TABLE unwritten (a int)");
    return 0;
}

Test(postgres, leaves_a_connection_that_cannot_be_written_to)
{
    run_with_pool(write_where_it_cannot_be, &(whippet_pg_options){.connections = 1});
    postgres_ask(&server, "DROP TABLE unwritten");
    run_with_pool(write_where_it_cannot_be, &(whippet_pg_options){.connections = 1, .unprepared = true});
    postgres_ask(&server, "DROP TABLE unwritten");
}

/* --- Cut short ------------------------------------------------------------------------------------------*/

static int sleep_on_server(whippet_task *task, void *arg)
{
    const whippet_pg_result *result;
    int error = whippet_pg_query(task, arg, "SELECT pg_sleep(1000)", NULL, 0, &result);
    assert_contains(whippet_pg_error(result), "the statement was cut short");
    return error;
}

static unsigned long sleeping_on_server(void)
{
    return strtoul(postgres_ask(&server,
                                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(1000)' "
                                "AND state <> 'idle' AND application_name = '%s'",
                                application_name),
                   NULL, 10);
}

static int run_out_of_time(whippet_task *task, void *arg)
{
    ask(task, arg, "SELECT 1"); /* there is a connection from here on */
    cr_assert_eq(whippet_with_timeout(task, 0.3, sleep_on_server, arg), WHIPPET_E_TIMEOUT);
    await(10, sleeping_on_server() == 0, "the statement is still at it");
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, cancels_a_statement_on_the_server_at_the_deadline)
{
    run_with_pool(run_out_of_time, &(whippet_pg_options){.connections = 1});
}

static int cancel_child(whippet_task *task, void *arg)
{
    int result;
    whippet_task *child = whippet_spawn(task, sleep_on_server, arg);
    while (sleeping_on_server() == 0)
        cr_assert_eq(whippet_sleep(task, 0.02), 0);
    whippet_cancel(child);
    cr_assert_eq(whippet_join(task, child, &result), 0);
    cr_assert_eq(result, WHIPPET_E_CANCELLED);
    await(10, sleeping_on_server() == 0, "the statement is still at it");
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, cancels_a_statement_on_the_server_with_its_task)
{
    run_with_pool(cancel_child, &(whippet_pg_options){.connections = 1});
}

/* --- Transactions ---------------------------------------------------------------------------------------*/

static int insert_one(whippet_task *task, whippet_pg *connection, void *arg)
{
    ask(task, connection, "INSERT INTO rows VALUES (1)");
    return *(int *)arg;
}

static int64_t count_rows(whippet_task *task, whippet_pg *pg)
{
    int64_t count = -1;
    whippet_pg_integer(ask(task, pg, "SELECT count(*) FROM rows"), 0, 0, &count);
    return count;
}

static int commit_and_roll_back(whippet_task *task, void *arg)
{
    const whippet_pg_result *failed;
    ask(task, arg, "CREATE TEMP TABLE rows (a int)");
    cr_assert_eq(whippet_pg_transaction(task, arg, insert_one, &(int){-5}, &failed), -5);
    cr_assert_null(failed);
    cr_assert_eq(count_rows(task, arg), 0);
    cr_assert_eq(whippet_pg_transaction(task, arg, insert_one, &(int){5}, NULL), 5);
    cr_assert_eq(count_rows(task, arg), 1);
    return 0;
}

Test(postgres, commits_what_returns_a_result_and_rolls_back_what_returns_an_error)
{
    run_with_pool(commit_and_roll_back, &(whippet_pg_options){.connections = 1});
}

static int ignore_error(whippet_task *task, whippet_pg *connection, void *arg)
{
    ask(task, connection, "INSERT INTO rows VALUES (1)");
    whippet_pg_query(task, connection, "SELECT 1 / 0", NULL, 0, NULL);
    return *(int *)arg;
}

static int commit_failed(whippet_task *task, void *arg)
{
    const whippet_pg_result *failed;
    ask(task, arg, "CREATE TEMP TABLE rows (a int)");
    cr_assert_eq(whippet_pg_transaction(task, arg, ignore_error, &(int){1}, &failed), WHIPPET_E_REFUSED);
    assert_contains(whippet_pg_error(failed), "was rolled back");
    cr_assert_eq(count_rows(task, arg), 0);
    return 0;
}

Test(postgres, does_not_call_it_committed_when_a_statement_had_failed)
{
    run_with_pool(commit_failed, &(whippet_pg_options){.connections = 1});
}

static int leave_open(whippet_task *task, void *arg)
{
    ask(task, arg, "CREATE TEMP TABLE rows (a int)");
    ask(task, arg, "BEGIN");
    cr_assert_str_eq(whippet_pg_text(ask(task, arg, "SELECT pg_current_xact_id_if_assigned()"), 0, 0) == NULL
                         ? "none"
                         : "some",
                     "none");
    ask(task, arg, "SELECT 1");
    cr_assert_eq(count_rows(task, arg), 0);
    return 0;
}

Test(postgres, rolls_back_a_transaction_that_is_left_open)
{
    run_with_pool(leave_open, &(whippet_pg_options){.connections = 1});
    cr_assert_eq(strtoul(postgres_ask(&server,
                                      "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in %%' "
                                      "AND application_name = '%s'",
                                      application_name),
                         NULL, 10),
                 0);
}

static int sleep_in_transaction(whippet_task *task, whippet_pg *connection, void *arg)
{
    (void)arg;
    ask(task, connection, "INSERT INTO kept_rows VALUES (1)");
    return whippet_sleep(task, 1000);
}

static int start_long_transaction(whippet_task *task, void *arg)
{
    return whippet_pg_transaction(task, arg, sleep_in_transaction, NULL, NULL);
}

static int cut_transaction_short(whippet_task *task, void *arg)
{
    ask(task, arg, "CREATE TABLE kept_rows (a int)");
    cr_assert_eq(whippet_with_timeout(task, patience_stretched(1), start_long_transaction, arg),
                 WHIPPET_E_TIMEOUT);
    cr_assert_str_eq(whippet_pg_text(ask(task, arg, "SELECT count(*) FROM kept_rows"), 0, 0), "0");
    return 0;
}

Test(postgres, rolls_back_a_transaction_that_is_cut_short)
{
    run_with_pool(cut_transaction_short, &(whippet_pg_options){.connections = 1});
}

static int use_twice(whippet_task *task, whippet_pg *connection, void *arg)
{
    const whippet_pg_result *result;
    (void)arg;
    whippet_task *child = whippet_spawn(task, sleep_on_server, connection);
    cr_assert_eq(whippet_sleep(task, 0), 0);
    cr_assert_eq(whippet_pg_query(task, connection, "SELECT 1", NULL, 0, &result), WHIPPET_E_INVALID);
    assert_contains(whippet_pg_error(result), "another task uses this connection");
    cr_assert_eq(whippet_pg_transaction(task, connection, use_twice, NULL, NULL), WHIPPET_E_INVALID);
    whippet_cancel(child);
    cr_assert_eq(whippet_join(task, child, NULL), 0);
    cr_assert_eq(whippet_pg_query(task, connection, "SELECT 1", NULL, 0, &result), WHIPPET_E_CLOSED);
    assert_contains(whippet_pg_error(result), "broke before");
    return WHIPPET_E_CLOSED;
}

static int share_connection(whippet_task *task, void *arg)
{
    cr_assert_eq(whippet_pg_transaction(task, arg, use_twice, NULL, NULL), WHIPPET_E_CLOSED);
    return 0;
}

Test(postgres, lets_one_task_at_a_time_use_a_transactions_connection)
{
    run_with_pool(share_connection, &(whippet_pg_options){.connections = 1});
}

struct orphan {
    whippet_task *child;
    int returned; /* by the transaction's function */
    int expected; /* of the transaction */
};

static int leave_a_child_behind(whippet_task *task, whippet_pg *connection, void *arg)
{
    struct orphan *orphan = arg;
    orphan->child = whippet_spawn(task, sleep_on_server, connection);
    while (sleeping_on_server() == 0)
        cr_assert_eq(whippet_sleep(task, 0.02), 0);
    return orphan->returned;
}

/* Its connection goes with the child's statement, and then another one may be made. */
static int outlive_a_transaction(whippet_task *task, void *arg)
{
    static const struct orphan cases[] = {{NULL, 0, WHIPPET_E_INVALID}, {NULL, -5, -5}};
    for (size_t i = 0; i < 2; i++) {
        struct orphan orphan = cases[i];
        const whippet_pg_result *failed;
        cr_assert_eq(whippet_pg_transaction(task, arg, leave_a_child_behind, &orphan, &failed),
                     orphan.expected);
        if (orphan.returned == 0)
            assert_contains(whippet_pg_error(failed), "another task uses this connection");
        cr_assert_eq(sleeping_on_server(), 1, "its statement was disturbed");
        whippet_cancel(orphan.child);
        ask(task, arg, "SELECT 1");
        await(10, sleeping_on_server() == 0, "the statement is still at it");
        cr_assert_eq(whippet_join(task, orphan.child, NULL), 0);
    }
    return 0;
}

Test(postgres, leaves_the_connection_to_a_child_that_outlives_its_transaction)
{
    run_with_pool(outlive_a_transaction, &(whippet_pg_options){.connections = 1});
}

/* --- Short of memory ------------------------------------------------------------------------------------*/

static unsigned allocations_left;

static bool permit_some(size_t size)
{
    (void)size;
    return allocations_left > 0 && allocations_left-- > 0;
}

static int select_in_transaction(whippet_task *task, whippet_pg *connection, void *arg)
{
    whippet_pg_parameter parameter = whippet_pg_text_parameter("x");
    (void)arg;
    return whippet_pg_query(task, connection, "SELECT $1::text", &parameter, 1, NULL);
}

static int query_short_of_memory(whippet_task *task, void *arg)
{
    bool done = false;
    for (unsigned allowed = 0; !done; allowed++) {
        whippet_pg_result const *result = NULL;
        allocations_left = allowed;
        memory_permit = permit_some;
        int error = whippet_pg_transaction(task, arg, select_in_transaction, NULL, &result);
        memory_permit = NULL;
        done = error == 0;
        cr_assert(error <= 0, "%d", error);
        cr_assert_lt(allowed, 100, "still %s", whippet_error_text(error));
    }
    ask(task, arg, "SELECT 1");
    return 0;
}

Test(postgres, survives_every_allocation_that_fails)
{
    run_with_pool(query_short_of_memory, &(whippet_pg_options){.connections = 1});
}

Test(postgres, says_so_when_there_is_no_memory_for_a_pool)
{
    for (unsigned allowed = 0; allowed < 100; allowed++) {
        whippet_failure failure = {0};
        allocations_left = allowed;
        memory_permit = permit_some;
        whippet_pg *pool = whippet_pg_open(&(whippet_pg_options){.url = server.url}, &failure);
        memory_permit = NULL;
        whippet_pg_close(pool);
        if (pool != NULL)
            return;
        cr_assert_eq(failure.error, WHIPPET_E_MEMORY, "%s", failure.text);
    }
    cr_assert_fail("it never had enough");
}
