/*
 * The networks of an overfitted picture: their parameters in a file, and made ready for use.
 *
 * OVERFIT.md is the specification; sizes.py has the same shapes. All sums are modulo 2^32, so that
 * no parameters, however hostile, are undefined behaviour; `>>` of what is signed rounds down.
 */
#ifndef LICTOR_OVERFIT_NETWORK_H
#define LICTOR_OVERFIT_NETWORK_H

#include <string.h>

#include "laplace.h"

enum {
    LEVELS = 7,                 /* grids that samples are made of: 1/1, 1/2 … 1/64 */
    HYPERS = 3,                 /* grids for the context network alone: 1/16, 1/32, 1/64 */
    GRIDS = LEVELS + HYPERS,
    GUIDED = 3,                 /* the finest grids, with features from those before */
    GUIDES = LEVELS - 1 + HYPERS,
    LEAST_SYMBOL = -64,
    MOST_NEIGHBOURS = 18,
    MOST_FEATURES = 6,
    MOST_INPUTS = MOST_NEIGHBOURS + MOST_FEATURES,
    MOST_HIDDEN = 40,
    MOST_FILTERS = 2,
    MOST_PARAMETERS = 2140,
    GROUPS = 11,                /* of parameters with a step in common */
    EXPONENT_BITS = 4,          /* a step is 2^-exponent */
    SPREAD_BITS = 7,            /* of the coded scale of a group's parameters */
    SPREADS = 81,
    NETWORK_HEADER = 4,
    ACTIVATION_BITS = 7,        /* of the context network, after the point */
    PLANE_BITS = 8,             /* of upsampled grids */
    SAMPLE_BITS = 14,           /* of what becomes samples */
    MOST_ACTIVATION = 32767,
};

static const int8_t GRID_LEVEL[GRIDS] = {0, 1, 2, 3, 4, 5, 6, 4, 5, 6};
static const int8_t NEIGHBOUR[MOST_NEIGHBOURS][2] = {   /* rows down, columns to the right */
    {0, -1}, {-1, 0},  {-1, -1}, {-1, 1}, {0, -2},  {-2, 0}, {-2, -1}, {-2, 1},  {-1, -2},
    {-1, 2}, {0, -3},  {-3, 0},  {-2, -2}, {-2, 2}, {-1, -3}, {-1, 3}, {-3, -1}, {-3, 1},
};

typedef struct {
    int neighbours, features, hidden, filters;
} Size;

static const Size SIZES[] = {{6, 2, 8, 1}, {12, 4, 16, 1}, {18, 6, 40, 2}};
enum { SIZE_COUNT = 3 };

/* Groups of parameters. */
enum {
    CONTEXT_WEIGHT,
    CONTEXT_BIAS,
    LAPLACE_WEIGHT,
    FEATURE_WEIGHT,
    FEATURE_BIAS,
    TAPS,
    HIDDEN_WEIGHT,
    HIDDEN_BIAS,
    SAMPLE_WEIGHT,
    SAMPLE_BIAS,
    FILTER_WEIGHT,
};

/* Parameters of one name: so many in a row, of a group. */
typedef struct {
    int count, group;
} Part;

enum { MOST_PARTS = 7 + 2 * GUIDED + 2 + 4 + 2 * MOST_FILTERS + 1 };

static int parts_of(const Size *s, Part *parts)
{
    int d = s->neighbours + s->features, n = 0;
    parts[n++] = (Part){d * d, CONTEXT_WEIGHT};
    parts[n++] = (Part){d, CONTEXT_BIAS};
    parts[n++] = (Part){d * d, CONTEXT_WEIGHT};
    parts[n++] = (Part){d, CONTEXT_BIAS};
    parts[n++] = (Part){2 * d, LAPLACE_WEIGHT};
    parts[n++] = (Part){2, CONTEXT_BIAS};
    parts[n++] = (Part){2 * d, LAPLACE_WEIGHT};
    for (int level = 0; level < GUIDED; level++) {
        parts[n++] = (Part){s->features * (GUIDES - level), FEATURE_WEIGHT};
        parts[n++] = (Part){s->features, FEATURE_BIAS};
    }
    parts[n++] = (Part){4 * (LEVELS - 1), TAPS};
    parts[n++] = (Part){4 * (LEVELS - 1), TAPS};
    parts[n++] = (Part){s->hidden * LEVELS, HIDDEN_WEIGHT};
    parts[n++] = (Part){s->hidden, HIDDEN_BIAS};
    parts[n++] = (Part){3 * s->hidden, SAMPLE_WEIGHT};
    parts[n++] = (Part){3, SAMPLE_BIAS};
    for (int i = 0; i < s->filters; i++) {
        parts[n++] = (Part){81, FILTER_WEIGHT};
        parts[n++] = (Part){3, SAMPLE_BIAS};
    }
    parts[n++] = (Part){3 * LEVELS, SAMPLE_WEIGHT};
    return n;
}

