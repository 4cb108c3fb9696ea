#include <base/bytes.h>
#include <base/memory.h>
#include <criterion/criterion.h>
#include <stats/in_flight.h>
#include <stdint.h>
#include <stdio.h>

static struct in_flight_board board;

static void begin(void)
{
    in_flight_board_init(&board);
}

static void end(void)
{
    in_flight_board_destroy(&board);
}

TestSuite(in_flight, .init = begin, .fini = end);

static bool add(struct in_flight_list *list, const char *queue, whippet_bytes id)
{
    const struct in_flight_row row = {.queue = queue, .processor = "log", .state = "sleeping", .attempt = 3};
    return in_flight_list_add(list, &row, id);
}

Test(in_flight, is_listed_in_the_order_it_was_added_however_much_there_is)
{
    struct in_flight_list *list = in_flight_list_create(17);
    const struct in_flight_row *row = NULL;
    char id[16];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(id, sizeof id, "m%u", i);
        cr_assert(add(list, "orders", bytes_of_text(id)));
    }
    cr_assert_eq(list->count, 10000);
    cr_assert_eq(list->as_of, 17);
    row = list->first;
    for (unsigned i = 0; i < 10000; i++, row = row->next) {
        snprintf(id, sizeof id, "m%u", i);
        cr_assert_str_eq(row->message_id, id);
        cr_assert_str_eq(row->queue, "orders");
        cr_assert_str_eq(row->processor, "log");
        cr_assert_str_eq(row->state, "sleeping");
        cr_assert_eq(row->attempt, 3);
    }
    cr_assert_null(row);
    in_flight_list_release(list);
}

Test(in_flight, has_names_cut_that_are_long_and_ids_at_a_nul)
{
    struct in_flight_list *list = in_flight_list_create(0);
    char longer[400];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int i = 0; i < 200; i++)
        cr_assert(add(list, longer, bytes_of(longer, sizeof longer - 1)));
    cr_assert(add(list, "orders", bytes_of("a\0b", 3)));
    cr_assert(add(list, "orders", bytes_of(NULL, 0)));
    for (const struct in_flight_row *row = list->first; row->next->next != NULL; row = row->next) {
        cr_assert_eq(strlen(row->queue), IN_FLIGHT_QUEUE_MAX);
        cr_assert_eq(strlen(row->message_id), IN_FLIGHT_MESSAGE_ID_MAX);
    }
    cr_assert_str_eq(list->last->message_id, "");
    in_flight_list_release(list);
}

/* The permit's own budget. */
static unsigned allowed;

static bool permit(size_t size)
{
    (void)size;
    return allowed-- > 0;
}

Test(in_flight, is_not_listed_when_memory_is_short)
{
    memory_permit = permit;
    allowed = 0;
    cr_assert_null(in_flight_list_create(0));
    allowed = 2; /* the list, and room for some */
    struct in_flight_list *list = in_flight_list_create(0);
    unsigned added = 0;
    while (add(list, "orders", bytes_of_text("m")))
        added++;
    memory_permit = NULL;
    cr_assert_gt(added, 10);
    cr_assert_eq(list->count, added);
    in_flight_list_release(list);
}

Test(in_flight, stays_in_the_hands_of_who_looks_when_a_newer_list_is_shown)
{
    struct in_flight_list *first = in_flight_list_create(1), *second = in_flight_list_create(2);
    cr_assert_null(in_flight_board_look(&board));
    cr_assert(add(first, "orders", bytes_of_text("m")));
    cr_assert(in_flight_board_show(&board, first));
    struct in_flight_list *seen = in_flight_board_look(&board);
    cr_assert(in_flight_board_show(&board, second));
    cr_assert_eq(seen, first);
    cr_assert_str_eq(seen->first->message_id, "m");
    in_flight_list_release(seen);
    seen = in_flight_board_look(&board);
    cr_assert_eq(seen, second);
    in_flight_list_release(seen);
}

Test(in_flight, is_shown_later_while_somebody_takes_hold_of_the_board)
{
    struct in_flight_list *list = in_flight_list_create(1);
    pthread_mutex_lock(&board.lock);
    cr_assert_not(in_flight_board_show(&board, list), "it waited");
    pthread_mutex_unlock(&board.lock);
    cr_assert(in_flight_board_show(&board, list));
}
