/*
 * quantise.h: numbers to integers and how far off they are, for an encoder in a hurry. Encoder only.
 */
#ifndef LICTOR_QUANTISE_H
#define LICTOR_QUANTISE_H

#include <math.h>

#include "field.h"

enum { QUANTISE_LANES = 8, QUANTISE_BLOCK = 1024 };

/* Integers near x / step, drawn to 0 by `dead`; gives the sum of squared errors of integer * step,
   rounded to the type. out: NULL if only that is wanted. */
#define QUANTISE(NAME, TYPE)                                                                      \
    FIELD_CLONES                                                                                  \
    static double NAME(const TYPE *x, size_t n, double step, double dead, int32_t *out)           \
    {                                                                                             \
        double sum[QUANTISE_LANES] = {0}, whole = 0, near = 0.5 - dead;                           \
        int32_t levels[QUANTISE_BLOCK];                                                           \
        for (size_t at = 0; at < n; at += QUANTISE_BLOCK) {                                       \
            size_t m = n - at < QUANTISE_BLOCK ? n - at : QUANTISE_BLOCK;                         \
            int32_t *to = out ? out + at : levels;                                                \
            const TYPE *from = x + at;                                                            \
            if (dead > 0)                                                                         \
                for (size_t i = 0; i < m; i++) {                                                  \
                    double q = from[i] / step;                                                    \
                    int32_t size = (int32_t)(fabs(q) + near);                                     \
                    to[i] = q < 0 ? -size : size;                                                 \
                }                                                                                 \
            else                                                                                  \
                for (size_t i = 0; i < m; i++)                                                    \
                    to[i] = (int32_t)rint(from[i] / step);                                        \
            size_t i = 0;                                                                         \
            for (; i + QUANTISE_LANES <= m; i += QUANTISE_LANES)                                  \
                for (size_t k = 0; k < QUANTISE_LANES; k++) {                                     \
                    double error = (double)(TYPE)(to[i + k] * step) - (double)from[i + k];        \
                    sum[k] += error * error;                                                      \
                }                                                                                 \
            for (; i < m; i++) {                                                                  \
                double error = (double)(TYPE)(to[i] * step) - (double)from[i];                    \
                sum[0] += error * error;                                                          \
            }                                                                                     \
        }                                                                                         \
        for (size_t k = 0; k < QUANTISE_LANES; k++)                                               \
            whole += sum[k];                                                                      \
        return whole;                                                                             \
    }

QUANTISE(quantise_float, float)
QUANTISE(quantise_double, double)

/* The sum of squared errors of integers within ±most, counted from `zero`. */
#define GRID(NAME, TYPE)                                                                          \
    FIELD_CLONES                                                                                  \
    static double NAME(const TYPE *x, size_t n, double step, double zero, double most)            \
    {                                                                                             \
        double sum[QUANTISE_LANES] = {0}, whole = 0;                                              \
        size_t i = 0;                                                                             \
        for (; i + QUANTISE_LANES <= n; i += QUANTISE_LANES)                                      \
            for (size_t k = 0; k < QUANTISE_LANES; k++) {                                         \
                double q = rint((x[i + k] - zero) / step);                                        \
                q = q < -most ? -most : q > most ? most : q;                                      \
                double error = q * step + zero - x[i + k];                                        \
                sum[k] += error * error;                                                          \
            }                                                                                     \
        for (; i < n; i++) {                                                                      \
            double q = rint((x[i] - zero) / step);                                                \
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

#endif
