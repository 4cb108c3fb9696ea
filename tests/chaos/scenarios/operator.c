/* What operators do to a broker while a worker runs on it. */
#include "faults.h"

/* A user of this test's own, who may do anything. */
static const char *add_user(const char *password)
{
    const char *user = stage_name("user");

    broker_control(stage_broker(), "add_user", user, password, NULL);
    broker_control(stage_broker(), "set_permissions", user, ".*", ".*", ".*", NULL);
    trial_set_login(user, password);
    return user;
}

static void close_connections(const char *user)
{
    trial_fault();
    cr_assert_str_eq(
        broker_eval(stage_broker(),
                    "rabbit_networking:close_all_user_connections(<<\"%s\">>, <<\"maintenance\">>)", user),
        "ok");
}

SCENARIO(shared, connections_closed)
{
    const char *user;

    trial_open(&(struct trial_plan){.name = "connections_closed"});
    user = add_user("secret");
    trial_start_worker();
    for (unsigned i = 0; i < 4; i++) {
        trial_last(2);
        close_connections(user);
    }
    cr_assert_gt(worker_said(trial_worker(), "maintenance"), 0, "the operator's words are not in the log");
    trial_close();
    broker_control(stage_broker(), "delete_user", user, NULL);
}

/* The old one no longer opens anything; the worker says so, and waits for somebody to mend it. */
SCENARIO(shared, password_changed)
{
    const char *user;
    unsigned handled;

    trial_open(&(struct trial_plan){.name = "password_changed"});
    user = add_user("old-secret");
    trial_start_worker();
    trial_await(3000);
    broker_control(stage_broker(), "change_password", user, "new-secret", NULL);
    trial_publish(2000);
    handled = trial_handled();
    trial_await(handled + 500);
    close_connections(user);
    worker_await_saying(trial_worker(), 30, "ACCESS_REFUSED");
    broker_control(stage_broker(), "change_password", user, "old-secret", NULL);
    cr_assert_eq(worker_said(trial_worker(), "old-secret"), 0, "the password is in the log");
    trial_close();
    broker_control(stage_broker(), "delete_user", user, NULL);
}

/* The one scenario in which the broker itself destroys messages: as many as it says were ready. What the
 * worker has begun it finishes. */
SCENARIO(shared, queue_deleted)
{
    trial_open(&(struct trial_plan){.name = "queue_deleted", .type = "classic"});
    trial_start_worker();
    trial_await(3000);
    trial_destroyed(client_delete(stage_client(), trial_queue(0)));
    worker_await_consuming(trial_worker(), trial_queue(0));
    trial_publish(2000);
    trial_close();
}
