/* What the tests of the processor arangodb have in common: its shared object in the harness, and a stand-in
 * for the server. */
#ifndef TESTS_UNIT_ARANGODB_TESTING_H
#define TESTS_UNIT_ARANGODB_TESTING_H

#include "arangodb.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <whippet/testing.h>

static struct arangodb *arangodb;
static whippet_test *test;
static char password_file[] = "/tmp/whippet-arangodb-XXXXXX";

static inline const whippet_processor *load(void)
{
    static char file[4096];
    const char *plugins = getenv("WHIPPET_TEST_PLUGINS");
    cr_assert_not_null(plugins, "WHIPPET_TEST_PLUGINS is not set: run the tests with ctest");
    snprintf(file, sizeof file, "%s/../../processors/arangodb.so", plugins);
    return whippet_test_load(file);
}

static inline void write_file(const char *file, const char *text)
{
    FILE *stream = fopen(file, "w");
    cr_assert_not_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static inline void begin(bool asks_who)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    close(mkstemp(password_file));
    write_file(password_file, ARANGODB_PASSWORD "\n");
    arangodb = arangodb_start(asks_who);
}

static inline void open_to_all(void)
{
    begin(false);
}

static inline void open_to_users(void)
{
    begin(true);
}

static inline void assert_no_secret(const char *text)
{
    static const char *const SECRETS[] = {"p@ss", "secret-token", "eyJhbGci" /* the head of a token */,
                                          "d2hpcHBldDpwQHNzICJ3b3JkIg" /* user and password in base64 */};
    for (size_t i = 0; i < sizeof SECRETS / sizeof SECRETS[0]; i++)
        cr_assert_null(strstr(text, SECRETS[i]), "a secret is in \"%s\"", text);
}

static inline void end(void)
{
    if (test != NULL)
        assert_no_secret(whippet_test_log(test));
    whippet_test_end(test);
    arangodb_stop(arangodb);
    unlink(password_file);
}

static inline void requote(char *text)
{
    for (; *text != '\0'; text++)
        *text = *text == '\'' ? '"' : *text;
}

/* `more` are further settings, with ' in place of ". */
static inline void start_at(unsigned port, const char *more)
{
    char settings[2048];
    snprintf(settings, sizeof settings,
             "{'url': 'http://127.0.0.1:%u/', 'database': 'shop', 'collection': 'orders'%s}", port, more);
    requote(settings);
    test = whippet_test_start(load(), settings);
}

static inline void start(const char *more)
{
    start_at(arangodb_port(arangodb), more);
}

static inline void start_in(const char *database, const char *collection, const char *more)
{
    char settings[1024];
    snprintf(settings, sizeof settings,
             "{'url': 'http://127.0.0.1:%u', 'database': '%s', 'collection': '%s'%s}",
             arangodb_port(arangodb), database, collection, more);
    requote(settings);
    test = whippet_test_start(load(), settings);
}

/* `body` with ' in place of ". */
static inline whippet_test_result put(const char *body)
{
    char *text = strdup(body);
    requote(text);
    whippet_test_result result =
        whippet_test_run(test, &(whippet_test_message){.text = text, .message_id = "m-1"});
    free(text);
    assert_no_secret(result.reason);
    return result;
}

static inline void assert_has(const char *text, const char *part)
{
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

static inline void assert_result(whippet_test_result result, whippet_verdict verdict, const char *reason)
{
    cr_assert_eq(result.verdict, verdict, "verdict %d: %s", (int)result.verdict, result.reason);
    assert_has(result.reason, reason);
}

static inline void assert_done(const char *body)
{
    assert_result(put(body), WHIPPET_ACK, "");
}

static inline void assert_document_in(const char *collection, const char *key, const char *expected)
{
    char *found = arangodb_document(arangodb, collection, key), text[1024];
    snprintf(text, sizeof text, "%s", expected);
    requote(text);
    cr_assert_str_eq(found, text);
    free(found);
}

static inline void assert_document(const char *key, const char *expected)
{
    assert_document_in("orders", key, expected);
}

/* The same while the request goes wrong. */
static inline whippet_test_result put_amid(enum arangodb_fault fault)
{
    arangodb_fail(arangodb, ARANGODB_WRITE, fault, 1);
    return put("{'_key': 'a'}");
}

#endif
