/*
 * screen.h: the coder of screens, SCREEN.md as a program, without Python.
 */
#ifndef LICTOR_SCREEN_H
#define LICTOR_SCREEN_H

#include "screen_matches.h"
#include "screen_values.h"

typedef struct {
    uint64_t colours[MAX_CANDIDATES];
    int count;
} Candidates;

static inline void propose(Candidates *list, uint64_t colour)
{
    for (int i = 0; i < list->count; i++)
        if (list->colours[i] == colour)
            return;
    if (list->count < MAX_CANDIDATES)
        list->colours[list->count++] = colour;
}

typedef struct {                /* what a pixel's decisions have in common */
    uint32_t hashes[PIXEL_CONTEXTS];
    const uint64_t *p;
    uint64_t expected[MATCHES];
    int level[MATCHES];         /* of trust, 0: there is no match */
    int literals;               /* of W, N, NW, NE, as bits */
} Around;

typedef struct {                /* what a decision is made of */
    int16_t inputs[PIXEL_INPUTS];
    Slot *slots[PIXEL_CONTEXTS];
    Adaptive *maps[PIXEL_CONTEXTS];
    Adaptive *hits[MATCHES];    /* or NULL: there is no match */
    int expects[MATCHES];       /* 0: no match, 1: it expects something else, 2: the candidate */
} Evidence;

static void hear_contexts(Screen *s, const Around *a, uint64_t candidate, int rank, Evidence *v)
{
    uint32_t key = rank == ESCAPE ? 0 : spread(candidate * 2 + (rank > ESCAPE) + 77);
    uint32_t places[PIXEL_CONTEXTS];
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        places[i] = (a->hashes[i] ^ key) * 0x9E3779B1u;
        prefetch(s->slots + ((size_t)i << s->bits) + (places[i] >> (32 - s->bits)));
    }
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        v->slots[i] = slot_find(s->slots + ((size_t)i << s->bits), places[i], s->bits);
        v->maps[i] = &s->histories[i][rank][v->slots[i]->history];
        v->inputs[2 * i] = (int16_t)stretch(v->slots[i]->p);
        v->inputs[2 * i + 1] = (int16_t)stretch(v->maps[i]->p);
    }
}

static void hear_matches(Screen *s, const Around *a, uint64_t candidate, int rank, Evidence *v)
{
    for (int m = 0; m < MATCHES; m++) {
        int level = a->level[m];
        int16_t *inputs = v->inputs + 2 * (PIXEL_CONTEXTS + m);
        v->expects[m] = level == 0 ? 0 : rank != ESCAPE && candidate == a->expected[m] ? 2 : 1;
        v->hits[m] = level ? &s->match_hits[m][rank][level * 3 + v->expects[m]] : NULL;
        inputs[0] = (int16_t)(level ? stretch(v->hits[m]->p) : 0);
        inputs[1] = (int16_t)(v->expects[m] == 2 ? level * 64 : 0);
    }
}

/* The weights that answer the decision, three sets. */
static void choose_weights(Screen *s, const Around *a, uint64_t candidate, int rank,
                           const Evidence *v, int32_t **sets)
{
    const uint64_t *p = a->p, *n = p - s->stride;
    int known = 0, equal = a->literals;
    for (int i = 0; i < 6; i++)
        known += (v->slots[i]->tag & 15) > 0;
    if (rank != ESCAPE)
        equal = (candidate == p[-1]) | (candidate == n[0]) << 1 | (candidate == n[-1]) << 2 |
                (candidate == n[1]) << 3;
    int trust = a->level[0] * 3 + v->expects[0];
    sets[0] = s->pixel_weights[0][(equal * RANKS + rank) * 3 + v->expects[0]];
    sets[1] = s->pixel_weights[1][(rank * 16 + a->literals) * 8 + known];
    sets[2] = s->pixel_weights[2][(trust * RANKS + rank) * 3 + v->expects[1]];
}

