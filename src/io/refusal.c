#include "refusal.h"
#include <stdio.h>
#include <string.h>

static const double KEPT_SECONDS = 5;

/* RabbitMQ's words for the default exchange, where it speaks of permissions. */
static const char *name_told(const char *exchange)
{
    return *exchange != '\0' ? exchange : "amq.default";
}

bool refusal_is_about(const struct whippet_failure *why, const char *exchange)
{
    char words[REFUSAL_EXCHANGE_SIZE + sizeof "exchange ''"];
    snprintf(words, sizeof words, "exchange '%s'", name_told(exchange));
    return strstr(why->text, words) != NULL;
}

bool refusal_is_about_size(const struct whippet_failure *why, size_t size)
{
    char words[64];
    snprintf(words, sizeof words, "message size %zu is larger", size);
    return strstr(why->text, words) != NULL;
}

static bool is_kept(const struct refusal *refusal, const char *exchange, double now)
{
    return now < refusal->until && strcmp(refusal->exchange, exchange) == 0;
}

void refusals_note(struct refusals *refusals, const char *exchange, const struct whippet_failure *why,
                   double now)
{
    if (refusals_find(refusals, exchange, now) != NULL)
        return;
    struct refusal *refusal = &refusals->kept[refusals->next++ % REFUSALS_KEPT];
    snprintf(refusal->exchange, sizeof refusal->exchange, "%s", exchange);
    refusal->until = now + KEPT_SECONDS;
    refusal->why = *why;
}

const struct whippet_failure *refusals_find(const struct refusals *refusals, const char *exchange, double now)
{
    for (size_t i = 0; i < REFUSALS_KEPT; i++)
        if (is_kept(&refusals->kept[i], exchange, now))
            return &refusals->kept[i].why;
    return NULL;
}
