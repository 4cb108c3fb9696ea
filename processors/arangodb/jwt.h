/* What can be read in a JSON Web Token (RFC 7519) without its secret. */
#ifndef ARANGODB_JWT_H
#define ARANGODB_JWT_H

#include <stdbool.h>
#include <time.h>

/* Whether it could stand in a header (RFC 6750, section 2.1: b64token). */
bool jwt_is_token(const char *text);

/* Seconds from `now` (since 1970) until it expires. INFINITY when it does not say, or has expired by our
 * clock: then only the server can tell. */
double jwt_lifetime(const char *token, time_t now);

#endif
