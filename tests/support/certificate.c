#include "certificate.h"
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAY = 86400
};

static void check(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "certificate: %s failed\n", what);
    abort();
}

static void add_extension(X509 *x509, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    check(extension != NULL && X509_add_ext(x509, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static struct certificate begin(const char *name, long begins, long ends)
{
    static long serial = 1;
    struct certificate certificate = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    check(certificate.x509 != NULL && certificate.key != NULL, "making a key");
    X509_NAME *subject = X509_get_subject_name(certificate.x509);
    X509_set_version(certificate.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate.x509), begins);
    X509_gmtime_adj(X509_getm_notAfter(certificate.x509), ends);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_pubkey(certificate.x509, certificate.key);
    return certificate;
}

static void sign(struct certificate *certificate, const struct certificate *authority)
{
    X509_set_issuer_name(certificate->x509, X509_get_subject_name(authority->x509));
    check(X509_sign(certificate->x509, authority->key, EVP_sha256()) > 0, "signing");
}

struct certificate certificate_authority(const char *name)
{
    struct certificate authority = begin(name, -DAY, DAY);
    add_extension(authority.x509, NID_basic_constraints, "critical,CA:TRUE");
    sign(&authority, &authority);
    return authority;
}

struct certificate certificate_issue(const struct certificate *authority, const char *alternatives,
                                     long begins, long ends)
{
    struct certificate certificate = begin("of a test", begins, ends);
    if (alternatives != NULL)
        add_extension(certificate.x509, NID_subject_alt_name, alternatives);
    sign(&certificate, authority != NULL ? authority : &certificate);
    return certificate;
}

struct certificate certificate_valid(const struct certificate *authority, const char *alternatives)
{
    return certificate_issue(authority, alternatives, -DAY, DAY);
}

static FILE *create(const char *file)
{
    FILE *stream = fopen(file, "w");
    check(stream != NULL, file);
    return stream;
}

void certificate_write(const struct certificate *certificate, const char *file)
{
    FILE *stream = create(file);
    check(PEM_write_X509(stream, certificate->x509) == 1, file);
    fclose(stream);
}

void certificate_write_key(const struct certificate *certificate, const char *file, const char *password)
{
    FILE *stream = create(file);
    check(PEM_write_PKCS8PrivateKey(stream, certificate->key, password != NULL ? EVP_aes_128_cbc() : NULL,
                                    password, password != NULL ? (int)strlen(password) : 0, NULL, NULL) == 1,
          file);
    fclose(stream);
}

void certificate_destroy(struct certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
    *certificate = (struct certificate){0};
}