/* One decision: whether the pixel is the candidate or, of rank ESCAPE, none of them. */
static int code_decision(Screen *s, const Around *a, uint64_t candidate, int rank, int bit)
{
    Evidence v = {.inputs = {0}};
    int32_t *sets[3];
    int16_t odds[8] = {0};
    hear_contexts(s, a, candidate, rank, &v);
    hear_matches(s, a, candidate, rank, &v);
    v.inputs[2 * (PIXEL_CONTEXTS + MATCHES)] = 256;
    choose_weights(s, a, candidate, rank, &v, sets);
    for (int k = 0; k < 3; k++)
        odds[k] = (int16_t)mix(sets[k], v.inputs, PIXEL_INPUTS);
    int p = squash(mix(s->pixel_final[rank], odds, 8));
    bit = code_bit(&s->coder, bit, p);
    int target = bit ? 65535 : 0;
    for (int k = 0; k < 3; k++)
        mix_learn(sets[k], v.inputs, PIXEL_INPUTS, target - squash(odds[k]));
    mix_learn(s->pixel_final[rank], odds, 8, (target - p) / 3);
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        slot_update(v.slots[i], bit);
        adapt(v.maps[i], bit, MAP_LIMIT);
    }
    for (int m = 0; m < MATCHES; m++)
        if (v.hits[m])
            adapt(v.hits[m], bit, MAP_LIMIT);
    return bit;
}

static void look_around(Screen *s, size_t at, size_t x, Around *a)
{
    const uint64_t *p = s->pixels + at;
    ptrdiff_t stride = s->stride;
    const uint64_t *n = p - stride, *nn = n - stride, *nnn = nn - stride;
    uint64_t h[PIXEL_CONTEXTS];
    a->p = p;
    h[0] = join(join(p[-1], n[0]), join(n[-1], n[1]));
    h[1] = join(join(h[0], p[-2]), nn[0]);
    h[2] = join(join(join(h[1], n[2]), n[-2]), join(nn[-1], nn[1]));
    h[3] = join(join(join(h[2], p[-3]), nnn[0]), join(nn[2], nn[-2]));
    h[4] = join(join(join(h[3], n[3]), n[-3]), join(p[-4], join(nnn[1], nnn[-1])));
    h[5] = join(p[-1], n[0]);
    h[6] = join(join(n[0], nn[0]), join(nnn[0], nnn[-stride]));
    h[7] = join(p[-1], 9);
    h[8] = join(n[0], 10);
    h[9] = join(p[-1], join(n[-1], n[1]));
    h[10] = join(x, n[0]);
    h[11] = join(join(a->expected[0], a->expected[1]), join(p[-1], (uint64_t)(a->level[0] > 9)));
    for (int i = 0; i < PIXEL_CONTEXTS; i++)
        a->hashes[i] = spread(h[i]);
    const uint8_t *l = s->literal + at;
    a->literals = l[-1] | l[-stride] << 1 | l[-stride - 1] << 2 | l[-stride + 1] << 3;
}

static const int proposing[PROPOSERS] = {4, 2, 0, 5};

/* Colours that the pixel may have, in the order in which they are asked about. */
static void propose_all(const Screen *s, const Around *a, uint32_t *const *places, Candidates *list)
{
    const uint64_t *p = a->p, *n = p - s->stride;
    list->count = 0;
    if (s->colours == 2) {      /* always the same one first, as in bilevel coders */
        propose(list, s->two[0]);
        propose(list, s->two[1]);
        return;
    }
    propose(list, p[-1]);
    propose(list, n[0]);
    for (int m = 0; m < MATCHES; m++)
        if (a->level[m])
            propose(list, a->expected[m]);
    for (int i = 0; i < PROPOSERS; i++)
        for (int j = 0; j < 2; j++)
            if (places[i][j])
                propose(list, s->pixels[places[i][j]]);
    propose(list, n[1]);
    propose(list, n[-1]);
}

static uint64_t code_colour(Screen *s, const Around *a, const Candidates *list, size_t at)
{
    uint64_t pixel = s->coder.decoding ? 0 : s->pixels[at];
    int which = 0;
    while (which < list->count && list->colours[which] != pixel)
        which++;
    for (int i = 0; i < list->count; i++) {
        int rank = i == 0 ? FIRST : i == 1 ? SECOND : LATER;
        if (code_decision(s, a, list->colours[i], rank, which == i))
            return list->colours[i];
        if (i == 0 && code_decision(s, a, 0, ESCAPE, which == list->count))
            break;
    }
    s->literal[at] = 1;
    return code_literal(s, at, pixel);
}

static void note_colour(Screen *s, uint64_t pixel)
{
    for (int i = 0; i < s->colours && i < 2; i++)
        if (pixel == s->two[i])
            return;
    if (s->colours < 2)
        s->two[s->colours] = pixel;
    s->colours += s->colours < 3;
}

