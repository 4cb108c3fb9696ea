/* Two marks on the nodes of the tree, in bits of cJSON's `type` that cJSON itself neither uses nor clears. */
#ifndef CONFIG_FLAGS_H
#define CONFIG_FLAGS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

enum {
    FLAG_EXPANDED = 1 << 16, /* a string that came out of ${…} */
    FLAG_FAULTY = 1 << 17, /* an error was said about it already; nothing that follows from it needs saying */
};

/* The rest of `type` stays: cJSON has marks there, too. */
static inline void flag_change_kind(cJSON *node, int kind)
{
    node->type = (node->type & ~0xff) | kind;
}

static inline bool flag_is_faulty(const cJSON *node)
{
    return (node->type & FLAG_FAULTY) != 0;
}

#endif
