/*
 * impute.h: what is missing of rows that lie near few directions, by least squares from what is
 * there. Encoder only: floating point here decides how small a file gets, never whether it decodes.
 */
#ifndef LICTOR_IMPUTE_H
#define LICTOR_IMPUTE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "field.h"

enum { IMPUTE_TOGETHER = 64 };  /* columns whose missing rows are listed at once */

static const double IMPUTE_RIDGE = 1e-6;    /* on the diagonal, for what nothing tells */

/* Takes `times` a row from another one. */
FIELD_CLONES
static void impute_less(double *restrict from, const double *restrict row, double times, size_t n)
{
    for (size_t k = 0; k < n; k++)
        from[k] -= times * row[k];
}

/* Solves a x = x by Cholesky; of `a`, (n, n), what is above the diagonal is read, and written over. */
static void impute_solve(double *a, size_t n, double *x)
{
    for (size_t k = 0; k < n; k++) {
        double *row = a + k * n, own = row[k] > IMPUTE_RIDGE / 2 ? row[k] : IMPUTE_RIDGE / 2;
        row[k] = own;
        for (size_t i = k + 1; i < n; i++) {
            impute_less(a + i * n + i, row + i, row[i] / own, n - i);
            x[i] -= row[i] / own * x[k];
        }
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t i = k + 1; i < n; i++)
            x[k] -= a[k * n + i] * x[i];
        x[k] /= a[k * n + k];
    }
}

/* Fills what is missing of some columns, such that they lie as near to the directions as what is
   there allows: w of (1 - P) w = g, where the projection P and g, P times the columns with zeros for
   what is missing, are taken where it is. That is as small as what is missing is few (by Woodbury's
   identity).

   projection: (rows, rows). columns, projected, there: (rows, count), row by row. -1: no memory. */
static int impute_columns(const double *projection, size_t rows, size_t count, float *columns,
                          const float *projected, const uint8_t *there)
{
    uint32_t *missing = malloc(rows * IMPUTE_TOGETHER * sizeof *missing);
    double *a = malloc((rows * rows + rows) * sizeof *a), *x = a + rows * rows;
    for (size_t start = 0; missing && a && start < count; start += IMPUTE_TOGETHER) {
        size_t some = count - start < IMPUTE_TOGETHER ? count - start : IMPUTE_TOGETHER;
        size_t found[IMPUTE_TOGETHER] = {0};
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < some; k++)
                if (!there[r * count + start + k])
                    missing[k * rows + found[k]++] = (uint32_t)r;
        for (size_t k = 0; k < some; k++) {
            const uint32_t *own = missing + k * rows;
            size_t n = found[k];
            for (size_t i = 0; i < n; i++) {
                const double *row = projection + own[i] * rows;
                for (size_t j = i; j < n; j++)
                    a[i * n + j] = -row[own[j]];
                a[i * n + i] += 1 + IMPUTE_RIDGE;
                x[i] = projected[own[i] * count + start + k];
            }
            impute_solve(a, n, x);
            for (size_t i = 0; i < n; i++)
                columns[own[i] * count + start + k] = (float)x[i];
        }
    }
    int error = missing && a ? 0 : -1;
    free(missing);
    free(a);
    return error;
}

#endif
