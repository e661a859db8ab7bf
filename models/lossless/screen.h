/*
 * screen.h: the model of screen content of SCREEN.md, without Python.
 */
#ifndef LICTOR_SCREEN_H
#define LICTOR_SCREEN_H

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
    RANKS = 4,                  /* first, escape, second, later ones */
    MATCH_LEAST = 12
};

typedef struct {                /* an earlier place that goes on as this one, it seems */
    uint32_t *places;           /* by hash of what stands around */
    size_t distance;            /* back to it, or 0 */
    uint32_t length;            /* pixels that were the same since it was found, or a miss */
    uint32_t misses;            /* of the last 32 pixels, as bits */
} Match;

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

static int estimate_of(int zeros, int ones)
{
    return (int)((65536 * (int64_t)(5 * ones + 2)) / (5 * (zeros + ones) + 4));
}

static void set_histories(Adaptive *histories)
{
    for (int i = 0; i < 256; i++) {
        int p = estimate_of(i & 15, i >> 4);
        histories[i].p = (uint16_t)(p > 65535 ? 65535 : p);
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
                s->pixel_weights[k][i][j] = 65536 / 6;
    for (int r = 0; r < RANKS; r++)
        for (int k = 0; k < 3; k++)
            s->pixel_final[r][k] = 65536 / 3;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 1024; i++)
            for (int j = 0; j < VALUE_INPUTS; j++)
                s->value_weights[k][i][j] = 65536 / 5;
    for (int e = 0; e < EXPERTS; e++)
        for (int c = 0; c < 4; c++)
            for (int i = 0; i < 64; i++)
                s->scales[e][c][i] = 256u * (1u << (tile->depth > 3 ? tile->depth - 3 : 0));
    return s;
}

/* ---------------------------------------------------- values spelled out */

static inline int channel_of(uint64_t pixel, int c)
{
    return (int)(pixel >> 16 * c & 0xFFFF);
}

static inline int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

static inline int median_edge(int w, int n, int nw)
{
    int low = w < n ? w : n, high = w < n ? n : w;
    return nw >= high ? low : nw <= low ? high : w + n - nw;
}

static inline int log2_of(uint32_t x)
{
    int n = 0;
    while (x > 1) {
        x >>= 1;
        n++;
    }
    return n;
}

/* Odds that an expert gives the next bit: its logistic distribution over the upper half. */
static inline int expert_odds(int low, int half, int centre, uint32_t slope)
{
    int64_t edge[3];
    for (int i = 0; i < 3; i++) {
        int64_t t = ((int64_t)(2 * (low + i * half) - 1 - 2 * centre) * slope) / 65536;
        edge[i] = squash((int)(t > ODDS_LIMIT ? ODDS_LIMIT : t < -ODDS_LIMIT ? -ODDS_LIMIT : t));
    }
    int64_t all = edge[2] - edge[0] + 2, upper = edge[2] - edge[1] + 1;
    return stretch((int)(upper * 65535 / all));
}

/*
 * Where blends of two colours lie, as at the edges of letters, the channels lie on a line: the
 * value of channel c, given v in the channel before, on that through the two neighbours that
 * differ most.
 */
static int on_the_line(const Screen *s, const uint64_t *p, int c, int before, int v)
{
    const uint64_t around[6] = {p[-1], p[-s->stride], p[-s->stride - 1], p[-s->stride + 1], p[-2],
                                p[-2 * s->stride]};
    int least = 0, most = 0;
    for (int i = 1; i < 6; i++) {
        int at = channel_of(around[i], before);
        least = at < channel_of(around[least], before) ? i : least;
        most = at > channel_of(around[most], before) ? i : most;
    }
    int x = channel_of(around[least], before), y = channel_of(around[least], c);
    int run = channel_of(around[most], before) - x, rise = channel_of(around[most], c) - y;
    return run ? y + (int)((2 * (int64_t)(v - x) * rise + run) / (2 * run)) : y + v - x;
}