static int parameter_count(const Size *s)
{
    Part parts[MOST_PARTS];
    int count = 0;
    for (int i = 0, n = parts_of(s, parts); i < n; i++)
        count += parts[i].count;
    return count;
}

/* What a file has of the networks. */
typedef struct {
    int size;                           /* of SIZES */
    int start;                          /* what numbers are differences to; 0: to nothing */
    uint8_t exponents[GROUPS];          /* 1 to 15 */
    uint8_t spreads[GROUPS];            /* of SPREADS: the scale that parameters are coded with */
    int16_t numbers[MOST_PARAMETERS];   /* in steps */
} Parameters;

/* Codes all but the first bytes; whether what was read is within its ranges. */
static int code_parameters(const Coder *c, Parameters *p)
{
    Part parts[MOST_PARTS];
    int count = parts_of(&SIZES[p->size], parts), at = 0;
    for (int g = 0; g < GROUPS; g++) {
        p->exponents[g] = (uint8_t)code_bits(c, p->exponents[g], EXPONENT_BITS);
        p->spreads[g] = (uint8_t)code_bits(c, p->spreads[g], SPREAD_BITS);
        if (p->exponents[g] < 1 || p->spreads[g] >= SPREADS)
            return 0;
    }
    for (int i = 0; i < count; i++) {
        Laplace l = laplace_of_number(4 * p->spreads[parts[i].group]);
        for (int k = 0; k < parts[i].count; k++, at++)
            p->numbers[at] = (int16_t)code_number(c, &l, p->numbers[at]);
    }
    return !coder_failed(c);
}

/* The section's payload, for the caller to free; NULL when memory is short. */
static uint8_t *parameters_write(Parameters *p, size_t *length)
{
    Encoder encoder = {0};
    Coder c = {&encoder, NULL};
    size_t coded = 0;
    (void)code_parameters(&c, p);
    uint8_t *stream = encoder_finish(&encoder, &coded);
    uint8_t *bytes = stream ? malloc(NETWORK_HEADER + coded) : NULL;
    if (bytes) {
        const uint8_t header[NETWORK_HEADER] = {(uint8_t)p->size, 1, (uint8_t)p->start,
                                                (uint8_t)(p->start >> 8)};
        memcpy(bytes, header, sizeof header);
        memcpy(bytes + NETWORK_HEADER, stream, coded);
        *length = NETWORK_HEADER + coded;
    }
    free(stream);
    encoder_free(&encoder);
    return bytes;
}

/* Whether the bytes are such a payload. */
static int parameters_read(Parameters *p, const uint8_t *bytes, size_t length)
{
    Decoder decoder;
    Coder c = {NULL, &decoder};
    if (length < NETWORK_HEADER || bytes[0] >= SIZE_COUNT || bytes[1] != 1)
        return 0;
    p->size = bytes[0];
    p->start = bytes[2] | bytes[3] << 8;
    decoder_start(&decoder, bytes + NETWORK_HEADER, length - NETWORK_HEADER);
    return code_parameters(&c, p) && decoder_ended(&decoder);
}

/* ------------------------------------------------------------ ready for use */

/* a / 2^bits, rounded; or a times 2^-bits. Modulo 2^32. */
static inline int32_t scaled_down(uint32_t a, int bits)
{
    if (bits <= 0)
        return (int32_t)(a << -bits);
    return (int32_t)(a + ((uint32_t)1 << (bits - 1))) >> bits;
}

/*
 * Weights are in steps of their group, biases as what they are added to: a product of a weight and
 * an activation. Of layers of the context network the weights of an input lie side by side.
 */
