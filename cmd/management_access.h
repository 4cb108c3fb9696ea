/* Where the management API is, and as whom to ask it. */
#ifndef CMD_MANAGEMENT_ACCESS_H
#define CMD_MANAGEMENT_ACCESS_H

#include <config/config.h>
#include <io/connection.h>
#include <management/client.h>

/* At a URL from the command line: as the broker's user, where it names none. Borrows both. */
struct management_access management_access_at(const char *url, const struct endpoint *endpoint);

/* As the configuration says, which must name a URL. Borrows it. */
struct management_access management_access_configured(const struct config *config);

#endif
