/*
 * quantise.h: numbers to integers and how far off they are, for an encoder in a hurry. Encoder only.
 */
#ifndef LICTOR_QUANTISE_H
#define LICTOR_QUANTISE_H

#include <math.h>

#include "field.h"
#include "levels.h"

enum { QUANTISE_LANES = 8, QUANTISE_BLOCK = 1024 };

/* Numbers of a kind: 0 float16, 1 bfloat16, 2 float32, 3 float64. Those of 16 bits are made float,
   which has them exactly, a block at a time. */
typedef struct {
    const void *all;
    int kind;
} Numbers;

enum { NUMBERS_HALF, NUMBERS_BFLOAT, NUMBERS_FLOAT, NUMBERS_DOUBLE, NUMBERS_BLOCK = 2048 };

static inline size_t numbers_size(int kind)
{
    return kind == NUMBERS_DOUBLE ? 8 : kind == NUMBERS_FLOAT ? 4 : 2;
}

FIELD_CLONES
static void numbers_of_half(const uint16_t *restrict from, size_t n, float *restrict to)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t)(from[i] & 0x7fff) << 13, sign = (uint32_t)(from[i] & 0x8000) << 16;
        float scaled;
        memcpy(&scaled, &size, sizeof scaled);
        scaled *= 0x1p112f;     /* also where it is subnormal */
        uint32_t bits;
        memcpy(&bits, &scaled, sizeof bits);
        bits = size >= 0x7c00u << 13 ? size | 0x7f800000u : bits;
        bits |= sign;
        memcpy(to + i, &bits, sizeof bits);
    }
}

FIELD_CLONES
static void numbers_of_bfloat(const uint16_t *restrict from, size_t n, float *restrict to)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

/* n of them from `at` on, at most NUMBERS_BLOCK but where they are float; none are double. */
static const float *numbers_get(const Numbers *x, size_t at, size_t n, float *room)
{
    if (x->kind == NUMBERS_FLOAT)
        return (const float *)x->all + at;
    if (x->kind == NUMBERS_HALF)
        numbers_of_half((const uint16_t *)x->all + at, n, room);
    else
        numbers_of_bfloat((const uint16_t *)x->all + at, n, room);
    return room;
}

/* How many to take at once. */
static inline size_t numbers_block(const Numbers *x, size_t left)
{
    return x->kind < NUMBERS_FLOAT && left > NUMBERS_BLOCK ? NUMBERS_BLOCK : left;
}

/* How far integers are off. */
typedef struct {
    double sum, largest;    /* of the squares */
} QuantiseError;

/* Integers near x / step, drawn to 0 by `dead`, and the errors of integer * step, rounded to the
   type, which are added up. out: NULL if only these are wanted. */
#define QUANTISE(NAME, TYPE)                                                                      \
    FIELD_CLONES                                                                                  \
    static void NAME(const TYPE *x, size_t n, double step, double dead, int32_t *out,             \
                     QuantiseError *error)                                                        \
    {                                                                                             \
        double sum[QUANTISE_LANES] = {0}, most[QUANTISE_LANES] = {0};                             \
        double near = 0.5 - dead, steps = 1 / step;     /* a product is quicker than a quotient */ \
        int32_t levels[QUANTISE_BLOCK];                                                           \
        for (size_t at = 0; at < n; at += QUANTISE_BLOCK) {                                       \
            size_t m = n - at < QUANTISE_BLOCK ? n - at : QUANTISE_BLOCK;                         \
            int32_t *to = out ? out + at : levels;                                                \
            const TYPE *from = x + at;                                                            \
            if (dead > 0)                                                                         \
                for (size_t i = 0; i < m; i++) {                                                  \
                    double q = from[i] * steps;                                                   \
                    int32_t size = (int32_t)(fabs(q) + near);                                     \
                    to[i] = q < 0 ? -size : size;                                                 \
                }                                                                                 \
            else                                                                                  \
                for (size_t i = 0; i < m; i++)                                                    \
                    to[i] = (int32_t)rint(from[i] * steps);                                       \
            size_t i = 0;                                                                         \
            for (; i + QUANTISE_LANES <= m; i += QUANTISE_LANES)                                  \
                for (size_t k = 0; k < QUANTISE_LANES; k++) {                                     \
                    double off = (double)(TYPE)(to[i + k] * step) - (double)from[i + k];          \
                    sum[k] += off * off;                                                          \
                    most[k] = off * off > most[k] ? off * off : most[k];                          \
                }                                                                                 \
            for (; i < m; i++) {                                                                  \
                double off = (double)(TYPE)(to[i] * step) - (double)from[i];                      \
                sum[0] += off * off;                                                              \
                most[0] = off * off > most[0] ? off * off : most[0];                              \
            }                                                                                     \
        }                                                                                         \
        for (size_t k = 0; k < QUANTISE_LANES; k++) {                                             \
            error->sum += sum[k];                                                                 \
            error->largest = most[k] > error->largest ? most[k] : error->largest;                 \
        }                                                                                         \
    }

