/*
 * The transforms of linear.h in integers: colours, and the DCT of blocks of 4 to 32 a side.
 *
 * Samples are in 1/16 of a level of 0...255, whatever the depth. Both transforms are orthonormal, so
 * that an error of a coefficient is one of the pixels. Sums are taken modulo 2^32: what a hostile
 * stream asks for is wrong, but the same everywhere.
 */
#ifndef LICTOR_TRANSFORM_H
#define LICTOR_TRANSFORM_H

#include <stdint.h>

#define SIDES 4                 /* blocks of 4, 8, 16, 32 */
#define MOST_SIDE 32
#define MATRIX_BITS 12
#define COLOUR_BITS 14
#define SAMPLE_BITS 4
#define MOST_SAMPLE 16383       /* of a colour coordinate */

/* Two versions of the loops that count, on compilers which choose one when a program starts. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) \
    && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

typedef struct {
    /* of a side n = 4 << i: row k is the k-th basis vector, n numbers in 2^-12 */
    int32_t row[SIDES][MOST_SIDE * MOST_SIDE];
} Basis;

/* round(2^14 * sqrt(2) * cos(pi * j / 64)), j = 0...16...32: the rest follows by symmetry. */
static const int32_t COSINES[33] = {
    23170, 23143, 23059, 22920, 22725, 22476, 22173, 21816, 21407, 20946, 20435, 19874, 19266,
    18611, 17911, 17168, 16384, 15560, 14699, 13803, 12873, 11912, 10922, 9907, 8867, 7806,
    6726, 5630, 4520, 3400, 2271, 1137, 0};

static int32_t cosine(int j)    /* of pi * j / 64, as above */
{
    j %= 128;
    j = j > 64 ? 128 - j : j;
    return j <= 32 ? COSINES[j] : -COSINES[64 - j];
}

static void basis_fill(Basis *b)
{
    /* 2^16 / sqrt(n), times the cosines' 2^14 and sqrt(2), less 18 bits: 2^12 */
    static const int32_t scale[SIDES] = {32768, 23170, 16384, 11585};
    for (int i = 0; i < SIDES; i++) {
        int n = 4 << i;
        for (int k = 0; k < n; k++)
            for (int x = 0; x < n; x++) {
                int32_t c = k ? cosine((2 * x + 1) * k * (MOST_SIDE / n)) : 16384;
                int64_t product = (int64_t)c * scale[i];
                b->row[i][k * n + x] = (int32_t)((product + (1 << 17)) >> 18);
            }
    }
}

/* out (n x n) = rows (n x used) transposed, times in (used x n), less 12 bits: of the first `wide`
   columns of in. */
WIDE
static void sum_rows(const int32_t *rows, int n, int used, const int32_t *in, int wide,
                     int32_t *out)
{
    for (int y = 0; y < n; y++) {
        uint32_t total[MOST_SIDE];
        for (int x = 0; x < wide; x++)
            total[x] = 1u << (MATRIX_BITS - 1);
        for (int k = 0; k < used; k++) {
            uint32_t factor = (uint32_t)rows[k * n + y];
            const int32_t *line = in + k * n;
            for (int x = 0; x < wide; x++)
                total[x] += factor * (uint32_t)line[x];
        }
        for (int x = 0; x < wide; x++)
            out[y * n + x] = (int32_t)total[x] >> MATRIX_BITS;
    }
}

/* Likewise with rows as they are: out = rows (n x n) times in, whose lines are `stride` apart. */
WIDE
static void sum_columns(const int32_t *rows, int n, const int32_t *in, int stride, int32_t *out)
{
    for (int k = 0; k < n; k++) {
        uint32_t total[MOST_SIDE];
        for (int x = 0; x < n; x++)
            total[x] = 1u << (MATRIX_BITS - 1);
        for (int y = 0; y < n; y++) {
            uint32_t factor = (uint32_t)rows[k * n + y];
            const int32_t *line = in + y * stride;
            for (int x = 0; x < n; x++)
                total[x] += factor * (uint32_t)line[x];
        }
        for (int x = 0; x < n; x++)
            out[k * n + x] = (int32_t)total[x] >> MATRIX_BITS;
    }
}

static void transposed(const int32_t *in, int n, int32_t *out)
{
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            out[x * n + y] = in[y * n + x];
}

/* Coefficients of a block: out[v * n + u], v down, u across. */
static void dct(const Basis *b, int i, const int32_t *block, int stride, int32_t *out)
{
    int n = 4 << i;
    int32_t one[MOST_SIDE * MOST_SIDE], two[MOST_SIDE * MOST_SIDE];
    sum_columns(b->row[i], n, block, stride, one);
    transposed(one, n, two);
    sum_columns(b->row[i], n, two, n, one);
    transposed(one, n, out);
}

/* The block of coefficients that are 0 from row `high` and from column `wide` on. */
static void inverse_dct(const Basis *b, int i, const int32_t *in, int high, int wide,
                        int32_t *block, int stride)
{
    int n = 4 << i;
    int32_t one[MOST_SIDE * MOST_SIDE], two[MOST_SIDE * MOST_SIDE];
    sum_rows(b->row[i], n, high, in, wide, one);
    transposed(one, n, two);
    sum_rows(b->row[i], n, wide, two, n, one);
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            block[(size_t)y * stride + x] = one[x * n + y];
}

/* ---------------------------------------------------------------- colours */

static int32_t held(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Where a picture's samples are; stride in pixels. */
typedef struct {
    void *samples;
    int depth, channels;
    int height, width;
} Pixels;

static int32_t sample_in(const Pixels *p, size_t at)
{
    if (p->depth == 8)
        return ((const uint8_t *)p->samples)[at] * 16;
    return (((const uint16_t *)p->samples)[at] * 16 + 128) / 257;
}

static void sample_out(const Pixels *p, size_t at, int32_t value)
{
    if (p->depth == 8)
        ((uint8_t *)p->samples)[at] = (uint8_t)held((value + 8) >> 4, 0, 255);
    else
        ((uint16_t *)p->samples)[at] = (uint16_t)held((value * 257 + 8) >> 4, 0, 65535);
}

/* matrix: row k makes coordinate k of the colours, in 2^-14; of gray, one number. */
static void colours_in(const int16_t *matrix, int channels, const int32_t *colour, int32_t *out)
{
    for (int k = 0; k < channels; k++) {
        int32_t sum = 1 << (COLOUR_BITS - 1);
        for (int c = 0; c < channels; c++)
            sum += matrix[k * channels + c] * (colour[c] - 2048);
        out[k] = sum >> COLOUR_BITS;
    }
}

static void colours_out(const int16_t *matrix, int channels, const int32_t *in, int32_t *colour)
{
    for (int c = 0; c < channels; c++) {
        int64_t sum = 1 << (COLOUR_BITS - 1);
        for (int k = 0; k < channels; k++)
            sum += (int64_t)matrix[k * channels + c] * held(in[k], -MOST_SAMPLE, MOST_SAMPLE);
        colour[c] = held((int32_t)(sum >> COLOUR_BITS) + 2048, -65536, 65536);
    }
}

#endif
