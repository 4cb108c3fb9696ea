#include "refusal.h"
#include <stdio.h>
#include <string.h>

static const double KEPT_SECONDS = 5;

/* What a reason ends in that was too long for AMQP (rabbit_binary_generator.erl, map_exception). */
static const char CUT[] = "...";

/* RabbitMQ's words for the default exchange, where it speaks of permissions. */
static const char *name_told(const char *exchange)
{
    return *exchange != '\0' ? exchange : "amq.default";
}

/* Whether the text begins so, as far as it goes. */
static bool begins(const char *text, const char *words)
{
    size_t length = strlen(text), cut = sizeof CUT - 1;
    if (strncmp(text, words, strlen(words)) == 0)
        return true;
    return length >= cut && strcmp(text + length - cut, CUT) == 0 && strncmp(text, words, length - cut) == 0;
}

/* A user may have permissions by routing key
 * (https://www.rabbitmq.com/docs/access-control#topic-authorisation): others to the same exchange are as good
 * as ever. */
bool refusal_is_about(const struct whippet_failure *why, const char *exchange, const char *routing_key)
{
    char words[sizeof "access to topic '' in exchange ''" + 2 * REFUSAL_NAME_SIZE];
    const char *topic = strstr(why->text, "access to topic '");
    if (topic != NULL) {
        snprintf(words, sizeof words, "access to topic '%s' in exchange '%s'", routing_key, exchange);
        return begins(topic, words);
    }
    snprintf(words, sizeof words, "exchange '%s'", name_told(exchange));
    return strstr(why->text, words) != NULL;
}

bool refusal_is_about_size(const struct whippet_failure *why, size_t size)
{
    char words[64];
    snprintf(words, sizeof words, "message size %zu is larger", size);
    return strstr(why->text, words) != NULL;
}

static bool is_kept(const struct refusal *refusal, const char *exchange, const char *routing_key, double now)
{
    return now < refusal->until && strcmp(refusal->exchange, exchange) == 0 &&
           refusal_is_about(&refusal->why, exchange, routing_key);
}

void refusals_note(struct refusals *refusals, const char *exchange, const char *routing_key,
                   const struct whippet_failure *why, double now)
{
    if (refusals_find(refusals, exchange, routing_key, now) != NULL)
        return;
    struct refusal *refusal = &refusals->kept[refusals->next++ % REFUSALS_KEPT];
    snprintf(refusal->exchange, sizeof refusal->exchange, "%s", exchange);
    refusal->until = now + KEPT_SECONDS;
    refusal->why = *why;
}

const struct whippet_failure *refusals_find(const struct refusals *refusals, const char *exchange,
                                            const char *routing_key, double now)
{
    for (size_t i = 0; i < REFUSALS_KEPT; i++)
        if (is_kept(&refusals->kept[i], exchange, routing_key, now))
            return &refusals->kept[i].why;
    return NULL;
}
