/* The handlers that write a peer's log. */
#ifndef SUPPORT_PEER_EVENTS_H
#define SUPPORT_PEER_EVENTS_H

#include "peer.h"

extern const struct session_events peer_event_handlers;

#endif
