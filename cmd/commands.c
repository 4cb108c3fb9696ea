/* What the commands are called, and what their help says. */
#include "commands.h"
#include <string.h>

static const char run_usage[] =
    "Consumes the queues of the configuration until it is told to stop. This is the default\n"
    "command: \"whippet\" and \"whippet -c FILE\" do the same.\n"
    "\n"
    "usage: whippet run [-c FILE] [--wait]\n"
    "\n"
    "  -c, --config FILE   the configuration; without it whippet.json in the current folder,\n"
    "                      else /etc/whippet/whippet.json\n"
    "  -w, --wait          does not end with 78 over a configuration that can't work: says once\n"
    "                      what is wrong and starts when it is mended. For container engines\n"
    "                      that would start it again and again\n"
    "\n"
    "It waits for the broker for as long as it takes. SIGTERM or SIGINT ends it in order:\n"
    "what has begun is finished, what has not goes back to its queue. A second one ends it\n"
    "at once. SIGUSR1 logs every message in flight. SIGHUP reads the configuration and the\n"
    "processors anew; what did not change goes on untouched.\n"
    "\n"
    "  whippet run\n"
    "  AMQP_URL=amqp://me:secret@rabbit/ whippet run -c deploy/whippet.json\n";

static const char check_usage[] =
    "Checks the configuration, the processors and their settings; prints what it understood\n"
    "and how much memory it can take at most. Needs no broker.\n"
    "\n"
    "usage: whippet check [-c FILE] [--broker [--management URL] [--json]]\n"
    "\n"
    "  -c, --config FILE   the configuration; without it whippet.json in the current folder,\n"
    "                      else /etc/whippet/whippet.json\n"
    "  -b, --broker        compares it with what the broker has, and prints what differs, each\n"
    "                      with its fix; creates nothing and takes no message\n"
    "      --management URL\n"
    "                      asks RabbitMQ's management API for the limits of queues, too;\n"
    "                      without it, that of the configuration (management.url)\n"
    "  -j, --json          what was found as a JSON object a line\n"
    "\n"
    "Exits with 78 when anything is wrong, and names all of it at once. With --broker: 0 when\n"
    "the broker has what is wanted, 1 when not, 69 when it can't be reached.\n"
    "\n"
    "  whippet check -c whippet.json && docker compose up -d\n"
    "  whippet check --broker --management http://localhost:15672\n";

static const char try_usage[] =
    "Runs one attempt of a processor on a message, as the worker would; no broker needed.\n"
    "\n"
    "usage: whippet try [OPTIONS] PROCESSOR\n"
    "\n"
    "PROCESSOR is a name (see \"whippet processors\") or the path of a shared object.\n"
    "\n"
    "  -s, --settings JSON       its settings, as in the configuration: '{\"option\": value}'\n"
    "  -m, --message FILE        the body; - is standard input; without it the body is empty.\n"
    "                            Given several times: as many messages, at once\n"
    "      --lines FILE          a message for each line of FILE; - is standard input\n"
    "  -r, --run MODE            loop, thread or process; without it, as the processor wishes\n"
    "  -H, --header NAME=VALUE   a header of the message; may be given several times\n"
    "      --content-type TYPE   properties of the message\n"
    "      --message-id ID\n"
    "      --correlation-id ID\n"
    "      --reply-to QUEUE\n"
    "      --type TYPE\n"
    "      --app-id ID\n"
    "  -e, --exchange NAME       where the message seems to come from\n"
    "  -k, --routing-key KEY\n"
    "  -q, --queue NAME\n"
    "  -n, --attempt N           which of five attempts it is (default 1)\n"
    "  -a, --all-attempts        goes on, without a pause, until an attempt does not ask for\n"
    "                            another or the fifth has failed\n"
    "  -t, --timeout DURATION    for one attempt, e.g. 30s (default 5m)\n"
    "  -p, --path FOLDER         where to look for processors; may be given several times\n"
    "  -v, --verbose             shows what it logs at the level debug, too\n"
    "      --json                prints a line of JSON for each attempt\n"
    "\n"
    "Prints the verdict, its reason, the time taken, the deepest stack that was used, and what\n"
    "it wanted to publish (nothing is published). Exits with 0 for ACK, of all messages, 1 for\n"
    "RETRY and REJECT, 78 when the processor cannot be loaded or its settings are wrong.\n"
    "\n"
    "  echo '{\"id\": 7}' | whippet try log --message -\n"
    "  whippet try ./build/orders.so -m order.json -s '{\"database\": \"test\"}' -k orders.new\n"
    "  whippet try exec -s '{\"command\": [\"./send-mail\"]}' -m mail.json --all-attempts\n"
    "  whippet try ./build/orders.so --run process --lines orders.jsonl\n";

