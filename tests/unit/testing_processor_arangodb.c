/* The processor arangodb: what it makes of messages and of the server's answers, and its settings. The server
 * is a stand-in that answers as ArangoDB's documentation says. */
#include "arangodb_testing.h"
#include "web_server.h"

TestSuite(arangodb_processor, .init = open_to_all, .fini = end, .timeout = 120);

/* --- Documents and their keys ---------------------------------------------------------------------------*/

Test(arangodb_processor, writes_the_body_under_its_own_key)
{
    start("");
    assert_done("{'_key': 'a', 'city': 'Gera', 'lines': [1, {'n': null}]}");
    assert_document("a", "{'_key':'a','city':'Gera','lines':[1,{'n':null}]}");
}

Test(arangodb_processor, takes_the_key_from_within_the_body)
{
    start(", 'key': 'order.id'");
    assert_done("{'order': {'id': 'A-7'}}");
    assert_document("A-7", "{'_key':'A-7','order':{'id':'A-7'}}");
}

Test(arangodb_processor, takes_the_key_by_a_pointer_and_from_a_number)
{
    start(", 'key': '/orders/0/id'");
    assert_done("{'orders': [{'id': 12}]}");
    assert_document("12", "{'_key':'12','orders':[{'id':12}]}");
}

Test(arangodb_processor, takes_the_key_from_the_message_id)
{
    start(", 'key': '@message_id'");
    assert_done("{}");
    assert_document("m-1", "{'_key':'m-1'}");
}

Test(arangodb_processor, takes_the_key_from_a_header)
{
    whippet_publish_header headers[] = {{"number", whippet_integer_value(-7)}};
    start(", 'key': '@header:number'");
    assert_result(
        whippet_test_run(test, &(whippet_test_message){.text = "{}", .headers = headers, .header_count = 1}),
        WHIPPET_ACK, "");
    assert_document("-7", "{'_key':'-7'}");
}

Test(arangodb_processor, puts_the_key_in_the_place_of_another)
{
    start(", 'key': '@message_id'");
    assert_done("{'_key': 7, 'b': 2, '\\u005fkey': 'x'}");
    assert_document("m-1", "{'_key':'m-1','b':2}");
}

Test(arangodb_processor, lets_the_server_choose_a_key_where_there_is_none)
{
    start(", 'verify': true");
    assert_done("{'a': 1}");
    assert_done("{'a': 1}");
    cr_assert_eq(arangodb_count(arangodb, "orders"), 2);
}

Test(arangodb_processor, reads_and_writes_keys_of_every_character_that_is_allowed)
{
    start(", 'verify': true, 'key': 'id'");
    assert_done("{'id': 'aZ09_-.@()+,=;$!*%:'}");
    assert_document("aZ09_-.@()+,=;$!*%:", "{'_key':'aZ09_-.@()+,=;$!*%:','id':'aZ09_-.@()+,=;$!*%:'}");
}

/* --- Modes ----------------------------------------------------------------------------------------------*/

Test(arangodb_processor, replaces_what_is_there)
{
    start("");
    assert_done("{'_key': 'a', 'old': 1}");
    assert_done("{'_key': 'a', 'new': 2}");
    assert_document("a", "{'_key':'a','new':2}");
}

Test(arangodb_processor, merges_into_what_is_there)
{
    start(", 'mode': 'update', 'verify': true");
    assert_done("{'_key': 'a', 'o': {'x': 1, 'y': [1, 2]}, 'z': 0}");
    assert_done("{'_key': 'a', 'o': {'y': [3]}, 'n': null}");
    assert_document("a", "{'_key':'a','o':{'x':1,'y':[3]},'z':0,'n':null}");
}

Test(arangodb_processor, leaves_what_is_there)
{
    start(", 'mode': 'ignore', 'verify': true");
    assert_done("{'_key': 'a', 'n': 1}");
    assert_done("{'_key': 'a', 'n': 2}");
    assert_document("a", "{'_key':'a','n':1}");
}

Test(arangodb_processor, rejects_what_is_to_be_new_and_is_not)
{
    start(", 'mode': 'insert'");
    assert_done("{'_key': 'a', 'n': 1}");
    assert_result(put("{'_key': 'a', 'n': 2}"), WHIPPET_REJECT, "status 409: unique constraint violated");
    assert_document("a", "{'_key':'a','n':1}");
}

Test(arangodb_processor, acknowledges_what_is_new_also_when_it_comes_again)
{
    start(", 'mode': 'insert'");
    arangodb_fail(arangodb, ARANGODB_WRITE, ARANGODB_CUT, 1);
    whippet_test_result result =
        whippet_test_run_attempts(test, &(whippet_test_message){.text = "{\"_key\": \"a\", \"n\": 1}"}, NULL);
    assert_result(result, WHIPPET_ACK, "");
    cr_assert_eq(result.attempt, 2);
}

