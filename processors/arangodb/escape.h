/* Percent-encoding (RFC 3986, section 2.1). */
#ifndef ARANGODB_ESCAPE_H
#define ARANGODB_ESCAPE_H

enum {
    ESCAPE_FACTOR = 3 /* bytes that one becomes at most */
};

/* Appends `text` as one segment of a path: all but unreserved characters escaped, slashes too. Returns the
 * end, where a NUL stands. */
char *escape_append(char *end, const char *text);

#endif
