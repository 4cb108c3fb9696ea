/* The processor `postgres` on a real server, driven by the harness that processors' own tests use: what it
 * writes, what it does once, and what it refuses. Each test has a schema of its own. */
#include "postgres.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <whippet/testing.h>

static struct postgres server;
static whippet_test *test;
static char schema[32];

/* --- Means ----------------------------------------------------------------------------------------------*/

static void set_up(void)
{
    server = postgres_shared();
    snprintf(schema, sizeof schema, "test_%d", getpid());
    postgres_ask(&server, "CREATE SCHEMA %s", schema);
    postgres_ask(
        &server,
        "CREATE TABLE %s.orders (id bigint PRIMARY KEY, name varchar(5) NOT NULL CHECK (name <> 'none'), "
        "price numeric(5,2), paid boolean, at timestamptz, doc jsonb)",
        schema);
}

static void tear_down(void)
{
    whippet_test_end(test);
}

TestSuite(postgres_processor, .init = set_up, .fini = tear_down, .timeout = 120);

/* Settings with ' in place of ", and with SCHEMA for the test's. */
static const char *settings_of(const char *template)
{
    static char settings[4096];
    size_t length = (size_t)snprintf(settings, sizeof settings, "{\"url\": \"%s\", ", server.url);
    for (; *template != '\0'; template ++) {
        if (strncmp(template, "SCHEMA", 6) == 0) {
            length += (size_t)snprintf(settings + length, sizeof settings - length, "%s", schema);
            template += 5;
        } else {
            settings[length++] = *template == '\'' ? '"' : *template;
        }
    }
    snprintf(settings + length, sizeof settings - length, "}");
    return settings;
}

static void start(const char *template)
{
    if (test != NULL)
        whippet_test_end(test);
    test = whippet_test_start(whippet_test_load(POSTGRES_PROCESSOR), settings_of(template));
}

static whippet_test_result run(const char *id, const char *body)
{
    return whippet_test_run(test, &(whippet_test_message){.text = body, .message_id = id});
}

static void assert_acknowledged(const char *id, const char *body)
{
    whippet_test_result result = run(id, body);
    cr_assert_eq(result.verdict, WHIPPET_ACK, "%s: %s", body, result.reason);
}

static void assert_ends(whippet_verdict verdict, const char *body, const char *reason)
{
    whippet_test_result result = run("some", body);
    cr_expect_eq(result.verdict, verdict, "%s: verdict %d: %s", body, (int)result.verdict, result.reason);
    cr_expect_not_null(strstr(result.reason, reason), "%s: \"%s\" is not in \"%s\"", body, reason,
                       result.reason);
}

/* What a query in the test's schema returns, its first line. */
static void assert_answer(const char *expected, const char *query)
{
    const char *answer = postgres_ask(&server, "SET search_path = %s; %s", schema, query);
    cr_assert_str_eq(answer, expected, "%s: \"%s\", not \"%s\"", query, answer, expected);
}

/* The same, once the server has come to it. */
static void await_answer(const char *expected, const char *query)
{
    for (int looks = 600;; looks--) {
        const char *answer = postgres_ask(&server, "SET search_path = %s; %s", schema, query);
        if (strcmp(answer, expected) == 0)
            return;
        cr_assert_gt(looks, 0, "%s: still \"%s\", not \"%s\"", query, answer, expected);
        usleep(100000);
    }
}

static const char orders[] =
    "'table': 'SCHEMA.orders', 'inbox': 'SCHEMA.inbox', 'columns': {'id': 'id', 'name': "
    "'customer.name', 'price': '/lines/0/price', 'paid': 'paid', 'at': '/a~1t', 'doc': ''}, "
    "'optional': ['/lines/0/price', 'paid', '/a~1t'], 'conflict': ['id']";

/* --- Rows -----------------------------------------------------------------------------------------------*/

