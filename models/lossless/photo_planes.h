/*
 * photo_planes.h: pixels as padded planes of differences, and back.
 *
 * A plane has a border, so that neighbours can be read without asking where the picture ends. The
 * coder fills the border, and blocks that are not coded, as it comes by (fill_* below), so that the
 * decoder does the same.
 */
#ifndef LICTOR_PHOTO_PLANES_H
#define LICTOR_PHOTO_PLANES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CHANNELS = 4,
    SIDE = 4,                   /* border left and right */
    ABOVE = 3,                  /* border above; one row is below */
    BLOCK_SIDE = 64             /* the mask has a byte for each block of this side */
};

typedef struct {
    int32_t *value;             /* sample at (0, 0); rows are `stride` apart */
    int32_t *error;             /* |value - prediction| in sixteenths, bordered likewise with 0 */
    int32_t *room;              /* what was allocated */
} Plane;

typedef struct {
    int height, width, channels, depth;
    ptrdiff_t stride;
    const uint8_t *mask;        /* of blocks, row by row, or NULL: all are coded */
    int mask_width;
    int order[MAX_CHANNELS];    /* channel of each plane */
    int differences;            /* whether planes 1 and 2 are less plane 0 */
    Plane planes[MAX_CHANNELS];
} Tile;

static void tile_free(Tile *t)
{
    for (int p = 0; p < MAX_CHANNELS; p++)
        free(t->planes[p].room);
}

/* Allocates planes of zeros; 0, or -1 when memory is short. tile_free() in any case. */
static int tile_start(Tile *t)
{
    t->stride = t->width + 2 * SIDE;
    t->mask_width = (t->width + BLOCK_SIDE - 1) / BLOCK_SIDE;
    size_t samples = (size_t)t->stride * (size_t)(t->height + ABOVE + 1);
    for (int p = 0; p < t->channels; p++) {
        int32_t *room = calloc(samples, 2 * sizeof *room);
        if (room == NULL)
            return -1;
        t->planes[p].room = room;
        t->planes[p].value = room + ABOVE * t->stride + SIDE;
        t->planes[p].error = t->planes[p].value + samples;
    }
    return 0;
}

static int is_coded(const Tile *t, int y, int x)
{
    return t->mask == NULL || t->mask[(y / BLOCK_SIDE) * t->mask_width + x / BLOCK_SIDE];
}

/* The planes' order by number: 0 as they are, else the second and third less the first. */
enum { COLOURS = 7 };

static void set_colours(Tile *t, int colours)
{
    static const int orders[COLOURS][3] = {
        {0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {0, 1, 2}, {0, 2, 1}, {2, 0, 1}, {2, 1, 0},
    };
    for (int p = 0; p < MAX_CHANNELS; p++)
        t->order[p] = p < 3 && t->channels >= 3 ? orders[colours][p] : p;
    t->differences = colours > 0 && t->channels >= 3;
}

static int32_t first_plane_at(const Tile *t, int p, ptrdiff_t at)
{
    return t->differences && (p == 1 || p == 2) ? t->planes[0].value[at] : 0;
}

static uint32_t load_sample(const void *pixels, int wide, size_t at)
{
    return wide ? ((const uint16_t *)pixels)[at] : ((const uint8_t *)pixels)[at];
}

static void split_pixels(Tile *t, const void *pixels, int wide)
{
    for (int p = 0; p < t->channels; p++)
        for (int y = 0; y < t->height; y++)
            for (int x = 0; x < t->width; x++) {
                size_t pixel = (size_t)y * (size_t)t->width + (size_t)x;
                ptrdiff_t at = y * t->stride + x;
                uint32_t sample =
                    load_sample(pixels, wide, pixel * (size_t)t->channels + (size_t)t->order[p]);
                t->planes[p].value[at] = (int32_t)sample - first_plane_at(t, p, at);
            }
}

/* Writes the pixels of coded blocks, and 0 elsewhere. */
static void join_planes(const Tile *t, void *pixels, int wide)
{
    for (int y = 0; y < t->height; y++)
        for (int x = 0; x < t->width; x++)
            for (int p = 0; p < t->channels; p++) {
                size_t pixel = (size_t)y * (size_t)t->width + (size_t)x;
                size_t to = pixel * (size_t)t->channels + (size_t)t->order[p];
                ptrdiff_t at = y * t->stride + x;
                int32_t sample =
                    is_coded(t, y, x) ? t->planes[p].value[at] + first_plane_at(t, p, at) : 0;
                if (wide)
                    ((uint16_t *)pixels)[to] = (uint16_t)sample;
                else
                    ((uint8_t *)pixels)[to] = (uint8_t)sample;
            }
}

/* Before row y is coded: what its left border and, at the top, the rows above look like. */
static void fill_before_row(const Tile *t, Plane *plane, int y, int32_t middle)
{
    int32_t *row = plane->value + y * t->stride;
    int32_t left = y > 0 ? row[-t->stride] : middle;
    for (int x = -SIDE; x < 0; x++)
        row[x] = left;
    for (int up = 1; y == 0 && up <= ABOVE; up++)
        for (int x = -SIDE; x <= SIDE; x++)
            row[x - up * t->stride] = middle;
}

/* After sample x of the first row: the rows above continue as it does. */
static void fill_above(const Tile *t, Plane *plane, int x)
{
    int32_t *at = plane->value + x;
    for (int up = 1; up <= ABOVE; up++)
        for (int i = 1; i <= SIDE; i++)
            if (x + i < t->width + SIDE)
                at[i - up * t->stride] = *at;
}

static void fill_after_row(const Tile *t, Plane *plane, int y)
{
    int32_t *row = plane->value + y * t->stride;
    for (int x = t->width; x < t->width + SIDE; x++)
        row[x] = row[t->width - 1];
    if (y == t->height - 1)
        memcpy(row + t->stride - SIDE, row - SIDE, (size_t)t->stride * sizeof *row);
}

#endif
