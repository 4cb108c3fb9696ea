/* A processor that forgot its process function. */
#include <whippet/processor.h>

WHIPPET_PROCESSOR(.name = "idle", .version = "1.0");
