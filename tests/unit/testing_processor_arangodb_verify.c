/* The processor arangodb: reading back what it has written. */
#include "arangodb_testing.h"

TestSuite(arangodb_verify, .init = open_to_all, .fini = end, .timeout = 120);

Test(arangodb_verify, looks_until_the_document_can_be_read)
{
    start(", 'verify': true");
    arangodb_fail(arangodb, ARANGODB_READ, ARANGODB_UNAVAILABLE, 2);
    whippet_test_result result = put("{'_key': 'a'}");
    assert_result(result, WHIPPET_ACK, "");
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_READ), 3);
    cr_assert_geq(result.seconds, 6);
}

Test(arangodb_verify, tries_again_where_the_document_is_not_there)
{
    start(", 'verify': true, 'verify_attempts': 2");
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_FORGETS, 1);
    assert_result(put("{'_key': 'a'}"), WHIPPET_RETRY, "it was written, but after 2 looks it is not there");
    assert_done("{'_key': 'a'}");
}

Test(arangodb_verify, tries_again_where_another_document_is_there)
{
    start(", 'verify': true, 'verify_attempts': 2");
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_SPOILS, 1);
    assert_result(put("{'_key': 'a'}"), WHIPPET_RETRY, "after 2 looks another document is there");
    assert_done("{'_key': 'a'}");
}

Test(arangodb_verify, tries_again_where_reading_fails)
{
    static const enum arangodb_fault FAULTS[] = {ARANGODB_GARBAGE, ARANGODB_GIGABYTE, ARANGODB_CUT,
                                                 ARANGODB_HANGS};
    start(", 'verify': true, 'verify_attempts': 1, 'document_limit': '10KiB', 'timeout': '2s'");
    for (size_t i = 0; i < sizeof FAULTS / sizeof FAULTS[0]; i++) {
        arangodb_fail(arangodb, ARANGODB_READ, FAULTS[i], 1);
        assert_result(put("{'_key': 'a'}"), WHIPPET_RETRY, "it was written, but reading it back failed: ");
    }
}

static bool are_alike(const char *mode, const char *there, const char *written)
{
    char more[256];
    snprintf(more, sizeof more, ", 'mode': '%s', 'verify': true, 'verify_attempts': 1", mode);
    start("");
    assert_done(there);
    whippet_test_end(test);
    start(more);
    bool is_done = put(written).verdict == WHIPPET_ACK;
    whippet_test_end(test);
    test = NULL;
    return is_done;
}

/* The mode "insert" compares what it finds in place of the document with that. */
Test(arangodb_verify, knows_its_document_whatever_it_has_become_on_the_way)
{
    cr_assert(are_alike("insert", "{'_key': 'a', 'x': 1, 'y': [true, 'ü']}",
                        "{'y': [true, '\\u00fc'], 'x': 1.0, '_key': 'a', '_rev': 'old'}"));
    cr_assert(are_alike("insert", "{'_key': 'a', 'x': 2}", "{'_key': 'a', 'x': 1, 'x': 2}"));
    cr_assert(are_alike("insert", "{'_key': 'a', 'o': {'b': {}, 'a': []}}",
                        "{'_key': 'a', 'o': {'a': [], 'b': {}}}"));
}

Test(arangodb_verify, knows_another_document)
{
    static const char *const OTHERS[] = {
        "{'_key': 'a', 'x': {'y': [1, 2]}, 'z': null}",
        "{'_key': 'a', 'x': {'y': [1, 3]}}",
        "{'_key': 'a', 'x': {'y': [1]}}",
        "{'_key': 'a', 'x': {'y': [1, 2, 3]}}",
        "{'_key': 'a', 'x': {'y': '[1, 2]'}}",
        "{'_key': 'a', 'x': {'y': [1, 2], 'z': 1}}",
        "{'_key': 'a', 'x': {}}",
        "{'_key': 'a'}",
        "{'_key': 'a', 'X': {'y': [1, 2]}}",
        "{'_key': 'a', 'x': {'y': [1, true]}}",
    };
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        cr_assert(!are_alike("insert", "{'_key': 'a', 'x': {'y': [1, 2]}}", OTHERS[i]), "%s", OTHERS[i]);
}

Test(arangodb_verify, compares_what_is_wide_and_deep)
{
    enum {
        DEPTH = 500,
        MEMBERS = 2000,
    };
    char *body = calloc(1, 64 * MEMBERS), *end = stpcpy(body, "{\"_key\": \"a\"");
    for (int i = 0; i < MEMBERS; i++)
        end += sprintf(end, ", \"m%d\": %d", (i * 7919) % MEMBERS, i);
    end = stpcpy(end, ", \"deep\": ");
    for (int i = 0; i < DEPTH; i++)
        end = stpcpy(end, i % 2 == 0 ? "[" : "{\"a\":");
    end = stpcpy(end, "1");
    for (int i = DEPTH - 1; i >= 0; i--)
        end = stpcpy(end, i % 2 == 0 ? "]" : "}");
    stpcpy(end, "}");
    start(", 'verify': true");
    assert_done(body);
    free(body);
}
