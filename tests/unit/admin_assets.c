#include "../../src/admin/assets.h"
#include <criterion/criterion.h>
#include <string.h>

Test(assets, are_found_by_their_path_alone)
{
    cr_assert_not_null(asset_find("/"));
    cr_assert_not_null(asset_find("/dashboard/main.js"));
    cr_assert_null(asset_find("/dashboard/"));
    cr_assert_null(asset_find("/dashboard/main.js/"));
    cr_assert_null(asset_find(""));
}

Test(assets, have_a_type_a_tag_and_both_forms)
{
    for (size_t i = 0; i < ASSET_COUNT; i++) {
        const struct asset *asset = &ASSETS[i];
        cr_assert_neq(asset->content_type[0], '\0', "%s", asset->path);
        cr_assert_eq(strncmp(asset->etag, "W/\"", 3), 0, "%s", asset->path);
        cr_assert_gt(asset->plain.size, 0, "%s", asset->path);
        cr_assert_eq(asset->gzip.data[0], 0x1f, "%s is not compressed", asset->path);
        cr_assert_eq(asset->gzip.data[1], 0x8b, "%s is not compressed", asset->path);
    }
}

Test(assets, hold_no_code_that_makes_markup_of_text)
{
    static const char *const FORBIDDEN[] = {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                                            "eval("};
    for (size_t i = 0; i < ASSET_COUNT; i++) {
        const struct asset *asset = &ASSETS[i];
        if (strstr(asset->path, "uplot") != NULL || strstr(asset->path, "dom.js") != NULL)
            continue; /* not ours; and a comment that says so */
        for (size_t word = 0; word < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; word++)
            cr_assert_null(
                memmem(asset->plain.data, asset->plain.size, FORBIDDEN[word], strlen(FORBIDDEN[word])),
                "%s has %s", asset->path, FORBIDDEN[word]);
    }
}

Test(assets, are_current_where_the_client_has_their_tag)
{
    const struct asset *asset = asset_find("/");
    char header[100] = "W/\"0123456789abcdef\", ";
    cr_assert_not(asset_is_current(asset, NULL));
    cr_assert_not(asset_is_current(asset, header));
    strcat(header, asset->etag);
    cr_assert(asset_is_current(asset, header));
    cr_assert(asset_is_current(asset, "*"));
}

Test(assets, go_compressed_where_that_is_accepted)
{
    cr_assert(asset_goes_compressed("gzip"));
    cr_assert(asset_goes_compressed("br, deflate, GZIP;q=0.5"));
    cr_assert(asset_goes_compressed("gzip ; q=1"));
    cr_assert_not(asset_goes_compressed(NULL));
    cr_assert_not(asset_goes_compressed(""));
    cr_assert_not(asset_goes_compressed("br, gzipped"));
    cr_assert_not(asset_goes_compressed("gzip;q=0"));
    cr_assert_not(asset_goes_compressed("gzip; q=0.000, br"));
    cr_assert_not(asset_goes_compressed(",,, ,"));
}