static const char publish_usage[] =
    "Publishes messages and waits until the broker has confirmed each of them.\n"
    "\n"
    "usage: whippet publish [OPTIONS] QUEUE\n"
    "       whippet publish [OPTIONS] --exchange NAME --routing-key KEY\n"
    "\n"
    "  -e, --exchange NAME       publishes to this exchange\n"
    "  -k, --routing-key KEY     with this routing key\n"
    "  -f, --file FILE           the body; - is standard input, as when nothing is given\n"
    "      --body TEXT           the body itself; {n} in it becomes the message's number\n"
    "  -n, --count N             how many messages (default 1)\n"
    "  -r, --rate N              how many a second; without it, as fast as they are confirmed\n"
    "  -H, --header NAME=VALUE   a header; may be given several times\n"
    "      --content-type TYPE   properties of the messages; {n} works in the id, too\n"
    "      --message-id ID\n"
    "      --correlation-id ID\n"
    "      --reply-to QUEUE\n"
    "      --type TYPE\n"
    "      --expiration MS       milliseconds until the broker drops it\n"
    "      --priority N          0 to 255\n"
    "      --transient           the broker need not keep them on disk\n"
    "  -u, --url URL             the broker; without it AMQP_URL, RABBITMQ_URL or localhost\n"
    "      --password-file FILE  holds the password; without it, and where --url has none,\n"
    "                            AMQP_PASSWORD_FILE names one\n"
    "      --ca FILE             whose CA the broker's certificate must come from (amqps://)\n"
    "      --cert FILE           the certificate to show, with --key; logs in where there is\n"
    "      --key FILE            no password\n"
    "  -c, --config FILE         the broker of this worker's configuration, in place of those\n"
    "  -q, --quiet               shows no progress\n"
    "\n"
    "Exits with 1 when a message was not confirmed, no queue took it, or FILE can't be read,\n"
    "and with 69 when the broker cannot be reached.\n"
    "\n"
    "  echo hello | whippet publish orders\n"
    "  whippet publish orders --body 'order {n}' --count 10000 --rate 500\n"
    "  whippet publish -e shop -k orders.new -f order.json -H tenant=acme\n";

static const char dead_usage[] =
    "Looks at dead letters, sends them back to where they failed, or throws them away.\n"
    "\n"
    "usage: whippet dead list [OPTIONS] [QUEUE...]\n"
    "       whippet dead show [OPTIONS] QUEUE\n"
    "       whippet dead replay [OPTIONS] QUEUE\n"
    "       whippet dead purge [OPTIONS] QUEUE\n"
    "\n"
    "QUEUE is the dead-letter queue. Without one, list shows those of the configuration.\n"
    "\n"
    "  -n, --limit N          list: looks at the first N (default 100) for reasons and age;\n"
    "                         show, replay, purge: at most N that match (show: default 10)\n"
    "      --reason REASON    only those that died of it: retry-exhausted, rejected, timeout,\n"
    "                         crash, too-large, expired, maxlen, an exception's class\n"
    "      --match TEXT       only those with TEXT in the body, a header or another property\n"
    "      --to QUEUE         replay: all to this queue\n"
    "      --exchange         replay: to the exchange they were published to at first, and so\n"
    "                         to every queue that is bound to it\n"
    "  -r, --rate N           replay: how many a second\n"
    "      --dry-run          replay, purge: says what it would do with the first 2000\n"
    "      --bytes N          show: how much of a body (default 1024)\n"
    "  -j, --json             list, show: a JSON object a line\n"
    "  -y, --yes              purge: without a question\n"
    "  -q, --quiet            shows no progress\n"
    "      --management URL   list: every queue whose name ends in .dead, .dlq, _error or\n"
    "                         _skipped, as RabbitMQ's management API tells\n"
    "  -u, --url URL          the broker; without it AMQP_URL, RABBITMQ_URL or localhost\n"
    "      --password-file FILE, --ca FILE, --cert FILE, --key FILE\n"
    "                         as with \"whippet publish\"\n"
    "  -c, --config FILE      the broker of this worker's configuration, in place of those\n"
    "\n"
    "replay publishes a message, waits for the broker's confirm, and only then takes it out\n"
    "of the dead-letter queue. What can't be replayed stays, and is named. It stops after as\n"
    "many as there were when it began. Exits with 1 when something stays that was meant.\n"
    "\n"
    "  whippet dead list\n"
    "  whippet dead show orders.dead --limit 1\n"
    "  whippet dead replay orders.dead --reason timeout --rate 50\n"
    "  whippet dead purge orders.dead --match '\"tenant\":\"test\"' --yes\n";

