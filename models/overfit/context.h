/*
 * The symbols of a tile's grids, in the order of coding, with the distribution of each.
 *
 * The walk is written once, for both directions. OVERFIT.md is the specification.
 */
#ifndef LICTOR_OVERFIT_CONTEXT_H
#define LICTOR_OVERFIT_CONTEXT_H

#include "network.h"

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define ALWAYS_INLINE __forceinline
#else
#define ALWAYS_INLINE inline
#endif

enum {
    AROUND = 3,                 /* zeros beside and above a grid */
    SAME_ROW = 3,               /* neighbours in the row of a symbol */
    LOG_SCALE_BITS = 5,         /* after the point */
    LOG_SCALE_START = 4 << LOG_SCALE_BITS,
};
static const int8_t SAME_ROW_INPUT[SAME_ROW] = {0, 4, 10};  /* NEIGHBOUR one, two, three left */

/* The grids of a tile: of each, rows one after another. */
typedef struct {
    int height, width;          /* of the tile */
    int8_t *symbols[GRIDS];
} Grids;

static int grid_side(int side, int level)
{
    return (side + (1 << level) - 1) >> level;
}

/* Bytes of all grids; grids: also where each starts, if it is not NULL. */
static size_t grids_lay_out(Grids *grids, int height, int width, int8_t *symbols)
{
    size_t at = 0;
    for (int g = 0; g < GRIDS; g++) {
        if (grids)
            grids->symbols[g] = symbols + at;
        at += (size_t)grid_side(height, GRID_LEVEL[g]) * (size_t)grid_side(width, GRID_LEVEL[g]);
    }
    if (grids) {
        grids->height = height;
        grids->width = width;
    }
    return at;
}

/* Work space of a tile. */
typedef struct {
    int stride;
    int32_t *padded;            /* a grid's symbols as activations, with zeros around */
    int32_t *features;          /* of half a row */
    int32_t *inputs;            /* of each symbol of a row: neighbours, features */
    uint32_t *sums;             /* likewise of the first layer, without the symbol's own row */
} Walk;

static void walk_free(Walk *w)
{
    free(w->padded);
    free(w->features);
    free(w->inputs);
    free(w->sums);
}

static int walk_start(Walk *w, int height, int width)
{
    size_t rows = (size_t)height + AROUND, columns = (size_t)width + 2 * AROUND;
    w->stride = width + 2 * AROUND;
    w->padded = calloc(rows * columns, sizeof *w->padded);
    w->features = calloc((columns / 2 + 1) * MOST_FEATURES, sizeof *w->features);
    w->inputs = calloc(columns * MOST_INPUTS, sizeof *w->inputs);
    w->sums = calloc(columns * MOST_INPUTS, sizeof *w->sums);
    return w->padded && w->features && w->inputs && w->sums;
}

/* Features of a row of 2x2 symbols of one of the finest grids, from the grids before it. */
static ALWAYS_INLINE void features_of_row(const Network *n, const Grids *grids, int level, int row,
                                          int columns, int32_t *out, const int features)
{
    const int8_t *rows[GUIDES];
    int shifts[GUIDES], guides = 0;
    for (int g = level + 1; g < GRIDS; g++, guides++) {
        int down = GRID_LEVEL[g] - level - 1, wide = grid_side(grids->width, GRID_LEVEL[g]);
        rows[guides] = grids->symbols[g] + (ptrdiff_t)(row >> down) * wide;
        shifts[guides] = down;
    }
    for (int x = 0; x < columns; x++) {
        uint32_t sums[MOST_FEATURES];
        for (int f = 0; f < features; f++)
            sums[f] = n->feature_bias[level][f];
        for (int g = 0; g < guides; g++) {
            uint32_t symbol = (uint32_t)(int32_t)rows[g][x >> shifts[g]] << ACTIVATION_BITS;
            for (int f = 0; f < features; f++)
                sums[f] += n->features[level][g][f] * symbol;
        }
        for (int f = 0; f < features; f++) {
            int32_t value = scaled_down(sums[f], n->feature_shift);
            value = value > MOST_ACTIVATION ? MOST_ACTIVATION : value;
            out[x * features + f] = value < -MOST_ACTIVATION - 1 ? -MOST_ACTIVATION - 1 : value;
        }
    }
}

/* What is known of a row before its first symbol: inputs, and what they do in the first layer. */
static ALWAYS_INLINE void prepare_row(const Network *n, const Walk *w, const int32_t *row,
                                      int columns, int guided, const int neighbours,
                                      const int features)
{
    const int d = neighbours + features;
    for (int x = 0; x < columns; x++) {
        int32_t *inputs = w->inputs + (ptrdiff_t)x * d;
        uint32_t *sums = w->sums + (ptrdiff_t)x * d;
        for (int j = 0; j < d; j++)
            sums[j] = n->context_bias[0][j];
        for (int i = 0; i < neighbours; i++) {
            if (NEIGHBOUR[i][0] == 0)
                continue;
            inputs[i] = row[x + NEIGHBOUR[i][1] + (ptrdiff_t)NEIGHBOUR[i][0] * w->stride];
            for (int j = 0; j < d; j++)
                sums[j] += n->context[0][i][j] * (uint32_t)inputs[i];
        }
        for (int f = 0; f < features; f++) {
            int i = neighbours + f;
            inputs[i] = guided ? w->features[(x >> 1) * features + f] : 0;
            if (guided)
                for (int j = 0; j < d; j++)
                    sums[j] += n->context[0][i][j] * (uint32_t)inputs[i];
        }
    }
}

