/*
 * tile_buffers.h: whether the arrays that Python hands over are a tile. Beside Python.h only.
 */
#ifndef LICTOR_TILE_BUFFERS_H
#define LICTOR_TILE_BUFFERS_H

/* `mask` may be empty. Samples of 16 bits are aligned. */
static int buffers_fit(int height, int width, int channels, int depth, const Py_buffer *pixels,
                       const Py_buffer *mask)
{
    enum { SIDE = 1 << 15, PIXELS = 1 << 24, BLOCK = 64 };  /* as tile.py says */
    if (height < 1 || width < 1 || height > SIDE || width > SIDE || height > PIXELS / width ||
        channels < 1 || channels > 4 || depth < 1 || depth > 16)
        return 0;
    int wide = depth > 8;
    size_t samples = (size_t)height * (size_t)width * (size_t)channels;
    size_t blocks = (size_t)((height + BLOCK - 1) / BLOCK) * (size_t)((width + BLOCK - 1) / BLOCK);
    return (size_t)pixels->len == samples << wide && (uintptr_t)pixels->buf % 2 <= !wide &&
           (mask->buf == NULL || (size_t)mask->len == blocks);
}

#endif