QUANTISE(quantise_float, float)
QUANTISE(quantise_double, double)

/* Integers times a step, as a type has them. */
#define SCALE(NAME, TYPE)                                                                         \
    FIELD_CLONES                                                                                  \
    static void NAME(const int32_t *levels, size_t n, double step, void *out)                     \
    {                                                                                             \
        TYPE *to = out;                                                                           \
        for (size_t i = 0; i < n; i++)                                                            \
            to[i] = (TYPE)(levels[i] * step);                                                     \
    }

SCALE(scale_float, float)
SCALE(scale_double, double)

/* bfloat16 by way of float, half of it to even. What overflows is infinite; NaN there is none. */
FIELD_CLONES
static void scale_bfloat(const int32_t *levels, size_t n, double step, void *out)
{
    uint16_t *to = out;
    for (size_t i = 0; i < n; i++) {
        float x = (float)(levels[i] * step);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        to[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    }
}

/* float16: added to 2^52 units of its last place, a number is rounded to whole ones, half to even. */
FIELD_CLONES
static void scale_half(const int32_t *levels, size_t n, double step, void *out)
{
    uint16_t *to = out;
    for (size_t i = 0; i < n; i++) {
        double x = levels[i] * step, size = fabs(x) < 65536.0 ? fabs(x) : 65536.0, whole;
        uint64_t bits;
        memcpy(&bits, &size, sizeof bits);
        uint64_t exponent = bits >> 52 < 1023 - 14 ? 1023 - 14 : bits >> 52;
        bits = (exponent + 42) << 52;
        memcpy(&whole, &bits, sizeof whole);
        float rounded = (float)(size + whole - whole);
        uint32_t own, small = (uint32_t)(int32_t)((rounded < 1 ? rounded : 1) * 16777216.0f);
        memcpy(&own, &rounded, sizeof own);
        own = (own >> 13) - (112u << 10);
        own = rounded < 6.103515625e-05f ? small : own > 0x7c00 ? 0x7c00 : own;
        to[i] = (uint16_t)(own | (x < 0 ? 0x8000u : 0));
    }
}

/* An array as `outer` times `channels` times `inner` values, and its integers as channels of planes
   of outer times inner. Short runs go through tiles, so that both lie along memory. */
typedef struct {
    size_t outer, channels, inner;
} QuantiseCut;

enum { CUT_ROWS = 16, CUT_COLUMNS = 256, CUT_LONG = 16 };

static void quantise_run(const Numbers *x, size_t at, size_t n, double step, double dead,
                         int32_t *out, QuantiseError *error)
{
    float room[NUMBERS_BLOCK];
    if (x->kind == NUMBERS_DOUBLE) {
        quantise_double((const double *)x->all + at, n, step, dead, out, error);
        return;
    }
    for (size_t i = 0, m; i < n; i += m) {
        m = numbers_block(x, n - i);
        quantise_float(numbers_get(x, at + i, m, room), m, step, dead, out ? out + i : NULL, error);
    }
}

static void quantise_cut(const Numbers *x, QuantiseCut cut, double step, double dead,
                         const Levels *out, QuantiseError *error)
{
    size_t row = cut.channels * cut.inner, plane = cut.outer * cut.inner;
    if (cut.inner >= CUT_LONG || cut.channels == 1) {
        int32_t levels[LEVELS_BLOCK];
        for (size_t o = 0; o < cut.outer; o++)
            for (size_t c = 0; c < cut.channels; c++)
                for (size_t i = 0; i < cut.inner; i += LEVELS_BLOCK) {
                    size_t n = cut.inner - i < LEVELS_BLOCK ? cut.inner - i : LEVELS_BLOCK;
                    quantise_run(x, o * row + c * cut.inner + i, n, step, dead, levels, error);
                    levels_put(out, c * plane + o * cut.inner + i, n, levels);
                }
        return;
    }
    int32_t tile[CUT_ROWS][CUT_COLUMNS];
    for (size_t o = 0; o < cut.outer; o += CUT_ROWS)
        for (size_t at = 0; at < row; at += CUT_COLUMNS) {
            size_t rows = cut.outer - o < CUT_ROWS ? cut.outer - o : CUT_ROWS;
            size_t columns = row - at < CUT_COLUMNS ? row - at : CUT_COLUMNS;
            for (size_t r = 0; r < rows; r++)
                quantise_run(x, (o + r) * row + at, columns, step, dead, tile[r], error);
            for (size_t k = 0; k < columns; k++)
                levels_put_apart(out,
                                 (at + k) / cut.inner * plane + o * cut.inner + (at + k) % cut.inner,
                                 cut.inner, rows, &tile[0][k], CUT_COLUMNS);
        }
}

typedef void Scale(const int32_t *levels, size_t n, double step, void *out);

/* size: bytes of a number. */
static void scale_cut(const Levels *levels, QuantiseCut cut, double step, Scale *scale, size_t size,
                      char *out)
{
    size_t row = cut.channels * cut.inner, plane = cut.outer * cut.inner;
    if (cut.inner >= CUT_LONG || cut.channels == 1) {
        int32_t room[LEVELS_BLOCK];
        for (size_t o = 0; o < cut.outer; o++)
            for (size_t c = 0; c < cut.channels; c++)
                for (size_t i = 0; i < cut.inner; i += LEVELS_BLOCK) {
                    size_t n = cut.inner - i < LEVELS_BLOCK ? cut.inner - i : LEVELS_BLOCK;
                    scale(levels_get(levels, c * plane + o * cut.inner + i, n, room), n, step,
                          out + (o * row + c * cut.inner + i) * size);
                }
        return;
    }
    int32_t tile[CUT_ROWS][CUT_COLUMNS];
    for (size_t o = 0; o < cut.outer; o += CUT_ROWS)
        for (size_t at = 0; at < row; at += CUT_COLUMNS) {
            size_t rows = cut.outer - o < CUT_ROWS ? cut.outer - o : CUT_ROWS;
            size_t columns = row - at < CUT_COLUMNS ? row - at : CUT_COLUMNS;
            for (size_t k = 0; k < columns; k++)
                levels_get_apart(levels,
                                 (at + k) / cut.inner * plane + o * cut.inner + (at + k) % cut.inner,
                                 cut.inner, rows, &tile[0][k], CUT_COLUMNS);
            for (size_t r = 0; r < rows; r++)
                scale(tile[r], columns, step, out + ((o + r) * row + at) * size);
        }
}

/* The sum of squared errors of integers within ±most, counted from `zero`. */
#define GRID(NAME, TYPE)                                                                          \
    FIELD_CLONES                                                                                  \
    static double NAME(const TYPE *x, size_t n, double step, double zero, double most)            \
    {                                                                                             \
        double sum[QUANTISE_LANES] = {0}, whole = 0, steps = 1 / step;                            \
        size_t i = 0;                                                                             \
        for (; i + QUANTISE_LANES <= n; i += QUANTISE_LANES)                                      \
            for (size_t k = 0; k < QUANTISE_LANES; k++) {                                         \
                double q = rint((x[i + k] - zero) * steps);                                       \
                q = q < -most ? -most : q > most ? most : q;                                      \
                double error = q * step + zero - x[i + k];                                        \
                sum[k] += error * error;                                                          \
            }                                                                                     \
        for (; i < n; i++) {                                                                      \
            double q = rint((x[i] - zero) * steps);                                               \
            q = q < -most ? -most : q > most ? most : q;                                          \
            double error = q * step + zero - x[i];                                                \
            sum[0] += error * error;                                                              \
        }                                                                                         \
        for (size_t k = 0; k < QUANTISE_LANES; k++)                                               \
            whole += sum[k];                                                                      \
        return whole;                                                                             \
    }

GRID(grid_float, float)
GRID(grid_double, double)

/* The largest difference of two arrays, and the sum of the squares. */
#define COMPARE(NAME, TYPE)                                                                       \
    FIELD_CLONES                                                                                  \
    static double NAME(const TYPE *a, const TYPE *b, size_t n, double *largest)                   \
    {                                                                                             \
        double sum[QUANTISE_LANES] = {0}, most[QUANTISE_LANES] = {0}, whole = 0;                  \
        size_t i = 0;                                                                             \
        for (; i + QUANTISE_LANES <= n; i += QUANTISE_LANES)                                      \
            for (size_t k = 0; k < QUANTISE_LANES; k++) {                                         \
                double error = fabs((double)a[i + k] - (double)b[i + k]);                         \
                sum[k] += error * error;                                                          \
                most[k] = error > most[k] ? error : most[k];                                      \
            }                                                                                     \
        for (; i < n; i++) {                                                                      \
            double error = fabs((double)a[i] - (double)b[i]);                                     \
            sum[0] += error * error;                                                              \
            most[0] = error > most[0] ? error : most[0];                                          \
        }                                                                                         \
        *largest = 0;                                                                             \
        for (size_t k = 0; k < QUANTISE_LANES; k++) {                                             \
            whole += sum[k];                                                                      \
            *largest = most[k] > *largest ? most[k] : *largest;                                   \
        }                                                                                         \
        return whole;                                                                             \
    }

COMPARE(compare_float, float)
COMPARE(compare_double, double)

/* What guesses are off by takes their place, and the sum of its squares: nothing where x is the least
   or the largest that there is and a guess is beyond that. */
FIELD_CLONES
static double quantise_missed(const float *restrict x, float *restrict guess, size_t n, float low,
                              float high)
{
    double sum[QUANTISE_LANES] = {0}, whole = 0;
    for (size_t at = 0; at < n; at += QUANTISE_BLOCK) {
        size_t m = n - at < QUANTISE_BLOCK ? n - at : QUANTISE_BLOCK, i = 0;
        for (size_t k = at; k < at + m; k++) {
            float off = x[k] - guess[k];
            off = x[k] <= low && off > 0 ? 0 : off;
            guess[k] = x[k] >= high && off < 0 ? 0 : off;
        }
        for (; i + QUANTISE_LANES <= m; i += QUANTISE_LANES)
            for (size_t k = 0; k < QUANTISE_LANES; k++)
                sum[k] += (double)guess[at + i + k] * guess[at + i + k];
        for (; i < m; i++)
            sum[0] += (double)guess[at + i] * guess[at + i];
    }
    for (size_t k = 0; k < QUANTISE_LANES; k++)
        whole += sum[k];
    return whole;
}

static double grid_sum(const Numbers *x, size_t n, double step, double zero, double most)
{
    float room[NUMBERS_BLOCK];
    double sum = 0;
    if (x->kind == NUMBERS_DOUBLE)
        return grid_double(x->all, n, step, zero, most);
    for (size_t at = 0, m; at < n; at += m) {
        m = numbers_block(x, n - at);
        sum += grid_float(numbers_get(x, at, m, room), m, step, zero, most);
    }
    return sum;
}

/* Of two arrays of one kind. */
static double compare_sum(const Numbers *a, const Numbers *b, size_t n, double *largest)
{
    float one[NUMBERS_BLOCK], two[NUMBERS_BLOCK];
    double sum = 0, most;
    *largest = 0;
    if (a->kind == NUMBERS_DOUBLE)
        return compare_double(a->all, b->all, n, largest);
    for (size_t at = 0, m; at < n; at += m) {
        m = numbers_block(a, n - at);
        sum += compare_float(numbers_get(a, at, m, one), numbers_get(b, at, m, two), m, &most);
        *largest = most > *largest ? most : *largest;
    }
    return sum;
}

#endif
