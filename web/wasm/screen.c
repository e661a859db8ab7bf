/* screen.c: the lossless coder of screens (models/lossless/screen.h) for JavaScript. */
#include "pixels.h"
#include "../../models/lossless/screen.h"

EXPORT("screen_tile_decode")
int screen_tile_decode(const uint8_t *stream, size_t length, void *samples, int height, int width,
                       int channels, int depth, const uint8_t *mask)
{
    Tile t = {.height = height, .width = width, .channels = channels, .depth = depth, .mask = mask};
    binary_set_up();
    TileStatus status = screen_decode(&t, stream, length, samples, depth > 8);
    return status == TILE_NO_MEMORY ? CODED_MEMORY : status == TILE_OK ? CODED_OK : CODED_DAMAGED;
}

EXPORT("screen_tile_encode")
uint8_t *screen_tile_encode(const void *samples, int height, int width, int channels, int depth,
                            const uint8_t *mask, size_t *length)
{
    Tile t = {.height = height, .width = width, .channels = channels, .depth = depth, .mask = mask};
    binary_set_up();
    return screen_encode(&t, samples, depth > 8, length);
}
