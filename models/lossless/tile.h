/*
 * tile.h: a piece of a picture as the lossless coders see it.
 */
#ifndef LICTOR_TILE_H
#define LICTOR_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { BLOCK_SIDE = 64 };       /* of the blocks of a mask */

typedef enum { TILE_OK, TILE_DAMAGED, TILE_NO_MEMORY } TileStatus;

typedef struct {
    int height, width, channels, depth;
    const uint8_t *mask;        /* whether a block is coded, or NULL: all are */
} Tile;

static inline int tile_codes(const Tile *t, size_t y, size_t x)
{
    size_t across = ((size_t)t->width + BLOCK_SIDE - 1) / BLOCK_SIDE;
    return t->mask == NULL || t->mask[y / BLOCK_SIDE * across + x / BLOCK_SIDE];
}

/* Sample i of an array, `wide`: of 16 bits, in the order of this machine's bytes. */
static inline uint16_t sample_at(const void *samples, int wide, size_t i)
{
    return wide ? ((const uint16_t *)samples)[i] : ((const uint8_t *)samples)[i];
}

static inline void put_sample(void *samples, int wide, size_t i, uint16_t value)
{
    if (wide)
        ((uint16_t *)samples)[i] = value;
    else
        ((uint8_t *)samples)[i] = (uint8_t)value;
}

#endif
