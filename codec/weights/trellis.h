/*
 * trellis.h: levels of a trellis-coded quantiser by Viterbi's algorithm (WEIGHTS.md, "Trellis").
 * Only an encoder asks for it: what it gives are levels like any others. And what a decoder does
 * after each value. _weights.c wraps both; slow.py is their twin in numpy.
 *
 * Trellis-coded quantisation: M. Marcellin, T. Fischer, IEEE Trans. Communications 38(1), 1990;
 * with two quantisers of one grid and the level's parity as the way on: H. Schwarz et al., "Hybrid
 * video coding with trellis-coded quantization", DCC 2019.
 */
#ifndef LICTOR_TRELLIS_H
#define LICTOR_TRELLIS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { TRELLIS_STATES = 8, TRELLIS_WAYS = 4 };
#define TRELLIS_FAR 1e6f        /* values beyond are taken for this: levels stay whole in floats */

/* The state after a level that is even, or odd. States of an odd number have the odd quantiser. */
static const uint8_t trellis_next[TRELLIS_STATES][2] = {
    {0, 2}, {5, 7}, {1, 3}, {6, 4}, {2, 0}, {4, 6}, {3, 1}, {7, 5},
};

typedef struct {
    const float *rates;         /* (2, contexts, 2 * reach + 1): what a level -reach... costs */
    size_t contexts;
    int32_t reach;
} TrellisRates;

typedef struct {                /* one value: for each quantiser and parity the best level */
    float cost[TRELLIS_WAYS];
    int32_t level[TRELLIS_WAYS];
    uint8_t from[TRELLIS_STATES];
} TrellisStep;

static inline float trellis_point(int odd, int32_t magnitude)
{
    return (float)(2 * magnitude - (odd && magnitude));
}

static inline float trellis_rate(const float *row, int32_t reach, int32_t level)
{
    if (level > reach)
        return row[2 * reach] + (float)(level - reach) * (row[2 * reach] - row[2 * reach - 1]);
    if (level < -reach)
        return row[0] + (float)(-reach - level) * (row[0] - row[1]);
    return row[level + reach];
}

/* Of one parity, the level that is nearest and the next towards 0: the one that costs less. */
static inline void trellis_choose(float x, int odd, int parity, const float *row, int32_t reach,
                                  float *cost, int32_t *level)
{
    float size = fabsf(x);
    size = size < TRELLIS_FAR ? size : TRELLIS_FAR;
    int32_t near = parity + 2 * (int32_t)floorf((size + (float)(odd - 2 * parity)) / 4 + 0.5f);
    near = near < parity ? parity : near;
    *cost = INFINITY;
    for (int32_t k = near; k >= 0 && k >= near - 2; k -= 2) {
        float off = size - trellis_point(odd, k);
        int32_t own = x < 0 ? -k : k;
        float spent = off * off + trellis_rate(row, reach, own);
        if (spent < *cost) {
            *cost = spent;
            *level = own;
        }
    }
}

/* Levels of one strand: values `stride` apart. steps: room for `count`. */
static void trellis_strand(const float *x, const uint8_t *contexts, size_t count, size_t stride,
                           const TrellisRates *r, TrellisStep *steps, int32_t *levels)
{
    const size_t width = 2 * (size_t)r->reach + 1;
    float total[TRELLIS_STATES], next[TRELLIS_STATES];
    for (int s = 0; s < TRELLIS_STATES; s++)
        total[s] = s ? INFINITY : 0;
    for (size_t t = 0; t < count; t++) {
        TrellisStep *step = &steps[t];
        for (int way = 0; way < TRELLIS_WAYS; way++)
            trellis_choose(x[t * stride], way >> 1, way & 1,
                           r->rates + ((way >> 1) * r->contexts + contexts[t * stride]) * width,
                           r->reach, &step->cost[way], &step->level[way]);
        for (int s = 0; s < TRELLIS_STATES; s++)
            next[s] = INFINITY;
        for (int s = 0; s < TRELLIS_STATES; s++)
            for (int parity = 0; parity < 2; parity++) {
                int to = trellis_next[s][parity];
                float spent = total[s] + step->cost[2 * (s & 1) + parity];
                if (spent < next[to]) {
                    next[to] = spent;
                    step->from[to] = (uint8_t)s;
                }
            }
        for (int s = 0; s < TRELLIS_STATES; s++)
            total[s] = next[s];
    }
    int state = 0;
    for (int s = 1; s < TRELLIS_STATES; s++)
        state = total[s] < total[state] ? s : state;
    for (size_t t = count; t-- > 0;) {
        int before = steps[t].from[state];
        int parity = trellis_next[before][1] == state;
        levels[t * stride] = steps[t].level[2 * (before & 1) + parity];
        state = before;
    }
}

/* After one value of each strand: symbols become steps of the grid, states those that follow, and
 * contexts of the next values those of their quantisers, `quantiser` apart. No more values follow
 * than there are states; numbers wrap, as they may be of a damaged file. */
static void trellis_advance(int32_t *symbols, uint8_t *states, size_t count, uint32_t zero,
                            uint8_t *following, size_t more, uint8_t quantiser)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t level = (uint32_t)symbols[i] - zero;
        uint32_t odd = states[i] & 1u, negative = level >> 31;
        uint32_t back = odd & (uint32_t)(level != 0);
        symbols[i] = (int32_t)(2 * level - back + 2 * (back & negative));
        states[i] = trellis_next[states[i] & 7u][level & 1u];
    }
    for (size_t i = 0; i < more; i++)
        following[i] = (uint8_t)(following[i] + (states[i] & 1u) * quantiser);
}

#endif
