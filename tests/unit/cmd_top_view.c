/* What the keys of whippet top do. */
#include "../../cmd/top_view.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

Test(top_view, ends_at_q)
{
    struct top_view view = {0};
    cr_assert_eq(top_view_press(&view, 'q'), TOP_QUIT);
    cr_assert_eq(top_view_press(&view, 'Q'), TOP_QUIT);
}

Test(top_view, sorts_by_the_key_of_a_column_and_turns_the_order_round_at_the_second_press)
{
    struct top_view view = {.scroll = 7};
    for (enum top_sort sort = TOP_SORT_STATE; sort < TOP_SORT_COUNT; sort++) {
        cr_assert_eq(top_view_press(&view, TOP_SORT_NAMES[sort].key), TOP_CHANGED);
        cr_assert_eq(view.sort, sort);
        cr_assert_not(view.reversed);
        cr_assert_eq(view.scroll, 0);
        top_view_press(&view, TOP_SORT_NAMES[sort].key);
        cr_assert(view.reversed);
    }
    top_view_press(&view, 'N');
    cr_assert_eq(view.sort, TOP_SORT_NAME);
    cr_assert_not(view.reversed);
}

Test(top_view, has_one_key_and_one_word_for_each_column)
{
    for (enum top_sort a = 0; a < TOP_SORT_COUNT; a++) {
        cr_assert_null(strchr("qQtjkgG ", TOP_SORT_NAMES[a].key), "%s has a key that is taken",
                       TOP_SORT_NAMES[a].word);
        for (enum top_sort b = 0; b < a; b++)
            cr_assert(TOP_SORT_NAMES[a].key != TOP_SORT_NAMES[b].key &&
                      strcmp(TOP_SORT_NAMES[a].word, TOP_SORT_NAMES[b].word) != 0);
    }
}

Test(top_view, scrolls_by_lines_and_pages_and_to_both_ends)
{
    struct top_view view = {.page = 10};
    top_view_press(&view, TOP_KEY_DOWN);
    top_view_press(&view, 'j');
    top_view_press(&view, ' ');
    cr_assert_eq(view.scroll, 12);
    top_view_press(&view, 'k');
    top_view_press(&view, TOP_KEY_PAGE_UP);
    cr_assert_eq(view.scroll, 1);
    top_view_press(&view, TOP_KEY_PAGE_UP);
    cr_assert_eq(view.scroll, 0);
    top_view_press(&view, TOP_KEY_UP);
    cr_assert_eq(view.scroll, 0);
    top_view_press(&view, 'G');
    top_view_press(&view, TOP_KEY_PAGE_DOWN);
    cr_assert_eq(view.scroll, SIZE_MAX);
    top_view_press(&view, TOP_KEY_HOME);
    cr_assert_eq(view.scroll, 0);
}

Test(top_view, scrolls_on_a_screen_too_small_for_a_line)
{
    struct top_view view = {.page = 0};
    top_view_press(&view, TOP_KEY_PAGE_DOWN);
    cr_assert_eq(view.scroll, 1);
}

Test(top_view, changes_between_queues_and_tasks)
{
    struct top_view view = {.scroll = 3};
    top_view_press(&view, 't');
    cr_assert_eq(view.pane, TOP_PANE_TASKS);
    cr_assert_eq(view.scroll, 0);
    top_view_press(&view, 't');
    cr_assert_eq(view.pane, TOP_PANE_ALL);
}

Test(top_view, leaves_other_keys_alone)
{
    struct top_view view = {0};
    cr_assert_eq(top_view_press(&view, 'x'), TOP_IGNORED);
    cr_assert_eq(top_view_press(&view, 27), TOP_IGNORED);
    cr_assert_eq(top_view_press(&view, 0x10ffff), TOP_IGNORED);
}
