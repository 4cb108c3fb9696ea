/* The ledger's file as a crash, a disk or a stranger may have left it. The first byte chooses: the rest is
 * the whole file; or it is written over a sound one, piece by piece (two octets for the place in units of
 * eight bytes, one for the length, the bytes), whose checks may then be made right again. */
#include "../../src/worker/ledger_format.h"
#include "fuzz.h"
#include <base/log.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    WHOLE = 1,         /* the rest is the file */
    SEAL_HEADER = 2,   /* its check is right */
    SEAL_SUSPECTS = 4, /* theirs are */
    SAME_BOOT = 8      /* the regions are of this run of the machine */
};

static char folder[64], path[96];

static void remove_all(void)
{
    char name[400];
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(name);
    }
    if (entries != NULL)
        closedir(entries);
}

static void leave(void)
{
    remove_all();
    rmdir(folder);
}

static void prepare(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/whippet-fuzz-XXXXXX", base);
    FUZZ_PROMISE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/whippet-%d.ledger", folder, LEDGER_VERSION);
    log_configure(open("/dev/null", O_WRONLY), WHIPPET_DEBUG, LOG_FORMAT_TEXT);
    atexit(leave);
}

static void patch(struct ledger_image *image, const uint8_t *data, size_t size)
{
    uint8_t *bytes = (uint8_t *)image;
    while (size >= 3) {
        size_t place = ((size_t)data[0] << 8 | data[1]) * 8 % sizeof *image;
        size_t length = data[2] < size - 3 ? data[2] : size - 3;
        if (length > sizeof *image - place)
            length = sizeof *image - place;
        memcpy(bytes + place, data + 3, length);
        data += 3 + length;
        size -= 3 + length;
    }
}

static void seal(struct ledger_image *image, unsigned choice)
{
    if ((choice & SEAL_HEADER) != 0)
        ledger_header_seal(&image->header);
    for (size_t i = 0; i < LEDGER_WORKERS && (choice & SAME_BOOT) != 0; i++)
        ledger_read_boot(image->regions[i].boot);
    for (size_t i = 0; i < LEDGER_SUSPECTS && (choice & SEAL_SUSPECTS) != 0; i++) {
        struct ledger_suspect *suspect = &image->suspects[i];
        if (suspect->crashes != 0)
            suspect->check = XXH3_64bits((char *)suspect + 8, sizeof *suspect - 8) | 1;
    }
}

static void write_file(const uint8_t *data, size_t size)
{
    static struct ledger_image image;
    const void *from = data + 1;
    size_t length = size - 1;
    if ((data[0] & WHOLE) == 0) {
        memset(&image, 0, sizeof image);
        ledger_header_fill(&image.header);
        patch(&image, data + 1, size - 1);
        seal(&image, data[0]);
        from = &image;
        length = sizeof image;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    FUZZ_PROMISE(file >= 0 && write(file, from, length) == (ssize_t)length);
    close(file);
}

static void ask(struct ledger *ledger, const uint8_t *data, size_t size)
{
    struct task_label label = {0};
    struct suspicion suspicion;
    char words[SUSPICION_TEXT];
    memcpy(label.bytes, data, size < sizeof label.bytes ? size : sizeof label.bytes);
    if (ledger_find_suspect(ledger, &label, &suspicion))
        suspicion_describe(&suspicion, words);
    ledger_forget(ledger, &label);
    FUZZ_PROMISE(!ledger_find_suspect(ledger, &label, &suspicion) || !ledger_is_kept(ledger));
    FUZZ_PROMISE(ledger_suspects(ledger) <= LEDGER_SUSPECTS);
}

static bool open_and_ask(const uint8_t *data, size_t size)
{
    char text[4096];
    struct whippet_failure why;
    ledger_describe(folder, text, sizeof text);
    struct ledger *ledger = ledger_open(folder, &why);
    FUZZ_PROMISE(ledger != NULL);
    bool kept = ledger_is_kept(ledger);
    FUZZ_PROMISE(kept == (why.error == 0) && (kept || why.text[0] != '\0'));
    FUZZ_PROMISE(ledger_suspects(ledger) <= LEDGER_SUSPECTS);
    ask(ledger, data, size);
    ledger_describe(folder, text, sizeof text);
    ledger_close(ledger);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (folder[0] == '\0')
        prepare();
    write_file(data, size);
    /* What was taken once is taken again; what is foreign stays. */
    bool kept = open_and_ask(data, size);
    FUZZ_PROMISE(open_and_ask(data, size) == kept);
    remove_all();
    return 0;
}
