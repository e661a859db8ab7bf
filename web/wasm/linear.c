/* linear.c: the linear coder (models/linear) for JavaScript (src/coders.js). */
#include "pixels.h"
#include "../../models/linear/tile.h"

EXPORT("linear_tile_decode")
int linear_tile_decode(const uint8_t *stream, size_t length, void *samples, int height, int width,
                       int channels, int depth, const uint8_t *mask, uint8_t *fineness)
{
    Pixels p = {.samples = samples, .height = height, .width = width, .channels = channels,
                .depth = depth};
    Blocks blocks = {mask, fineness, NULL};
    int error = linear_decode(stream, length, &p, &blocks);
    return error == LINEAR_MEMORY ? CODED_MEMORY : error == LINEAR_OK ? CODED_OK : CODED_DAMAGED;
}

/* Overwrites samples with what the stream decodes to; bits: float of each block. */
EXPORT("linear_tile_encode")
uint8_t *linear_tile_encode(void *samples, int height, int width, int channels, int depth,
                            const uint8_t *mask, uint8_t *fineness, float *bits, int step,
                            const int16_t *matrix, float slope, size_t *length)
{
    Pixels p = {.samples = samples, .height = height, .width = width, .channels = channels,
                .depth = depth};
    Blocks blocks = {mask, fineness, bits};
    Parameters own = {{1 << COLOUR_BITS}, (uint16_t)step};
    for (int i = 0; i < channels * channels; i++)
        own.matrix[i] = matrix[i];
    return linear_encode(&p, &blocks, &own, slope, length);
}
