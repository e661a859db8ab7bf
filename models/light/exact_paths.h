/*
 * The layers of the entropy networks, in integers held in doubles, for one kind of processor; see
 * kernels.h. Every product and sum is an integer below 2^53, so that any order gives the same
 * (models/coding/fixed_point.py): vectors or not, fused or not.
 */

/* Accumulators become activations, plus what is to be added, and a leaky ReLU. */
TARGET static void NAME(finish)(double *restrict to, const double *restrict sums, size_t count,
                                int finish)
{
    for (size_t i = 0; i < count; i++) {
        double v = floor(sums[i] * EXACT_UNIT + 0.5);
        v = v < -EXACT_LIMIT ? -EXACT_LIMIT : v > EXACT_LIMIT ? EXACT_LIMIT : v;
        to[i] = finish & ADD ? to[i] + v : v;
    }
    if (finish & LEAKY)
        for (size_t i = 0; i < count; i++) {
            double low = floor(to[i] * 0.125 + 0.5);
            to[i] = to[i] < low ? low : to[i];
        }
}

/* As that of floats. room: TILE * outputs numbers. */
TARGET static void NAME(dense)(const Rows *r, const double *x, const double *packed,
                               const double *bias, size_t outputs, double *out, int finish,
                               double *room)
{
    for (size_t line = 0; line < r->lines; line++)
        for (size_t first = 0; first < r->rows; first += TILE) {
            size_t rows = r->rows - first < TILE ? r->rows - first : TILE;
            NAME(product)(x + line * r->line + first * r->row, rows, r->row, r->inputs, packed,
                          bias, outputs, room, outputs);
            NAME(finish)(out + (line * r->rows + first) * outputs, room, rows * outputs, finish);
        }
}

/* Rows first…last - 1 of a depthwise convolution of 3x3. room: `channels` numbers. */
TARGET static void NAME(depthwise)(const Depthwise *d, const double *from, ptrdiff_t first,
                                   ptrdiff_t last, double *out, int finish, double *restrict room)
{
    for (ptrdiff_t y = first; y < last; y++)
        for (ptrdiff_t x = 0; x < d->width; x++) {
            memcpy(room, d->bias, d->channels * sizeof(double));
            for (ptrdiff_t i = -1; i <= 1; i++)
                for (ptrdiff_t j = -1; j <= 1; j++)
                    if (y + i >= 0 && y + i < d->height && x + j >= 0 && x + j < d->width) {
                        const double *restrict at =
                            from + (size_t)((y + i) * d->width + x + j) * d->channels;
                        const double *restrict taps =
                            (const double *)d->taps + (size_t)(i * 3 + j + 4) * d->channels;
                        for (size_t c = 0; c < d->channels; c++) room[c] += at[c] * taps[c];
                    }
            NAME(finish)(out + (size_t)(y * d->width + x) * d->channels, room, d->channels, finish);
        }
}
