/* What lives on a loop beside its tasks. */
#include <async/loop.h>
#include <criterion/criterion.h>

struct guest {
    struct loop_resident resident;
    int destroyed;
};

static const char one, other;
static struct loop *loop;

static void destroy_guest(struct loop_resident *resident)
{
    list_entry(resident, struct guest, resident)->destroyed++;
}

static void open_loop(void)
{
    loop = loop_create(64 * 1024, NULL);
    cr_assert_not_null(loop);
}

TestSuite(resident, .init = open_loop, .timeout = 60);

Test(resident, is_found_by_its_kind)
{
    struct guest first = {.resident = {.kind = &one, .destroy = destroy_guest}};
    struct guest second = {.resident = {.kind = &other, .destroy = destroy_guest}};
    cr_assert_null(loop_find(loop, &one));
    loop_keep(loop, &first.resident);
    cr_assert_null(loop_find(loop, &other));
    loop_keep(loop, &second.resident);
    cr_assert_eq(loop_find(loop, &one), &first.resident);
    cr_assert_eq(loop_find(loop, &other), &second.resident);
    loop_destroy(loop);
}

Test(resident, is_destroyed_with_the_loop)
{
    struct guest guest = {.resident = {.kind = &one, .destroy = destroy_guest}};
    loop_keep(loop, &guest.resident);
    loop_destroy(loop);
    cr_assert_eq(guest.destroyed, 1);
}

Test(resident, may_leave_before)
{
    struct guest guest = {.resident = {.kind = &one, .destroy = destroy_guest}};
    loop_keep(loop, &guest.resident);
    loop_leave(&guest.resident);
    cr_assert_null(loop_find(loop, &one));
    loop_destroy(loop);
    cr_assert_eq(guest.destroyed, 0);
}
