/*
 * photo_tables.h: integer logarithms and logistic curves, the same on every machine.
 *
 * Distributions are curves of the logistic function, of LEVELS widths 2^((level - 40) / 8), at
 * WINDOW + 1 edges a sample apart and 16 positions between two samples. They are made at start,
 * by integers, from the eight constants below; LOSSLESS.md gives their checksum.
 */
#ifndef LICTOR_PHOTO_TABLES_H
#define LICTOR_PHOTO_TABLES_H

#include <stdint.h>
#if defined(_MSC_VER)
#include <intrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
#endif

enum {
    WINDOW = 64,                /* values that have a probability of their own */
    EDGES = WINDOW + 1,
    MARGIN = 8,                 /* edges before and after, for curves that lie elsewhere */
    EDGES_ROOM = EDGES + 2 * MARGIN,
    HALF = WINDOW / 2 + MARGIN + 1,
    PHASES = 16,                /* positions of a curve between two samples */
    LEVELS = 64,                /* widths, eight an octave */
    LEVEL_OF_ONE = 40           /* the level of width 1 */
};

/* curve[level][phase][i]: 2^16 times the logistic function at (i - MARGIN - 32 - phase / 16) / width. */
static uint16_t curve[LEVELS][PHASES][EDGES_ROOM];

/* 2^32 exp(-1 / (16 width)) of the widest eight levels. */
static const uint32_t widest[8] = {
    4228379999u, 4233866970u, 4238904802u, 4243529782u,
    4247775344u, 4251672274u, 4255248917u, 4258531358u,
};

ALWAYS_INLINE int highest_bit(uint32_t v)       /* v > 0 */
{
#if defined(__GNUC__) || defined(__clang__)
    return 31 - __builtin_clz(v);
#elif defined(_MSC_VER)
    unsigned long at;
    _BitScanReverse(&at, v);
    return (int)at;
#else
    int at = 0;
    while (v >>= 1)
        at++;
    return at;
#endif
}

/* fraction[m]: floor(8 log2(1 + m / 64)) */
static uint8_t fraction[64];

/* About 8 log2(v), for v > 0. */
ALWAYS_INLINE int log_eighths(uint32_t v)
{
    int at = highest_bit(v);
    uint32_t top = at >= 6 ? v >> (at - 6) : v << (6 - at);
    return 8 * at + fraction[top & 63];
}

/* first_root[i]: about 2^34.5 / sqrt(i + 32.5), a start for inverse_root(). */
static uint32_t first_root[96];

/* flatness[l]: 2^16 / sqrt(1 + e^2 / 250), for energies e = 2^(l / 8) / 128: see photo_predict.h. */
static uint32_t flatness[256];

static uint64_t square_root(uint64_t v)         /* rounded down */
{
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= v)
            root += bit;
    return root;
}

static void make_roots(void)
{
    static const uint32_t eighths[8] = {256, 279, 304, 332, 362, 395, 431, 470};
    for (uint32_t i = 0; i < 96; i++)
        first_root[i] = (uint32_t)square_root(((uint64_t)1 << 63) / (2 * i + 65) * 2) << 3;
    for (int l = 0; l < 256; l++) {
        uint64_t energy = (uint64_t)eighths[l & 7] << (l >> 3) >> 8;
        uint64_t one = 250 * 128 * 128;
        flatness[l] = (uint32_t)square_root(((one << 32) / (one + energy * energy)));
    }
}

static void make_curves(void)
{
    for (int m = 0; m < 64; m++) {
        /* (1 + m / 64)^8 >= 2^n, in integers: 64 + m has 7 bits, its 8th power 56. */
        uint64_t power = (uint64_t)(64 + m);
        power *= power;
        power *= power;
        power *= power;
        fraction[m] = (uint8_t)(highest_bit((uint32_t)(power >> 32)) + 32 - 48);
    }
    uint64_t ratio[LEVELS];
    for (int level = LEVELS - 1; level >= 0; level--)
        ratio[level] = level >= LEVELS - 8 ? widest[level - (LEVELS - 8)]
                                           : ratio[level + 8] * ratio[level + 8] >> 32;
    for (int level = 0; level < LEVELS; level++) {
        uint64_t fall = (uint64_t)1 << 32;
        /* Sixteenths of a sample from the middle, where the function is 1 / (1 + exp(-x)). */
        for (int distance = 0; distance <= HALF * PHASES; distance++) {
            uint64_t upper = ((uint64_t)1 << 48) / (((uint64_t)1 << 32) + fall);
            for (int side = -1; side <= 1; side += 2) {
                int at = side * distance + HALF * PHASES;   /* 16 i + 16 - phase */
                int phase = -at & (PHASES - 1);
                int i = (at + phase) / PHASES - 1;
                uint64_t value = side > 0 ? upper : 65536 - upper;
                if (i >= 0 && i < EDGES_ROOM)
                    curve[level][phase][i] = (uint16_t)(value < 65535 ? value : 65535);
            }
            fall = fall * ratio[level] >> 32;
        }
    }
}

#endif