Test(postgres_processor, writes_a_message_as_a_row)
{
    start(orders);
    assert_acknowledged("m1",
                        "{\"id\": 9007199254740993, \"customer\": {\"name\": \"Z\\u00e9\\\"\"}, \"lines\": "
                        "[{\"price\": 1.5e1}], \"paid\": true, \"a/t\": \"2026-11-25T22:00:00Z\"}");
    assert_answer(
        "9007199254740993|Zé\"|15.00|t|2026-11-25 22:00:00+00|15",
        "SET timezone = 'UTC'; SELECT id, name, price, paid, at, doc->'lines'->0->>'price' FROM orders");
}

Test(postgres_processor, writes_null_for_null_and_for_optional_keys_that_are_missing)
{
    start(orders);
    assert_acknowledged("m1", "{\"id\": 1, \"customer\": {\"name\": \"Ann\"}, \"paid\": null}");
    assert_answer("t", "SELECT price IS NULL AND paid IS NULL AND at IS NULL FROM orders");
}

Test(postgres_processor, updates_a_row_that_is_there)
{
    start(orders);
    assert_acknowledged("m1", "{\"id\": 1, \"customer\": {\"name\": \"Ann\"}, \"paid\": true}");
    assert_acknowledged("m2", "{\"id\": 1, \"customer\": {\"name\": \"Bob\"}}");
    assert_answer("1|Bob|", "SELECT count(*) OVER (), name, paid FROM orders");
}

Test(postgres_processor, leaves_a_row_alone_of_which_only_the_key_is_sent)
{
    postgres_ask(&server, "CREATE TABLE %s.keys (id int PRIMARY KEY, name text DEFAULT 'new')", schema);
    postgres_ask(&server, "INSERT INTO %s.keys VALUES (1, 'Ann')", schema);
    start("'table': 'SCHEMA.keys', 'columns': {'id': 'id'}, 'conflict': ['id'], 'inbox': ''");
    assert_acknowledged(NULL, "{\"id\": 1}");
    assert_answer("1|Ann", "SELECT count(*) OVER (), name FROM keys");
}

Test(postgres_processor, writes_properties_and_headers)
{
    whippet_publish_header headers[] = {{"tenant", whippet_text_value("acme")},
                                        {"n", whippet_integer_value(7)}};
    postgres_ask(&server, "CREATE TABLE %s.seen (id text, key text, tenant text, n int, body jsonb)", schema);
    start("'table': 'SCHEMA.seen', 'inbox': '', 'columns': {'id': '@message_id', 'key': '@routing_key', "
          "'tenant': "
          "'@header:tenant', 'n': '@header:n', 'body': '/@body'}");
    whippet_test_message message = {.text = "{\"@body\": [1]}",
                                    .message_id = "m1",
                                    .routing_key = "orders.new",
                                    .headers = headers,
                                    .header_count = 2};
    whippet_test_result result = whippet_test_run(test, &message);
    cr_assert_eq(result.verdict, WHIPPET_ACK, "%s", result.reason);
    assert_answer("m1|orders.new|acme|7|[1]", "SELECT * FROM seen");
    message.header_count = 1;
    result = whippet_test_run(test, &message);
    cr_assert_str_eq(result.reason,
                     "the message has no property \"@header:n\", which the column \"n\" is to hold");
}

Test(postgres_processor, quotes_every_name)
{
    postgres_ask(&server, "CREATE TABLE %s.\"we\"\"ird; DROP\" (\"select\" int PRIMARY KEY, \"A b\" text)",
                 schema);
    start("'table': 'SCHEMA.we\\'ird; DROP', 'inbox': 'SCHEMA.in \\'box\\'', 'verify': true, "
          "'columns': {'select': 'a', 'A b': 'b'}, 'conflict': ['select']");
    assert_acknowledged("m1", "{\"a\": 1, \"b\": \"'; DROP TABLE orders; --\"}");
    assert_answer("1|'; DROP TABLE orders; --", "SELECT * FROM \"we\"\"ird; DROP\"");
    assert_answer("test|m1", "SELECT queue, id FROM \"in \"\"box\"\"\"");
}

