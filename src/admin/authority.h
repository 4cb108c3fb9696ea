/* By which name a request asks for us. Where only this machine can connect, a web page that an operator opens
 * could still read the port, had its author his own name resolve to 127.0.0.1 after the page is loaded (DNS
 * rebinding): the browser takes that for the page's own site, and says so in Host. */
#ifndef ADMIN_AUTHORITY_H
#define ADMIN_AUTHORITY_H

#include <stdbool.h>

/* Whether `host`, the header (NULL: there is none, so that no browser asks), is one that no stranger can
 * have: an address, localhost or the `configured` name, with any port or none: tunnels have theirs. */
bool authority_is_ours(const char *host, const char *configured);

#endif
