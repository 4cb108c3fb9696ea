/* Whether a document that was read back is the one that was written. */
#ifndef ARANGODB_LIKENESS_H
#define ARANGODB_LIKENESS_H

#include <whippet/processor.h>

enum likeness {
    LIKENESS_EQUAL,    /* the same members with the same values */
    LIKENESS_INCLUDES, /* that holds for what was written; there may be more, also in objects within */
};

/* Compares two objects as ArangoDB keeps them: the order of members means nothing, of two with one name the
 * last counts, numbers are as good as a double, and what the server itself puts into a document ("_id",
 * "_rev", all that begins with '_' and was not written) is passed over. Does not suspend, whatever task is
 * for. True, false; `*is_starved` when memory is short. */
bool likeness_holds(whippet_task *task, enum likeness likeness, whippet_json_value written,
                    whippet_json_value found, bool *is_starved);

#endif
