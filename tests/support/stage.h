/* What an integration test stands on: a broker, a client, a folder, and names that no other test uses. There
 * is one stage per test, since each runs in a process of its own:
 *
 *     TestSuite(stopping, .init = stage_open, .fini = stage_close, .timeout = 60);
 */
#ifndef TESTS_SUPPORT_STAGE_H
#define TESTS_SUPPORT_STAGE_H

#include "broker.h"
#include "client.h"
#include "patience.h"
#include "record.h"
#include "worker.h"

/* On the broker that all tests share. */
void stage_open(void);

/* On a broker of this test's own, which is not started yet; nor is there a client before stage_start_broker.
 */
void stage_open_alone(void);

/* Shows what workers that are still there wrote, since that means the test failed; ends them, and the stage.
 */
void stage_close(void);

/* Starts the test's own broker and (again) a client to it. */
void stage_start_broker(void);

struct broker *stage_broker(void);
struct client *stage_client(void);

/* A queue's (exchange's, user's) name that starts with `word` and is used by no other test. Asking twice with
 * the same word gives the same name. Owned by the stage, as are paths. */
const char *stage_name(const char *word);

/* A file in the stage's folder; the same word gives the same path. */
const char *stage_path(const char *word);

#endif