/* Codes the pixel at position `at`, in column x. */
static void code_pixel(Screen *s, size_t at, size_t x)
{
    static const int proposing[PROPOSERS] = {4, 2, 0, 5};   /* contexts */
    Around around;
    Candidates list;
    uint32_t *places[PROPOSERS];
    for (int m = 0; m < MATCHES; m++) {
        const Match *match = &s->matches[m];
        around.level[m] = match->distance ? match_level(match) : 0;
        around.expected[m] = match->distance ? s->pixels[at - match->distance] : 0;
    }
    look_around(s, at, x, &around);
    for (int i = 0; i < PROPOSERS; i++) {
        size_t place = around.hashes[proposing[i]] >> (32 - s->bits);
        places[i] = s->proposals + 2 * (((size_t)i << s->bits) + place);
    }
    propose_all(s, &around, places, &list);
    uint64_t pixel = code_colour(s, &around, &list, at);
    s->pixels[at] = pixel;
    note_colour(s, pixel);
    for (int i = 0; i < PROPOSERS; i++)
        if (!places[i][0] || s->pixels[places[i][0]] != pixel) {
            places[i][1] = places[i][0];
            places[i][0] = (uint32_t)at;
        }
    follow_matches(s, at);
}

/* Where row y of the tile begins in the pixels with margins. */
static uint64_t *row_of(Screen *s, size_t y)
{
    return s->pixels + ((ptrdiff_t)y + MARGIN) * s->stride + MARGIN;
}

/* Codes the tile whose pixels are in place, or puts them there. */
static void code_tile(Screen *s)
{
    size_t height = (size_t)s->tile.height, width = (size_t)s->tile.width;
    for (size_t y = 0; y < height && !bits_failed(&s->coder); y++) {
        uint64_t *row = row_of(s, y);
        for (int i = 1; i <= MARGIN; i++)
            row[-i] = row[-s->stride];
        for (size_t x = 0; x < width; x++)
            if (tile_codes(&s->tile, y, x))
                code_pixel(s, (size_t)(row - s->pixels) + x, x);
        for (size_t i = 0; i < MARGIN; i++)
            row[width + i] = row[width - 1];
    }
}

/* ------------------------------------------------------------ from outside */

/* The samples in the tile, `wide`: of 16 bits. Blocks that are not coded are 0. */
static void take_samples(Screen *s, const void *samples, int wide)
{
    size_t channels = (size_t)s->tile.channels, i = 0;
    for (size_t y = 0; y < (size_t)s->tile.height; y++)
        for (size_t x = 0; x < (size_t)s->tile.width; x++)
            for (size_t c = 0; c < channels; c++, i++)
                if (tile_codes(&s->tile, y, x))
                    row_of(s, y)[x] |= (uint64_t)sample_at(samples, wide, i) << 16 * c;
}

static void give_samples(Screen *s, void *samples, int wide)
{
    size_t channels = (size_t)s->tile.channels, i = 0;
    for (size_t y = 0; y < (size_t)s->tile.height; y++)
        for (size_t x = 0; x < (size_t)s->tile.width; x++)
            for (size_t c = 0; c < channels; c++, i++)
                put_sample(samples, wide, i, (uint16_t)(row_of(s, y)[x] >> 16 * c));
}

/* The stream of a tile, of *length bytes, to be freed by the caller; NULL if memory is short. */
static uint8_t *screen_encode(const Tile *tile, const void *samples, int wide, size_t *length)
{
    Screen *s = screen_new(tile);
    uint8_t *stream = NULL;
    if (s != NULL) {
        take_samples(s, samples, wide);
        code_tile(s);
        stream = adaptive_finish(&s->coder.encoder, length);
    }
    screen_free(s);
    return stream;
}

/* Fills the tile with what a stream holds. */
static TileStatus screen_decode(const Tile *tile, const uint8_t *stream, size_t length,
                                void *samples, int wide)
{
    Screen *s = screen_new(tile);
    if (s == NULL)
        return TILE_NO_MEMORY;
    s->coder.decoding = 1;
    adaptive_start(&s->coder.decoder, stream, length);
    code_tile(s);
    give_samples(s, samples, wide);
    TileStatus status = adaptive_ended(&s->coder.decoder) ? TILE_OK : TILE_DAMAGED;
    screen_free(s);
    return status;
}

#endif
