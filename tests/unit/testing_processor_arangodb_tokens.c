/* The processor arangodb: who it says it is, and that nobody else learns of it. */
#include "arangodb_testing.h"
#include "patience.h"
#include "under_valgrind.h"

TestSuite(arangodb_authentication, .init = open_to_users, .fini = end, .timeout = 120);

enum {
    TOGETHER = 20
};

static void start_as(const char *before, const char *after)
{
    char more[512];
    snprintf(more, sizeof more, "%s'%s'%s", before, password_file, after);
    start(more);
}

#define WITH_PASSWORD ", 'user': '" ARANGODB_USER "', 'password_file': "
#define WITH_TOKENS   ", 'auth': 'jwt'" WITH_PASSWORD

/* So many messages at once. Returns how many ended with that verdict. */
static unsigned put_together(whippet_verdict verdict)
{
    whippet_test_message messages[TOGETHER];
    whippet_test_result results[TOGETHER];
    unsigned count = 0;
    for (size_t i = 0; i < TOGETHER; i++)
        messages[i] = (whippet_test_message){.text = "{}"};
    whippet_test_run_together(test, messages, TOGETHER, results);
    for (size_t i = 0; i < TOGETHER; i++) {
        count += results[i].verdict == verdict;
        assert_no_secret(results[i].reason);
    }
    return count;
}

Test(arangodb_authentication, is_missed_by_the_server)
{
    start("");
    assert_result(put("{}"), WHIPPET_RETRY, "status 401: not authorized to execute this request (error 11)");
}

Test(arangodb_authentication, is_done_with_user_and_password)
{
    start_as(WITH_PASSWORD, "");
    assert_done("{}");
}

Test(arangodb_authentication, with_a_wrong_password_fails_without_repeating_it)
{
    write_file(password_file, "p@ss wrong");
    start_as(WITH_PASSWORD, "");
    assert_result(put("{}"), WHIPPET_RETRY, "status 401");
}

Test(arangodb_authentication, fetches_one_token_for_all)
{
    start_as(WITH_TOKENS, "");
    cr_assert_eq(put_together(WHIPPET_ACK), TOGETHER);
    assert_done("{}");
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 1);
}

Test(arangodb_authentication, renews_once_for_all_what_the_server_takes_no_more)
{
    start_as(WITH_TOKENS, "");
    assert_done("{}");
    arangodb_forget_tokens(arangodb);
    cr_assert_eq(put_together(WHIPPET_ACK), TOGETHER);
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 2);
}

Test(arangodb_authentication, renews_before_the_token_expires)
{
    arangodb_set_token_lifetime(arangodb, UNDER_VALGRIND ? 20 : 3);
    start_as(WITH_TOKENS, "");
    await(30, (put("{}"), arangodb_requests(arangodb, ARANGODB_LOGIN) >= 2), "a second token");
    cr_assert_eq(arangodb_refusals(arangodb), 0);
}

Test(arangodb_authentication, makes_do_with_a_token_that_does_not_say_when_it_expires)
{
    arangodb_set_token_lifetime(arangodb, 0);
    start_as(WITH_TOKENS, "");
    assert_done("{}");
    assert_done("{}");
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 1);
}

Test(arangodb_authentication, renews_no_more_than_once_for_a_message)
{
    start_as(WITH_TOKENS, "");
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_REFUSED, 10);
    assert_result(put("{}"), WHIPPET_RETRY, "status 401");
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 2);
}

Test(arangodb_authentication, that_fails_does_so_once_for_all)
{
    start_as(WITH_TOKENS, "");
    arangodb_fail(arangodb, ARANGODB_LOGIN, ARANGODB_UNAVAILABLE, TOGETHER);
    cr_assert_eq(put_together(WHIPPET_RETRY), TOGETHER);
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 1);
    assert_result(put("{}"), WHIPPET_RETRY, "/_open/auth: status 503");
}

Test(arangodb_authentication, that_is_refused_says_so)
{
    write_file(password_file, "p@ss wrong");
    start_as(WITH_TOKENS, "");
    assert_result(put("{}"), WHIPPET_RETRY, "/_open/auth: status 401: user and password are not taken");
}

Test(arangodb_authentication, survives_what_answers_in_its_place)
{
    static const enum arangodb_fault FAULTS[] = {ARANGODB_GARBAGE, ARANGODB_GIGABYTE, ARANGODB_CUT,
                                                 ARANGODB_HANGS};
    start_as(WITH_TOKENS, ", 'timeout': '2s'");
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) {
        arangodb_fail(arangodb, ARANGODB_LOGIN, FAULTS[i], 1);
        assert_result(put("{}"), WHIPPET_RETRY, "/_open/auth: ");
    }
    assert_done("{}");
}

Test(arangodb_authentication, takes_a_token_from_a_file_and_its_successor)
{
    write_file(password_file, arangodb_token(arangodb));
    start_as(", 'token_file': ", "");
    assert_done("{}");
    arangodb_forget_tokens(arangodb);
    assert_result(put("{}"), WHIPPET_RETRY, "is not taken (status 401), and there is no other in it");
    write_file(password_file, arangodb_token(arangodb));
    cr_assert_eq(put_together(WHIPPET_ACK), TOGETHER);
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_LOGIN), 0);
}

Test(arangodb_authentication, tells_nobody_else_its_secrets)
{
    start_as(WITH_TOKENS, "");
    assert_done("{}");
    assert_result(put_amid(ARANGODB_GARBAGE), WHIPPET_RETRY, "not ArangoDB's");
}
