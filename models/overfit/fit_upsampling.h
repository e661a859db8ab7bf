/*
 * The filter before a doubling, and the doubling: symmetric, down and then across, edges repeated.
 * The grids do not meet before the finest scale, so that each is a job of its own.
 */

/* Repeats the first and last of n values, `count` times. */
static inline void NAME(repeat_ends)(float *row, int n, int count)
{
    for (int i = 1; i <= count; i++) {
        row[-i] = row[0];
        row[n - 1 + i] = row[n - 1];
    }
}

/* Gradients of repeated values go to those that were repeated. */
static inline void NAME(fold_ends)(float *row, int n, int count)
{
    for (int i = 1; i <= count; i++) {
        row[0] += row[-i];
        row[n - 1] += row[n - 1 + i];
        row[-i] = row[n - 1 + i] = 0;
    }
}

/* The row of a plane that stands for one outside. */
static inline const float *NAME(row_of)(const float *plane, int row, int rows, int columns)
{
    return plane + (size_t)clamped(row, rows) * (size_t)columns;
}

/* Row y of a filtered plane, before it is filtered across, with its ends repeated. */
static inline void
NAME(filter_down)(float *out, const float *plane, int y, int rows, int columns, const float *taps)
{
    const float *r[7];
    for (int i = 0; i < 7; i++)
        r[i] = NAME(row_of)(plane, y - 3 + i, rows, columns);
    float a = taps[0], b = taps[1], c = taps[2], d = taps[3] + 1;
    for (int x = 0; x < columns; x++)
        out[x] = a * (r[0][x] + r[6][x]) + b * (r[1][x] + r[5][x]) + c * (r[2][x] + r[4][x])
                 + d * r[3][x];
    NAME(repeat_ends)(out, columns, 3);
}

static inline void NAME(filter_across)(float *out, const float *in, int columns, const float *taps)
{
    float a = taps[0], b = taps[1], c = taps[2], d = taps[3] + 1;
    for (int x = 0; x < columns; x++)
        out[x] = a * (in[x - 3] + in[x + 3]) + b * (in[x - 2] + in[x + 2])
                 + c * (in[x - 1] + in[x + 1]) + d * in[x];
}

/* Gradients of a filtered plane (which they take the place of, filtered back across) to those of
   the plane, added, and of taps. Rows are scratch, with margins. */
static void
NAME(filter_back)(float *d, const float *plane, int rows, int columns, const float *taps,
                  float *d_taps, float *d_plane, float *row, float *other)
{
    for (int y = 0; y < rows; y++) {
        float *line = d + (size_t)y * (size_t)columns;
        NAME(filter_down)(row, plane, y, rows, columns, taps);
        for (int i = 0; i < 4; i++) {
            d_taps[i] += dot(line, row - 3 + i, (size_t)columns);
            if (i < 3)
                d_taps[i] += dot(line, row + 3 - i, (size_t)columns);
        }
        memset(row - MARGIN, 0, (size_t)(columns + 2 * MARGIN) * sizeof *row);
        memcpy(row, line, (size_t)columns * sizeof *row);
        NAME(filter_across)(other - 3, row - 3, columns + 6, taps);
        NAME(fold_ends)(other, columns, 3);
        memcpy(line, other, (size_t)columns * sizeof *line);
    }
    for (int y = 0; y < rows; y++) {
        const float *line = d + (size_t)y * (size_t)columns;
        for (int i = 0; i < 7; i++) {
            int tap = i < 4 ? i : 6 - i, to = clamped(y - 3 + i, rows);
            const float *in = plane + (size_t)to * (size_t)columns;
            float *out = d_plane + (size_t)to * (size_t)columns, w = taps[tap] + (tap == 3);
            d_taps[tap] += dot(line, in, (size_t)columns);
            for (int x = 0; x < columns; x++)
                out[x] += w * line[x];
        }
    }
}

