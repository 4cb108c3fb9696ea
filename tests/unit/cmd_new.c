#include "cmd_testing.h"
#include <sys/stat.h>

static char folder[] = "/tmp/whippet-new-XXXXXX";

static void enter(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void leave(void)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(new, .init = enter, .fini = leave, .timeout = 60);

static void assert_file_says(const char *path, const char *part)
{
    static char text[MOST_TEXT];
    int file = open(path, O_RDONLY);
    cr_assert_geq(file, 0, "%s is missing", path);
    read_back(file, text);
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in %s: %s", part, path, text);
    cr_assert_null(strstr(text, "@NAME@"), "%s holds a place that was not filled", path);
}

Test(new, makes_every_file_with_the_name_in_its_place)
{
    whippet("", "new", "thumbs", NULL);
    assert_code(0);
    assert_file_says("thumbs/thumbs.c", ".name = \"thumbs\"");
    assert_file_says("thumbs/tests/thumbs_test.c", "Test(thumbs, ");
    assert_file_says("thumbs/CMakeLists.txt", "whippet_add_processor(thumbs thumbs.c)");
    assert_file_says("thumbs/whippet.json", "\"processor\": \"thumbs\"");
    assert_file_says("thumbs/README.md", "# thumbs");
    assert_file_says("thumbs/Dockerfile", "docker build -t thumbs .");
    assert_file_says("thumbs/.gitignore", "/processors/");
    assert_file_says("thumbs/.dockerignore", "processors");
}

Test(new, tells_the_next_commands)
{
    whippet("", "new", "thumbs", "elsewhere", NULL);
    assert_code(0);
    assert_contains(result.output, "  cd elsewhere\n"
                                   "  cmake -B build && cmake --build build && ctest --test-dir build\n"
                                   "  echo '{\"name\": \"Ada\"}' | whippet try thumbs --message -\n");
    assert_file_says("elsewhere/thumbs.c", ".name = \"thumbs\"");
}

Test(new, leaves_what_exists_alone)
{
    cr_assert_eq(mkdir("thumbs", 0777), 0);
    whippet("", "new", "thumbs", NULL);
    assert_code(1);
    assert_contains(result.error, "whippet new: thumbs exists already, and is left as it is");
    cr_assert_eq(rmdir("thumbs"), 0);
}

Test(new, says_why_a_folder_cannot_be_made)
{
    whippet("", "new", "thumbs", "no/such/folder", NULL);
    assert_code(1);
    assert_contains(result.error, "can't make the folder no/such/folder: No such file or directory");
}

Test(new, refuses_what_is_no_name)
{
    static const struct {
        const char *name;
        const char *expected;
    } cases[] = {
        {"", "\"\" is no name for a processor"},
        {"9lives", "begins with no digit"},
        {"two-words", "letters, digits and underscores"},
        {"r\u00e9sum\u00e9", "letters, digits and underscores"},
        {"../thumbs", "the folder comes second: whippet new NAME DIR"},
        {"for", "\"for\" means something to C or CMake already"},
        {"test", "\"test\" means something to C or CMake already"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the name has 66 letters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        whippet("", "new", cases[i].name, NULL);
        assert_code(64);
        assert_contains(result.error, cases[i].expected);
    }
    whippet("", "new", NULL);
    assert_code(64);
    assert_contains(result.error, "which name is the processor to have?");
    whippet("", "new", "a", "b", "c", NULL);
    assert_code(64);
    assert_contains(result.error, "found \"c\" as well");
}
