#include <config/units.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What a number may be followed by: it is multiplied and then divided. */
struct unit {
    const char *name;
    uint64_t factor;
    uint64_t divisor;
};

static const struct unit duration_units[] = {
    {"d", 86400, 1}, {"h", 3600, 1}, {"m", 60, 1}, {"s", 1, 1}, {"ms", 1, 1000}, {"", 1, 1},
};

static const struct unit size_units[] = {
    {"", 1, 1},
    {"B", 1, 1},
    {"kB", 1000, 1},
    {"MB", 1000000, 1},
    {"GB", 1000000000, 1},
    {"TB", 1000000000000, 1},
    {"KiB", UINT64_C(1) << 10, 1},
    {"MiB", UINT64_C(1) << 20, 1},
    {"GiB", UINT64_C(1) << 30, 1},
    {"TiB", UINT64_C(1) << 40, 1},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A number without sign or exponent: digits / scale. By hand, as strtod minds the locale and takes much more.
 */
struct decimal {
    uint64_t digits;
    uint64_t scale; /* a power of ten */
};

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* The end of the number, or NULL when there is none or it has more than 18 digits. */
static const char *read_decimal(const char *text, struct decimal *decimal)
{
    enum {
        MOST_DIGITS = 18
    };
    int count = 0;
    *decimal = (struct decimal){.scale = 1};
    for (; is_digit(*text); text++, count++) {
        if (count < MOST_DIGITS)
            decimal->digits = decimal->digits * 10 + (uint64_t)(*text - '0');
    }
    if (count == 0)
        return NULL;
    if (*text == '.') {
        if (!is_digit(*++text))
            return NULL;
        for (; is_digit(*text); text++, count++) {
            if (count < MOST_DIGITS) {
                decimal->digits = decimal->digits * 10 + (uint64_t)(*text - '0');
                decimal->scale *= 10;
            }
        }
    }
    return count <= MOST_DIGITS ? text : NULL;
}

static const struct unit *find_unit(const char *name, const struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    }
    return NULL;
}

bool duration_parse(const char *text, double *seconds)
{
    struct decimal decimal;
    const char *end = read_decimal(text, &decimal);
    const struct unit *unit = end != NULL ? find_unit(end, duration_units, COUNT(duration_units)) : NULL;
    if (unit == NULL)
        return false;
    /* One division, so that it is rounded once and "0.25s" equals "250ms". */
    double divisor = (double)decimal.scale * (double)unit->divisor;
    *seconds = (double)decimal.digits * (double)unit->factor / divisor;
    return true;
}

bool size_parse(const char *text, uint64_t *bytes)
{
    struct decimal decimal;
    const char *end = read_decimal(text, &decimal);
    if (end == NULL)
        return false;
    if (*end == ' ' && end[1] != '\0')
        end++;
    const struct unit *unit = find_unit(end, size_units, COUNT(size_units));
    if (unit == NULL)
        return false;
    unsigned __int128 product = (unsigned __int128)decimal.digits * unit->factor;
    if (product % decimal.scale != 0 && unit->factor == 1)
        return false;
    unsigned __int128 rounded = (product + decimal.scale / 2) / decimal.scale;
    if (rounded > INT64_MAX)
        return false;
    *bytes = (uint64_t)rounded;
    return true;
}

/* Writes `seconds` in that unit if some digits do it exactly. */
static bool format_exactly(double seconds, const struct unit *unit, char *text)
{
    enum {
        MOST_PLACES = 6
    };
    double number = seconds * (double)unit->divisor / (double)unit->factor;
    for (int places = 0; places <= MOST_PLACES; places++) {
        double back;
        int length = snprintf(text, UNITS_TEXT_SIZE, "%.*f%s", places, number, unit->name);
        if (length < UNITS_TEXT_SIZE && duration_parse(text, &back) && back == seconds)
            return true;
    }
    return false;
}

void duration_format(double seconds, char *text)
{
    snprintf(text, UNITS_TEXT_SIZE, "%.6gs", seconds);
    if (seconds == 0)
        return; /* as long in every unit */
    size_t shortest = SIZE_MAX;
    for (size_t i = 0; duration_units[i].name[0] != '\0'; i++) {
        char candidate[UNITS_TEXT_SIZE] = "";
        if (!format_exactly(seconds, &duration_units[i], candidate))
            continue;
        /* Of two that are as long, the one without a point: "250ms" rather than "0.25s". */
        size_t length = strlen(candidate) * 2 + (strchr(candidate, '.') != NULL ? 1 : 0);
        if (length < shortest) {
            shortest = length;
            memcpy(text, candidate, sizeof candidate);
        }
    }
}

void size_format(uint64_t bytes, char *text)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double number = (double)bytes;
    /* From what would be rounded to 1024 on, the next unit. */
    while (number >= 1023.5 && unit + 1 < COUNT(names)) {
        if (unit == 0 && bytes < 1024)
            break;
        number /= 1024;
        unit++;
    }
    int places = unit == 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
    snprintf(text, UNITS_TEXT_SIZE, "%.*f", places, number);
    size_t length = strlen(text);
    if (strchr(text, '.') != NULL) {
        while (text[length - 1] == '0')
            length--;
        if (text[length - 1] == '.')
            length--;
    }
    snprintf(text + length, UNITS_TEXT_SIZE - length, " %s", names[unit]);
}