typedef struct {
    Size size;
    int inputs;
    int shift, laplace_shift, feature_shift, tap_shift, hidden_shift, sample_shift, filter_shift;
    uint32_t context[2][MOST_INPUTS][MOST_INPUTS];      /* with the residual path */
    uint32_t context_bias[2][MOST_INPUTS];
    uint32_t laplace[2][MOST_INPUTS], laplace_linear[2][MOST_INPUTS], laplace_bias[2];
    uint32_t features[GUIDED][GUIDES][MOST_FEATURES], feature_bias[GUIDED][MOST_FEATURES];
    uint32_t up[LEVELS - 1][4], pre[LEVELS - 1][4];
    uint32_t hidden[MOST_HIDDEN][LEVELS], hidden_bias[MOST_HIDDEN];
    uint32_t sample[3][MOST_HIDDEN], sample_bias[3], linear[3][LEVELS];
    uint32_t filter[MOST_FILTERS][3][3][9], filter_bias[MOST_FILTERS][3];
} Network;

static const int16_t *take(const int16_t *from, int count, uint32_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = (uint32_t)(int32_t)from[i];
    return from + count;
}

/* down: from the step of a bias to that of a product. */
static const int16_t *take_bias(const int16_t *from, int count, int down, uint32_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = (uint32_t)scaled_down((uint32_t)(int32_t)from[i], down);
    return from + count;
}

static const int16_t *take_transposed(const int16_t *from, int rows, int columns, uint32_t *to,
                                      int stride)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            to[c * stride + r] = (uint32_t)(int32_t)from[r * columns + c];
    return from + rows * columns;
}

static void network_start(Network *n, const Parameters *p)
{
    const Size *s = &SIZES[p->size];
    const uint8_t *e = p->exponents;
    const int16_t *at = p->numbers;
    int d = s->neighbours + s->features;
    memset(n, 0, sizeof *n);
    n->size = *s;
    n->inputs = d;
    n->shift = e[CONTEXT_WEIGHT];
    n->laplace_shift = e[LAPLACE_WEIGHT];
    n->feature_shift = e[FEATURE_WEIGHT];
    n->tap_shift = e[TAPS];
    n->hidden_shift = e[HIDDEN_WEIGHT];
    n->sample_shift = e[SAMPLE_WEIGHT] + PLANE_BITS - SAMPLE_BITS;
    n->filter_shift = e[FILTER_WEIGHT];
    for (int layer = 0; layer < 2; layer++) {
        at = take_transposed(at, d, d, n->context[layer][0], MOST_INPUTS);
        for (int i = 0; i < d; i++)
            n->context[layer][i][i] += (uint32_t)1 << n->shift;
        at = take_bias(at, d, e[CONTEXT_BIAS] - n->shift - ACTIVATION_BITS,
                       n->context_bias[layer]);
    }
    for (int i = 0; i < 2; i++)
        at = take(at, d, n->laplace[i]);
    at = take_bias(at, 2, e[CONTEXT_BIAS] - n->laplace_shift - ACTIVATION_BITS, n->laplace_bias);
    for (int i = 0; i < 2; i++)
        at = take(at, d, n->laplace_linear[i]);
    for (int level = 0; level < GUIDED; level++) {
        at = take_transposed(at, s->features, GUIDES - level, n->features[level][0],
                             MOST_FEATURES);
        at = take_bias(at, s->features, e[FEATURE_BIAS] - n->feature_shift - ACTIVATION_BITS,
                       n->feature_bias[level]);
    }
    at = take(at, 4 * (LEVELS - 1), n->up[0]);
    at = take(at, 4 * (LEVELS - 1), n->pre[0]);
    at = take(at, s->hidden * LEVELS, n->hidden[0]);
    at = take_bias(at, s->hidden, e[HIDDEN_BIAS] - n->hidden_shift - PLANE_BITS, n->hidden_bias);
    for (int i = 0; i < 3; i++)
        at = take(at, s->hidden, n->sample[i]);
    at = take_bias(at, 3, e[SAMPLE_BIAS] - e[SAMPLE_WEIGHT] - PLANE_BITS, n->sample_bias);
    for (int i = 0; i < s->filters; i++) {
        at = take(at, 81, n->filter[i][0][0]);
        at = take_bias(at, 3, e[SAMPLE_BIAS] - n->filter_shift - SAMPLE_BITS, n->filter_bias[i]);
    }
    (void)take(at, 3 * LEVELS, n->linear[0]);
}

#endif
