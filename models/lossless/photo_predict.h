/*
 * photo_predict.h: the prediction of a sample from its neighbours in its own and earlier planes.
 *
 * Three linear predictors see the same taps, each less the mean of its plane around: weights
 * solved for a stripe of the picture and the two beside it, weights solved for the whole plane,
 * and weights that take a step after each sample (NLMS). They are blended by how wrong each was
 * nearby; what is left of a mean error in the texture is taken away.
 */
#ifndef LICTOR_PHOTO_PREDICT_H
#define LICTOR_PHOTO_PREDICT_H

#include "photo_planes.h"
#include "photo_solve.h"

enum {
    STRIPE = 16,                /* columns */
    CLASSES = 4,                /* statistics by the parity of y and x */
    OWN_TAPS = 20,
    NEAR_TAPS = 11,             /* in earlier planes */
    TEXTURES = 64,
    BIAS_CONTEXTS = 16,
    MOST_BIAS = 128,            /* samples of a context; then the past is halved */
    PREDICTORS = 3,
    LARGEST_SCALED = 12,        /* bits of a scaled tap */
    STRIPE_PULL = 8192,         /* how strongly a stripe is drawn to the whole plane */
    PLANE_PULL = 5120           /* and that to the mean of left and upper neighbour */
};

/* Neighbours in the order of their use: rows down, columns right. */
static const int8_t own_taps[OWN_TAPS][2] = {
    {0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-2, -1}, {-2, 1}, {-1, -2},
    {-1, 2}, {0, -3}, {-3, 0}, {-2, -2}, {-2, 2}, {-1, -3}, {-1, 3}, {-3, -1}, {-3, 1},
    {0, -4}, {-2, -3},
};
static const int8_t near_taps[NEAR_TAPS][2] = {
    {0, 0}, {0, -1}, {-1, 0}, {0, 1}, {1, 0}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}, {0, -2}, {0, 2},
};

typedef struct {                /* a sample's neighbourhood */
    int32_t taps[TAPS_ROOM];    /* less the mean; the target follows the last */
    int32_t mean;               /* of the own plane */
} Around;

typedef struct {
    int32_t sum, count;         /* of errors of the blend, in 1/16 */
} Bias;

typedef int32_t Triangle[TRIANGLE(TAPS_ROOM)];

typedef struct {
    Triangle *stripes;          /* [class][stripe]: sums of products of scaled taps */
    int stripe_count, classes;
    int taps, own;              /* number of taps, of those in the own plane */
    const int32_t *from[TAPS_ROOM];             /* where each tap of sample 0 is */
    int64_t whole[CLASSES][TRIANGLE(TAPS_ROOM)];
    int32_t whole_weights[CLASSES][TAPS_ROOM], stripe_weights[CLASSES][TAPS_ROOM];
    int32_t step_weights[TAPS_ROOM];            /* in 1/2^20 */
    int16_t scaled[2][TAPS_ROOM][STRIPE];       /* of the stripe's row, by parity of x */
    int32_t *wrong;             /* |errors| of the predictors in three rows, in 1/16 */
    ptrdiff_t wrong_stride;
    Bias bias[TEXTURES][BIAS_CONTEXTS];
    Solver solver;
} Predictor;

static void predictor_free(Predictor *self)
{
    free(self->stripes);
    free(self->wrong);
}

static void add_taps(Predictor *self, const Tile *t, int plane, const int8_t (*taps)[2], int count)
{
    for (int i = 0; i < count; i++)
        self->from[self->taps++] = t->planes[plane].value + taps[i][0] * t->stride + taps[i][1];
}

/* Sets up a zeroed predictor for plane p; 0, or -1 when memory is short. */
static int predictor_start(Predictor *self, const Tile *t, int p, int parity)
{
    int colour = p == 2 && t->channels >= 3;
    self->own = p == 0 ? 20 : 14;
    add_taps(self, t, p, own_taps, self->own);
    if (colour)
        add_taps(self, t, 1, near_taps, 7);
    if (p > 0)
        add_taps(self, t, 0, near_taps, colour ? 7 : 11);
    self->classes = parity ? 4 : 1;
    self->stripe_count = (t->width + STRIPE - 1) / STRIPE;
    self->stripes = calloc((size_t)(self->classes * self->stripe_count), sizeof *self->stripes);
    self->wrong_stride = (t->width + 2 * SIDE) * PREDICTORS;
    self->wrong = calloc((size_t)self->wrong_stride * 3, sizeof *self->wrong);
    for (int c = 0; c < CLASSES; c++)
        self->whole_weights[c][0] = self->whole_weights[c][1] = 1 << (WEIGHT_BITS - 1);
    self->step_weights[0] = self->step_weights[1] = 1 << 19;
    return self->stripes && self->wrong ? 0 : -1;
}

ALWAYS_INLINE int class_of(const Predictor *self, int y, int x)
{
    return self->classes > 1 ? (y & 1) * 2 + (x & 1) : 0;
}

