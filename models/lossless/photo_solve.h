/*
 * photo_solve.h: least squares in integers.
 *
 * Solves A w = b by a Cholesky decomposition whose entries have 31 bits and whose sums have 64. A
 * is a sum of products of a vector with itself (a Gram matrix) of the taps and, last, of the
 * target, so that its last row is b; no sum of products in it exceeds the largest diagonal entry
 * (Cauchy-Schwarz), which is scaled to just below 2^60. N. Higham, "Accuracy and Stability of
 * Numerical Algorithms", 2002, chapter 10.
 */
#ifndef LICTOR_PHOTO_SOLVE_H
#define LICTOR_PHOTO_SOLVE_H

#include "photo_tables.h"

enum {
    TAPS_ROOM = 32,             /* of a row; at most 27 taps, and the target */
    WEIGHT_BITS = 16,           /* weights are in 1/2^16 */
    LARGEST_WEIGHT = 1 << 20
};

#define TRIANGLE(n) ((n) * ((n) + 1) / 2)       /* entries of a triangle of n rows */

/* About 2^63 / sqrt(v), below 2^32, for v of 2^62 and more. */
ALWAYS_INLINE uint32_t inverse_root(uint64_t v)
{
    uint64_t high = v >> 32;                    /* 2^30 … 2^32 - 1 */
    uint64_t root = first_root[(high >> 25) - 32];
    for (int i = 0; i < 2; i++) {               /* Newton: each doubles the bits */
        uint64_t square = root * root >> 32;
        uint64_t three = ((uint64_t)3 << 30) - (square * high >> 32);
        root = root * three >> 31;
        if (root > 0xFFFFFFFFu)
            root = 0xFFFFFFFFu;
    }
    return (uint32_t)root;
}

typedef struct {
    uint64_t rows[TAPS_ROOM][TAPS_ROOM];        /* what is left of the matrix */
    int32_t columns[TAPS_ROOM][TAPS_ROOM];      /* of the decomposition: [column][row] */
    uint32_t roots[TAPS_ROOM];                  /* of its diagonal, by inverse_root() … */
    int shifts[TAPS_ROOM];                      /* … and how much the entry was shifted before */
} Solver;

/*
 * `packed`: the triangle of n taps and the target, row by row. Leaves the weights in `weights`,
 * in 1/2^16. Unsigned sums wrap where a matrix is not what it should be, and do no harm.
 */
ALWAYS_INLINE void solve(Solver *s, const int64_t *packed, int n, int32_t *weights)
{
    uint64_t most = 1;
    for (int i = 0; i <= n; i++) {
        uint64_t d = (uint64_t)packed[TRIANGLE(i) + i];
        most = d > most ? d : most;
    }
    int up = 59 - (most >> 32 ? 32 + highest_bit((uint32_t)(most >> 32))
                              : highest_bit((uint32_t)most));
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= i; j++)
            s->rows[i][j] = (uint64_t)packed[TRIANGLE(i) + j] << up;
    for (int j = 0; j < n; j++) {
        uint64_t d = s->rows[j][j];
        if ((int64_t)d < (int64_t)1 << 32)
            d = (uint64_t)1 << 32;
        int shift = 63 - 32 - highest_bit((uint32_t)(d >> 32));
        shift &= ~1;
        uint32_t root = inverse_root(d << shift);
        s->roots[j] = root;
        s->shifts[j] = shift >> 1;
        int32_t *column = s->columns[j];
        for (int i = j + 1; i <= n; i++) {
            int32_t entry = (int32_t)((int64_t)(s->rows[i][j] << (shift >> 1)) >> 31);
            column[i] = (int32_t)((int64_t)entry * (int32_t)(root >> 1) >> 31);
        }
        for (int i = j + 1; i <= n; i++) {
            uint64_t *row = s->rows[i];
            int32_t own = column[i];
            for (int k = j + 1; k <= i; k++)
                row[k] -= (uint64_t)((int64_t)own * column[k]);
        }
    }
    for (int j = n - 1; j >= 0; j--) {
        int64_t left = (int64_t)s->columns[j][n] * (1 << WEIGHT_BITS);
        for (int k = j + 1; k < n; k++)
            left -= (int64_t)s->columns[j][k] * weights[k];
        int64_t limit = ((int64_t)1 << 51) >> s->shifts[j];
        left = left < -limit ? -limit : left > limit ? limit : left;
        left = ((left * ((int64_t)1 << s->shifts[j])) >> 20) * (int32_t)(s->roots[j] >> 1) >> 42;
        weights[j] = (int32_t)(left < -LARGEST_WEIGHT  ? -LARGEST_WEIGHT
                               : left > LARGEST_WEIGHT ? LARGEST_WEIGHT
                                                       : left);
    }
}

#endif
