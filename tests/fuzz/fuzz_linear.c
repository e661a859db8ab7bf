/*
 * Hostile streams for the linear coder. The first bytes choose the shape, channels, depth and mask
 * of a tile; the rest is its stream, or, with bit 6 of the second set, pixels that are coded: these
 * must come back as the encoder said.
 */
#define NAME "fuzz_linear"
#include "fuzz.h"

#include "../../models/linear/tile.h"

#define MOST (3 * BLOCK)

static void round_trip(const uint8_t *data, size_t size, Pixels *p, Blocks *blocks)
{
    Parameters own = {{16384, 0, 0, 0, 16384, 0, 0, 0, 16384}, 1 + (size ? data[0] : 0) * 200u};
    uint8_t *own_samples = p->samples, fineness[9];
    size_t bytes = (size_t)p->height * p->width * p->channels * (p->depth / 8), length = 0;
    for (size_t i = 0; i < bytes; i++)
        own_samples[i] = size ? data[i % size] : 0;
    for (int i = 0; i < 9; i++)
        fineness[i] = blocks->fineness[i] = size ? data[i % size] % 32 : 0;
    uint8_t *stream = linear_encode(p, blocks, &own, 9.5f, &length);
    if (stream == NULL)
        return;
    uint8_t *made = calloc(bytes, 1);
    if (made) {
        Pixels back = *p;
        back.samples = made;
        require(linear_decode(stream, length, &back, blocks) == LINEAR_OK, "the stream is refused");
        int across = (p->width + BLOCK - 1) / BLOCK;
        size_t each = (size_t)p->channels * (p->depth / 8);
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++) {
                size_t at = ((size_t)y * p->width + x) * each, block = y / BLOCK * across + x / BLOCK;
                if (blocks->mask[block])
                    require(memcmp(made + at, own_samples + at, each) == 0
                            && blocks->fineness[block] == fineness[block], "others come back");
            }
    }
    free(made);
    free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint8_t mask[9], fineness[9] = {0};
    Pixels p = {NULL, data[1] & 16 ? 16 : 8, data[1] & 32 ? 3 : 1, 1 + data[2] % MOST,
                1 + data[3] % MOST};
    for (int i = 0; i < 9; i++)
        mask[i] = data[1] >> i % 4 & 1;
    Blocks blocks = {mask, fineness, NULL};
    p.samples = malloc((size_t)p.height * p.width * p.channels * (p.depth / 8));
    if (p.samples == NULL)
        return 0;
    if (data[1] & 64)
        round_trip(data + 4, size - 4, &p, &blocks);
    else
        (void)linear_decode(data + 4, size - 4, &p, &blocks);
    free(p.samples);
    return 0;
}