static ALWAYS_INLINE uint32_t activated(uint32_t sum, int shift)
{
    int32_t value = (int32_t)(sum + ((uint32_t)1 << (shift - 1))) >> shift;
    value = value < 0 ? 0 : value;
    return (uint32_t)(value > MOST_ACTIVATION ? MOST_ACTIVATION : value);
}

/* The distribution of a symbol. inputs, sums: of prepare_row; row: its place among the symbols. */
static ALWAYS_INLINE Laplace distribution(const Network *n, int32_t *inputs, const uint32_t *sums,
                                          const int32_t *row, const int neighbours,
                                          const int features)
{
    const int d = neighbours + features;
    uint32_t first[MOST_INPUTS], second[MOST_INPUTS], hidden[MOST_INPUTS];
    for (int j = 0; j < d; j++)
        first[j] = sums[j];
    for (int k = SAME_ROW - 1; k >= 0; k--) {       /* the latest symbol last */
        int i = SAME_ROW_INPUT[k];
        if (i >= neighbours)
            continue;
        inputs[i] = row[-1 - k];
        for (int j = 0; j < d; j++)
            first[j] += n->context[0][i][j] * (uint32_t)inputs[i];
    }
    for (int j = 0; j < d; j++) {
        hidden[j] = activated(first[j], n->shift);
        second[j] = n->context_bias[1][j];
    }
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++)
            second[j] += n->context[1][i][j] * hidden[i];
    uint32_t mean = n->laplace_bias[0], scale = n->laplace_bias[1];
    for (int j = 0; j < d; j++) {
        uint32_t value = activated(second[j], n->shift), input = (uint32_t)inputs[j];
        mean += n->laplace[0][j] * value + n->laplace_linear[0][j] * input;
        scale += n->laplace[1][j] * value + n->laplace_linear[1][j] * input;
    }
    const int32_t limit = SYMBOLS / 2 << MEAN_BITS;
    int32_t mu = scaled_down(mean, n->laplace_shift + ACTIVATION_BITS - MEAN_BITS);
    mu = mu < -limit ? -limit : mu > limit ? limit : mu;
    int32_t s = scaled_down(scale, n->laplace_shift + ACTIVATION_BITS - LOG_SCALE_BITS)
                - LOG_SCALE_START + SCALES / 2;
    s = s < 0 ? 0 : s >= SCALES ? SCALES - 1 : s;
    return laplace_of_symbol(mu, s);
}

/* Codes a grid. What is constant makes a version of its own of this for each size. */
static ALWAYS_INLINE void code_grid(const Network *n, const Coder *c, const Grids *grids, Walk *w,
                                    int g, const int neighbours, const int features)
{
    const int d = neighbours + features, level = GRID_LEVEL[g];
    const int guided = g < GUIDED;
    int height = grid_side(grids->height, level), width = grid_side(grids->width, level);
    w->stride = width + 2 * AROUND;
    memset(w->padded, 0, sizeof *w->padded * (size_t)w->stride * ((size_t)height + AROUND));
    for (int y = 0; y < height && !coder_failed(c); y++) {
        int32_t *row = w->padded + (ptrdiff_t)(y + AROUND) * w->stride + AROUND;
        int8_t *symbols = grids->symbols[g] + (ptrdiff_t)y * width;
        if (guided && y % 2 == 0)
            features_of_row(n, grids, level, y / 2, (width + 1) / 2, w->features, features);
        prepare_row(n, w, row, width, guided, neighbours, features);
        for (int x = 0; x < width; x++) {
            Laplace l = distribution(n, w->inputs + (ptrdiff_t)x * d, w->sums + (ptrdiff_t)x * d,
                                     row + x, neighbours, features);
            int32_t symbol = code_symbol(c, &l, symbols[x]);
            symbols[x] = (int8_t)symbol;
            row[x] = symbol * (1 << ACTIVATION_BITS);
        }
    }
}

/* Codes the grids of a tile: hyper-grids first, each from coarse to fine. */
static ALWAYS_INLINE void code_grids(const Network *n, const Coder *c, const Grids *grids, Walk *w)
{
    for (int g = GRIDS; g-- > 0;) {
        if (n->inputs == 8)
            code_grid(n, c, grids, w, g, 6, 2);
        else if (n->inputs == 16)
            code_grid(n, c, grids, w, g, 12, 4);
        else
            code_grid(n, c, grids, w, g, 18, 6);
    }
}

#endif