/* Taps of the doubling for the value i rows on from the second before (-2 … 2), for even or odd. */
static const int NAME(DOUBLING)[2][5] = {{0, 2, 3, 1, -1}, {-1, 1, 3, 2, 0}};

/* Row y of the doubled plane, before it is doubled across, with its ends repeated. */
static inline void
NAME(double_down)(float *out, const float *plane, int y, int rows, int columns, const float *taps)
{
    const float *r[4];
    float w[4];
    for (int i = 0; i < 4; i++) {
        r[i] = NAME(row_of)(plane, (y >> 1) - 2 + (y & 1) + i, rows, columns);
        w[i] = taps[NAME(DOUBLING)[y & 1][(y & 1) + i]];
    }
    for (int x = 0; x < columns; x++)
        out[x] = w[0] * r[0][x] + w[1] * r[1][x] + w[2] * r[2][x] + w[3] * r[3][x];
    NAME(repeat_ends)(out, columns, 2);
}

/* `columns` values, of half as many. */
static inline void NAME(double_across)(float *out, const float *in, int columns, const float *taps)
{
    float a = taps[0], b = taps[1], c = taps[2], d = taps[3];
    for (int x = 0; x < columns / 2; x++) {
        out[2 * x] = a * in[x - 2] + c * in[x - 1] + d * in[x] + b * in[x + 1];
        out[2 * x + 1] = b * in[x - 1] + d * in[x] + c * in[x + 1] + a * in[x + 2];
    }
    if (columns & 1) {
        int x = columns / 2;
        out[2 * x] = a * in[x - 2] + c * in[x - 1] + d * in[x] + b * in[x + 1];
    }
}

/* Gradients of a doubled row to those of the row (`half` values), with the row for those of taps.
 */
static inline void
NAME(double_across_back)(float *out, const float *d, int columns, const float *taps,
                         const float *in, float *d_taps, float *even, float *odd, float *sum)
{
    int half = (columns + 1) / 2;
    for (int i = 1; i <= 4; i++)
        even[-i] = odd[-i] = even[half - 1 + i] = odd[half - 1 + i] = 0;
    odd[half - 1] = 0;
    for (int x = 0; x < columns / 2; x++) {
        even[x] = d[2 * x];
        odd[x] = d[2 * x + 1];
    }
    if (columns & 1)
        even[half - 1] = d[columns - 1];
    if (d_taps)
        for (int i = 0; i < 5; i++) {
            int e = NAME(DOUBLING)[0][i], o = NAME(DOUBLING)[1][i];
            if (e >= 0)
                d_taps[e] += dot(even, in - 2 + i, (size_t)half);
            if (o >= 0)
                d_taps[o] += dot(odd, in - 2 + i, (size_t)half);
        }
    float a = taps[0], b = taps[1], c = taps[2], w = taps[3];
    for (int x = -2; x < half + 2; x++)
        sum[x] = a * even[x + 2] + c * even[x + 1] + w * even[x] + b * even[x - 1] + b * odd[x + 1]
                 + w * odd[x] + c * odd[x - 1] + a * odd[x - 2];
    NAME(fold_ends)(sum, half, 2);
    memcpy(out, sum, (size_t)half * sizeof *out);
}

/* Gradients of a plane doubled down, `doubled` rows, to those of the plane. */
static void NAME(double_down_back)(float *out, const float *d, int doubled, const float *plane,
                                   int rows, int columns, const float *taps, float *d_taps)
{
    memset(out, 0, (size_t)rows * (size_t)columns * sizeof *out);
    for (int y = 0; y < doubled; y++) {
        const float *line = d + (size_t)y * (size_t)columns;
        for (int i = 0; i < 4; i++) {
            int tap = NAME(DOUBLING)[y & 1][(y & 1) + i],
                to = clamped((y >> 1) - 2 + (y & 1) + i, rows);
            float *o = out + (size_t)to * (size_t)columns, w = taps[tap];
            if (d_taps)
                d_taps[tap] += dot(line, plane + (size_t)to * (size_t)columns, (size_t)columns);
            for (int x = 0; x < columns; x++)
                o[x] += w * line[x];
        }
    }
}

