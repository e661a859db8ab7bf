/*
 * The way back through a residual block, for one kind of processor; see kernels.h, which includes
 * this after float_paths.h. All gradients are by (height, width, channels), as arrays there.
 */

/* Places first…last - 1, from the block's output to its depthwise convolution. wide: what the block
   kept. grad: by what it gave. past: by what came by the convolution. mixed: by what that gave.
   room: TILE * 3 * channels numbers. */
TARGET static void NAME(back_to_spatial)(const BlockBack *b, const float *wide, const float *grad,
                                         size_t first, size_t last, float *past, float *mixed,
                                         float *room)
{
    const size_t channels = b->spatial.channels;
    float *gated = room, *factors = room + TILE * channels;
    for (; first < last; first += TILE) {
        size_t rows = last - first < TILE ? last - first : TILE;
        const float *from = grad + first * channels, *were = wide + 2 * first * channels;
        float *by = past + first * channels, *to = mixed + first * channels;
        memset(gated, 0, rows * channels * sizeof(float));
        NAME(product)(from, rows, channels, channels, b->project, NULL, channels, gated, channels);
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < channels; c++) {
                float value = were[2 * i * channels + c], gate = were[(2 * i + 1) * channels + c];
                float held = gate < 0.0f ? 0.0f : gate, g = gated[i * channels + c];
                held = held > b->cap[c] ? b->cap[c] : held;
                factors[2 * i * channels + c] = g * held;
                factors[(2 * i + 1) * channels + c] = held > 0.0f && held < b->cap[c] ? g * value : 0.0f;
            }
        memcpy(by, from, rows * channels * sizeof(float));
        NAME(product)(factors, rows, 2 * channels, 2 * channels, b->expand, NULL, channels, by,
                      channels);
        memset(to, 0, rows * channels * sizeof(float));
        NAME(product)(by, rows, channels, channels, b->leave, NULL, channels, to, channels);
    }
}

/* Places first…last - 1, from there to the block's input: added to `past`. entered: what the first
   layer of the block gave. mixed: all of it. room: TILE * channels numbers. */
TARGET static void NAME(back_to_input)(const BlockBack *b, const float *entered,
                                       const float *mixed, size_t first, size_t last, float *past,
                                       float *room)
{
    const size_t channels = b->spatial.channels, width = (size_t)b->spatial.width;
    for (; first < last; first += TILE) {
        size_t rows = last - first < TILE ? last - first : TILE;
        for (size_t i = 0; i < rows; i++)
            NAME(depthwise_at)(&b->spatial, mixed, (ptrdiff_t)((first + i) / width) - 1,
                               (ptrdiff_t)((first + i) % width) - 1, room + i * channels);
        for (size_t i = 0; i < rows * channels; i++)
            room[i] = entered[first * channels + i] > 0.0f ? room[i] : room[i] * 0.125f;
        NAME(product)(room, rows, channels, channels, b->enter, NULL, channels,
                      past + first * channels, channels);
    }
}
