/* What lives on a loop beside its tasks. */
#include "loop_state.h"

void loop_keep(struct loop *loop, struct loop_resident *resident)
{
    list_append(&loop->residents, &resident->link);
}

void loop_leave(struct loop_resident *resident)
{
    list_remove(&resident->link);
}

struct loop_resident *loop_find(struct loop *loop, const void *kind)
{
    list_each (link, &loop->residents) {
        struct loop_resident *resident = list_entry(link, struct loop_resident, link);
        if (resident->kind == kind)
            return resident;
    }
    return NULL;
}

void residents_destroy(struct loop *loop)
{
    struct list *link;
    while ((link = list_take_first(&loop->residents)) != NULL) {
        struct loop_resident *resident = list_entry(link, struct loop_resident, link);
        resident->destroy(resident);
    }
}
