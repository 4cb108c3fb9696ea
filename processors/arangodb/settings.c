#include "settings.h"
#include "escape.h"
#include <pointer.h>
#include <property.h>
#include <secret_file.h>
#include <stdlib.h>
#include <string.h>

const whippet_option settings_options[] = {
    {.name = "url",
     .type = WHIPPET_OPTION_STRING,
     .required = true,
     .help = "the server, e.g. \"https://db.example:8529\""},
    {.name = "database",
     .type = WHIPPET_OPTION_STRING,
     .default_value = "_system",
     .help = "the database that the collection is in"},
    {.name = "collection",
     .type = WHIPPET_OPTION_STRING,
     .required = true,
     .help = "the collection that each message is a document of; it must be there"},
    {.name = "key",
     .type = WHIPPET_OPTION_STRING,
     .help = "what the document's key is taken from: \"order.id\", \"/order/id\", \"@message_id\"; without "
             "it, the body's \"_key\", and the server makes one where there is none"},
    {.name = "mode",
     .type = WHIPPET_OPTION_STRING,
     .default_value = "replace",
     .help = "what happens where the key is there already: \"replace\", \"update\" (merged into it), "
             "\"ignore\" (it stays) or \"insert\" (it stays, and the message is rejected)"},
    {.name = "wait_for_sync",
     .type = WHIPPET_OPTION_BOOLEAN,
     .default_value = "true",
     .help = "whether the server answers only when the document is on its disk"},
    {.name = "auth",
     .type = WHIPPET_OPTION_STRING,
     .default_value = "basic",
     .help = "how user and password are shown: \"basic\", with each request, or \"jwt\", for a token"},
    {.name = "user", .type = WHIPPET_OPTION_STRING, .help = "who writes; without it, nobody is named"},
    {.name = "password_file", .type = WHIPPET_OPTION_STRING, .help = "the user's password, from a file"},
    {.name = "token_file",
     .type = WHIPPET_OPTION_STRING,
     .help = "in place of a user, a token (JWT) from a file"},
    {.name = "timeout",
     .type = WHIPPET_OPTION_DURATION,
     .default_value = "30s",
     .help = "for each answer; the queue's timeout ends the attempt in any case"},
    {.name = "connect_timeout",
     .type = WHIPPET_OPTION_DURATION,
     .default_value = "10s",
     .help = "until the connection stands, TLS included"},
    {.name = "ca_file",
     .type = WHIPPET_OPTION_STRING,
     .help = "certificates (PEM) that are trusted instead of the system's"},
    {.name = "verify",
     .type = WHIPPET_OPTION_BOOLEAN,
     .default_value = "false",
     .help = "count a message done only when its document can be read back"},
    {.name = "verify_attempts",
     .type = WHIPPET_OPTION_INTEGER,
     .default_value = "5",
     .help = "how often to look"},
    {.name = "verify_delay",
     .type = WHIPPET_OPTION_DURATION,
     .default_value = "3s",
     .help = "the pause between two looks"},
    {.name = "document_limit",
     .type = WHIPPET_OPTION_SIZE,
     .default_value = "32MiB",
     .help = "how large a document that is read back may be"},
    {.name = NULL},
};

static const struct {
    const char *name;
    const char *overwrite_mode; /* as ArangoDB calls it */
} MODES[] = {
    [MODE_INSERT] = {"insert", "conflict"},
    [MODE_REPLACE] = {"replace", "replace"},
    [MODE_UPDATE] = {"update", "update"},
    [MODE_IGNORE] = {"ignore", "ignore"},
};

enum {
    MODE_COUNT = sizeof MODES / sizeof MODES[0],
    VERIFY_ATTEMPTS_MOST = 1000,
};

static bool complain(whippet_failure *failure, const char *sentence)
{
    whippet_fail(failure, "%s", sentence);
    return false;
}

static const char *optional_string(const whippet_settings *given, const char *name)
{
    const char *text = whippet_setting_string(given, name);
    return *text != '\0' ? text : NULL;
}

/* --- Where to -------------------------------------------------------------------------------------------*/

/* The URL of the server alone: what comes behind it is ours to add. */
static bool check_server(const char *url, whippet_failure *failure)
{
    const char *host = strstr(url, "://");
    size_t length = host != NULL ? strcspn(host + 3, "/?#") : 0;
    if (host != NULL && memchr(host + 3, '@', length) != NULL)
        return complain(failure, "url: name the user in \"user\", and the password in \"password_file\"");
    if (strpbrk(url, "?#") != NULL)
        return complain(failure, "url: expected the server alone, without '?' and '#'");
    return true;
}

static char *append_collection(char *end, const char *server, const whippet_settings *given)
{
    end = stpcpy(stpcpy(end, server), "/_db/");
    end = escape_append(end, whippet_setting_string(given, "database"));
    end = stpcpy(end, "/_api/document/");
    return escape_append(end, whippet_setting_string(given, "collection"));
}

