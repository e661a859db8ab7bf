/*
 * What fitting a picture works on: shapes of grids, places of parameters, and the planes that its
 * stages hand on. twin.py has the model in PyTorch; the numbers here mean what they mean there.
 */
#ifndef FIT_MODEL_H
#define FIT_MODEL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LATENT_GRIDS = 7,
    GRIDS = 10,        /* and three that only the context network sees */
    FEATURE_GRIDS = 3, /* the finest, which take features of the others */
    TAPS = 4,          /* of a symmetric filter, outermost first: of a doubling, and before it */
    MOST_NEIGHBOURS = 18,
    MOST_CHANNELS = 24,
    MOST_HIDDEN = 40,
    REACH = 3,   /* rows and columns that contexts reach */
    MARGIN = 16, /* floats before a row, of which some are read */
    TILE = 512,  /* pixels of the largest tile, which contexts do not leave */
    CONTEXT_ROWS = 32,
    CHUNK = 128,      /* symbols that go through the networks together */
    SLACK = 2 * CHUNK /* floats after a plane that vectors may read */
};

enum {
    PLAIN,
    RECTIFIED,
    MASKED
}; /* what becomes of a product: all, max(0, .), 0 where a mask is */
#ifdef __GNUC__ /* for arguments that are constants where it is called, and loops that they end */
#define FORCED static inline __attribute__((always_inline))
#else
#define FORCED static inline
#endif

enum { SYMBOLS_OF_JOB = 1 << 14 };

static const int SHIFTS[GRIDS] = {0, 1, 2, 3, 4, 5, 6, 4, 5, 6};
static const int NEIGHBOURS[MOST_NEIGHBOURS][2] = {
    {0, -1}, {-1, 0}, {-1, -1}, {-1, 1},  {0, -2}, {-2, 0},  {-2, -1}, {-2, 1},  {-1, -2},
    {-1, 2}, {0, -3}, {-3, 0},  {-2, -2}, {-2, 2}, {-1, -3}, {-1, 3},  {-3, -1}, {-3, 1}};

/* Rows of a grid inside a tile whose contexts are computed together. */
typedef struct {
    int grid, x, y, width, rows, top; /* top: rows above in the same tile, at most REACH */
    float *above;                     /* gradient of those rows: (REACH, width) */
} Strip;

/* Places in the flat vector of parameters. */
typedef struct {
    int weight[2], bias[2], out, out_bias, skip;
    int feature[FEATURE_GRIDS], feature_bias[FEATURE_GRIDS];
    int up, before, hidden, hidden_bias, colour, colour_bias, conv[2], conv_bias[2], direct, count;
} Places;

typedef struct Pool Pool;

typedef struct {
    int height, width, tile_height, tile_width;
    int neighbours, features, hidden, convs, channels; /* channels: of the context network */
    int rows[GRIDS], columns[GRIDS];
    size_t start[GRIDS], size[GRIDS], symbols;
    Places at;
    const float *parameters;
    float *packed; /* weights as the products read them */

    float *picture;                  /* (3, height, width), 0…1 */
    float *value, *slope, *gradient; /* of all symbols, grid after grid */
    float *feature[FEATURE_GRIDS], *feature_gradient[FEATURE_GRIDS]; /* (features, pyramid) */
    size_t pyramid[FEATURE_GRIDS];
    float
        *chain[LATENT_GRIDS][LATENT_GRIDS]; /* a grid, filtered, and doubled to each finer scale */
    float *half[LATENT_GRIDS]; /* gradient of the last doubling, columns undone: (height,
                                  columns[1]) */
    float *finest;             /* gradient of the filtered finest grid: (height, width) */
    float *x_hat;              /* (3, height, width), or none asked for */
    float *means, *scales;     /* what contexts tell of each symbol, or none asked for */

    Strip *strips;
    float *above;
    int strip_count, band_rows, bands;
    float *partial;       /* gradients of parameters, of each job */
    double *bits, *error; /* of each strip, each band */
    float **scratch;      /* of each thread */
    int threads;
    Pool *pool;

    float temperature, deviation, rate_weight, error_weight;
    uint32_t seed;
    int learn, move; /* whether gradients of parameters, and those of grids, are asked for */
    float *latents, *mean, *square;
    float step_size, root, epsilon;
} Fit;

/* A picture's side on a grid. */
static inline int side(int pixels, int shift)
{
    return (pixels + (1 << shift) - 1) >> shift;
}

/* The next place where a vector may stand, within SLACK. */
static inline void *aligned(float *place)
{
    return (void *)(((uintptr_t)place + 63) & ~(uintptr_t)63);
}

static inline int at_most(int a, int b)
{
    return a < b ? a : b;
}

static inline int clamped(int a, int count)
{
    return a < 0 ? 0 : a < count ? a : count - 1;
}

/* Floats from one row to the next, in buffers with margins. */
static inline size_t stride_of(int width)
{
    return (size_t)(width + MARGIN + CHUNK + MARGIN);
}

static inline Places places(int neighbours, int features, int hidden, int convs)
{
    Places p;
    int n = 0, channels = neighbours + features;
    for (int layer = 0; layer < 2; layer++) {
        p.weight[layer] = n, n += channels * channels;
        p.bias[layer] = n, n += channels;
    }
    p.out = n, n += 2 * channels;
    p.out_bias = n, n += 2;
    p.skip = n, n += 2 * channels;
    for (int g = 0; g < FEATURE_GRIDS; g++) {
        p.feature[g] = n, n += features * (GRIDS - 1 - g);
        p.feature_bias[g] = n, n += features;
    }
    p.up = n, n += (LATENT_GRIDS - 1) * TAPS;
    p.before = n, n += (LATENT_GRIDS - 1) * TAPS;
    p.hidden = n, n += hidden * LATENT_GRIDS;
    p.hidden_bias = n, n += hidden;
    p.colour = n, n += 3 * hidden;
    p.colour_bias = n, n += 3;
    for (int c = 0; c < convs; c++) {
        p.conv[c] = n, n += 81;
        p.conv_bias[c] = n, n += 3;
    }
    p.direct = n, n += 3 * LATENT_GRIDS;
    p.count = n;
    return p;
}

#endif