/* Codes the value of channel c; `before`: the channel coded before it, or -1. */
static int code_value(Screen *s, size_t at, int c, int before, uint64_t known, int value)
{
    const uint64_t *p = s->pixels + at;
    int depth = s->tile.depth, top = (1 << depth) - 1;
    int w = channel_of(p[-1], c), n = channel_of(p[-s->stride], c);
    int nw = channel_of(p[-s->stride - 1], c), ne = channel_of(p[-s->stride + 1], c);
    int ww = channel_of(p[-2], c), nn = channel_of(p[-2 * s->stride], c);
    int centre[EXPERTS];
    int residual = 0;
    centre[0] = median_edge(w, n, nw);
    if (before >= 0) {
        int v = channel_of(known, before);
        int bw = channel_of(p[-1], before), bn = channel_of(p[-s->stride], before);
        int bnw = channel_of(p[-s->stride - 1], before);
        centre[1] = v + median_edge(w - bw, n - bn, nw - bnw);
        centre[2] = w + v - bw;
        centre[3] = n + v - bn;
        centre[4] = on_the_line(s, p, c, before, v);
        residual = v - median_edge(bw, bn, bnw);
    } else {
        centre[1] = w + ((ne - n) / 2);
        centre[2] = (w + n) >> 1;
        centre[3] = w + ne - n;
        centre[4] = 2 * w - ww;
    }
    int activity = abs(w - nw) + abs(n - nw) + abs(n - ne) + abs(w - ww) + abs(n - nn);
    int level = log2_of((uint32_t)activity * 2 + 1);
    level = level > 15 ? 15 : level;
    int strange = log2_of((uint32_t)abs(residual) + 1);
    strange = strange > 6 ? 3 : (strange + 1) / 2;
    int scale = level * 4 + strange;
    uint32_t slope[EXPERTS];
    for (int e = 0; e < EXPERTS; e++) {
        centre[e] = clamp(centre[e], 0, top);
        /* log odds of 1/256 nat for half a step: 128 / scale, and the mean error is 1.386 scale */
        slope[e] = (uint32_t)(((uint64_t)1 << 24) * 177 / (s->scales[e][c][scale] + 16) / 1);
    }
    uint64_t h[VALUE_CONTEXTS];
    uint64_t seen = before >= 0 ? known + 1 : 0;
    h[0] = seen;
    h[1] = join(p[-1], seen);
    h[2] = join(p[-s->stride], seen);
    h[3] = join((uint64_t)centre[before >= 0], (uint64_t)(residual / 2));
    h[4] = join(join((uint64_t)(centre[0] / 4), (uint64_t)level), (uint64_t)strange);
    h[5] = join((uint64_t)centre[4], (uint64_t)level);
    uint32_t hashes[VALUE_CONTEXTS];
    for (int i = 0; i < VALUE_CONTEXTS; i++)
        hashes[i] = spread(join(h[i], (uint64_t)(8 * c + i + 1)));

    Slot *nodes[VALUE_CONTEXTS];
    int low = 0, node = 0;
    for (int b = depth - 1; b >= 0; b--) {
        int16_t inputs[VALUE_INPUTS] = {0};
        Adaptive *maps[VALUE_CONTEXTS];
        int half = 1 << b;
        if ((depth - 1 - b) % 4 == 0) {
            uint32_t key = spread(((uint64_t)low << 5) + (uint64_t)b);
            for (int i = 0; i < VALUE_CONTEXTS; i++)
                prefetch(s->value_slots + ((size_t)i << s->value_bits) +
                         ((hashes[i] ^ key) * 0x9E3779B1u >> (32 - s->value_bits)));
            for (int i = 0; i < VALUE_CONTEXTS; i++)
                nodes[i] = nodes_find(s->value_slots + ((size_t)i << s->value_bits),
                                      (hashes[i] ^ key) * 0x9E3779B1u, s->value_bits);
            node = 1;
        }
        Slot *slots[VALUE_CONTEXTS];
        for (int i = 0; i < VALUE_CONTEXTS; i++) {
            slots[i] = nodes[i] + node;
            maps[i] = &s->value_histories[i][slots[i]->history];
            inputs[2 * i] = (int16_t)stretch(slots[i]->p);
            inputs[2 * i + 1] = (int16_t)stretch(maps[i]->p);
        }
        for (int e = 0; e < EXPERTS; e++)
            inputs[2 * VALUE_CONTEXTS + e] = (int16_t)expert_odds(low, half, centre[e], slope[e]);
        inputs[VALUE_INPUTS - 1] = 256;
        int newness = 0;
        for (int i = 0; i < 3; i++)
            newness += (slots[i]->tag & 15) > 0;
        int32_t *sets[2] = {s->value_weights[0][(c * 16 + b) * 8 + newness],
                            s->value_weights[1][(level * 4 + strange) * 4 + (before >= 0)]};
        int odds[2], p16[2];
        for (int k = 0; k < 2; k++) {
            odds[k] = mix(sets[k], inputs, VALUE_INPUTS);
            p16[k] = squash(odds[k]);
        }
        int bit = code_bit(&s->coder, value >> b & 1, squash((odds[0] + odds[1]) / 2));
        for (int k = 0; k < 2; k++)
            mix_learn(sets[k], inputs, VALUE_INPUTS, ((bit ? 65535 : 0) - p16[k]) * 3 / 8);
        for (int i = 0; i < VALUE_CONTEXTS; i++) {
            slot_update(slots[i], bit);
            adapt(maps[i], bit, 250);
        }
        low += bit ? half : 0;
        node = 2 * node + bit;
    }
    int rate = 2 + s->scale_counts[c][scale];
    s->scale_counts[c][scale] = (uint8_t)(rate < 20 ? rate - 1 : 18);
    for (int e = 0; e < EXPERTS; e++) {
        uint32_t *mean = &s->scales[e][c][scale];
        int64_t error = (int64_t)abs(low - centre[e]) * 256;
        *mean = (uint32_t)((int64_t)*mean + (error - (int64_t)*mean) / rate);
    }
    return low;
}