Test(arangodb_processor, tries_again_where_it_cannot_see_whether_it_was_done)
{
    start(", 'mode': 'insert'");
    assert_done("{'_key': 'a'}");
    arangodb_fail(arangodb, ARANGODB_READ, ARANGODB_UNAVAILABLE, 1);
    assert_result(put("{'_key': 'a'}"), WHIPPET_RETRY, "can't be seen: status 503");
}

Test(arangodb_processor, rejects_what_another_unique_index_refuses)
{
    static const char *const MODES[] = {"insert", "replace", "update", "ignore"};
    for (size_t i = 0; i < sizeof MODES / sizeof MODES[0]; i++) {
        char more[128];
        snprintf(more, sizeof more, ", 'mode': '%s', 'key': '@message_id'", MODES[i]);
        start_in("shop", "people", more);
        whippet_test_message message = {.text = "{\"email\": \"a@b.c\"}", .message_id = MODES[i]};
        whippet_test_result result = whippet_test_run(test, &message);
        assert_result(result, i == 0 ? WHIPPET_ACK : WHIPPET_REJECT, i == 0 ? "" : "over 'email'");
        whippet_test_end(test);
    }
    test = NULL;
}

/* --- What never will be a document ----------------------------------------------------------------------*/

Test(arangodb_processor, rejects_what_is_no_document)
{
    start("");
    assert_result(put("{'a': 1,}"), WHIPPET_REJECT, "line 1, column 9");
    assert_result(put(""), WHIPPET_REJECT, "the body is not JSON");
    assert_result(put("[{}]"), WHIPPET_REJECT, "no object");
    assert_result(put("{'_key': 7}"), WHIPPET_REJECT, "\"_key\" is no text");
    assert_result(put("{'_key': ''}"), WHIPPET_REJECT, "key is empty");
    assert_result(put("{'_key': 'a/b'}"), WHIPPET_REJECT, "behind \"a\" (byte 1)");
    assert_result(put("{'_key': 'ab\\u0000'}"), WHIPPET_REJECT, "behind \"ab\" (byte 2)");
    assert_result(put("{'_key': 'Köln'}"), WHIPPET_REJECT, "behind \"K\" (byte 1)");
    cr_assert_eq(arangodb_requests(arangodb, ARANGODB_WRITE), 0);
}

Test(arangodb_processor, rejects_what_has_no_key)
{
    start(", 'key': 'id'");
    assert_result(put("{}"), WHIPPET_REJECT, "no key \"id\", which is to be the document's");
    assert_result(put("{'id': null}"), WHIPPET_REJECT, "no text and no number");
    assert_result(put("{'id': {}}"), WHIPPET_REJECT, "no text and no number");
}

Test(arangodb_processor, rejects_what_has_no_property_for_a_key)
{
    start(", 'key': '@correlation_id'");
    assert_result(put("{}"), WHIPPET_REJECT, "no property \"@correlation_id\"");
}

Test(arangodb_processor, rejects_a_key_that_is_too_long)
{
    char body[512] = "{\"_key\": \"";
    memset(body + strlen(body), 'k', 255);
    strcat(body, "\"}");
    start("");
    assert_result(put(body), WHIPPET_REJECT, "255 bytes, and ArangoDB takes 254");
}

Test(arangodb_processor, rejects_what_is_nested_without_end)
{
    enum {
        DEPTH = 100000
    };
    char *body = calloc(1, 6 * DEPTH);
    for (size_t i = 0; i < DEPTH; i++)
        memcpy(body + 5 * i, "{\"a\":", 5);
    start("");
    assert_result(put(body), WHIPPET_REJECT, "nested");
    free(body);
}

/* --- What the answer means ------------------------------------------------------------------------------*/

Test(arangodb_processor, waits_until_the_document_is_on_the_disk)
{
    start("");
    assert_done("{'_key': 'a'}");
    cr_assert(arangodb_has_synced(arangodb));
}

Test(arangodb_processor, does_not_wait_for_the_disk_where_it_need_not)
{
    start(", 'wait_for_sync': false");
    assert_done("{'_key': 'a'}");
    cr_assert(!arangodb_has_synced(arangodb));
}

Test(arangodb_processor, tries_again_where_the_server_is_not_well)
{
    start("");
    whippet_test_result result = put_amid(ARANGODB_UNAVAILABLE);
    assert_result(result, WHIPPET_RETRY, "status 503: service unavailable (error 503)");
    cr_assert_eq(result.retry_after, 0);
}

Test(arangodb_processor, tries_again_when_it_is_told_to)
{
    start("");
    cr_assert_eq(put_amid(ARANGODB_BUSY).retry_after, 7);
    whippet_test_result result = put_amid(ARANGODB_THROTTLED);
    assert_result(result, WHIPPET_RETRY, "status 429, and the answer is not ArangoDB's");
    cr_assert_eq(result.retry_after, 7);
}

