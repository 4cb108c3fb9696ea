#include "signature.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum {
    DIGEST_SIZE = 32,
    LARGE = 1024 * 1024, /* bytes that take the loop about a millisecond */
};

struct work {
    const char *secret;
    whippet_bytes body;
    unsigned char digest[DIGEST_SIZE];
};

static int sign(void *arg)
{
    struct work *work = arg;
    static const unsigned char nothing;
    const unsigned char *data = work->body.len > 0 ? work->body.data : &nothing;
    const void *made =
        HMAC(EVP_sha256(), work->secret, (int)strlen(work->secret), data, work->body.len, work->digest, NULL);
    return made != NULL ? 0 : WHIPPET_E_MEMORY;
}

static void write_hexadecimal(const unsigned char digest[DIGEST_SIZE], char *text)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        *text++ = DIGITS[digest[i] >> 4];
        *text++ = DIGITS[digest[i] & 15];
    }
    *text = '\0';
}

int signature_make(whippet_task *task, const char *secret, whippet_bytes body, char signature[SIGNATURE_SIZE])
{
    struct work work = {.secret = secret, .body = body};
    int error = body.len <= LARGE ? sign(&work) : whippet_offload(task, sign, &work);
    if (error != 0)
        return error;
    write_hexadecimal(work.digest, stpcpy(signature, "sha256="));
    return 0;
}
