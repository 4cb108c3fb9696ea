/* Certificates and keys: from files to what OpenSSL makes streams of. */
#include "tls_internal.h"
#include <async/loop.h>
#include <base/memory.h>
#include <base/secret.h>
#include <openssl/err.h>
#include <openssl/pem.h>

enum {
    READ_BUFFER = 64 * 1024 /* bytes taken from the socket at a time: four records of the largest */
};

/* --- What is trusted ------------------------------------------------------------------------------------*/

static int trust(SSL_CTX *context, const struct tls_options *options, struct whippet_failure *failure)
{
    if (options->skips_verification) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, tls_note_refused);
    if (options->ca == NULL)
        return SSL_CTX_set_default_verify_paths(context) == 1
                   ? 0
                   : failure_set(failure, WHIPPET_E_SYSTEM, "the system's CA certificates: %s",
                                 tls_error_words());
    int error = file_check_readable(options->ca, failure);
    if (error != 0)
        return error;
    if (SSL_CTX_load_verify_file(context, options->ca) == 1)
        return 0;
    return failure_set(
        failure, WHIPPET_E_INVALID,
        "\"%s\" holds no certificate in PEM form (%s); name the file with the certificate of the CA "
        "that signed the broker's",
        options->ca, tls_error_words());
}

/* --- What we show ---------------------------------------------------------------------------------------*/

static int take_certificate(SSL_CTX *context, const struct tls_options *options,
                            struct whippet_failure *failure)
{
    int error = file_check_readable(options->certificate, failure);
    if (error != 0)
        return error;
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) == 1)
        return 0;
    return failure_set(
        failure, WHIPPET_E_INVALID,
        "\"%s\" holds no certificate that can be used (%s); it must be in PEM form, ours first",
        options->certificate, tls_error_words());
}

/* What decrypts the key, asked for only if it is encrypted. */
struct key_password {
    const char *text; /* NULL: none */
    bool asked;
};

static int give_password(char *room, int size, int encrypts, void *arg)
{
    struct key_password *password = arg;
    (void)encrypts;
    password->asked = true;
    size_t length = password->text != NULL ? strlen(password->text) : 0;
    if (length == 0 || length > (size_t)size)
        return -1;
    memcpy(room, password->text, length);
    return (int)length;
}

static int refuse_key(const struct tls_options *options, const struct key_password *password,
                      enum tls_option *culprit, struct whippet_failure *failure)
{
    if (password->asked && password->text == NULL)
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "\"%s\" is encrypted; name the file that holds its password in amqp.tls.key_password_file",
            options->key);
    if (password->asked) {
        *culprit = TLS_OPTION_KEY_PASSWORD_FILE;
        return failure_set(failure, WHIPPET_E_INVALID,
                           "the password in \"%s\" does not open the key \"%s\" (%s); correct one of the two",
                           options->key_password_file, options->key, tls_error_words());
    }
    return failure_set(failure, WHIPPET_E_INVALID,
                       "\"%s\" holds no private key that can be used (%s); it must be in PEM form",
                       options->key, tls_error_words());
}

/* The caller's, freed with EVP_PKEY_free; NULL with the failure filled. */
static EVP_PKEY *read_key(const struct tls_options *options, const char *password_text,
                          enum tls_option *culprit, struct whippet_failure *failure)
{
    struct key_password password = {.text = password_text};
    if (file_check_readable(options->key, failure) != 0)
        return NULL;
    ERR_clear_error();
    BIO *file = BIO_new_file(options->key, "r");
    EVP_PKEY *key = file != NULL ? PEM_read_bio_PrivateKey(file, NULL, give_password, &password) : NULL;
    if (key == NULL)
        refuse_key(options, &password, culprit, failure);
    BIO_free(file);
    return key;
}

static int take_key(SSL_CTX *context, const struct tls_options *options, enum tls_option *culprit,
                    struct whippet_failure *failure)
{
    char *password = NULL;
    if (options->key_password_file != NULL) {
        *culprit = TLS_OPTION_KEY_PASSWORD_FILE;
        password = secret_read(options->key_password_file, failure);
        if (password == NULL)
            return failure->error;
    }
    *culprit = TLS_OPTION_KEY;
    EVP_PKEY *key = read_key(options, password, culprit, failure);
    secret_destroy(password);
    if (key == NULL)
        return failure->error;
    bool fits = SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return fits ? 0
                : failure_set(
                      failure, WHIPPET_E_INVALID,
                      "\"%s\" is not the key of the certificate \"%s\"; name the one that belongs to it",
                      options->key, options->certificate);
}

/* --- The context ----------------------------------------------------------------------------------------*/

