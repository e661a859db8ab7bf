/*
 * A tile of linear.h as a stream, and back.
 */
#ifndef LICTOR_LINEAR_TILE_H
#define LICTOR_LINEAR_TILE_H

#include "choices.h"

#define HEAD 2                  /* the step; with colours the matrix follows */

enum { LINEAR_OK = 0, LINEAR_DAMAGED = -1, LINEAR_MEMORY = -2 };

typedef struct {
    const uint8_t *mask;        /* of each block of 64x64, whether it is coded */
    uint8_t *fineness;          /* of each block */
    float *bits;                /* of an encoder: of each block, what it took */
} Blocks;

static void scans_fill(Linear *l)
{
    for (int side = 0; side < SIDES; side++) {
        int n = 4 << side, count = 0;
        for (int d = 0; d < 2 * n - 1; d++)
            for (int v = d < n ? 0 : d - n + 1; v <= d && v < n; v++)
                l->scan[side][count++] = (uint16_t)(d % 2 ? v * n + d - v : (d - v) * n + v);
    }
}

static void linear_free(Linear *l)
{
    if (l == NULL)
        return;
    for (int k = 0; k < KINDS; k++) {
        free(l->levels[k]);
        free(l->dc[k]);
        free(l->lasts[k]);
    }
    free(l->sides);
    free(l);
}

static Linear *linear_new(const Pixels *pixels)
{
    Linear *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    mix_tables_fill(&l->mix);
    basis_fill(&l->basis);
    scans_fill(l);
    cells_reset((Cell *)&l->cells, sizeof l->cells / sizeof(Cell));
    weights_reset((Weights *)&l->mixers, sizeof l->mixers / sizeof(Weights));
    l->pixels = *pixels;
    l->planes = pixels->channels;
    l->wide = ((size_t)pixels->width + BLOCK - 1) / BLOCK * CELLS;
    l->high = ((size_t)pixels->height + BLOCK - 1) / BLOCK * CELLS;
    size_t cells = l->wide * l->high;
    l->sides = calloc(cells, 1);
    int short_of = l->sides == NULL;
    for (int k = 0; k < l->planes; k++) {
        l->levels[k] = malloc(cells * CELL_SIDE * CELL_SIDE);
        l->dc[k] = malloc(cells * sizeof *l->dc[k]);
        l->lasts[k] = calloc(cells, 1);
        short_of |= !l->levels[k] || !l->dc[k] || !l->lasts[k];
        for (size_t i = 0; l->dc[k] && i < cells; i++)
            l->dc[k][i] = NO_DC;
    }
    if (short_of) {
        linear_free(l);
        return NULL;
    }
    return l;
}

/* ---------------------------------------------------------------- blocks of 64x64 */

static void load_block(const Linear *l, size_t top, size_t left, int32_t (*out)[BLOCK * BLOCK])
{
    const Pixels *p = &l->pixels;
    for (size_t y = 0; y < BLOCK; y++)
        for (size_t x = 0; x < BLOCK; x++) {
            size_t row = top + y, column = left + x;
            row = row < (size_t)p->height ? row : (size_t)p->height - 1;
            column = column < (size_t)p->width ? column : (size_t)p->width - 1;
            size_t at = (row * (size_t)p->width + column) * (size_t)p->channels;
            int32_t colour[KINDS], made[KINDS];
            for (int c = 0; c < p->channels; c++)
                colour[c] = sample_in(p, at + (size_t)c);
            colours_in(l->own.matrix, p->channels, colour, made);
            for (int k = 0; k < p->channels; k++)
                out[k][y * BLOCK + x] = made[k];
        }
}

static void store_block(const Linear *l, size_t top, size_t left)
{
    const Pixels *p = &l->pixels;
    for (size_t y = 0; y < BLOCK && top + y < (size_t)p->height; y++)
        for (size_t x = 0; x < BLOCK && left + x < (size_t)p->width; x++) {
            size_t at = ((top + y) * (size_t)p->width + left + x) * (size_t)p->channels;
            int32_t made[KINDS], colour[KINDS];
            for (int k = 0; k < p->channels; k++)
                made[k] = l->block[k][y * BLOCK + x];
            colours_out(l->own.matrix, p->channels, made, colour);
            for (int c = 0; c < p->channels; c++)
                sample_out(p, at + (size_t)c, colour[c]);
        }
}

static int code_fineness(Linear *l, int fineness)
{
    Mixed same = {{&l->cells.fine[0]}, 1, &l->mixers.fine[0]};
    if (!mixed_bit(&l->coder, &same, fineness != l->fineness))
        return l->fineness;
    int prefix = 1;
    for (int i = 4; i >= 0; i--) {
        Mixed m = {{&l->cells.fine[prefix]}, 1, &l->mixers.fine[0]};
        prefix = prefix << 1 | mixed_bit(&l->coder, &m, fineness >> i & 1);
    }
    return prefix - 32;
}

static int smaller_beside(const Linear *l, int side, size_t top, size_t left)
{
    int found = l->sides[cell_at(l, top, left)];
    return found == 0 ? 0 : found <= side ? 2 : 1;
}

