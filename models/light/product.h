/*
 * Matrix products for one kind of number and one kind of processor. kernels.h includes this once for
 * each, with
 *
 *   REAL      float or double
 *   NAME(x)   what x is called for these
 *   TARGET    attribute of functions for the processor
 *   LANES     numbers in a vector
 *   WIDE      vectors side by side in a kernel
 *   TALL      rows of a kernel; TALL * WIDE sums stay in registers
 *
 * Vectors are those of gcc and clang, where there are such; LANES is 1 elsewhere.
 */

#if LANES > 1
typedef REAL NAME(Vector) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#else
typedef REAL NAME(Vector);
#endif

/* out = start + x * packed for `rows` rows, at most TALL, and WIDE * LANES columns; `start` is a row
   for all, or what out holds. */
#define KERNEL(rows)                                                                               \
    TARGET static void NAME(kernel_##rows)(const REAL *x, size_t row, size_t inputs,               \
                                           const REAL *packed, const REAL *start, REAL *out,       \
                                           size_t next)                                            \
    {                                                                                              \
        NAME(Vector) sum[rows][WIDE];                                                              \
        UNROLL for (int i = 0; i < rows; i++)                                                      \
            UNROLL for (int v = 0; v < WIDE; v++)                                                  \
                sum[i][v] = *(const NAME(Vector) *)((start ? start : out + i * next) + v * LANES); \
        for (size_t k = 0; k < inputs; k++) {                                                      \
            NAME(Vector) column[WIDE];                                                             \
            UNROLL for (int v = 0; v < WIDE; v++)                                                  \
                column[v] = *(const NAME(Vector) *)(packed + k * PANEL                             \
                                                    + v * LANES / PANEL * inputs * PANEL           \
                                                    + v * LANES % PANEL);                          \
            UNROLL for (int i = 0; i < rows; i++)                                                  \
                UNROLL for (int v = 0; v < WIDE; v++) sum[i][v] += x[i * row + k] * column[v];     \
        }                                                                                          \
        UNROLL for (int i = 0; i < rows; i++)                                                      \
            UNROLL for (int v = 0; v < WIDE; v++)                                                  \
                *(NAME(Vector) *)(out + i * next + v * LANES) = sum[i][v];                         \
    }

#if TALL == 12
KERNEL(12)
#elif TALL == 6
KERNEL(6)
#elif TALL == 3
KERNEL(3)
#else
KERNEL(2)
#endif
KERNEL(1)
#undef KERNEL

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)

/* Some columns, a multiple of WIDE * LANES or fewer, of all rows. */
TARGET static void NAME(columns)(const REAL *x, size_t rows, size_t row, size_t inputs,
                                 const REAL *packed, const REAL *start, size_t count, REAL *out,
                                 size_t next)
{
    REAL sums[TALL * WIDE * LANES];
    const size_t whole = (size_t)WIDE * LANES;
    for (size_t r = 0; r < rows;) {
        size_t tall = rows - r < TALL ? 1 : TALL;
        REAL *to = count < whole ? sums : out + r * next;
        size_t step = count < whole ? whole : next;
        if (count < whole && !start)
            for (size_t i = 0; i < tall; i++)
                for (size_t c = 0; c < whole; c++)
                    sums[i * whole + c] = c < count ? out[(r + i) * next + c] : 0;
        if (tall == TALL)
            GLUE(NAME(kernel_), TALL)(x + r * row, row, inputs, packed, start, to, step);
        else
            NAME(kernel_1)(x + r * row, row, inputs, packed, start, to, step);
        if (count < whole)
            for (size_t i = 0; i < tall; i++)
                memcpy(out + (r + i) * next, sums + i * whole, count * sizeof(REAL));
        r += tall;
    }
}

/* out = bias + x * weights, or out += x * weights where bias is NULL. x: rows of `inputs` numbers,
   `row` apart. packed: panels of PANEL columns, inputs * PANEL numbers each, the number of panels
   even, filled up with zeros, as bias is. out: rows of `outputs` numbers, `next` apart. */
TARGET static void NAME(product)(const REAL *x, size_t rows, size_t row, size_t inputs,
                                 const REAL *packed, const REAL *bias, size_t outputs, REAL *out,
                                 size_t next)
{
    const size_t whole = (size_t)WIDE * LANES;
    for (size_t c = 0; c < outputs; c += whole) {
        size_t count = outputs - c < whole ? outputs - c : whole;
        const REAL *part = packed + c / PANEL * inputs * PANEL + c % PANEL;
        NAME(columns)(x, rows, row, inputs, part, bias ? bias + c : NULL, count, out + c, next);
    }
}
