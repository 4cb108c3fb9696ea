/* What a queue's settings come to: where documents go, how, and as whom. */
#ifndef ARANGODB_SETTINGS_H
#define ARANGODB_SETTINGS_H

#include "session.h"

/* What happens where a document with that key is there already. */
enum mode {
    MODE_INSERT, /* it stays, and the message is rejected */
    MODE_REPLACE,
    MODE_UPDATE, /* the message's members are merged into it */
    MODE_IGNORE, /* it stays, and the message is done */
};

/* Of one queue. */
struct settings {
    whippet_http_request request; /* what all requests have in common; user and password for "basic" */
    struct session *session;      /* owned; NULL: no token is wanted */
    char *server;                 /* owned; its URL, without a slash at its end */
    char *password;               /* owned; NULL: none */
    char *write_url;              /* owned */
    char *read_url;               /* owned; the key comes behind it */
    const char *key;              /* borrowed: what a document's key is made from; NULL: its own _key */
    enum mode mode;
    bool is_verified; /* a message is done when its document can be read back */
    whippet_retry_policy verify_policy;
    size_t read_limit; /* bytes of a document that is read back */
};

extern const whippet_option settings_options[];

/* NULL with the failure saying what is wrong. */
struct settings *settings_create(const whippet_settings *given, whippet_failure *failure);
void settings_destroy(struct settings *settings);

#endif
