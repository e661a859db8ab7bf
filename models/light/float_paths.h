/*
 * The layers of the transforms, in floating point, for one kind of processor; see kernels.h, which
 * includes this after product.h. Arrays are (height, width, channels), the channel running fastest.
 */

/* max(x, x / 8). */
TARGET static void NAME(leaky)(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float low = x[i] * 0.125f;
        x[i] = x[i] < low ? low : x[i];
    }
}

/* x held in 0…6. What is no number stays none. */
TARGET static void NAME(relu6)(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v = x[i] < 0.0f ? 0.0f : x[i];
        x[i] = v > 6.0f ? 6.0f : v;
    }
}

/* to += from * taps, a number for each channel. */
TARGET static void NAME(tap)(float *restrict to, const float *restrict from,
                             const float *restrict taps, size_t channels)
{
    for (size_t c = 0; c < channels; c++) to[c] += from[c] * taps[c];
}

/* One place of a depthwise convolution; y, x: of the upper left tap, which may lie outside. */
TARGET static void NAME(depthwise_at)(const Depthwise *d, const float *from, ptrdiff_t y,
                                      ptrdiff_t x, float *to)
{
    memcpy(to, d->bias, d->channels * sizeof(float));
    for (ptrdiff_t i = 0; i < d->kernel; i++)
        for (ptrdiff_t j = 0; j < d->kernel; j++)
            if (y + i >= 0 && y + i < d->height && x + j >= 0 && x + j < d->width)
                NAME(tap)(to, from + (size_t)((y + i) * d->width + x + j) * d->channels,
                          (const float *)d->taps + (size_t)(i * d->kernel + j) * d->channels,
                          d->channels);
}

/* Rows first…last - 1 of the output of a depthwise convolution, of `wide` places each. */
TARGET static void NAME(depthwise)(const Depthwise *d, const float *from, ptrdiff_t first,
                                   ptrdiff_t last, float *out, ptrdiff_t wide, int finish)
{
    for (ptrdiff_t y = first; y < last; y++)
        for (ptrdiff_t x = 0; x < wide; x++) {
            float *to = out + (size_t)(y * wide + x) * d->channels;
            NAME(depthwise_at)(d, from, y * d->stride - d->before, x * d->stride - d->before, to);
            if (finish & RELU6) NAME(relu6)(to, d->channels);
            if (finish & LEAKY) NAME(leaky)(to, d->channels);
        }
}

/* Products of TILE rows at a time, and what comes after while they are in the cache. */
TARGET static void NAME(dense)(const Rows *r, const float *x, const float *packed,
                               const float *bias, size_t outputs, float *out, int finish)
{
    for (size_t line = 0; line < r->lines; line++)
        for (size_t first = 0; first < r->rows; first += TILE) {
            size_t rows = r->rows - first < TILE ? r->rows - first : TILE;
            float *to = out + (line * r->rows + first) * outputs;
            NAME(product)(x + line * r->line + first * r->row, rows, r->row, r->inputs, packed,
                          finish & ADD ? NULL : bias, outputs, to, outputs);
            if (finish & LEAKY) NAME(leaky)(to, rows * outputs);
            if (finish & RELU6) NAME(relu6)(to, rows * outputs);
        }
}

/* Places first…last - 1 of what a residual block gives: x and what its first layer made of it to
   out. kept: NULL, or where both factors of the gate stay, 2 * channels numbers a place. room: TILE *
   4 * channels numbers. */
TARGET static void NAME(block)(const Block *b, const float *x, const float *entered, size_t first,
                               size_t last, float *out, float *kept, float *room)
{
    const size_t channels = b->spatial.channels, width = (size_t)b->spatial.width;
    float *mixed = room, *gated = room + TILE * 3 * channels;
    for (; first < last; first += TILE) {
        size_t rows = last - first < TILE ? last - first : TILE;
        float *to = out + first * channels;
        float *wide = kept ? kept + 2 * first * channels : room + TILE * channels;
        for (size_t i = 0; i < rows; i++)
            NAME(depthwise_at)(&b->spatial, entered, (ptrdiff_t)((first + i) / width) - 1,
                               (ptrdiff_t)((first + i) % width) - 1, mixed + i * channels);
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < channels; c++)
                to[i * channels + c] = x[(first + i) * channels + c] + b->leave_bias[c];
        NAME(product)(mixed, rows, channels, channels, b->leave, NULL, channels, to, channels);
        NAME(product)(to, rows, channels, channels, b->expand, b->expand_bias, 2 * channels, wide,
                      2 * channels);
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < channels; c++) {
                float gate = wide[(2 * i + 1) * channels + c];
                gate = gate < 0.0f ? 0.0f : gate;
                gate = gate > b->cap[c] ? b->cap[c] : gate;
                gated[i * channels + c] = wide[2 * i * channels + c] * gate;
                to[i * channels + c] += b->project_bias[c];
            }
        NAME(product)(gated, rows, channels, channels, b->project, NULL, channels, to, channels);
    }
}
