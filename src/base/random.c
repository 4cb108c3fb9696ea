#include <base/clock.h>
#include <base/random.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

__attribute__((noinline)) static uint64_t seed(void)
{
    uint64_t bits;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) == (ssize_t)sizeof bits)
        return bits;
    double now = clock_wall();
    memcpy(&bits, &now, sizeof bits);
    return bits ^ (uint64_t)getpid() << 48;
}

/* SplitMix64, one state for each thread. */
uint64_t random_bits(void)
{
    static _Thread_local uint64_t state; /* 0: not seeded */
    uint64_t bits = (state != 0 ? state : seed()) + 0x9e3779b97f4a7c15u;
    state = bits;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

double random_unit(void)
{
    enum {
        MANTISSA_BITS = 53
    };
    return (double)(random_bits() >> (64 - MANTISSA_BITS)) / (double)(UINT64_C(1) << MANTISSA_BITS);
}