/* --- Once -----------------------------------------------------------------------------------------------*/

static const char counting[] = "'statement': 'UPDATE SCHEMA.counter SET n = n + $1', 'parameters': ['by'], "
                               "'inbox': 'SCHEMA.inbox'";

static void make_counter(void)
{
    postgres_ask(&server, "CREATE TABLE %s.counter (n int)", schema);
    postgres_ask(&server, "INSERT INTO %s.counter VALUES (0)", schema);
}

Test(postgres_processor, runs_a_statement_once_for_each_message_id)
{
    make_counter();
    start(counting);
    assert_acknowledged("m1", "{\"by\": 1}");
    assert_acknowledged("m1", "{\"by\": 1}");
    assert_acknowledged("m2", "{\"by\": 10}");
    assert_answer("11", "SELECT n FROM counter");
    cr_assert_not_null(strstr(whippet_test_log(test), "nothing was changed: done before"));
}

Test(postgres_processor, writes_a_row_once_for_each_message_id)
{
    start(orders);
    assert_acknowledged("m1", "{\"id\": 1, \"customer\": {\"name\": \"Ann\"}}");
    assert_acknowledged("m1", "{\"id\": 1, \"customer\": {\"name\": \"Bob\"}}");
    assert_answer("Ann", "SELECT name FROM orders");
}

Test(postgres_processor, keeps_queues_apart)
{
    make_counter();
    start(counting);
    assert_acknowledged("m1", "{\"by\": 1}");
    whippet_test_run(test,
                     &(whippet_test_message){.text = "{\"by\": 1}", .message_id = "m1", .queue = "other"});
    assert_answer("2", "SELECT n FROM counter");
}

Test(postgres_processor, does_a_message_without_an_id_each_time)
{
    make_counter();
    start(counting);
    assert_acknowledged(NULL, "{\"by\": 1}");
    assert_acknowledged(NULL, "{\"by\": 1}");
    assert_answer("2", "SELECT n FROM counter");
}

Test(postgres_processor, forgets_a_message_whose_statement_failed)
{
    make_counter();
    start(counting);
    assert_ends(WHIPPET_REJECT, "{\"by\": 3000000000}", "the key \"by\" does not fit $1");
    assert_acknowledged("some", "{\"by\": 3}");
    assert_answer("3", "SELECT n FROM counter");
}

/* In how many ways the server tells the others that it exists depends on how close they come: so it is done
 * again and again. */
Test(postgres_processor, makes_the_inbox_once_when_many_come_at_the_same_time)
{
    whippet_test_message messages[24];
    whippet_test_result results[24];
    char ids[12][8];
    make_counter();
    for (int i = 0; i < 24; i++) {
        snprintf(ids[i / 2], sizeof ids[0], "m%d", i / 2);
        messages[i] = (whippet_test_message){.text = "{\"by\": 1}", .message_id = ids[i / 2]};
    }
    for (int round = 0; round < 8; round++) {
        start(counting);
        whippet_test_run_together(test, messages, 24, results);
        for (int i = 0; i < 24; i++)
            cr_assert_eq(results[i].verdict, WHIPPET_ACK, "%s", results[i].reason);
        postgres_ask(&server, "DROP TABLE %s.inbox", schema);
    }
    assert_answer("96", "SELECT n FROM counter");
}

Test(postgres_processor, does_not_make_an_inbox_where_it_is_told_not_to)
{
    make_counter();
    start(
        "'statement': 'UPDATE SCHEMA.counter SET n = n + 1', 'inbox': 'SCHEMA.inbox', 'create_inbox': false");
    assert_ends(WHIPPET_RETRY, "", "inbox\" does not exist (SQLSTATE 42P01)");
    postgres_ask(&server,
                 "CREATE TABLE %s.inbox (queue text, id text, done_at timestamptz NOT NULL DEFAULT now(), "
                 "PRIMARY KEY (queue, id))",
                 schema);
    assert_acknowledged("m1", "");
}

