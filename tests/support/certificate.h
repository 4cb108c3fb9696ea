/* Certificates made on the spot, for tests of TLS. Keys are of the curve P-256. */
#ifndef SUPPORT_CERTIFICATE_H
#define SUPPORT_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct certificate {
    X509 *x509;    /* owned */
    EVP_PKEY *key; /* owned */
};

/* A CA of its own. */
struct certificate certificate_authority(const char *name);

/* Signed by `authority`; NULL: by itself. `alternatives` as OpenSSL writes them:
 * "DNS:localhost,IP:127.0.0.1"; NULL: none. It is valid from `begins` to `ends`, in seconds from now. */
struct certificate certificate_issue(const struct certificate *authority, const char *alternatives,
                                     long begins, long ends);

/* The same, valid from a day ago to a day from now. */
struct certificate certificate_valid(const struct certificate *authority, const char *alternatives);

/* In PEM. `password` encrypts the key; NULL: it lies open. */
void certificate_write(const struct certificate *certificate, const char *file);
void certificate_write_key(const struct certificate *certificate, const char *file, const char *password);

void certificate_destroy(struct certificate *certificate);

#endif
