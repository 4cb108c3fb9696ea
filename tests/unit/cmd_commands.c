/* The program's own words: which commands there are, help, version, and mistakes in the command line. */
#include "cmd_testing.h"

static const char *const commands[] = {"run",        "check", "try",         "publish", "dead",
                                       "processors", "new",   "healthcheck", "version", "help"};

enum {
    COMMANDS = sizeof commands / sizeof commands[0]
};

TestSuite(commands, .timeout = 60);

Test(commands, are_listed_by_help)
{
    whippet("", "help", NULL);
    assert_code(0);
    for (int i = 0; i < COMMANDS; i++) {
        char line[40];
        snprintf(line, sizeof line, "\n  %-12s", commands[i]);
        assert_contains(result.output, line);
    }
    cr_assert_str_empty(result.error);
}

Test(commands, are_listed_by_the_option_too)
{
    static const char *const words[] = {"--help", "-h"};
    for (int i = 0; i < 2; i++) {
        whippet("", words[i], NULL);
        assert_code(0);
        assert_contains(result.output, "usage: whippet COMMAND");
    }
}

Test(commands, have_a_help_text_each_with_their_usage)
{
    for (int i = 0; i < COMMANDS; i++) {
        char usage[40], asked[MOST_TEXT];
        snprintf(usage, sizeof usage, "\nusage: whippet %s", commands[i]);
        whippet("", "help", commands[i], NULL);
        assert_code(0);
        assert_contains(result.output, usage);
        snprintf(asked, sizeof asked, "%s", result.output);
        whippet("", commands[i], "--help", NULL);
        assert_code(0);
        cr_assert_str_eq(result.output, asked);
    }
}

Test(commands, of_the_help_fit_a_terminal)
{
    for (int i = 0; i < COMMANDS; i++) {
        whippet("", "help", commands[i], NULL);
        for (char *line = strtok(result.output, "\n"); line != NULL; line = strtok(NULL, "\n"))
            cr_assert_leq(strlen(line), 90, "%s: %s", commands[i], line);
    }
}

Test(commands, tell_the_version)
{
    static const char *const words[] = {"version", "--version", "-V"};
    for (int i = 0; i < 3; i++) {
        whippet("", words[i], NULL);
        assert_code(0);
        cr_assert_eq(strncmp(result.output, "whippet 0.", 10), 0, "%s", result.output);
        assert_contains(result.output, "processor ABI 1");
    }
}

Test(commands, that_do_not_exist_are_refused_with_a_suggestion)
{
    whippet("", "chekc", NULL);
    assert_code(64);
    cr_assert_str_eq(result.error,
                     "whippet: there is no command \"chekc\"; did you mean \"whippet check\"?\n");
    whippet("", "abracadabra", NULL);
    assert_code(64);
    cr_assert_str_eq(
        result.error,
        "whippet: there is no command \"abracadabra\"; \"whippet help\" lists those there are.\n");
    whippet("", "help", "chekc", NULL);
    assert_code(64);
}

Test(commands, refuse_options_that_do_not_exist)
{
    whippet("", "try", "--setings", "{}", NULL);
    assert_code(64);
    cr_assert_str_eq(result.error, "whippet try: there is no option --setings; did you mean --settings?\n"
                                   "See \"whippet help try\".\n");
    whippet("", "processors", "--abracadabra=1", NULL);
    assert_code(64);
    cr_assert_str_eq(result.error, "whippet processors: there is no option --abracadabra\n"
                                   "See \"whippet help processors\".\n");
    whippet("", "try", "log", "-azx", NULL);
    assert_code(64);
    assert_contains(result.error, "there is no option -z\n");
}

Test(commands, are_run_where_no_word_says_so)
{
    whippet("", "--config", "nowhere.json", "--help", NULL);
    assert_code(0);
    assert_contains(result.output, "usage: whippet run");
    whippet("", "--wait", "--abracadabra", NULL);
    assert_code(64);
    cr_assert_str_eq(result.error, "whippet run: there is no option --abracadabra\n"
                                   "See \"whippet help run\".\n");
}

Test(commands, refuse_values_where_none_belongs_and_miss_those_that_do)
{
    whippet("", "try", "log", "--all-attempts=yes", NULL);
    assert_code(64);
    assert_contains(result.error, "the option --all-attempts takes no value\n");
    whippet("", "try", "log", "--settings", NULL);
    assert_code(64);
    assert_contains(result.error, "the option --settings needs a value\n");
    whippet("", "try", "log", "-s", NULL);
    assert_code(64);
    assert_contains(result.error, "the option --settings needs a value\n");
}

Test(commands, refuse_words_too_many)
{
    whippet("", "version", "please", NULL);
    assert_code(64);
    assert_contains(result.error, "whippet version: it takes no \"please\"");
}

Test(commands, name_the_option_that_a_word_may_be_the_value_of)
{
    whippet("", "run", "my.json", NULL);
    assert_code(64);
    assert_contains(result.error, "no \"my.json\"; did you mean --config my.json?");
    whippet("", "top", "127.0.0.1:9464", NULL);
    assert_code(64);
    assert_contains(result.error, "did you mean --admin 127.0.0.1:9464?");
}

Test(commands, default_to_run)
{
    whippet("", "-c", "/no/such/file.json", NULL);
    assert_code(78);
    assert_contains(result.error, "/no/such/file.json");
}

Test(commands, report_output_that_cannot_be_written)
{
    const char *words[] = {"whippet", "help", NULL};
    int in = file_with(""), error = file_with(""), full = open("/dev/full", O_WRONLY);
    cr_assert_eq(wait_for(start(in, full, error, words)), 1);
    read_back(error, result.error);
    assert_contains(result.error, "cannot write to standard output: No space left on device");
    close(in);
    close(full);
}

Test(commands, end_quietly_when_their_reader_has_gone)
{
    const char *words[] = {"whippet", "help", NULL};
    int in = file_with(""), error = file_with(""), ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_assert_eq(wait_for(start(in, ends[1], error, words)), 1);
    read_back(error, result.error);
    cr_assert_str_empty(result.error);
    close(in);
    close(ends[1]);
}

Test(commands, work_with_their_standard_descriptors_closed)
{
    pid_t child = fork();
    if (child == 0) {
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        execl(program(), "whippet", "try", "log", (char *)NULL);
        _exit(127);
    }
    cr_assert_eq(wait_for(child), 0);
}
