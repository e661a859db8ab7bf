/*
 * photo_spread.h: how far a sample may be from its prediction, and the coding of it.
 *
 * The distribution is a mixture of seven logistic ones, around the prediction and two of those that
 * it was blended of. Their common scale is the mean error met in the same context before; their
 * weights follow what was coded. WINDOW buckets of 2^step values have a probability each; what lies
 * beyond is an escape.
 */
#ifndef LICTOR_PHOTO_SPREAD_H
#define LICTOR_PHOTO_SPREAD_H

#include "../../entropy/adaptive.h"
#include <string.h>

#include "photo_tables.h"

enum {
    CONTEXTS = 24,              /* of the energy of errors, own and of other planes */
    CURVES = 7,
    PRIOR_COUNT = 6,            /* what the guess by energy weighs against errors met */
    MOST_ERRORS = 400,          /* then the past is halved */
    WIDE_LEVEL = 80,            /* scales from 2^(80/8) / 256 = 4 on take wider buckets */
    SCALE_OF_ONE = 64,          /* log_eighths(256): scales are in 1/256 */
    RATE = 32,                  /* samples that weights look back, at most */
    LEAST_WEIGHT = 256,         /* of 2^16 */
    MOST_BITS = 20              /* of a distance; samples have 16, differences 17 */
};

/* Levels of the curves relative to the scale, eight an octave: widths of 0.16 to 1.5 times it. */
static const int curve_levels[CURVES] = {-21, -15, -9, -3, 5, -12, -12};

/* Which prediction each is around: the final one, or one of those that it was blended of. */
static const int curve_centres[CURVES] = {0, 0, 0, 0, 0, 1, 2};

/* Their weights at first, of 2^16, about as photos end with. */
static const int32_t curve_weights[CURVES] = {4096, 6144, 12288, 10240, 6144, 8192, 8192};

typedef struct {
    uint32_t sum, count;        /* of |errors|, in 1/16 */
} Scale;

typedef struct {
    int32_t of[CURVES];         /* of 2^16, about */
    int32_t learned;            /* how often they moved, up to a limit */
} Weights;

typedef struct {
    Scale scales[4][CONTEXTS * CONTEXTS];       /* by parity of y and x */
    Weights weights[CONTEXTS];
} Spread;

static void spread_start(Spread *self)
{
    memset(self->scales, 0, sizeof self->scales);
    for (int k = 0; k < CURVES; k++) {
        for (int i = 0; i < CONTEXTS; i++)
            self->weights[i].of[k] = curve_weights[k];
    }
}

/* The mean error in 1/256, of those met and of a guess in 1/16. */
ALWAYS_INLINE uint32_t scale_of(const Scale *scale, uint32_t guess)
{
    uint64_t sum = (uint64_t)scale->sum + (uint64_t)guess * PRIOR_COUNT;
    return (uint32_t)((sum << 4) / (scale->count + PRIOR_COUNT));
}

ALWAYS_INLINE void scale_learn(Scale *scale, uint32_t error)
{
    scale->sum += error;
    if (++scale->count > MOST_ERRORS) {
        scale->sum /= 2;
        scale->count /= 2;
    }
}

/* Energies are in 1/128, about 8 times a mean error: the contexts are 3.25 to an octave. */
ALWAYS_INLINE int energy_context(uint32_t energy)
{
    int context = ((log_eighths(energy + 64) - 56) * 13 >> 5) + 3;
    return context < 0 ? 0 : context < CONTEXTS ? context : CONTEXTS - 1;
}

typedef struct {                /* the distribution of one sample */
    int step;                   /* buckets are of 2^step values */
    int32_t base;               /* first value of bucket 0 */
    int first, last;            /* buckets of the least and greatest value, or -1, WINDOW */
    const uint16_t *curves[CURVES];
    uint32_t weights[CURVES];   /* add up to 2^16 or little less */
} Mixture;

ALWAYS_INLINE void mixture_start(Mixture *m, const Weights *weights, uint32_t scale,
                                 const int32_t *centres, int32_t least, int32_t greatest)
{
    int level = log_eighths(scale > 0 ? scale : 1);
    m->step = level < WIDE_LEVEL ? 0 : (level - WIDE_LEVEL) / 8 + 1;
    level += LEVEL_OF_ONE - SCALE_OF_ONE - 8 * m->step;
    int32_t centre = centres[0] + 8;            /* 1/16 above the lower edge of value 0 */
    int32_t bucket = centre >> (4 + m->step);
    m->base = (bucket - WINDOW / 2) * (1 << m->step);
    int32_t first = (least >> m->step) - (bucket - WINDOW / 2);
    int32_t last = (greatest >> m->step) - (bucket - WINDOW / 2);
    m->first = first < 0 ? -1 : first < WINDOW ? (int)first : WINDOW;
    m->last = last >= WINDOW ? WINDOW : last >= 0 ? (int)last : -1;
    uint32_t sum = 0;
    for (int k = 0; k < CURVES; k++) {
        int at = level + curve_levels[k];
        int32_t own = centres[curve_centres[k]] + 8;
        int32_t shift = (own >> (4 + m->step)) - bucket;
        int own_phase = (own >> m->step) & (PHASES - 1);
        if (shift > MARGIN || shift < -MARGIN)
            shift = shift < 0 ? -MARGIN : MARGIN;
        m->curves[k] = curve[at < 0 ? 0 : at < LEVELS ? at : LEVELS - 1][own_phase] + MARGIN - shift;
        sum += (uint32_t)weights->of[k];
    }
    uint32_t inverse = 0xFFFFFFFFu / sum;
    for (int k = 0; k < CURVES; k++)
        m->weights[k] = (uint32_t)((uint64_t)weights->of[k] * inverse >> 16);
}

