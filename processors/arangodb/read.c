/* From a message to a document and its key. */
#include "attempt.h"
#include <inttypes.h>
#include <pointer.h>
#include <property.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_LENGTH_MOST = 254, /* bytes */
    NUMBER_SIZE = 32,
};

static const char KEY_NAME[] = "_key";

/* --- The key --------------------------------------------------------------------------------------------*/

/* https://docs.arango.ai/arangodb/stable/concepts/data-structure/documents/#user-specified-keys: 0, or the
 * verdict. None of these characters wants an escape in JSON. */
static int check_key(whippet_task *task, whippet_bytes key)
{
    static const char CHARACTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@()+,=;$!*'%:";
    const char *text = key.data;
    if (key.len == 0)
        return whippet_reject(task, "the document's key is empty");
    if (key.len > KEY_LENGTH_MOST)
        return whippet_reject(task, "the document's key has %zu bytes, and ArangoDB takes %d", key.len,
                              KEY_LENGTH_MOST);
    for (size_t i = 0; i < key.len; i++) {
        if (text[i] == '\0' || strchr(CHARACTERS, text[i]) == NULL)
            return whippet_reject(task,
                                  "the document's key has a character that ArangoDB does not take in one, "
                                  "behind \"%.*s\" (byte %zu)",
                                  (int)i, text, i);
    }
    return 0;
}

static int take_key(struct attempt *attempt, whippet_bytes key)
{
    int verdict = check_key(attempt->task, key);
    if (verdict != 0)
        return verdict;
    char *copy = whippet_alloc(attempt->task, key.len + 1);
    if (copy == NULL)
        return whippet_retry_later(attempt->task, "out of memory");
    memcpy(copy, key.data, key.len);
    attempt->key = copy;
    return 0;
}

static int take_value(struct attempt *attempt, const char *key, whippet_json_value value)
{
    if (value.kind == WHIPPET_JSON_NUMBER)
        return take_key(attempt, value.raw);
    if (value.kind != WHIPPET_JSON_STRING)
        return whippet_reject(attempt->task,
                              value.kind == WHIPPET_JSON_ABSENT
                                  ? "the message has no key \"%s\", which is to be the document's"
                                  : "the key \"%s\" is no text and no number, as the document's must be",
                              key);
    whippet_bytes text = whippet_json_text(attempt->task, value);
    if (text.data == NULL)
        return whippet_retry_later(attempt->task, "out of memory");
    return take_key(attempt, text);
}

static int take_property(struct attempt *attempt, const char *name)
{
    char digits[NUMBER_SIZE];
    whippet_value value = property_read(attempt->message, name);
    if (value.kind == WHIPPET_VALUE_TEXT)
        return take_key(attempt, value.bytes);
    if (value.kind == WHIPPET_VALUE_INTEGER) {
        int length = snprintf(digits, sizeof digits, "%" PRId64, value.integer);
        return take_key(attempt, (whippet_bytes){digits, (size_t)length});
    }
    return whippet_reject(attempt->task,
                          value.kind == WHIPPET_VALUE_ABSENT
                              ? "the message has no property \"%s\", which is to be the document's key"
                              : "the property \"%s\" is no text and no number, as a document's key must be",
                          name);
}

/* The one that stands in the document. */
static int take_own_key(struct attempt *attempt)
{
    whippet_json_value own = whippet_json_get(attempt->document, KEY_NAME);
    if (own.kind == WHIPPET_JSON_ABSENT)
        return 0;
    if (own.kind != WHIPPET_JSON_STRING)
        return whippet_reject(attempt->task, "the document's \"%s\" is no text", KEY_NAME);
    return take_value(attempt, KEY_NAME, own);
}

/* --- The document ---------------------------------------------------------------------------------------*/

/* All but a key that stands there already. */
static char *append_members(char *end, whippet_json_value document)
{
    whippet_json_value name, value;
    while (whippet_json_next(&document, &name, &value)) {
        if (whippet_json_equals(name, KEY_NAME))
            continue;
        *end++ = ',';
        end = mempcpy(end, name.raw.data, name.raw.len);
        *end++ = ':';
        end = mempcpy(end, value.raw.data, value.raw.len);
    }
    return end;
}

/* The key becomes the first member of what is sent. */
static int put_key_in(struct attempt *attempt)
{
    whippet_json_value document = attempt->document;
    size_t frame = strlen("{\"\":\"\",}") + strlen(KEY_NAME) + strlen(attempt->key) + 1;
    char *text = whippet_alloc(attempt->task, frame + document.raw.len);
    if (text == NULL)
        return whippet_retry_later(attempt->task, "out of memory");
    char *end = text + sprintf(text, "{\"%s\":\"%s\"", KEY_NAME, attempt->key);
    end = append_members(end, document);
    *end++ = '}';
    attempt->text = (whippet_bytes){text, (size_t)(end - text)};
    return 0;
}

int attempt_read(struct attempt *attempt)
{
    whippet_task *task = attempt->task;
    const char *key = attempt->settings->key;
    attempt->document = whippet_json(attempt->message);
    attempt->text = attempt->document.raw;
    if (attempt->document.kind == WHIPPET_JSON_ABSENT)
        return whippet_reject(task, "%s", whippet_json_error(task, attempt->message));
    if (attempt->document.kind != WHIPPET_JSON_OBJECT)
        return whippet_reject(task, "the body is JSON, but no object, as a document must be");
    if (key == NULL)
        return take_own_key(attempt);
    int verdict = property_is_named(key) ? take_property(attempt, key)
                                         : take_value(attempt, key, pointer_find(attempt->document, key));
    return verdict != 0 ? verdict : put_key_in(attempt);
}