static const char top_usage[] =
    "Shows a worker at work: each queue's state, rate, messages in flight, waiting, retrying and\n"
    "dead-lettered, how long attempts take, its last error; the slowest tasks; the connections;\n"
    "what is not ready, and why. On a terminal once a second; elsewhere once.\n"
    "\n"
    "usage: whippet top [--admin URL | -c FILE] [--sort COLUMN] [--once | --json]\n"
    "\n"
    "  -a, --admin URL     the worker's admin port: http://host:port; without it, what the\n"
    "                      configuration says, or http://127.0.0.1:9464\n"
    "  -c, --config FILE   the worker's configuration\n"
    "  -s, --sort COLUMN   name, state, rate, flight, wait, retry, dead, latency (95 %) or\n"
    "                      broker (messages ready there, where they are known)\n"
    "  -1, --once          once and in full, on a terminal too\n"
    "  -j, --json          once, as a line of JSON: what /api/status, /readyz and /api/history\n"
    "                      say, as \"status\", \"ready\" and \"history\"\n"
    "\n"
    "Keys: q ends it; n s r f w e d l b sort by a column, and once more the other way round;\n"
    "t shows the tasks alone; the arrows, j k, space, page up and down, g G scroll.\n"
    "It waits for a worker that is away. Rates are of the last 5 s, percentiles of the last ten\n"
    "minutes. NO_COLOR=1 leaves colours out.\n"
    "\n"
    "Exits with 1 when there is nothing to show once, 78 when the configuration is wrong.\n"
    "\n"
    "  whippet top\n"
    "  ssh -t host docker compose exec worker whippet top --sort rate\n"
    "  whippet top --json | jq '.status.queues[] | select(.state != \"consuming\")'\n";

static const char processors_usage[] =
    "Lists the processors there are, or tells what one of them takes as its settings.\n"
    "\n"
    "usage: whippet processors [-p FOLDER]... [NAME]\n"
    "\n"
    "  -p, --path FOLDER   where to look; may be given several times; without it \"processors\"\n"
    "                      in the current folder, the build tree of the program, and the\n"
    "                      folder that processors are installed to\n"
    "\n"
    "Exits with 1 when one cannot be loaded; the reason is on standard error.\n"
    "\n"
    "  whippet processors\n"
    "  whippet processors exec\n"
    "  whippet processors ./build/orders.so\n";

static const char new_usage[] =
    "Makes a folder for a new processor that builds, tests and runs as it is: source, tests,\n"
    "CMakeLists.txt, configuration, README and Dockerfile.\n"
    "\n"
    "usage: whippet new NAME [DIR]\n"
    "\n"
    "NAME is the processor's name: letters, digits and underscores. DIR is the folder, which\n"
    "must not exist yet; without it, NAME in the current folder.\n"
    "\n"
    "Exits with 1 when the folder exists or cannot be written.\n"
    "\n"
    "  whippet new thumbs\n"
    "  whippet new thumbs ~/src/whippet-thumbs\n";

static const char healthcheck_usage[] =
    "Asks a worker whether it is alive, for Compose and Kubernetes. Says so in a sentence.\n"
    "\n"
    "usage: whippet healthcheck [--admin URL | -c FILE] [--fallback URL] [--ready]\n"
    "\n"
    "  -a, --admin URL     the worker's admin port: http://host:port; without it, what the\n"
    "                      configuration says, or http://127.0.0.1:9464\n"
    "  -c, --config FILE   the worker's configuration\n"
    "  -f, --fallback URL  where to ask when the configuration can't be read, or nobody is\n"
    "                      where it says: a worker stays where it was while its file is edited\n"
    "  -r, --ready         whether it consumes every queue, too; a broker that is away makes\n"
    "                      it unready, never dead\n"
    "\n"
    "Exits with 1 when it is not, or does not answer within two seconds.\n"
    "\n"
    "  whippet healthcheck\n"
    "  whippet healthcheck --admin http://worker:9464 --ready\n";

static const char version_usage[] = "Prints the version, and what it was built from and with.\n"
                                    "\n"
                                    "usage: whippet version\n";

static const char help_usage[] = "Tells about whippet, or about one of its commands.\n"
                                 "\n"
                                 "usage: whippet help [COMMAND]\n";

const struct command commands[] = {
    {"run", "consume the queues of the configuration (the default command)", run_usage, command_run},
    {"check", "check the configuration and print the memory it may take", check_usage, command_check},
    {"try", "run a processor on messages, without a broker", try_usage, command_try},
    {"publish", "publish messages and wait for their confirms", publish_usage, command_publish},
    {"dead", "list, show, replay or purge dead letters", dead_usage, command_dead},
    {"top", "show a worker at work, live", top_usage, command_top},
    {"processors", "list the processors there are, or the options of one", processors_usage,
     command_processors},
    {"new", "make a folder for a new processor, with tests", new_usage, command_new},
    {"healthcheck", "ask a worker whether it is alive, or ready", healthcheck_usage, command_healthcheck},
    {"version", "print the version", version_usage, command_version},
    {"help", "tell about a command", help_usage, command_help},
};

const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}