static int fill_context(SSL_CTX *context, const struct tls_options *options, enum tls_option *culprit,
                        struct whippet_failure *failure)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
    *culprit = TLS_OPTION_CA;
    int error = trust(context, options, failure);
    if (error != 0 || options->certificate == NULL)
        return error;
    *culprit = TLS_OPTION_CERTIFICATE;
    error = take_certificate(context, options, failure);
    return error != 0 ? error : take_key(context, options, culprit, failure);
}

/* The caller's, freed with SSL_CTX_free; NULL with the failure filled. */
static SSL_CTX *make_context(const struct tls_options *options, enum tls_option *culprit,
                             struct whippet_failure *failure)
{
    *culprit = TLS_OPTION_NONE;
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "OpenSSL could not be set up: %s", tls_error_words());
        return NULL;
    }
    if (fill_context(context, options, culprit, failure) != 0) {
        SSL_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

/* OpenSSL has memory of that kind, and puts private keys there once it is there. Where it can't be had, they
 * are kept as everything else. */
static void keep_keys_out_of_dumps(void)
{
    enum {
        SIZE = 128 * 1024,
        LEAST = 32
    };
    if (!CRYPTO_secure_malloc_initialized())
        CRYPTO_secure_malloc_init(SIZE, LEAST);
}

struct tls *tls_create(const struct tls_options *options, enum tls_option *culprit,
                       struct whippet_failure *failure)
{
    enum tls_option ignored;
    struct tls *tls = memory_allocate_zeroed(sizeof *tls);
    if (culprit == NULL)
        culprit = &ignored;
    *culprit = TLS_OPTION_NONE;
    if (tls == NULL) {
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for TLS");
        return NULL;
    }
    keep_keys_out_of_dumps();
    tls->options = *options;
    tls->socket_methods = tls_socket_methods();
    if (tls->socket_methods == NULL)
        failure_set(failure, WHIPPET_E_MEMORY, "out of memory for TLS");
    else
        tls->context = make_context(options, culprit, failure);
    if (tls->context != NULL)
        return tls;
    tls_destroy(tls);
    return NULL;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->socket_methods);
    memory_free(tls);
}

/* --- Anew, off the loop ---------------------------------------------------------------------------------*/

/* Of its own in memory, names of files included: the thread may outlive the task that asked, and the
 * configuration. */
struct rereading {
    char *files[4]; /* owned; what the options point to */
    struct tls_options options;
    enum tls_option culprit;
    struct whippet_failure failure;
    SSL_CTX *context; /* owned; NULL: it failed */
};

static void rereading_run(void *arg)
{
    struct rereading *rereading = arg;
    rereading->context = make_context(&rereading->options, &rereading->culprit, &rereading->failure);
}

static void rereading_destroy(void *arg)
{
    struct rereading *rereading = arg;
    SSL_CTX_free(rereading->context);
    for (size_t i = 0; i < sizeof rereading->files / sizeof *rereading->files; i++)
        memory_free(rereading->files[i]);
    memory_free(rereading);
}

static bool own_files(struct rereading *rereading)
{
    struct tls_options *options = &rereading->options;
    const char **const names[] = {&options->ca, &options->certificate, &options->key,
                                  &options->key_password_file};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (*names[i] == NULL)
            continue;
        rereading->files[i] = memory_copy_text(*names[i]);
        if (rereading->files[i] == NULL)
            return false;
        *names[i] = rereading->files[i];
    }
    return true;
}

static struct rereading *rereading_create(const struct tls *tls)
{
    struct rereading *rereading = memory_allocate_zeroed(sizeof *rereading);
    if (rereading == NULL)
        return NULL;
    rereading->options = tls->options;
    if (own_files(rereading))
        return rereading;
    rereading_destroy(rereading);
    return NULL;
}

static int take_reread(struct tls *tls, struct rereading *rereading, enum tls_option *culprit,
                       struct whippet_failure *failure)
{
    if (culprit != NULL)
        *culprit = rereading->culprit;
    if (rereading->context == NULL) {
        *failure = rereading->failure;
        return failure->error;
    }
    SSL_CTX_free(tls->context);
    tls->context = rereading->context;
    rereading->context = NULL;
    return 0;
}

int tls_refresh(whippet_task *task, struct tls *tls, enum tls_option *culprit,
                struct whippet_failure *failure)
{
    struct rereading *rereading = rereading_create(tls);
    if (culprit != NULL)
        *culprit = TLS_OPTION_NONE;
    if (rereading == NULL)
        return failure_set(failure, WHIPPET_E_MEMORY, "out of memory for TLS");
    int error = loop_offload(task, rereading_run, rereading, rereading_destroy);
    if (error == WHIPPET_E_TIMEOUT || error == WHIPPET_E_CANCELLED)
        return failure_set(failure, error, "reading certificates and key: %s", whippet_error_text(error));
    if (error != 0)
        failure_set(failure, error, "reading certificates and key: %s", whippet_error_text(error));
    else
        error = take_reread(tls, rereading, culprit, failure);
    rereading_destroy(rereading);
    return error;
}
