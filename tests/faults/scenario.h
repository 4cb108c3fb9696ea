/* A whole worker's life against a fake broker: it starts, does messages that end in each of the ways there
 * are (ack, retry, dead letter), reloads, and stops. Whatever fails meanwhile, that must come to one of two
 * ends: a clear error, or all of it done. */
#ifndef FAULTS_SCENARIO_H
#define FAULTS_SCENARIO_H

enum scenario_end {
    SCENARIO_DONE = 0,
    SCENARIO_REFUSED = 1, /* with an error's text, and every message where it was */
    SCENARIO_GAVE_UP = 2, /* could not even stop in good order: the process ends, as the program's would */
    SCENARIO_WRONG = 3,   /* a promise is broken; what, is on standard error */
};

/* Lives it, in a process of its own. `folder` is for its files. */
enum scenario_end scenario_run(const char *folder);

#endif