/* --- What is refused ------------------------------------------------------------------------------------*/

Test(postgres_processor, rejects_what_does_not_fit_and_names_key_and_column)
{
    start(orders);
    assert_ends(WHIPPET_REJECT, "{\"id\": 1,", "the body is not JSON: ");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1,", "at line 1, column 10 (byte 9)");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1, \"customer\": {}}",
                "the message has no key \"customer.name\", which the column \"name\" is to hold");
    assert_ends(WHIPPET_REJECT, "[]", "the message has no key \"id\"");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1, \"customer\": {\"name\": \"a\\u0000\"}}",
                "the key \"customer.name\" holds a NUL");
    assert_ends(WHIPPET_REJECT, "{\"id\": \"x\", \"customer\": {\"name\": \"Ann\"}}",
                "the key \"id\" does not fit the column \"id\": invalid input syntax for type bigint: \"x\"");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1.5, \"customer\": {\"name\": \"Ann\"}}",
                "the key \"id\" does not fit the column \"id\"");
    assert_ends(
        WHIPPET_REJECT, "{\"id\": 1, \"customer\": {\"name\": \"Barnaby\"}}",
        "the key \"customer.name\" does not fit the column \"name\": value too long for type character "
        "varying(5)");
    assert_ends(WHIPPET_REJECT,
                "{\"id\": 1, \"customer\": {\"name\": \"Ann\"}, \"lines\": [{\"price\": 1000}]}",
                "the key \"/lines/0/price\" does not fit the column \"price\": numeric field overflow");
    assert_ends(WHIPPET_REJECT,
                "{\"id\": 1, \"customer\": {\"name\": \"Ann\"}, \"a/t\": \"yesterday, or so\"}",
                "the key \"/a~1t\" does not fit the column \"at\": invalid input syntax for type timestamp");
    assert_answer("0", "SELECT count(*) FROM orders");
    assert_answer("0", "SELECT count(*) FROM inbox");
}

Test(postgres_processor, rejects_what_breaks_a_constraint_with_the_servers_words)
{
    postgres_ask(&server, "CREATE TABLE %s.lines (id int REFERENCES %s.orders, n int UNIQUE)", schema,
                 schema);
    start(orders);
    assert_ends(WHIPPET_REJECT, "{\"id\": 1, \"customer\": {\"name\": null}}",
                "the key \"customer.name\" does not fit the column \"name\": null value in column");
    start("'table': 'SCHEMA.orders', 'inbox': '', 'columns': {'id': 'id', 'name': 'name'}");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1, \"name\": \"none\"}", "violates check constraint");
    assert_acknowledged("m1", "{\"id\": 1, \"name\": \"Ann\"}");
    assert_ends(WHIPPET_REJECT, "{\"id\": 1, \"name\": \"Ann\"}",
                "Key (id)=(1) already exists. (SQLSTATE 23505)");
    start("'table': 'SCHEMA.lines', 'inbox': '', 'columns': {'id': 'id'}");
    assert_ends(WHIPPET_REJECT, "{\"id\": 2}", "(SQLSTATE 23503)");
}

Test(postgres_processor, rejects_what_the_databases_own_code_refuses)
{
    postgres_ask(&server,
                 "CREATE FUNCTION %s.refuse() RETURNS int LANGUAGE plpgsql AS "
                 "'BEGIN RAISE EXCEPTION ''the shop is closed''; END'",
                 schema);
    start("'statement': 'SELECT SCHEMA.refuse()', 'inbox': ''");
    assert_ends(WHIPPET_REJECT, "", "the shop is closed (SQLSTATE P0001)");
}

