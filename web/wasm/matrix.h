/*
 * matrix.h: products of places and matrices, where nearly all time goes.
 *
 * Activations lie place by place, channels together. A matrix (outputs, inputs) is kept as panels
 * of so many outputs as one pass makes: in each, input by input, the weights of these outputs. A
 * pass makes ROWS places at once, so that each weight that is loaded serves all of them.
 *
 * In float for the transforms, in double for what must be exact: there all is integers below 2^53,
 * and any order of summation gives the same (models/coding/fixed_point.py).
 */
#ifndef LICTOR_WEB_MATRIX_H
#define LICTOR_WEB_MATRIX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

#define INLINE static inline __attribute__((always_inline))

enum { ROWS = 4 };              /* places of a pass */

typedef struct {
    int inputs, outputs;
    float *panels;
    float *bias;
} Matrix;

typedef struct {
    int inputs, outputs;
    double *panels;
    double *bias;
} ExactMatrix;

/* ---------------------------------------------------------------- floats */

enum { PANEL = 8 };             /* outputs of a pass */

/* Places `at`, …, at + rows − 1 by one panel, into sums; `rows` is a constant where it counts. */
INLINE void float_pass(const Matrix *m, int panel, const float *x, int rows, v128_t sums[ROWS][2])
{
    const float *w = m->panels + (size_t)panel * PANEL * (size_t)m->inputs;
    const float *bias = m->bias + panel * PANEL;
    v128_t low = wasm_v128_load(bias), high = wasm_v128_load(bias + 4);
    for (int r = 0; r < rows; r++) {
        sums[r][0] = low;
        sums[r][1] = high;
    }
    for (int i = 0; i < m->inputs; i++, w += PANEL) {
        v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 4);
        for (int r = 0; r < rows; r++) {
            v128_t v = wasm_v128_load32_splat(x + (size_t)r * (size_t)m->inputs + i);
            sums[r][0] = wasm_f32x4_add(wasm_f32x4_mul(v, w0), sums[r][0]);
            sums[r][1] = wasm_f32x4_add(wasm_f32x4_mul(v, w1), sums[r][1]);
        }
    }
}

INLINE void float_store(const Matrix *m, int panel, float *out, int rows, v128_t sums[ROWS][2],
                        int add)
{
    for (int r = 0; r < rows; r++) {
        float *o = out + (size_t)r * (size_t)m->outputs + panel * PANEL;
        for (int h = 0; h < 2; h++) {
            v128_t v = sums[r][h];
            if (add)
                v = wasm_f32x4_add(v, wasm_v128_load(o + 4 * h));
            wasm_v128_store(o + 4 * h, v);
        }
    }
}

/* out (places, outputs) = W x + b, or more by that if `add`; x (places, inputs). */
INLINE void multiply_as(const Matrix *m, const float *x, size_t places, float *out, int add)
{
    int panels = m->outputs / PANEL;
    for (size_t p = 0; p < places; p += ROWS) {
        size_t rows = places - p < ROWS ? places - p : ROWS;
        const float *from = x + p * (size_t)m->inputs;
        float *to = out + p * (size_t)m->outputs;
        for (int n = 0; n < panels; n++) {
            v128_t sums[ROWS][2];
            if (rows == ROWS) {
                float_pass(m, n, from, ROWS, sums);
                float_store(m, n, to, ROWS, sums, add);
            } else {
                for (size_t r = 0; r < rows; r++) {
                    float_pass(m, n, from + r * (size_t)m->inputs, 1, sums);
                    float_store(m, n, to + r * (size_t)m->outputs, 1, sums, add);
                }
            }
        }
    }
}

static void multiply(const Matrix *m, const float *x, size_t places, float *out)
{
    multiply_as(m, x, places, out, 0);
}

static void multiply_onto(const Matrix *m, const float *x, size_t places, float *out)
{
    multiply_as(m, x, places, out, 1);
}

/* ---------------------------------------------------------------- exactly */

enum { EXACT_PANEL = 4 };

/* Activations are clamped to ±LIMIT (models/coding/LATENTS.md). */
#define LIMIT 8388608.0

/* C(R(v)) */
INLINE v128_t held(v128_t v)
{
    v = wasm_f64x2_floor(wasm_f64x2_add(v, wasm_f64x2_splat(0.5)));
    return wasm_f64x2_pmax(wasm_f64x2_splat(-LIMIT), wasm_f64x2_pmin(wasm_f64x2_splat(LIMIT), v));
}

INLINE void exact_pass(const ExactMatrix *m, int panel, const double *x, size_t stride, double *out,
                       size_t out_stride, int rows)
{
    const double *w = m->panels + (size_t)panel * EXACT_PANEL * (size_t)m->inputs;
    const double *bias = m->bias + panel * EXACT_PANEL;
    v128_t sums[ROWS][2];
    for (int r = 0; r < rows; r++) {
        sums[r][0] = wasm_v128_load(bias);
        sums[r][1] = wasm_v128_load(bias + 2);
    }
    for (int i = 0; i < m->inputs; i++, w += EXACT_PANEL) {
        v128_t w0 = wasm_v128_load(w), w1 = wasm_v128_load(w + 2);
        for (int r = 0; r < rows; r++) {
            v128_t v = wasm_v128_load64_splat(x + (size_t)r * stride + i);
            sums[r][0] = wasm_f64x2_add(wasm_f64x2_mul(v, w0), sums[r][0]);
            sums[r][1] = wasm_f64x2_add(wasm_f64x2_mul(v, w1), sums[r][1]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int h = 0; h < 2; h++) {
            v128_t v = wasm_f64x2_mul(sums[r][h], wasm_f64x2_splat(1.0 / 65536));
            wasm_v128_store(out + (size_t)r * out_stride + panel * EXACT_PANEL + 2 * h, held(v));
        }
}

/* out (places, outputs) = C(R((W x + b) / 2^16)); strides: from place to place. */
static void exact_multiply(const ExactMatrix *m, const double *x, size_t stride, size_t places,
                           double *out, size_t out_stride)
{
    int panels = m->outputs / EXACT_PANEL;
    for (size_t p = 0; p < places; p += ROWS) {
        size_t rows = places - p < ROWS ? places - p : ROWS;
        for (int n = 0; n < panels; n++) {
            if (rows == ROWS)
                exact_pass(m, n, x + p * stride, stride, out + p * out_stride, out_stride, ROWS);
            else
                for (size_t r = p; r < p + rows; r++)
                    exact_pass(m, n, x + r * stride, stride, out + r * out_stride, out_stride, 1);
        }
    }
}

#endif