/* Rows of scratch, each with margins. */
enum { NAME(ROWS) = 5 };
static inline float *NAME(scratch_row)(const Fit *fit, int thread, int which)
{
    return fit->scratch[thread] + MARGIN + (size_t)which * stride_of(fit->width);
}

/* A grid, filtered and doubled till it is half as fine as the picture. A job is a grid but the
 * first. */
static void NAME(upsample)(Fit *fit, int job, int thread)
{
    int g = job + 1;
    float *row = NAME(scratch_row)(fit, thread, 0);
    const float *grid = fit->value + fit->start[g];
    if (g == LATENT_GRIDS - 1)
        memcpy(fit->chain[g][g], grid, fit->size[g] * sizeof *grid);
    else
        for (int y = 0; y < fit->rows[g]; y++) {
            const float *taps = fit->parameters + fit->at.before + g * TAPS;
            NAME(filter_down)(row, grid, y, fit->rows[g], fit->columns[g], taps);
            NAME(filter_across)(fit->chain[g][g] + (size_t)y * (size_t)fit->columns[g], row,
                                fit->columns[g], taps);
        }
    for (int level = g - 1; level >= 1; level--)
        for (int y = 0; y < fit->rows[level]; y++) {
            const float *taps = fit->parameters + fit->at.up + level * TAPS;
            NAME(double_down)(row, fit->chain[g][level + 1], y, fit->rows[level + 1],
                              fit->columns[level + 1], taps);
            NAME(double_across)(fit->chain[g][level] + (size_t)y * (size_t)fit->columns[level], row,
                                fit->columns[level], taps);
        }
}

/* The way back, from gradients that the synthesis left. A job is a grid. Planes of the chain take
   gradients when what they held is no longer needed. */
static void NAME(upsample_back)(Fit *fit, int job, int thread)
{
    int g = job;
    float *row = NAME(scratch_row)(fit, thread, 0), *other = NAME(scratch_row)(fit, thread, 1);
    float *even = NAME(scratch_row)(fit, thread, 2), *odd = NAME(scratch_row)(fit, thread, 3);
    float *partial = fit->partial + (size_t)job * (size_t)fit->at.count;
    const float *p = fit->parameters;
    float *d = g ? NULL : fit->finest;
    for (int level = 0; level < g; level++) {
        int rows = fit->rows[level], half_rows = fit->rows[level + 1],
            half = fit->columns[level + 1];
        const float *taps = p + fit->at.up + level * TAPS, *coarse = fit->chain[g][level + 1];
        float *d_taps = partial + fit->at.up + level * TAPS;
        float *across = fit->half[g]; /* which the synthesis filled for the finest */
        if (level)
            for (int y = 0; y < rows; y++) {
                NAME(double_down)(row, coarse, y, half_rows, half, taps);
                NAME(double_across_back)(across + (size_t)y * (size_t)half,
                                         d + (size_t)y * (size_t)fit->columns[level],
                                         fit->columns[level], taps, row, d_taps, even, odd, other);
            }
        /* The finer plane of the chain is done with, and is large enough; at the finest there is
           the scratch plane behind `half`. */
        float *next =
            level ? fit->chain[g][level] : fit->half[g] + (size_t)fit->height * (size_t)half;
        NAME(double_down_back)(next, across, rows, coarse, half_rows, half, taps, d_taps);
        d = next;
    }
    float *out = fit->gradient + fit->start[g];
    if (g == LATENT_GRIDS - 1)
        for (size_t i = 0; i < fit->size[g]; i++)
            out[i] += d[i];
    else
        NAME(filter_back)(d, fit->value + fit->start[g], fit->rows[g], fit->columns[g],
                          p + fit->at.before + g * TAPS, partial + fit->at.before + g * TAPS, out,
                          row, other);
}