Test(postgres_processor, retries_where_a_migration_may_be_under_way)
{
    start("'table': 'SCHEMA.later', 'inbox': 'SCHEMA.inbox', 'columns': {'id': 'id'}");
    assert_ends(WHIPPET_RETRY, "{\"id\": 1}", "later\" does not exist (SQLSTATE 42P01)");
    postgres_ask(&server, "CREATE TABLE %s.later (no int)", schema);
    assert_ends(WHIPPET_RETRY, "{\"id\": 1}", "(SQLSTATE 42703)");
    postgres_ask(&server, "ALTER TABLE %s.later RENAME no TO id", schema);
    assert_acknowledged("some", "{\"id\": 1}");
    postgres_ask(&server, "DROP TABLE %s.inbox", schema);
    assert_ends(WHIPPET_RETRY, "{\"id\": 1}", "inbox\" does not exist");
    assert_acknowledged("some", "{\"id\": 1}");
}

/* Runs so many at the same time, and again those that are to be retried. Returns how often that was. */
static unsigned run_until_done(unsigned waiting)
{
    whippet_test_message messages[8] = {{.text = ""}};
    whippet_test_result results[8];
    unsigned conflicts = 0;
    while (waiting > 0) {
        unsigned left = 0;
        whippet_test_run_together(test, messages, waiting, results);
        for (unsigned i = 0; i < waiting; i++) {
            left += results[i].verdict == WHIPPET_RETRY;
            cr_assert(results[i].verdict == WHIPPET_ACK ||
                          strstr(results[i].reason, "(SQLSTATE 40001)") != NULL,
                      "%s", results[i].reason);
        }
        conflicts += left;
        waiting = left;
    }
    return conflicts;
}

Test(postgres_processor, retries_conflicts_between_transactions)
{
    make_counter();
    snprintf(server.url + strlen(server.url), sizeof server.url - strlen(server.url),
             " options='-c default_transaction_isolation=serializable'");
    start("'statement': 'UPDATE SCHEMA.counter SET n = (SELECT n FROM SCHEMA.counter) + 1 + 0 * "
          "length(pg_sleep(0.05)::text)', 'inbox': '', 'connections': 8");
    run_until_done(8); /* all connections are there from here on, so that the next ones meet */
    cr_assert_gt(run_until_done(8), 0, "there was no conflict");
    assert_answer("16", "SELECT n FROM counter");
}

/* --- Seeing is believing --------------------------------------------------------------------------------*/

static const char verified[] =
    "'table': 'SCHEMA.orders', 'inbox': 'SCHEMA.inbox', 'columns': {'id': 'id', 'name': "
    "'name'}, 'verify': true, 'verify_attempts': 3, 'verify_delay': '20ms'";

Test(postgres_processor, counts_a_row_done_when_it_can_be_read_back)
{
    start(verified);
    assert_acknowledged("m1", "{\"id\": 1, \"name\": \"Ann\"}");
}

Test(postgres_processor, retries_when_the_row_can_not_be_read_back_and_then_only_looks_again)
{
    postgres_ask(&server, "CREATE RULE lost AS ON INSERT TO %s.orders DO INSTEAD NOTHING", schema);
    start(
        "'statement': 'INSERT INTO SCHEMA.orders (id, name) VALUES ($1, $2)', 'parameters': ['id', 'name'], "
        "'inbox': 'SCHEMA.inbox', 'verify_statement': 'SELECT 1 FROM SCHEMA.orders WHERE id = $1', "
        "'verify_parameters': ['id'], 'verify_attempts': 3, 'verify_delay': '20ms'");
    assert_ends(WHIPPET_RETRY, "{\"id\": 1, \"name\": \"Ann\"}",
                "it was written, but can't be read back after 3 looks");
    postgres_ask(&server, "DROP RULE lost ON %s.orders", schema);
    assert_ends(WHIPPET_RETRY, "{\"id\": 1, \"name\": \"Ann\"}", "can't be read back");
    postgres_ask(&server, "INSERT INTO %s.orders (id, name) VALUES (1, 'Ann')", schema);
    assert_acknowledged("some", "{\"id\": 1, \"name\": \"Ann\"}");
    assert_answer("1", "SELECT count(*) FROM orders");
}

