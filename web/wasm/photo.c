/* photo.c: the lossless coder of photos (models/lossless/photo.h) for JavaScript. */
#include "pixels.h"
#include "../../models/lossless/photo.h"

static PhotoPath path(void)
{
    PhotoPath paths[PHOTO_PATHS];
    photo_set_up();
    return paths[photo_paths(paths) - 1];
}

EXPORT("photo_tile_decode")
int photo_tile_decode(const uint8_t *stream, size_t length, void *samples, int height, int width,
                      int channels, int depth, const uint8_t *mask)
{
    Tile t = {.height = height, .width = width, .channels = channels, .depth = depth, .mask = mask};
    PhotoPath only = path();
    int status = photo_decode(&t, &only, stream, length, samples, depth > 8);
    return status == PHOTO_NO_MEMORY ? CODED_MEMORY : status == PHOTO_OK ? CODED_OK : CODED_DAMAGED;
}

EXPORT("photo_tile_encode")
uint8_t *photo_tile_encode(const void *samples, int height, int width, int channels, int depth,
                           const uint8_t *mask, int flags, size_t *length)
{
    Tile t = {.height = height, .width = width, .channels = channels, .depth = depth, .mask = mask};
    PhotoPath only = path();
    return photo_encode(&t, &only, samples, depth > 8, flags, length);
}
