/*
 * direct.h: values that are coded themselves, with their prediction as their context; direct.py is
 * the same with numpy, and says what is what.
 */
#ifndef LICTOR_DIRECT_H
#define LICTOR_DIRECT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "field_predict.h"

enum { DIRECT_BOUNDS = 128, DIRECT_PART = 256 };

/* sign(q) floor(sqrt(64 |q|)), of values within +-FIELD_MAX_SYMBOL: IEEE's square root makes it exact. */
FIELD_CLONES
static void direct_roots(const int32_t *restrict values, size_t n, int32_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t root = (int32_t)sqrt(64.0 * fabs((double)values[i]));
        out[i] = values[i] < 0 ? -root : root;
    }
}

/* Likewise where all are within 2^16: below 2^22, float's root is as exact. */
FIELD_CLONES
static void direct_small_roots(const int32_t *restrict values, size_t n, int32_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        int32_t root = (int32_t)sqrtf(64.0f * fabsf((float)values[i]));
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

/* Likewise of predictions in 32 bits; all bounds are looked at, side by side. */
FIELD_CLONES
static void direct_count(const int32_t *restrict predictions, size_t n,
                         const int32_t *restrict bounds, int count, uint8_t *restrict out)
{
    for (size_t at = 0; at < n; at += DIRECT_PART) {
        size_t m = n - at < DIRECT_PART ? n - at : DIRECT_PART;
        int32_t found[DIRECT_PART] = {0};
        for (int k = 0; k < count; k++)
            for (size_t i = 0; i < m; i++)
                found[i] += bounds[k] <= predictions[at + i];
        for (size_t i = 0; i < m; i++)
            out[at + i] = (uint8_t)found[i];
    }
}

/* The context of each value of a pass, by its prediction; bounds: as above. -1: no memory. */
static int direct_contexts(Field *f, int32_t channel, int pass, const FieldWeights *w,
                           const int64_t *bounds, uint8_t *out)
{
    size_t n = field_pass(f, pass);
    int wide = field_is_wide(f, w), error = 0, count = 0;
    int32_t narrow[DIRECT_BOUNDS];
    void *predictions = malloc((n + 1) * (wide ? sizeof(int64_t) : sizeof(int32_t)));
    if (!predictions)
        return -1;
    if (wide) {
        error = field_predict(f, channel, pass, w, predictions);
        if (!error)
            direct_search(predictions, n, bounds, out);
    } else {
        /* A bound below all that 32 bits hold stays below them as the least of these. */
        for (; count < DIRECT_BOUNDS && bounds[count] <= INT32_MAX; count++)
            narrow[count] = bounds[count] < INT32_MIN ? INT32_MIN : (int32_t)bounds[count];
        field_predict_narrow(f, channel, pass, w, predictions);
        direct_count(predictions, n, narrow, count, out);
    }
    free(predictions);
    return error;
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
   not 0, `count` of them, unless low is 0. */
static int direct_join(int32_t *restrict high, size_t n, int low, const int32_t *restrict rest,
                       size_t count)
{
    uint32_t half = (1u << low) >> 1, mask = (1u << low) - 1, most = (uint32_t)FIELD_MAX_SYMBOL >> low;
    size_t next = 0;
    uint32_t wrong = 0;
    if (!low)
        return field_largest(high, n) > FIELD_MAX_SYMBOL ? -1 : 0;
    for (size_t i = 0; count && i < n; i++) {
        uint32_t sign = high[i] < 0 ? UINT32_MAX : 0, size = ((uint32_t)high[i] ^ sign) - sign;
        uint32_t there = size != 0, more = (uint32_t)rest[next - (next == count)] + half;
        size -= there;
        wrong |= size >= most && there;
        size = ((size << low) | (more & mask)) + 1;
        next += there;
        high[i] = (int32_t)(((size & (0u - there)) ^ sign) - sign);
    }
    return wrong ? -1 : 0;
}

/* Takes a pass in, as its values, which are within +-FIELD_MAX_SYMBOL; root: predictions are made of
   square roots. room: for n of these. -1: no memory. */
static int direct_store(Field *f, int32_t channel, int pass, const int32_t *values, int root,
                        int32_t *room)
{
    size_t n = field_pass(f, pass);
    if (root)
        (field_largest(values, n) < 1 << 16 ? direct_small_roots : direct_roots)(values, n, room);
    return field_store(f, channel, pass, root ? room : values);
}

#endif
