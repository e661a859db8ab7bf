/*
 * direct.h: values that are coded themselves, with their prediction as their context; direct.py is
 * the same with numpy, and says what is what.
 */
#ifndef LICTOR_DIRECT_H
#define LICTOR_DIRECT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "field.h"

enum { DIRECT_BOUNDS = 128, DIRECT_STEPS = 7 };

/* sign(q) floor(sqrt(64 |q|)), of values within +-FIELD_MAX_SYMBOL: IEEE's square root makes it exact. */
FIELD_CLONES
static void direct_roots(const int32_t *restrict values, size_t n, int32_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t root = (int32_t)sqrt(64.0 * fabs((double)values[i]));
        out[i] = values[i] < 0 ? -root : root;
    }
}

/* How many bounds, in order, are at or below each prediction. bounds: DIRECT_BOUNDS, filled up with
   INT64_MAX. */
static void direct_search(const int64_t *restrict predictions, size_t n,
                          const int64_t *restrict bounds, uint8_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        for (size_t step = DIRECT_BOUNDS / 2; step; step /= 2)
            at += bounds[at + step - 1] <= predictions[i] ? step : 0;
        out[i] = (uint8_t)at;
    }
}

/* sign(q) ceil(|q| / 2^low) */
static inline int32_t direct_high(int32_t value, int low)
{
    uint32_t size = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    int32_t upper = (int32_t)((size + (1u << low) - 1) >> low);
    return value < 0 ? -upper : upper;
}

/* sign(q) ceil(|q| / 2^low) of each, and of those that are not 0 what that leaves: the low bits of
   |q| - 1, less half of their range. How many these are. */
static size_t direct_split(const int32_t *restrict values, size_t n, int low,
                           int32_t *restrict high, int32_t *restrict rest)
{
    uint32_t mask = (1u << low) - 1;
    int32_t half = (int32_t)((mask + 1) >> 1);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t size = values[i] < 0 ? 0u - (uint32_t)values[i] : (uint32_t)values[i];
        high[i] = direct_high(values[i], low);
        rest[count] = (int32_t)((size - 1u) & mask) - half;
        count += size != 0;
    }
    return count;
}

/* The other way, in place; -1 where a value leaves +-FIELD_MAX_SYMBOL. rest: one for each that is
   not 0. */
static int direct_join(int32_t *restrict high, size_t n, int low, const int32_t *restrict rest)
{
    int64_t half = low ? (int64_t)1 << (low - 1) : 0;
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        if (!high[i])
            continue;
        int64_t size = high[i] < 0 ? -(int64_t)high[i] : high[i];
        size = ((size - 1) << low) + (low ? *rest++ + half : 0) + 1;
        wrong |= size > FIELD_MAX_SYMBOL || size < 0;
        size = size > FIELD_MAX_SYMBOL || size < 0 ? 0 : size;
        high[i] = (int32_t)(high[i] < 0 ? -size : size);
    }
    return wrong ? -1 : 0;
}

#endif
