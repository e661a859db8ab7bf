/*
 * screen_state.h: what the model of SCREEN.md knows of a tile, and how it starts.
 */
#ifndef LICTOR_SCREEN_STATE_H
#define LICTOR_SCREEN_STATE_H

#include <string.h>

#include "binary.h"
#include "tile.h"

enum {
    MARGIN = 8,                 /* pixels around a row, and rows above the first */
    PIXEL_CONTEXTS = 12,
    PIXEL_INPUTS = 2 * PIXEL_CONTEXTS + 8,
    VALUE_CONTEXTS = 6,
    EXPERTS = 5,
    VALUE_INPUTS = 24,
    PROPOSERS = 4,
    MATCHES = 2,
    MAX_CANDIDATES = 12,
    MAP_LIMIT = 80              /* of what averages over histories */
};

typedef struct {                /* an earlier place that goes on as this one, it seems */
    uint32_t *places;           /* by hash of what stands around */
    size_t distance;            /* back to it, or 0 */
    uint32_t length;            /* pixels that were the same since it was found, or a miss */
    uint32_t misses;            /* of the last 32 pixels, as bits */
} Match;

typedef enum { FIRST, ESCAPE, SECOND, LATER, RANKS } Rank;  /* of a decision */

typedef struct {
    BitCoder coder;
    Tile tile;
    ptrdiff_t stride;
    uint64_t *pixels;           /* with margins; 16 bits a channel */
    uint8_t *literal;           /* whether the pixel was spelled out */
    unsigned bits;              /* of the size of tables */
    unsigned value_bits;
    Slot *slots;                /* PIXEL_CONTEXTS tables */
    Slot *value_slots;          /* VALUE_CONTEXTS tables */
    uint32_t *proposals;        /* PROPOSERS tables of two positions */
    Match matches[MATCHES];
    Adaptive histories[PIXEL_CONTEXTS][RANKS][256];
    Adaptive value_histories[VALUE_CONTEXTS][256];
    Adaptive match_hits[MATCHES][RANKS][64];
    int32_t pixel_weights[3][1024][PIXEL_INPUTS];
    int32_t pixel_final[RANKS][8];
    int32_t value_weights[2][1024][VALUE_INPUTS];
    uint32_t scales[EXPERTS][4][64];    /* mean error of an expert, 8 bits after the point */
    uint8_t scale_counts[4][64];
    uint64_t two[2];            /* the first two colours; colours: how many there are, up to 3 */
    int colours;
} Screen;

/* ----------------------------------------------------------------- set-up */

static inline int log2_of(uint32_t x)
{
    int n = 0;
    while (x > 1) {
        x >>= 1;
        n++;
    }
    return n;
}

static inline uint32_t spread(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9E3779B97F4A7C15u;
    x ^= x >> 29;
    return (uint32_t)(x * 0xBF58476D1CE4E5B9u >> 32);
}

static inline uint64_t join(uint64_t hash, uint64_t pixel)
{
    hash = (hash ^ pixel) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static void screen_free(Screen *s)
{
    if (s == NULL)
        return;
    adaptive_encoder_free(&s->coder.encoder);
    free(s->pixels);
    free(s->literal);
    free(s->slots);
    free(s->value_slots);
    free(s->proposals);
    for (int m = 0; m < MATCHES; m++)
        free(s->matches[m].places);
    free(s);
}

/* At first a history of so many zeros and ones is taken at its word. */
static void set_histories(Adaptive *histories)
{
    for (int i = 0; i < 256; i++) {
        int zeros = i & 15, ones = i >> 4;
        histories[i].p = (uint16_t)(65536 * (5 * ones + 2) / (5 * (zeros + ones) + 4));
        histories[i].count = i ? 4 : 0;
    }
}

static Screen *screen_new(const Tile *tile)
{
    Screen *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->tile = *tile;
    s->stride = tile->width + 2 * MARGIN;
    size_t area = (size_t)s->stride * ((size_t)tile->height + MARGIN);
    size_t pixels = (size_t)tile->height * (size_t)tile->width;
    s->bits = 10;
    while (s->bits < 18 && (size_t)1 << s->bits < 2 * pixels)
        s->bits++;
    s->value_bits = s->bits + 2;
    s->pixels = calloc(area, sizeof *s->pixels);
    s->literal = calloc(area, 1);
    s->slots = calloc((size_t)PIXEL_CONTEXTS << s->bits, sizeof *s->slots);
    s->value_slots = calloc((size_t)VALUE_CONTEXTS << s->value_bits, sizeof *s->value_slots);
    s->proposals = calloc((size_t)PROPOSERS << s->bits, 2 * sizeof *s->proposals);
    int short_of = 0;
    for (int m = 0; m < MATCHES; m++) {
        s->matches[m].places = calloc((size_t)1 << s->bits, sizeof(uint32_t));
        short_of |= s->matches[m].places == NULL;
    }
    if (!s->pixels || !s->literal || !s->slots || !s->value_slots || !s->proposals || short_of) {
        screen_free(s);
        return NULL;
    }
    for (int i = 0; i < PIXEL_CONTEXTS; i++)
        for (int r = 0; r < RANKS; r++)
            set_histories(s->histories[i][r]);
    for (int i = 0; i < VALUE_CONTEXTS; i++)
        set_histories(s->value_histories[i]);
    for (int m = 0; m < MATCHES; m++)
        for (int r = 0; r < RANKS; r++)
            for (int i = 0; i < 64; i++)
                s->match_hits[m][r][i].p = 32768;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 1024; i++)
            for (int j = 0; j < PIXEL_INPUTS; j++)
                s->pixel_weights[k][i][j] = 65536 / 14;
    for (int r = 0; r < RANKS; r++)
        for (int k = 0; k < 3; k++)
            s->pixel_final[r][k] = 65536 / 3;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 1024; i++)
            for (int j = 0; j < VALUE_INPUTS; j++)
                s->value_weights[k][i][j] = 65536 / 11;
    for (int e = 0; e < EXPERTS; e++)
        for (int c = 0; c < 4; c++)
            for (int i = 0; i < 64; i++)
                s->scales[e][c][i] = 256u * (1u << (tile->depth > 3 ? tile->depth - 3 : 0));
    return s;
}

#endif