/* A square, and those it is split into. samples: of an encoder. */
static void code_square(Linear *l, int side, size_t top, size_t left,
                        int32_t (*samples)[BLOCK * BLOCK])
{
    int n = 4 << side, split = 0;
    if (side > 0) {
        int beside = left ? smaller_beside(l, side, top, left - 1) : 0;
        int above = top ? smaller_beside(l, side, top - 1, left) : 0;
        Mixed m = {{&l->cells.split[side - 1][3 * beside + above],
                    &l->cells.split_at[side - 1][(beside == 2) + (above == 2)]},
                   2, &l->mixers.split[side - 1]};
        split = samples && l->tree[top % BLOCK / CELL_SIDE][left % BLOCK / CELL_SIDE] < side;
        split = mixed_bit(&l->coder, &m, split);
    }
    if (split) {
        size_t half = (size_t)n / 2;
        for (size_t i = 0; i < 4; i++)
            code_square(l, side - 1, top + i / 2 * half, left + i % 2 * half, samples);
        return;
    }
    for (int k = 0; k < l->planes; k++) {
        int32_t coefficients[MOST_SIDE * MOST_SIDE];
        if (samples)
            dct(&l->basis, side, samples[k] + top % BLOCK * BLOCK + left % BLOCK, BLOCK,
                coefficients);
        code_block(l, k, side, top, left, samples ? coefficients : NULL);
    }
    for (int y = 0; y < n / CELL_SIDE; y++)
        memset(l->sides + cell_at(l, top, left) + (size_t)y * l->wide, side + 1,
               (size_t)n / CELL_SIDE);
}

static void code_tile(Linear *l, const Blocks *blocks)
{
    size_t across = l->wide / CELLS, count = across * (l->high / CELLS);
    int32_t(*samples)[BLOCK * BLOCK] = l->coder.encoder ? l->samples : NULL;
    for (size_t i = 0; i < count; i++) {
        if (!blocks->mask[i])
            continue;
        size_t top = i / across * BLOCK, left = i % across * BLOCK;
        double before = l->coder.bits;
        l->fineness = code_fineness(l, blocks->fineness[i]);
        blocks->fineness[i] = (uint8_t)l->fineness;
        if (samples) {
            load_block(l, top, left, samples);
            choose_tree(l, samples);
        }
        for (size_t k = 0; k < 4; k++)
            code_square(l, SIDES - 1, top + k / 2 * MOST_SIDE, left + k % 2 * MOST_SIDE, samples);
        store_block(l, top, left);
        if (blocks->bits)
            blocks->bits[i] = (float)(l->coder.bits - before);
        if (l->coder.decoder && l->coder.decoder->failed)
            return;
    }
}

/* ---------------------------------------------------------------- streams */

static size_t head_size(int channels)
{
    return channels == 3 ? HEAD + 2 * 9 : HEAD;
}

static void put_head(uint8_t *out, const Parameters *own, int channels)
{
    out[0] = (uint8_t)own->step;
    out[1] = (uint8_t)(own->step >> 8);
    for (int i = 0; channels == 3 && i < 9; i++) {
        out[HEAD + 2 * i] = (uint8_t)own->matrix[i];
        out[HEAD + 2 * i + 1] = (uint8_t)((uint16_t)own->matrix[i] >> 8);
    }
}

static void take_head(const uint8_t *data, Parameters *own, int channels)
{
    own->step = (uint16_t)(data[0] | data[1] << 8);
    own->matrix[0] = 1 << COLOUR_BITS;
    for (int i = 0; channels == 3 && i < 9; i++)
        own->matrix[i] = (int16_t)(uint16_t)(data[HEAD + 2 * i] | data[HEAD + 2 * i + 1] << 8);
}

/*
 * Codes the blocks of the mask, and leaves in pixels what a decoder will have of them. The stream
 * is the caller's to free; NULL when memory is short.
 */
static uint8_t *linear_encode(const Pixels *pixels, const Blocks *blocks, const Parameters *own,
                              float slope, size_t *length)
{
    Linear *l = linear_new(pixels);
    if (l == NULL)
        return NULL;
    AdaptiveEncoder encoder = {0};
    l->coder = (BitCoder){&l->mix, &encoder, NULL, 0};
    l->own = *own;
    l->slope = slope;
    code_tile(l, blocks);
    linear_free(l);
    uint8_t *coded = adaptive_finish(&encoder, length), *stream = NULL;
    adaptive_encoder_free(&encoder);
    size_t head = head_size(pixels->channels);
    if (coded)
        stream = malloc(head + *length);
    if (stream) {
        put_head(stream, own, pixels->channels);
        memcpy(stream + head, coded, *length);
        *length += head;
    }
    free(coded);
    return stream;
}

/* Decodes the blocks of the mask into pixels. */
static int linear_decode(const uint8_t *data, size_t size, const Pixels *pixels,
                         const Blocks *blocks)
{
    size_t head = head_size(pixels->channels);
    if (size < head)
        return LINEAR_DAMAGED;
    Linear *l = linear_new(pixels);
    if (l == NULL)
        return LINEAR_MEMORY;
    AdaptiveDecoder decoder;
    take_head(data, &l->own, pixels->channels);
    adaptive_start(&decoder, data + head, size - head);
    l->coder = (BitCoder){&l->mix, NULL, &decoder, 0};
    if (!decoder.failed)
        code_tile(l, blocks);
    linear_free(l);
    return adaptive_ended(&decoder) ? LINEAR_OK : LINEAR_DAMAGED;
}

#endif