static uint64_t code_literal(Screen *s, size_t at, uint64_t pixel)
{
    static const int order[4] = {1, 0, 2, 3};
    uint64_t known = 0;
    int before = -1;
    for (int i = 0; i < s->tile.channels; i++) {
        int c = s->tile.channels >= 3 ? order[i] : i;
        known |= (uint64_t)code_value(s, at, c, before, known, channel_of(pixel, c)) << 16 * c;
        before = s->tile.channels == 2 && i == 0 ? 0 : i < 2 ? c : 1;
    }
    return known;
}

/* ------------------------------------------------------ pixels by colour */

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

enum { ESCAPE_CODE = 0x5A };

/* One decision: whether the pixel is the candidate (rank 0, 2, 3), or none of them (rank 1). */
static int code_decision(Screen *s, const Around *a, uint64_t candidate, int rank, int bit)
{
    int16_t inputs[PIXEL_INPUTS] = {0};
    Slot *slots[PIXEL_CONTEXTS];
    Adaptive *maps[PIXEL_CONTEXTS];
    uint32_t key = rank == 1 ? 0 : spread(candidate * 2 + (rank > 1) + 77);
    int certain = 0;
    uint32_t places[PIXEL_CONTEXTS];
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        places[i] = (a->hashes[i] ^ key) * 0x9E3779B1u;
        prefetch(s->slots + ((size_t)i << s->bits) + (places[i] >> (32 - s->bits)));
    }
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        slots[i] = slot_find(s->slots + ((size_t)i << s->bits), places[i], s->bits);
        maps[i] = &s->histories[i][rank][slots[i]->history];
        inputs[2 * i] = (int16_t)stretch(slots[i]->p);
        inputs[2 * i + 1] = (int16_t)stretch(maps[i]->p);
    }
    for (int i = 0; i < 6; i++)
        certain += (slots[i]->tag & 15) > 0;
    int expects[MATCHES];
    Adaptive *hits[MATCHES];
    for (int m = 0; m < MATCHES; m++) {
        expects[m] = a->level[m] == 0 ? 0 : rank != 1 && candidate == a->expected[m] ? 2 : 1;
        hits[m] = &s->match_hits[m][rank][a->level[m] * 3 + expects[m]];
        inputs[2 * PIXEL_CONTEXTS + 2 * m] = (int16_t)(expects[m] ? stretch(hits[m]->p) : 0);
        inputs[2 * PIXEL_CONTEXTS + 2 * m + 1] = (int16_t)(expects[m] == 2 ? a->level[m] * 64 : 0);
    }
    inputs[2 * PIXEL_CONTEXTS + 2 * MATCHES] = 256;
    const uint64_t *p = a->p;
    ptrdiff_t stride = s->stride;
    int equal;
    if (rank == 1)
        equal = a->literals;
    else
        equal = (candidate == p[-1]) | (candidate == p[-stride]) << 1 |
                (candidate == p[-stride - 1]) << 2 | (candidate == p[-stride + 1]) << 3;
    int32_t *sets[3] = {
        s->pixel_weights[0][(equal * RANKS + rank) * 3 + expects[0]],
        s->pixel_weights[1][((rank * 16 + a->literals) * 8) + certain],
        s->pixel_weights[2][((a->level[0] * 3 + expects[0]) * RANKS + rank) * 3 + expects[1]],
    };
    int16_t odds[8] = {0};
    for (int k = 0; k < 3; k++)
        odds[k] = (int16_t)mix(sets[k], inputs, PIXEL_INPUTS);
    int final = mix(s->pixel_final[rank], odds, 8);
    int p16 = squash(final);
    bit = code_bit(&s->coder, bit, p16);
    int target = bit ? 65535 : 0;
    for (int k = 0; k < 3; k++)
        mix_learn(sets[k], inputs, PIXEL_INPUTS, (target - squash(odds[k])) * 3 / 8);
    mix_learn(s->pixel_final[rank], odds, 8, (target - p16) / 16);
    for (int i = 0; i < PIXEL_CONTEXTS; i++) {
        slot_update(slots[i], bit);
        adapt(maps[i], bit, 250);
    }
    for (int m = 0; m < MATCHES; m++)
        if (expects[m])
            adapt(hits[m], bit, 250);
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

