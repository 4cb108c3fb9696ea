/* What went wrong with TLS, in words for a person: OpenSSL's own are for those who know it. */
#include "tls_internal.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

const char *tls_error_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());
    return words != NULL ? words : "no reason given";
}

/* --- The certificate ------------------------------------------------------------------------------------*/

static void append(char *text, size_t size, const char *word, size_t length)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "", (int)length, word);
}

/* An address that is neither of IPv4 nor of IPv6 can stand in a certificate, too: OpenSSL takes any length.
 */
static void format_address(const ASN1_OCTET_STRING *bytes, char address[INET6_ADDRSTRLEN])
{
    int length = ASN1_STRING_length(bytes);
    int family = length == sizeof(struct in_addr)    ? AF_INET
                 : length == sizeof(struct in6_addr) ? AF_INET6
                                                     : AF_UNSPEC;
    if (family == AF_UNSPEC ||
        inet_ntop(family, ASN1_STRING_get0_data(bytes), address, INET6_ADDRSTRLEN) == NULL)
        snprintf(address, INET6_ADDRSTRLEN, "an address that is none");
}

/* The names and addresses that the certificate is for, as far as they fit. */
static void list_names(X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            append(text, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                   (size_t)ASN1_STRING_length(name->d.dNSName));
        } else if (name->type == GEN_IPADD) {
            char address[INET6_ADDRSTRLEN];
            format_address(name->d.iPAddress, address);
            append(text, size, address, strlen(address));
        }
    }
    GENERAL_NAMES_free(names);
}

static void explain_wrong_name(const struct tls_transport *transport, struct whippet_failure *failure)
{
    char names[256] = "";
    if (transport->refused != NULL)
        list_names(transport->refused, names, sizeof names);
    failure_set(
        failure, WHIPPET_E_SYSTEM,
        "the broker's certificate is not for \"%s\" but for %s; use a name of these in the URL, or set "
        "amqp.tls.server_name",
        transport->name, names[0] != '\0' ? names : "no name at all");
}

/* True when the chain or the name was refused by us. Where verification is off OpenSSL verifies them all the
 * same, and goes on whatever comes of it: then it is something else that failed. */
static bool explain_verification(const struct tls_transport *transport, struct whippet_failure *failure)
{
    if (SSL_get_verify_mode(transport->ssl) == SSL_VERIFY_NONE)
        return false;
    long result = SSL_get_verify_result(transport->ssl);
    switch (result) {
    case X509_V_OK: return false;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: explain_wrong_name(transport, failure); return true;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        failure_set(
            failure, WHIPPET_E_SYSTEM,
            "the broker's certificate, or one that it rests on, has expired; renew it (and is this machine's "
            "clock right?)");
        return true;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        failure_set(failure, WHIPPET_E_SYSTEM,
                    "the broker's certificate comes from nobody that is trusted (%s); set amqp.tls.ca to the "
                    "file with "
                    "its CA's certificate",
                    X509_verify_cert_error_string(result));
        return true;
    default:
        failure_set(failure, WHIPPET_E_SYSTEM, "the broker's certificate is refused: %s",
                    X509_verify_cert_error_string(result));
        return true;
    }
}

/* --- What the peer said ---------------------------------------------------------------------------------*/

static bool begins_with(const struct tls_socket *socket, const char *text)
{
    size_t length = strlen(text);
    return socket->first_size >= length && memcmp(socket->first, text, length) == 0;
}

/* True when that was no TLS at all. */
static bool explain_foreign(const struct tls_socket *socket, struct whippet_failure *failure)
{
    enum {
        TLS_ALERT = 21,
        TLS_HANDSHAKE = 22
    };
    if (socket->first_size == 0 || socket->first[0] == TLS_ALERT || socket->first[0] == TLS_HANDSHAKE)
        return false;
    if (begins_with(socket, "AMQP"))
        failure_set(
            failure, WHIPPET_E_SYSTEM,
            "the broker speaks AMQP without TLS at this port: name its TLS port (usually 5671), or use "
            "amqp:// in the URL");
    else
        failure_set(failure, WHIPPET_E_SYSTEM,
                    "the server does not speak TLS at this port%s; is it the right one?",
                    begins_with(socket, "HTTP") ? " but HTTP" : "");
    return true;
}

/* What an alert of the peer's, or a version of its, comes to; NULL for any other reason. */
static const char *advice_of(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "the broker speaks no TLS 1.2 or later; have it speak that (ssl_options.versions)";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the broker asks for a client certificate: set amqp.tls.cert and amqp.tls.key";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the broker refused the handshake: it asks for a client certificate (amqp.tls.cert, "
               "amqp.tls.key), or "
               "has no cipher in common with us";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "the broker does not trust the CA of our certificate (amqp.tls.cert)";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "the broker says that our certificate (amqp.tls.cert) has expired";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED: return "the broker refuses our certificate (amqp.tls.cert)";
    default: return NULL;
    }
}

static void explain_reason(const char *what, struct whippet_failure *failure)
{
    const char *advice = advice_of(ERR_GET_REASON(ERR_peek_error()));
    if (advice != NULL)
        failure_set(failure, WHIPPET_E_SYSTEM, "%s (%s)", advice, tls_error_words());
    else
        failure_set(failure, WHIPPET_E_SYSTEM, "%s: %s", what, tls_error_words());
}

/* --- Both together --------------------------------------------------------------------------------------*/

void tls_explain_handshake(const struct tls_transport *transport, struct whippet_failure *failure)
{
    const struct tls_socket *socket = &transport->socket;
    if (explain_foreign(socket, failure) || explain_verification(transport, failure))
        return;
    if (socket->ended)
        failure_set(
            failure, WHIPPET_E_SYSTEM,
            "the server hung up during the TLS handshake; is it a TLS port, and does it ask for a client "
            "certificate?");
    else if (socket->error != 0)
        failure_set(failure, WHIPPET_E_SYSTEM, "the TLS handshake: %s", strerror(socket->error));
    else
        explain_reason("the TLS handshake failed", failure);
}

void tls_explain_stream(const struct tls_transport *transport, struct whippet_failure *failure)
{
    const struct tls_socket *socket = &transport->socket;
    /* At the end of the stream OpenSSL tries to send an alert, which may fail in turn. */
    if (socket->ended)
        failure_set(failure, WHIPPET_E_SYSTEM,
                    "the broker hung up without ending TLS (no close_notify): the connection was cut off");
    else if (socket->error != 0)
        failure_set(failure, WHIPPET_E_SYSTEM, "reading from or writing to the broker: %s",
                    strerror(socket->error));
    else
        explain_reason("TLS broke", failure);
}