/* Solves the weights of the stripe for the classes of row y. */
ALWAYS_INLINE void solve_stripe(Predictor *self, int y, int stripe)
{
    int entries = TRIANGLE(self->taps + 1);
    int first = class_of(self, y, 0), last = class_of(self, y, 1);
    for (int c = first; c <= last; c++) {
        const Triangle *own = self->stripes + c * self->stripe_count + stripe;
        const int32_t *left = stripe > 0 ? own[-1] : own[0];
        const int32_t *right = stripe < self->stripe_count - 1 ? own[1] : own[0];
        int64_t sum[TRIANGLE(TAPS_ROOM)];
        for (int i = 0; i < entries; i++)
            sum[i] = 4 * (int64_t)own[0][i] + 3 * ((int64_t)left[i] + right[i]);
        const int32_t *whole = self->whole_weights[c];
        int n = self->taps;
        int64_t norm = 0;
        for (int i = 0; i < n; i++) {
            sum[TRIANGLE(i) + i] += STRIPE_PULL;
            sum[TRIANGLE(n) + i] += (int64_t)whole[i] * STRIPE_PULL / (1 << WEIGHT_BITS);
            norm += (int64_t)whole[i] * whole[i] >> WEIGHT_BITS;
        }
        sum[TRIANGLE(n) + n] += norm * STRIPE_PULL >> WEIGHT_BITS;
        solve(&self->solver, sum, n, self->stripe_weights[c]);
    }
}

/* Adds the samples of the stripe's row, in `scaled`, to its sums; the past fades by 3/16. */
ALWAYS_INLINE void learn_stripe(Predictor *self, int y, int stripe)
{
    int first = class_of(self, y, 0), last = class_of(self, y, 1);
    for (int c = first; c <= last; c++) {
        int32_t *sum = self->stripes[c * self->stripe_count + stripe];
        int16_t(*rows)[STRIPE] = self->scaled[c - first];
        for (int i = 0; i <= self->taps; i++)
            for (int j = 0; j <= i; j++) {
                int32_t dot = 0;
                for (int x = 0; x < STRIPE; x++)
                    dot += (int32_t)rows[i][x] * rows[j][x];
                int32_t past = sum[TRIANGLE(i) + j];
                sum[TRIANGLE(i) + j] = past - (past >> 3) - (past >> 4) + dot;
            }
    }
    memset(self->scaled, 0, sizeof self->scaled);
}

/* After a row: the sums of all stripes join those of the plane, which are solved. */
ALWAYS_INLINE void learn_whole(Predictor *self, int y)
{
    int n = self->taps;
    int first = class_of(self, y, 0), last = class_of(self, y, 1);
    for (int c = first; c <= last; c++) {
        int64_t *whole = self->whole[c];
        int64_t sum[TRIANGLE(TAPS_ROOM)];
        for (int i = 0; i < TRIANGLE(n + 1); i++) {
            int64_t row = 0;
            for (int s = 0; s < self->stripe_count; s++)
                row += self->stripes[c * self->stripe_count + s][i];
            whole[i] += (row >> 2) - (whole[i] >> 5);
            sum[i] = whole[i];
        }
        for (int i = 0; i < n; i++)
            sum[TRIANGLE(i) + i] += PLANE_PULL;
        for (int i = 0; i < 2; i++)
            sum[TRIANGLE(n) + i] += PLANE_PULL / 2;
        sum[TRIANGLE(n) + n] += PLANE_PULL;
        solve(&self->solver, sum, n, self->whole_weights[c]);
    }
}

ALWAYS_INLINE void look_around(const Predictor *self, ptrdiff_t at, Around *a)
{
    int n = self->taps, own = self->own;
    for (int i = 0; i < n; i++)
        a->taps[i] = self->from[i][at];
    a->mean = (3 * a->taps[0] + 3 * a->taps[1] + a->taps[2] + a->taps[3] + 4) >> 3;
    for (int i = 0; i < own; i++)
        a->taps[i] -= a->mean;
    int near = n - own > 11 ? 7 : n - own;
    for (int from = own; from < n; from += near) {
        const int32_t *p = a->taps + from;
        int32_t mean = (3 * p[1] + 3 * p[2] + p[5] + p[6] + 4) >> 3;
        for (int i = from; i < from + near; i++)
            a->taps[i] -= mean;
    }
}

ALWAYS_INLINE int64_t weighted(const int32_t *weights, const int32_t *taps, int n)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += (int64_t)weights[i] * taps[i];
    return sum;
}

/* How wrong each predictor was around, in 1/32 and a little more. */
ALWAYS_INLINE void recall_wrong(const Predictor *self, int y, int x, uint32_t *wrong)
{
    const int32_t *row = self->wrong + (y % 3) * self->wrong_stride + (x + SIDE) * PREDICTORS;
    const int32_t *above = self->wrong + ((y + 2) % 3) * self->wrong_stride +
                           (x + SIDE) * PREDICTORS;
    const int32_t *second = self->wrong + ((y + 1) % 3) * self->wrong_stride +
                            (x + SIDE) * PREDICTORS;
    for (int k = 0; k < PREDICTORS; k++)
        wrong[k] = 32u + (uint32_t)(2 * row[k - PREDICTORS] + 2 * above[k] +
                                    above[k - PREDICTORS] + above[k + PREDICTORS] +
                                    row[k - 2 * PREDICTORS] + second[k]);
}

