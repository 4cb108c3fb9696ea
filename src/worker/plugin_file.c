#include "plugin_file.h"
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The header of the program that is running, put there by the linker: what a plugin has to match. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier): that is what the linker calls it */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_386: return "32-bit x86";
    case EM_AARCH64: return "64-bit ARM";
    case EM_ARM: return "32-bit ARM";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "64-bit POWER";
    case EM_S390: return "IBM Z";
    default: return "an unknown machine";
    }
}

static int check_identity(const char *path, const ElfW(Ehdr) * header, struct whippet_failure *failure)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s is not a shared object: build it with cc -shared -fPIC", path);
    /* Where this stands in the header is the same for every class of machine. */
    if (header->e_machine != __ehdr_start.e_machine ||
        header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
        header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA])
        return failure_set(failure, WHIPPET_E_INVALID,
                           "%s is built for %s, and this whippet for %s: rebuild it for this machine", path,
                           machine_name(header->e_machine), machine_name(__ehdr_start.e_machine));
    if (header->e_type != ET_DYN)
        return failure_set(
            failure, WHIPPET_E_INVALID,
            "%s is an object file or a program, not a shared object: build it with cc -shared -fPIC", path);
    return 0;
}

/* Whether every segment lies in the file: the pages of one that does not cannot be read. */
static int check_segments(const char *path, int descriptor, const ElfW(Ehdr) * header, uint64_t size,
                          struct whippet_failure *failure)
{
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t place = (off_t)(header->e_phoff + (uint64_t)i * sizeof segment);
        bool whole = pread(descriptor, &segment, sizeof segment, place) == (ssize_t)sizeof segment;
        if (whole && segment.p_type == PT_LOAD)
            whole = segment.p_offset <= size && segment.p_filesz <= size - segment.p_offset;
        if (!whole)
            return failure_set(failure, WHIPPET_E_INVALID,
                               "%s is cut short at %llu bytes: copy or build it again", path,
                               (unsigned long long)size);
    }
    return 0;
}

int plugin_file_check(const char *path, int descriptor, struct whippet_failure *failure)
{
    ElfW(Ehdr) header;
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot read %s: %s", path, strerrordesc_np(errno));
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, WHIPPET_E_INVALID, "%s is %s, not a shared object", path,
                           S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
    memset(&header, 0, sizeof header);
    if (pread(descriptor, &header, sizeof header, 0) < 0)
        return failure_set(failure, WHIPPET_E_SYSTEM, "cannot read %s: %s", path, strerrordesc_np(errno));
    int error = check_identity(path, &header, failure);
    return error == 0 ? check_segments(path, descriptor, &header, (uint64_t)status.st_size, failure) : error;
}