/* "waitForSync=false" would say nothing: then the collection's own setting counts. */
static bool make_urls(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *mode = MODES[settings->mode].overwrite_mode;
    const char *sync = whippet_setting_boolean(given, "wait_for_sync") ? "&waitForSync=true" : "";
    size_t names = strlen(whippet_setting_string(given, "database")) +
                   strlen(whippet_setting_string(given, "collection"));
    size_t size = strlen(settings->server) + strlen("/_db//_api/document/?overwriteMode=") +
                  ESCAPE_FACTOR * names + strlen(mode) + strlen(sync) + 1;
    settings->read_url = malloc(size);
    settings->write_url = malloc(size);
    if (settings->read_url == NULL || settings->write_url == NULL)
        return complain(failure, "out of memory");
    stpcpy(append_collection(settings->read_url, settings->server, given), "/");
    char *end = append_collection(settings->write_url, settings->server, given);
    stpcpy(stpcpy(stpcpy(end, "?overwriteMode="), mode), sync);
    return true;
}

static bool read_place(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *url = whippet_setting_string(given, "url");
    size_t length = strlen(url);
    if (*whippet_setting_string(given, "database") == '\0')
        return complain(failure, "database: expected a name");
    if (*whippet_setting_string(given, "collection") == '\0')
        return complain(failure, "collection: expected a name");
    if (!check_server(url, failure))
        return false;
    while (length > 0 && url[length - 1] == '/')
        length--;
    settings->server = strndup(url, length);
    return settings->server != NULL ? make_urls(settings, given, failure)
                                    : complain(failure, "out of memory");
}

/* --- What -----------------------------------------------------------------------------------------------*/

static bool read_mode(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *name = whippet_setting_string(given, "mode");
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(name, MODES[i].name) == 0) {
            settings->mode = (enum mode)i;
            return true;
        }
    }
    whippet_fail(failure, "mode: expected \"replace\", \"update\", \"ignore\" or \"insert\", found \"%s\"",
                 name);
    return false;
}

static bool read_key(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    settings->key = optional_string(given, "key");
    return settings->key == NULL ||
           (pointer_check("key", settings->key, failure) &&
            (!property_is_named(settings->key) || property_check("key", settings->key, failure)));
}

static bool read_verify(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    int64_t attempts = whippet_setting_integer(given, "verify_attempts");
    settings->is_verified = whippet_setting_boolean(given, "verify");
    settings->read_limit = whippet_setting_size(given, "document_limit");
    settings->verify_policy = (whippet_retry_policy){
        .attempts = (unsigned)attempts,
        .delay = whippet_setting_duration(given, "verify_delay"),
    };
    return (attempts >= 1 && attempts <= VERIFY_ATTEMPTS_MOST) ||
           complain(failure, "verify_attempts: expected 1 to 1000");
}

/* --- As whom --------------------------------------------------------------------------------------------*/

static bool open_session(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    struct token_origin origin = {
        .server = settings->server,
        .request = &settings->request,
        .user = optional_string(given, "user"),
        .password = settings->password,
        .file = optional_string(given, "token_file"),
    };
    settings->session = session_create(&origin, failure);
    return settings->session != NULL;
}

static bool read_user(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    const char *auth = whippet_setting_string(given, "auth");
    const char *password_file = optional_string(given, "password_file");
    bool is_basic = strcmp(auth, "basic") == 0;
    if (!is_basic && strcmp(auth, "jwt") != 0)
        return complain(failure, "auth: expected \"basic\" or \"jwt\"");
    if (password_file != NULL) {
        settings->password = secret_file_read("password_file", password_file, failure);
        if (settings->password == NULL)
            return false;
    }
    if (!is_basic)
        return open_session(settings, given, failure);
    settings->request.user = whippet_setting_string(given, "user");
    settings->request.password = settings->password;
    return true;
}

static bool read_identity(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    bool has_user = optional_string(given, "user") != NULL;
    bool has_password = optional_string(given, "password_file") != NULL;
    bool has_token = optional_string(given, "token_file") != NULL;
    if (has_token && (has_user || has_password))
        return complain(failure, "token_file: a token stands in place of user and password; leave these out");
    if (has_password && !has_user)
        return complain(failure, "password_file: whose password is it? name the \"user\"");
    if (has_token)
        return open_session(settings, given, failure);
    if (!has_user && whippet_setting_given(given, "auth"))
        return complain(failure, "auth: there is nobody to authenticate; name the \"user\"");
    return !has_user || read_user(settings, given, failure);
}

/* --- All of it ------------------------------------------------------------------------------------------*/

static bool read_request(struct settings *settings, const whippet_settings *given, whippet_failure *failure)
{
    settings->request = (whippet_http_request){
        .url = settings->server,
        .ca_file = optional_string(given, "ca_file"),
        .timeout = whippet_setting_duration(given, "timeout"),
        .connect_timeout = whippet_setting_duration(given, "connect_timeout"),
    };
    return whippet_http_check(&settings->request, failure) == 0;
}

struct settings *settings_create(const whippet_settings *given, whippet_failure *failure)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL) {
        whippet_fail(failure, "out of memory");
        return NULL;
    }
    if (read_mode(settings, given, failure) && read_place(settings, given, failure) &&
        read_request(settings, given, failure) && read_key(settings, given, failure) &&
        read_verify(settings, given, failure) && read_identity(settings, given, failure))
        return settings;
    settings_destroy(settings);
    return NULL;
}

void settings_destroy(struct settings *settings)
{
    session_destroy(settings->session);
    secret_file_destroy(settings->password);
    free(settings->server);
    free(settings->write_url);
    free(settings->read_url);
    free(settings);
}
