/*
 * exact.h: the layers of the entropy networks, as models/coding/LATENTS.md ("Arithmetic") has them.
 * All values are integers in doubles, in units of 2^-12; tensors lie row by row, channels together.
 */
#ifndef LICTOR_WEB_EXACT_H
#define LICTOR_WEB_EXACT_H

#include "weights.h"

INLINE v128_t leaky2(v128_t v)
{
    v128_t eighth = wasm_f64x2_mul(v, wasm_f64x2_splat(0.125));
    return wasm_f64x2_pmax(v, wasm_f64x2_floor(wasm_f64x2_add(eighth, wasm_f64x2_splat(0.5))));
}

static void exact_leaky(double *x, size_t count)
{
    for (size_t i = 0; i < count; i += 2)
        wasm_v128_store(x + i, leaky2(wasm_v128_load(x + i)));
}

/* One place of a depthwise 3x3 with zeros around: row y, column x of (rows, columns, channels). */
INLINE void exact_depthwise_at(const double *taps, const double *in, int rows, int columns,
                               int channels, int y, int x, double *out)
{
    size_t n = (size_t)channels;
    for (size_t c = 0; c < n; c += 2) {
        v128_t sum = wasm_v128_load(taps + 9 * n + c);
        for (int k = 0; k < 9; k++) {
            int row = y + k / 3 - 1, column = x + k % 3 - 1;
            if (row < 0 || row >= rows || column < 0 || column >= columns)
                continue;
            const double *v = in + ((size_t)row * (size_t)columns + (size_t)column) * n + c;
            sum = wasm_f64x2_add(sum, wasm_f64x2_mul(wasm_v128_load(v),
                                                     wasm_v128_load(taps + (size_t)k * n + c)));
        }
        wasm_v128_store(out + c, held(wasm_f64x2_mul(sum, wasm_f64x2_splat(1.0 / 65536))));
    }
}

static void exact_depthwise(const double *taps, const double *in, int rows, int columns,
                            int channels, double *out)
{
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++, out += channels)
            exact_depthwise_at(taps, in, rows, columns, channels, y, x, out);
}

/*
 * A pointwise layer to four times the channels, then depth to space: (rows, columns, inputs) to
 * (2 rows, 2 columns, channels). `row`: room for 4 · channels of a row of places.
 */
static void exact_upsample(const ExactMatrix *m, const double *in, int rows, int columns,
                           double *row, double *out)
{
    size_t n = (size_t)m->outputs / 4, wide = 2 * (size_t)columns * n;
    for (int y = 0; y < rows; y++) {
        const double *from = in + (size_t)y * (size_t)columns * (size_t)m->inputs;
        exact_multiply(m, from, (size_t)m->inputs, (size_t)columns, row, (size_t)m->outputs);
        double *to = out + 2 * (size_t)y * wide;
        for (size_t x = 0; x < (size_t)columns; x++)
            for (size_t d = 0; d < 4; d++)
                memcpy(to + d / 2 * wide + (2 * x + d % 2) * n, row + (4 * x + d) * n,
                       n * sizeof *to);
    }
}

#endif