static inline int match_level(const Match *match)
{
    int level = match->length < 16 ? (int)match->length / 4 : log2_of(match->length);
    level = level > 9 ? 9 : level;
    int missed = (match->misses & 0xFF) ? 2 : match->misses ? 1 : 0;
    return missed == 2 ? 1 + (level > 3 ? 3 : level) : missed ? 5 + (level > 4 ? 4 : level) : 10 + level;
}

/* How many pixels to the left and above are the same at two places, up to 32. */
static uint32_t alike(const Screen *s, const uint64_t *here, const uint64_t *there)
{
    uint32_t same = 0;
    while (same < 20 && there - s->pixels > (ptrdiff_t)same &&
           here[-(ptrdiff_t)same] == there[-(ptrdiff_t)same])
        same++;
    for (int i = 0; i < 12 && here[i - s->stride] == there[i - s->stride]; i++)
        same++;
    return same;
}

/* Sees whether matches foretold the pixel at `at`, and looks for new ones. */
static void follow_matches(Screen *s, size_t at)
{
    static const int reach[MATCHES][6] = {{12, 5, 9, 3, 5, 0}, {4, 2, 4, 0, 0, 0}};
    const uint64_t *p = s->pixels + at;
    for (int m = 0; m < MATCHES; m++) {
        Match *match = &s->matches[m];
        if (match->distance) {
            int miss = s->pixels[at - match->distance] != *p;
            match->misses = match->misses << 1 | (uint32_t)miss;
            match->length = miss ? 0 : match->length + 1;
        }
        uint64_t h = 0;
        for (int i = 0; i < reach[m][0]; i++)
            h = join(h, p[-i]);
        for (int i = -reach[m][1]; i < reach[m][2]; i++)
            h = join(h, p[i - s->stride]);
        for (int i = -reach[m][3]; i < reach[m][4]; i++)
            h = join(h, p[i - 2 * s->stride]);
        uint32_t *entry = &match->places[spread(h) >> (32 - s->bits)];
        if (*entry && at - *entry != match->distance && (!match->distance || match->misses & 0xFF)) {
            uint32_t length = alike(s, p, s->pixels + *entry);
            if (length >= (match->distance ? 16u : 8u) && length > match->length) {
                match->distance = at - *entry;
                match->length = length;
                match->misses = 0;
            }
        }
        *entry = (uint32_t)at;
    }
}

/* Codes the pixel at position `at`. */
static void code_pixel(Screen *s, size_t at, size_t x)
{
    Around around;
    Candidates list = {{0}, 0};
    uint64_t pixel = s->coder.decoding ? 0 : s->pixels[at];
    const uint64_t *p = s->pixels + at;
    uint32_t *slots[PROPOSERS];
    for (int m = 0; m < MATCHES; m++) {
        const Match *match = &s->matches[m];
        around.level[m] = match->distance ? match_level(match) : 0;
        around.expected[m] = match->distance ? s->pixels[at - match->distance] : 0;
    }
    look_around(s, at, x, &around);
    for (int i = 0; i < PROPOSERS; i++)
        slots[i] = s->proposals +
                   2 * (((size_t)i << s->bits) + (around.hashes[proposing[i]] >> (32 - s->bits)));
    if (s->colours == 2) {
        propose(&list, s->two[0]);
        propose(&list, s->two[1]);
    } else {
        propose(&list, p[-1]);
        propose(&list, p[-s->stride]);
        for (int m = 0; m < MATCHES; m++)
            if (around.level[m])
                propose(&list, around.expected[m]);
        for (int i = 0; i < PROPOSERS; i++)
            for (int j = 0; j < 2; j++)
                if (slots[i][j])
                    propose(&list, s->pixels[slots[i][j]]);
        propose(&list, p[-s->stride + 1]);
        propose(&list, p[-s->stride - 1]);
    }
    int which = list.count;
    if (!s->coder.decoding)
        for (which = 0; which < list.count && list.colours[which] != pixel;)
            which++;
    int found = 0, escaped = 0;
    for (int i = 0; i < list.count && !found && !escaped; i++) {
        found = code_decision(s, &around, list.colours[i], i < 2 ? 2 * i : 3, which == i);
        if (found)
            pixel = list.colours[i];
        else if (i == 0)
            escaped = code_decision(s, &around, 0, 1, which == list.count);
    }
    if (!found)
        pixel = code_literal(s, at, pixel);
    s->literal[at] = !found;
    s->pixels[at] = pixel;
    if (s->colours < 3 && (s->colours < 1 || pixel != s->two[0]) &&
        (s->colours < 2 || pixel != s->two[1])) {
        if (s->colours < 2)
            s->two[s->colours] = pixel;
        s->colours++;
    }
    for (int i = 0; i < PROPOSERS; i++)
        if (!slots[i][0] || s->pixels[slots[i][0]] != pixel) {
            slots[i][1] = slots[i][0];
            slots[i][0] = (uint32_t)at;
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