Test(postgres_processor, looks_until_the_row_is_there)
{
    make_counter();
    start("'statement': 'SELECT 1', 'inbox': '', 'verify_attempts': 5, 'verify_delay': '20ms', "
          "'verify_statement': "
          "'WITH look AS (UPDATE SCHEMA.counter SET n = n + 1 RETURNING n) SELECT 1 FROM look WHERE n >= 3'");
    assert_acknowledged("m1", "");
    assert_answer("3", "SELECT n FROM counter");
}

Test(postgres_processor, says_why_a_row_can_not_be_looked_for)
{
    start("'statement': 'SELECT 1', 'inbox': '', 'verify_attempts': 2, 'verify_delay': '20ms', "
          "'verify_statement': "
          "'SELECT 1 FROM SCHEMA.nowhere'");
    assert_ends(WHIPPET_RETRY, "", "reading it back failed: relation");
}

/* --- Time -----------------------------------------------------------------------------------------------*/

Test(postgres_processor, retries_a_statement_that_takes_too_long_and_has_it_cancelled)
{
    start("'statement': 'SELECT pg_sleep($1) /* SCHEMA */', 'parameters': ['seconds'], 'inbox': ''");
    assert_acknowledged("m1", "{\"seconds\": 0}"); /* there is a connection from here on */
    whippet_test_set_timeout(test, 0.5);
    assert_ends(WHIPPET_RETRY, "{\"seconds\": 1000}", "the statement was cut short: timed out");
    await_answer("0", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep($1) /* ' || "
                      "current_schema || ' */' AND state = 'active'");
}

/* --- Settings -------------------------------------------------------------------------------------------*/

Test(postgres_processor, refuses_settings_that_make_no_sense)
{
    static const struct {
        const char *settings, *sentence;
    } mistakes[] = {
        {"'inbox': ''", "expected either a table, for rows, or a statement"},
        {"'table': 't', 'statement': 's'", "expected either a table, for rows, or a statement"},
        {"'table': 't'", "columns: which columns"},
        {"'table': 't', 'columns': {'a': 'a'}, 'parameters': ['b']",
         "parameters: they are those of a statement"},
        {"'table': 't', 'columns': {'a': 'a'}, 'conflict': ['b']",
         "conflict: \"b\" is not one of the columns"},
        {"'table': '.t', 'columns': {'a': 'a'}", "table: \".t\" is no name"},
        {"'table': 't', 'columns': {'': 'a'}", "columns: \"\" is no name"},
        {"'table': 't', 'columns': {'a': '@nothing'}", "columns: there is no property \"@nothing\""},
        {"'table': 't', 'columns': {'a': '@header:'}", "columns: there is no property \"@header:\""},
        {"'table': 'a23456789012345678901234567890123456789012345678901234567890abcd', 'columns': {'a': 'a'}",
         "longer than PostgreSQL's names are, 63 bytes"},
        {"'table': 't', 'columns': {'a': 'a'}, 'optional': ['b']",
         "optional: no column and no parameter takes"},
        {"'statement': 's', 'columns': {'a': 'a'}", "statement: columns and conflict are for a table"},
        {"'statement': 's', 'verify': true", "must be said in verify_statement"},
        {"'statement': 's', 'verify_parameters': ['a']",
         "verify_parameters: they are those of a verify_statement"},
        {"'statement': 's', 'verify_attempts': 0", "verify_attempts: expected 1 to 1000"},
        {"'statement': 's', 'connections': 0", "connections: expected 1 or more"},
        {"'statement': 's', 'connections': 5000", "the most is 1000"},
        {"'statement': 's', 'inbox': 'a.'", "inbox: \"a.\" is no name"},
        {"'statement': 's', 'password_file': '/nowhere'", "/nowhere"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const char *refusal =
            whippet_test_refusal(whippet_test_load(POSTGRES_PROCESSOR), settings_of(mistakes[i].settings));
        cr_expect(refusal != NULL && strstr(refusal, mistakes[i].sentence) != NULL, "%s: %s",
                  mistakes[i].settings, refusal != NULL ? refusal : "(accepted)");
    }
}
