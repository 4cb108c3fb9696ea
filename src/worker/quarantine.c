/* Messages that come again after the worker died over them. */
#include "worker_internal.h"
#include <base/log.h>
#include <base/memory.h>
#include <worker/ledger.h>

/* Everything that is delivered for the first time is innocent, and its samples will do: what is redelivered
 * is rare, and read in full if need be. */
void delivery_label(struct delivery *delivery)
{
    if (delivery->is_labelled) {
        ledger_label_attempt(&delivery->label, delivery->message.attempt);
        return;
    }
    ledger_label_message(&delivery->label, &delivery->message, delivery->fields.message_id,
                         delivery->message.content->redelivered);
    delivery->is_labelled = true;
}

static void keep_reason(struct delivery *delivery, const struct suspicion *suspicion)
{
    char words[SUSPICION_TEXT];
    suspicion_describe(suspicion, words);
    memory_free(delivery->reason);
    delivery->reason = memory_copy_text(words);
}

bool delivery_is_quarantined(struct delivery *delivery)
{
    struct subscription *subscription = delivery->subscription;
    unsigned limit = subscription->config->max_crashes;
    struct suspicion suspicion;
    if (!delivery->message.content->redelivered || delivery->is_labelled)
        return false;
    delivery_label(delivery);
    delivery->is_suspect = ledger_find_suspect(subscription->worker->ledger, &delivery->label, &suspicion);
    if (!delivery->is_suspect)
        return false;
    if (suspicion.crashes < limit) {
        log_event(WHIPPET_WARNING, &delivery->fields,
                  "this message has crashed the worker %u of %u times, and is tried once more",
                  suspicion.crashes, limit);
        return false;
    }
    delivery->message.attempt += suspicion.crashes;
    keep_reason(delivery, &suspicion);
    return true;
}

void delivery_acquit(struct delivery *delivery, enum delivery_outcome outcome)
{
    if (delivery->is_suspect && outcome != OUTCOME_RETURNED)
        ledger_forget(delivery->subscription->worker->ledger, &delivery->label);
}