Test(arangodb_processor, tries_again_where_somebody_else_writes_the_same)
{
    start("");
    assert_result(put_amid(ARANGODB_CONFLICT), WHIPPET_RETRY, "write-write conflict (error 1200)");
}

Test(arangodb_processor, tries_again_what_may_be_allowed_tomorrow)
{
    start("");
    assert_result(put_amid(ARANGODB_FORBIDDEN), WHIPPET_RETRY, "status 403: forbidden (error 11)");
}

Test(arangodb_processor, rejects_what_is_too_large)
{
    start("");
    assert_result(put_amid(ARANGODB_TOO_LARGE), WHIPPET_REJECT, "status 413");
}

Test(arangodb_processor, tries_again_where_the_collection_is_not_there_yet)
{
    start_in("shop", "tomorrow", "");
    assert_result(put("{}"), WHIPPET_RETRY, "collection or view not found (error 1203)");
}

Test(arangodb_processor, tries_again_where_the_database_is_not_there_yet)
{
    start_in("a/b? c", "orders", "");
    assert_result(put("{}"), WHIPPET_RETRY, "status 404");
}

Test(arangodb_processor, tries_again_where_no_answer_comes)
{
    start(", 'timeout': '200ms'");
    assert_result(put_amid(ARANGODB_HANGS), WHIPPET_RETRY, "no whole response in time");
}

Test(arangodb_processor, believes_no_success_of_somebody_else)
{
    start("");
    assert_result(put_amid(ARANGODB_GARBAGE), WHIPPET_RETRY, "status 200, and the answer is not ArangoDB's");
}

Test(arangodb_processor, tries_again_after_a_gigabyte)
{
    start("");
    assert_result(put_amid(ARANGODB_GIGABYTE), WHIPPET_RETRY, "larger than 65536 bytes");
}

Test(arangodb_processor, tries_again_after_half_an_answer)
{
    start("");
    assert_result(put_amid(ARANGODB_CUT), WHIPPET_RETRY, "POST http://127.0.0.1");
}

Test(arangodb_processor, tries_again_where_nobody_listens)
{
    start_at(unused_port(), "");
    assert_result(put("{}"), WHIPPET_RETRY, "Failed to connect");
}

Test(arangodb_processor, tries_again_where_no_http_is_spoken)
{
    start_at(raw_server_start("\x01\x02 garbage\r\n\r\n"), "");
    assert_result(put("{}"), WHIPPET_RETRY, "POST http://");
}

/* --- Settings -------------------------------------------------------------------------------------------*/

static void assert_refused(const char *more, const char *words)
{
    char settings[1024];
    snprintf(settings, sizeof settings, "{%s}", more);
    requote(settings);
    const char *refusal = whippet_test_refusal(load(), settings);
    cr_assert_not_null(refusal, "%s was taken", settings);
    assert_has(refusal, words);
}

#define PLACE "'url': 'http://h:8529', 'collection': 'c'"

Test(arangodb_settings, are_checked_before_the_start)
{
    assert_refused("", "url");
    assert_refused("'url': 'http://h:8529'", "collection");
    assert_refused("'url': 'http://h:8529', 'collection': ''", "collection: expected a name");
    assert_refused(PLACE ", 'database': ''", "database: expected a name");
    assert_refused("'url': 'ftp://h', 'collection': 'c'", "expected http:// or https://");
    assert_refused("'url': 'http://u:p@h', 'collection': 'c'", "name the user in \"user\"");
    assert_refused("'url': 'http://h/?a', 'collection': 'c'", "expected the server alone");
    assert_refused(PLACE ", 'mode': 'upsert'", "mode: expected");
    assert_refused(PLACE ", 'key': '@nothing'", "key: there is no property");
    assert_refused(PLACE ", 'verify_attempts': 0", "verify_attempts: expected 1 to 1000");
    assert_refused(PLACE ", 'ca_file': '/no/such/file'", "/no/such/file");
}

Test(arangodb_settings, say_who_writes_in_one_way)
{
    assert_refused(PLACE ", 'auth': 'jwt'", "auth: there is nobody to authenticate");
    assert_refused(PLACE ", 'user': 'u', 'auth': 'digest'", "auth: expected \"basic\" or \"jwt\"");
    assert_refused(PLACE ", 'password_file': '/etc/hostname'", "password_file: whose password is it?");
    assert_refused(PLACE ", 'user': 'u', 'password_file': '/no/such/file'", "password_file: cannot read");
    assert_refused(PLACE ", 'user': 'u', 'token_file': '/etc/hostname'",
                   "token_file: a token stands in place");
    assert_refused(PLACE ", 'token_file': '/no/such/file'", "token_file: cannot read");
    assert_refused(PLACE ", 'token_file': '/etc/passwd'", "token_file: what /etc/passwd holds is no token");
}