/*
 * 2^16 times the probability of all below edge i of 0 … WINDOW. Each bucket gets 1 / 2^16 at least,
 * as do the escapes, but for what lies beyond the least and greatest value.
 */
ALWAYS_INLINE uint32_t mixture_below(const Mixture *m, int i)
{
    if (i <= m->first)
        return 0;
    if (i > m->last)
        return ADAPTIVE_TOTAL;
    uint32_t sum = 0;
    for (int k = 0; k < CURVES; k++)
        sum += m->weights[k] * m->curves[k][i] >> 16;
    return (sum * (ADAPTIVE_TOTAL - EDGES - 1) >> 16) + (uint32_t)i + 1;
}

typedef struct {                /* either way; `encoder` is NULL when decoding */
    AdaptiveEncoder *encoder;
    AdaptiveDecoder *decoder;
} Coder;

/* Codes one of the intervals between bounds[0] = 0, below(1), … : gives the bits both ways. */
ALWAYS_INLINE uint32_t code_bits(const Coder *c, uint32_t value, int bits)
{
    if (c->encoder == NULL)
        return adaptive_take_bits(c->decoder, bits);
    adaptive_put_bits(c->encoder, value & ((1u << bits) - 1), bits);
    return value & ((1u << bits) - 1);
}

/* A number of up to MOST_BITS bits: how many they are, then those below the first. */
ALWAYS_INLINE uint32_t code_distance(const Coder *c, uint32_t distance)
{
    int bits = (int)code_bits(c, c->encoder ? (uint32_t)highest_bit(distance + 1) : 0, 5);
    if (bits > MOST_BITS)
        bits = MOST_BITS;       /* a hostile stream */
    uint32_t value = distance + 1;
    int low = bits < 15 ? bits : 15;
    uint32_t high_part = code_bits(c, value >> low, bits - low);
    uint32_t low_part = code_bits(c, value, low);
    return ((1u << bits) | high_part << low | low_part) - 1;
}

/* The bucket (-1 and WINDOW: escapes) that the decoder is at. */
ALWAYS_INLINE int mixture_find(const Mixture *m, uint32_t slot)
{
    int low = -1, high = WINDOW;                /* below(low) <= slot < below(high + 1) */
    while (low < high) {
        int middle = (low + high + 1) >> 1;     /* in low + 1 … high */
        if (mixture_below(m, middle) <= slot)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The bucket of a value. */
ALWAYS_INLINE int mixture_bucket(const Mixture *m, int32_t value)
{
    int32_t at = (value - m->base) >> m->step;
    return at < 0 ? -1 : at < WINDOW ? (int)at : WINDOW;
}

ALWAYS_INLINE void code_interval(const Coder *c, uint32_t start, uint32_t end)
{
    if (c->encoder)
        adaptive_put(c->encoder, start, end - start);
    else
        adaptive_take(c->decoder, start, end - start);
}

/* Codes the bucket; returns it. */
ALWAYS_INLINE int mixture_code(const Mixture *m, const Coder *c, int32_t value)
{
    int at = c->encoder ? mixture_bucket(m, value) : mixture_find(m, adaptive_slot(c->decoder));
    code_interval(c, at < 0 ? 0 : mixture_below(m, at),
                  at == WINDOW ? ADAPTIVE_TOTAL : mixture_below(m, at + 1));
    return at;
}

/* Codes where in the bucket, or how far beyond, the value is; returns it. */
ALWAYS_INLINE int32_t mixture_code_rest(const Mixture *m, const Coder *c, int at, int32_t value)
{
    if (at < 0)
        return m->base - 1 - (int32_t)code_distance(c, (uint32_t)(m->base - 1 - value));
    if (at == WINDOW) {
        int32_t beyond = m->base + (WINDOW << m->step);
        return beyond + (int32_t)code_distance(c, (uint32_t)(value - beyond));
    }
    uint32_t low = (uint32_t)(value - m->base) & ((1u << m->step) - 1);
    int few = m->step < 15 ? m->step : 15;
    uint32_t high_part = code_bits(c, low >> few, m->step - few);
    uint32_t low_part = code_bits(c, low, few);
    return m->base + at * (1 << m->step) + (int32_t)(high_part << few | low_part);
}

/* Draws the weights to the curves that gave bucket `at` the most. */
ALWAYS_INLINE void weights_learn(Weights *self, const Mixture *m, int at)
{
    if (at < 0 || at >= WINDOW)
        return;
    uint32_t share[CURVES], sum = 1;
    for (int k = 0; k < CURVES; k++) {
        share[k] = m->weights[k] * (uint32_t)(m->curves[k][at + 1] - m->curves[k][at]) >> 4;
        sum += share[k];
    }
    uint64_t inverse = ((uint64_t)1 << 46) / sum;
    int32_t rate = 10 + self->learned;
    if (rate < RATE)
        self->learned++;
    for (int k = 0; k < CURVES; k++) {
        int32_t *weight = &self->of[k];
        *weight += ((int32_t)(share[k] * inverse >> 30) - *weight) / rate;
        if (*weight < LEAST_WEIGHT)
            *weight = LEAST_WEIGHT;
    }
}

#endif