/* No sample is farther than 2^17 from another. */
ALWAYS_INLINE int32_t bounded(int64_t predicted)
{
    int64_t most = (int64_t)1 << 24;
    return (int32_t)(predicted < -most ? -most : predicted > most ? most : predicted);
}

/* The predictions, less the mean, in 1/64. */
ALWAYS_INLINE void predict_all(const Predictor *self, const Around *a, int c, int32_t *predicted)
{
    int n = self->taps;
    predicted[0] = bounded(weighted(self->stripe_weights[c], a->taps, n) >> 10);
    predicted[1] = bounded(weighted(self->whole_weights[c], a->taps, n) >> 10);
    predicted[2] = bounded(weighted(self->step_weights, a->taps, n) >> 14);
}

/* What each weighs where all were as wrong. */
static const int predictor_trust[PREDICTORS] = {8, 2, 1};

/* One prediction of them, in 1/16. */
ALWAYS_INLINE int32_t blend(const int32_t *predicted, const uint32_t *wrong, int32_t mean)
{
    uint32_t least = wrong[0];
    for (int k = 1; k < PREDICTORS; k++)
        least = wrong[k] < least ? wrong[k] : least;
    int64_t sum = 0, weights = 0;
    for (int k = 0; k < PREDICTORS; k++) {
        int64_t share = (int64_t)(((uint64_t)least << 10) / wrong[k]);
        share *= share * predictor_trust[k];
        weights += share;
        sum += share * predicted[k];
    }
    return mean * 16 + (int32_t)((sum / weights + 2) >> 2);
}

/* Moves the step weights along the error of their prediction. */
ALWAYS_INLINE void learn_step(Predictor *self, const Around *a, int32_t predicted)
{
    int n = self->taps;
    int64_t norm = 4 * n + 8;
    for (int i = 0; i < n; i++)
        norm += (int64_t)a->taps[i] * a->taps[i];
    int64_t error = (int64_t)a->taps[n] * 64 - predicted;
    int64_t step = error * 262 * 4096 / norm;
    for (int i = 0; i < n; i++) {
        int64_t weight = self->step_weights[i] + (step * a->taps[i] >> 12);
        int64_t most = LARGEST_WEIGHT << 3;
        self->step_weights[i] =
            (int32_t)(weight < -most ? -most : weight > most ? most : weight);
    }
}

/* Notes the sample down for learn_stripe(): loud places count less, in loudness squared. */
ALWAYS_INLINE void note_scaled(Predictor *self, const Around *a, int x, uint32_t energy)
{
    int n = self->taps;
    uint32_t all = 0;
    for (int i = 0; i <= n; i++)
        all |= (uint32_t)(a->taps[i] < 0 ? -a->taps[i] : a->taps[i]);
    int32_t scale = (int32_t)flatness[log_eighths(energy)];
    int bits = all ? highest_bit(all) + 1 : 0;
    int excess = bits + highest_bit((uint32_t)scale | 1) + 1 - (LARGEST_SCALED + 12);
    if (excess > 0)
        scale >>= excess;
    int parity = self->classes > 1 ? x & 1 : 0;
    for (int i = 0; i <= n; i++)
        self->scaled[parity][i][x % STRIPE] = (int16_t)((a->taps[i] * scale + 2048) >> 12);
}

ALWAYS_INLINE void note_wrong(Predictor *self, int y, int x, const int32_t *predicted,
                              int32_t target)
{
    int32_t *row = self->wrong + (y % 3) * self->wrong_stride + (x + SIDE) * PREDICTORS;
    for (int k = 0; k < PREDICTORS; k++) {
        int32_t error = target * 64 - predicted[k];
        row[k] = (error < 0 ? -error : error) >> 2;
    }
}

/* The same where no sample is coded. */
ALWAYS_INLINE void forget_wrong(Predictor *self, int y, int x)
{
    int32_t *row = self->wrong + (y % 3) * self->wrong_stride + (x + SIDE) * PREDICTORS;
    for (int k = 0; k < PREDICTORS; k++)
        row[k] = 0;
}

/* A context of six comparisons of the neighbours with the prediction (in 1/16). */
ALWAYS_INLINE int texture(const Around *a, int32_t prediction)
{
    int bits = 0;
    for (int k = 0; k < 6; k++)
        bits |= ((a->taps[k] + a->mean) * 16 > prediction) << k;
    return bits;
}

/* Most of the mean error, once there are some. */
ALWAYS_INLINE int32_t bias_of(const Bias *bias)
{
    return bias->count > 3 ? (int32_t)((int64_t)bias->sum * 11 / (16 * bias->count)) : 0;
}

ALWAYS_INLINE void bias_learn(Bias *bias, int32_t error)
{
    bias->sum += error;
    if (++bias->count > MOST_BIAS) {
        bias->sum /= 2;
        bias->count /= 2;
    }
}

#endif
