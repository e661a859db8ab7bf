/*
 * Pictures by a linear transform of full rank: DCTs of 4 to 32 a side, adaptive binary coding.
 *
 * LINEAR.md is the specification. A tile is coded in blocks of 64x64, those of a mask; each is cut
 * into squares that have a DCT each. The order of symbols is written once, for both directions: a
 * decoder's `bit` arguments are not looked at.
 */
#ifndef LICTOR_LINEAR_H
#define LICTOR_LINEAR_H

#include "mixing.h"
#include "transform.h"

#define BLOCK 64
#define CELL_SIDE 4             /* what the maps of neighbours tell apart, in pixels */
#define CELLS (BLOCK / CELL_SIDE)
#define KINDS 3                 /* of planes: the colour coordinates */
#define MOST_FINENESS 31
#define MOST_LEVEL 65535
#define NO_DC INT32_MIN

typedef struct {
    int16_t matrix[9];          /* of the colours, see transform.h */
    uint16_t step;              /* in 1/256 of a level of 0...255 */
} Parameters;

typedef struct {
    Cell split[3][9], split_at[3][3];
    Cell fine[64];
    Cell last_by_neighbour[KINDS][SIDES][12][12], last_by_plane[KINDS][SIDES][12][12];
    Cell last_low[KINDS][SIDES][12][8], last_rest[SIDES][12][12];
    Cell dc_by_size[KINDS][SIDES][3][24], dc_by_place[KINDS][12][24];
    Cell sig_by_near[KINDS][SIDES][8][12], sig_by_place[KINDS][SIDES][64][5];
    Cell sig_by_plane[KINDS][SIDES][4][4][12], sig_by_tail[KINDS][SIDES][12][12];
    Cell one_by_near[KINDS][SIDES][3][12], one_by_place[KINDS][SIDES][64][5];
    Cell one_by_plane[KINDS][4][12];
    Cell two_by_near[KINDS][SIDES][3][12], two_by_place[KINDS][SIDES][64][5];
    Cell two_by_plane[KINDS][4][12];
    Cell more[KINDS][12][20], more_by_place[KINDS][5][20], low[KINDS][20];
    Cell sign[KINDS][9][4], sign_by_place[KINDS][SIDES][64][9];
} Cells;

typedef struct {
    Weights split[3], fine[1], last[SIDES][12], last_low[12], dc[24];
    Weights sig[KINDS][SIDES][3], one[KINDS][SIDES], two[KINDS][SIDES], more[20], sign[KINDS];
} Mixers;

typedef struct {
    MixTables mix;
    Basis basis;
    uint16_t scan[SIDES][MOST_SIDE * MOST_SIDE];  /* v * n + u, from low frequencies to high */
    Cells cells;
    Mixers mixers;
    BitCoder coder;
    Parameters own;
    Pixels pixels;
    int planes;
    size_t wide, high;          /* in cells */
    int8_t *levels[KINDS];      /* of all coefficients, held in -127...127, where their blocks are */
    int32_t *dc[KINDS];         /* of each cell, the mean of its block; NO_DC */
    uint8_t *lasts[KINDS];      /* of each cell, how far its block's coefficients go */
    uint8_t *sides;             /* of each cell, 1 + the index of its block's side; 0: none */
    int32_t block[KINDS][BLOCK * BLOCK];
    int fineness;               /* of the block before */
    /* of an encoder */
    int32_t samples[KINDS][BLOCK * BLOCK];
    float slope;                /* bits that the square of a step is worth */
    uint8_t tree[BLOCK / 4][BLOCK / 4];  /* index of the side chosen for each cell */
} Linear;

static const uint8_t NEAR_CLASS[64] = {
    0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    9, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
    10, 10, 10, 10, 11, 11, 11};

static int near_class(int sum)
{
    return NEAR_CLASS[sum > 63 ? 63 : sum];
}

static int bit_length(uint32_t value)
{
    int n = 0;
    for (; value; value >>= 1)
        n++;
    return n;
}

/* ---------------------------------------------------------------- what is around a block */

typedef struct {
    int plane, side, n;         /* side: index; n: 4 << side */
    size_t top, left;           /* in pixels */
    const int8_t *beside[2];    /* levels of the blocks to the left and above; NULL */
    int beside_side[2];
    int far;                    /* class 0...11: how far coefficients of the neighbours go */
    int far_plane;              /* likewise of the plane before */
} Place;

static size_t cell_at(const Linear *l, size_t top, size_t left)
{
    return top / CELL_SIDE * l->wide + left / CELL_SIDE;
}

static size_t width_of(const Linear *l)
{
    return l->wide * CELL_SIDE;
}

/* The block that a cell is in starts where its side divides. */
static void look_beside(const Linear *l, Place *p, int which, size_t top, size_t left)
{
    int side = l->sides[cell_at(l, top, left)];
    p->beside[which] = NULL;
    if (side == 0)
        return;
    size_t mask = ~(((size_t)4 << (side - 1)) - 1);
    p->beside_side[which] = side - 1;
    p->beside[which] = l->levels[p->plane] + (top & mask) * width_of(l) + (left & mask);
}

static Place place_of(const Linear *l, int plane, int side, size_t top, size_t left)
{
    Place p = {.plane = plane, .side = side, .n = 4 << side, .top = top, .left = left};
    int far = 0, known = 0;
    if (left) {
        look_beside(l, &p, 0, top, left - 1);
        known += p.beside[0] != NULL;
        far += p.beside[0] ? l->lasts[plane][cell_at(l, top, left - 1)] : 0;
    }
    if (top) {
        look_beside(l, &p, 1, top - 1, left);
        known += p.beside[1] != NULL;
        far += p.beside[1] ? l->lasts[plane][cell_at(l, top - 1, left)] : 0;
    }
    p.far = known == 2 ? (far + 1) / 2 : known ? far : 11;
    p.far_plane = plane ? l->lasts[0][cell_at(l, top, left)] : 0;
    return p;
}

/* The level that a neighbour has at like frequency. */
static int level_beside(const Linear *l, const Place *p, int which, int v, int u)
{
    const int8_t *there = p->beside[which];
    if (there == NULL)
        return 0;
    int up = p->beside_side[which] - p->side;
    if (up >= 0)
        return there[(size_t)(v << up) * width_of(l) + (size_t)(u << up)];
    return there[(size_t)(v >> -up) * width_of(l) + (size_t)(u >> -up)];
}

/* ---------------------------------------------------------------- numbers */

/* A number of up to 2^20 in the manner of Elias, gamma: its length in unary, then its low bits. */
static uint32_t code_number(Linear *l, Cell *one, Cell *two, Cell *low, Weights *w, int most,
                            uint32_t value)
{
    int length = bit_length(value + 1) - 1, k = 0;
    for (; k < most; k++) {
        Mixed m = {{&one[k], &two[k]}, 2, &w[k]};
        if (!mixed_bit(&l->coder, &m, k < length))
            break;
    }
    if (k == 0)
        return 0;
    uint32_t code = value + 1, rest = code & ((1u << (k - 1)) - 1);
    Cell *cell = &low[k];
    int bit = coder_bit(&l->coder, (uint32_t)held(cell->p, 64, 65472), (int)(code >> (k - 1) & 1));
    cell_learn(&l->mix, cell, bit);
    return ((2u | (uint32_t)bit) << (k - 1) | coder_bits(&l->coder, k - 1, rest)) - 1;
}

/* How many coefficients a block has up to its last that is not 0, DC not counted. */
static int code_last(Linear *l, const Place *p, int last)
{
    int most = 2 * (p->side + 2);  /* bits of n * n - 1 */
    int length = bit_length((uint32_t)last), k = 0;
    for (; k < most; k++) {
        Mixed m = {{&l->cells.last_by_neighbour[p->plane][p->side][p->far][k],
                    &l->cells.last_by_plane[p->plane][p->side][p->far_plane][k]},
                   2, &l->mixers.last[p->side][k]};
        if (!mixed_bit(&l->coder, &m, k < length))
            break;
    }
    int number = k > 0, prefix = 1;
    for (int i = k - 2; i >= 0; i--) {
        int depth = k - 2 - i, bit = last >> i & 1;
        Cell *cell = depth < 3 ? &l->cells.last_low[p->plane][p->side][k][prefix]
                               : &l->cells.last_rest[p->side][k][i];
        Mixed m = {{cell}, 1, &l->mixers.last_low[depth < 3 ? depth : 3]};
        bit = mixed_bit(&l->coder, &m, bit);
        prefix = prefix < 4 ? prefix << 1 | bit : prefix;
        number = number << 1 | bit;
    }
    return number;
}

/* ---------------------------------------------------------------- coefficients */

/* Levels of a block with two zeros more to each side that the contexts look at. */
#define PITCH (MOST_SIDE + 2)
typedef struct {
    int32_t level[MOST_SIDE * MOST_SIDE];
    uint8_t size[PITCH * PITCH];  /* held in 0...127 */
} Levels;

typedef struct {
    int at, v, u;
    int diagonal;               /* 0...7 */
    int position;               /* 0...63 */
    int near, beside, planes;   /* classes */
    int tail;                   /* how far before the last */
    int sign;                   /* 0...8: the signs beside */
} Context;

static int sign_class(int level)
{
    return level > 0 ? 2 : level < 0;
}

static Context context_of(const Linear *l, const Place *p, const Levels *b, int at, int left)
{
    Context c = {.at = at, .v = at >> (p->side + 2), .u = at & (p->n - 1)};
    const uint8_t *size = b->size + c.v * PITCH + c.u;
    int near = size[1] + size[PITCH] + size[PITCH + 1] + size[2] + size[2 * PITCH];
    c.near = near_class(near);
    int d = c.u + c.v;
    c.diagonal = d < 3 ? d - 1 : d < 5 ? 2 : d < 8 ? 3 : d < 12 ? 4 : d < 18 ? 5 : d < 28 ? 6 : 7;
    if (p->side == 0)
        c.position = c.v * 4 + c.u;
    else
        c.position = (c.v >> (p->side - 1)) * 8 + (c.u >> (p->side - 1));
    int one = level_beside(l, p, 0, c.v, c.u), two = level_beside(l, p, 1, c.v, c.u);
    int beside = abs(one) + abs(two);
    c.beside = beside < 3 ? beside : beside < 6 ? 3 : 4;
    c.sign = 3 * sign_class(one) + sign_class(two);
    size_t here = (p->top + (size_t)c.v) * width_of(l) + p->left + (size_t)c.u;
    int planes = 0;
    for (int k = 0; k < p->plane; k++)
        planes += abs(l->levels[k][here]);
    c.planes = planes < 3 ? planes : 3;
    c.tail = bit_length((uint32_t)left);
    c.tail = c.tail > 11 ? 11 : c.tail;
    return c;
}

static Mixed sig_contexts(Linear *l, const Place *p, const Context *c)
{
    int near = c->near < 3 ? c->near : 3;
    return (Mixed){{&l->cells.sig_by_near[p->plane][p->side][c->diagonal][c->near],
                    &l->cells.sig_by_place[p->plane][p->side][c->position][c->beside],
                    &l->cells.sig_by_plane[p->plane][p->side][c->planes][near][c->diagonal],
                    &l->cells.sig_by_tail[p->plane][p->side][c->tail][c->near]},
                   4, &l->mixers.sig[p->plane][p->side][c->near < 2 ? c->near : 2]};
}

static Mixed one_contexts(Linear *l, const Place *p, const Context *c)
{
    int diagonal = c->diagonal < 2 ? 0 : c->diagonal < 4 ? 1 : 2;
    return (Mixed){{&l->cells.one_by_near[p->plane][p->side][diagonal][c->near],
                    &l->cells.one_by_place[p->plane][p->side][c->position][c->beside],
                    &l->cells.one_by_plane[p->plane][c->planes][c->near]},
                   3, &l->mixers.one[p->plane][p->side]};
}

static Mixed two_contexts(Linear *l, const Place *p, const Context *c)
{
    int diagonal = c->diagonal < 2 ? 0 : c->diagonal < 4 ? 1 : 2;
    return (Mixed){{&l->cells.two_by_near[p->plane][p->side][diagonal][c->near],
                    &l->cells.two_by_place[p->plane][p->side][c->position][c->beside],
                    &l->cells.two_by_plane[p->plane][c->planes][c->near]},
                   3, &l->mixers.two[p->plane][p->side]};
}

static Mixed sign_contexts(Linear *l, const Place *p, const Context *c)
{
    int low = c->u == 0 ? (c->v & 1) : 2 + (c->u & 1);
    return (Mixed){{&l->cells.sign[p->plane][c->sign][low],
                    &l->cells.sign_by_place[p->plane][p->side][c->position][c->sign]},
                   2, &l->mixers.sign[p->plane]};
}

/* sure: the level is known not to be 0. */
static int32_t code_level(Linear *l, const Place *p, const Context *c, int sure, int32_t level)
{
    uint32_t size = (uint32_t)abs(level);
    Mixed m = sig_contexts(l, p, c);
    if (!sure && !mixed_bit(&l->coder, &m, size > 0))
        return 0;
    m = one_contexts(l, p, c);
    uint32_t found = 1;
    if (mixed_bit(&l->coder, &m, size > 1)) {
        m = two_contexts(l, p, c);
        found = 2;
        if (mixed_bit(&l->coder, &m, size > 2))
            found = 3 + code_number(l, l->cells.more[p->plane][c->near],
                                    l->cells.more_by_place[p->plane][c->beside],
                                    l->cells.low[p->plane], l->mixers.more, 16, size - 3);
    }
    m = sign_contexts(l, p, c);
    int negative = mixed_bit(&l->coder, &m, level < 0);
    found = found > MOST_LEVEL ? MOST_LEVEL : found;
    return negative ? -(int32_t)found : (int32_t)found;
}

static int32_t code_dc(Linear *l, const Place *p, int32_t level)
{
    int beside = abs(level_beside(l, p, 0, 0, 0)) + abs(level_beside(l, p, 1, 0, 0));
    int planes = 0;
    for (int k = 0; k < p->plane; k++)
        planes += abs(l->levels[k][p->top * width_of(l) + p->left]);
    planes = planes < 2 ? planes : 2;
    uint32_t zigzag = level < 0 ? (uint32_t)-level * 2 - 1 : (uint32_t)level * 2;
    zigzag = code_number(l, l->cells.dc_by_size[p->plane][p->side][planes],
                         l->cells.dc_by_place[p->plane][near_class(beside)],
                         l->cells.low[p->plane], l->mixers.dc, 18, zigzag);
    return zigzag & 1 ? -(int32_t)(zigzag / 2) - 1 : (int32_t)(zigzag / 2);
}

/* ---------------------------------------------------------------- steps and values */

/* 2^(-k/4) in 2^-15 */
static const int32_t QUARTERS[4] = {32768, 27554, 23170, 19484};

/* The step of a block, in 1/4096 of a level: 2^(-fineness / 4) times that of the stream. */
static int64_t step_of(const Linear *l)
{
    int64_t step = (int64_t)l->own.step * QUARTERS[l->fineness % 4] >> (11 + l->fineness / 4);
    return step < 1024 ? 1024 : step;
}

/* What a level stands for, in 1/16 of a level of 0...255. */
static int32_t value_of(int32_t level, int64_t step)
{
    int64_t value = ((int64_t)level * step + 128) >> 8;
    return (int32_t)(value < -(1 << 20) ? -(1 << 20) : value > 1 << 20 ? 1 << 20 : value);
}

/* The mean of a block that its neighbours lead to expect, from the cells along its sides. */
static int32_t expected_mean(const Linear *l, const Place *p)
{
    const int32_t *dc = l->dc[p->plane];
    int cells = p->n / CELL_SIDE;
    int64_t sum[2] = {0, 0};
    int count[2] = {0, 0};
    for (int i = 0; i < cells; i++) {
        if (p->left) {
            int32_t one = dc[cell_at(l, p->top + (size_t)i * CELL_SIDE, p->left - 1)];
            count[0] += one != NO_DC;
            sum[0] += one != NO_DC ? one : 0;
        }
        if (p->top) {
            int32_t one = dc[cell_at(l, p->top - 1, p->left + (size_t)i * CELL_SIDE)];
            count[1] += one != NO_DC;
            sum[1] += one != NO_DC ? one : 0;
        }
    }
    int64_t total = 0;
    int known = 0;
    for (int k = 0; k < 2; k++)
        if (count[k]) {
            total += sum[k] / count[k];
            known++;
        }
    return known ? (int32_t)(total / known) : 0;
}

/* ---------------------------------------------------------------- blocks */

static void remember(Linear *l, const Place *p, const Levels *b, int32_t mean, int last)
{
    size_t pitch = width_of(l);
    int8_t *out = l->levels[p->plane] + p->top * pitch + p->left;
    for (int v = 0; v < p->n; v++)
        for (int u = 0; u < p->n; u++)
            out[(size_t)v * pitch + (size_t)u] = (int8_t)held(b->level[v * p->n + u], -127, 127);
    int far = last ? bit_length((uint32_t)last) + 2 * (SIDES - 1 - p->side) : 0;
    far = far > 11 ? 11 : far;
    for (int y = 0; y < p->n / CELL_SIDE; y++)
        for (int x = 0; x < p->n / CELL_SIDE; x++) {
            size_t at = cell_at(l, p->top, p->left) + (size_t)y * l->wide + (size_t)x;
            l->dc[p->plane][at] = mean;
            l->lasts[p->plane][at] = (uint8_t)far;
        }
}

/* The encoder's part, in choices.h. */
static int choose_levels(Linear *l, const Place *p, const int32_t *coefficients, Levels *b);
static int32_t choose_level(Linear *l, const Place *p, const Context *c, int32_t coefficient,
                            int32_t level);

/* Codes the levels of a block, and makes its samples of them. coefficients: of an encoder. */
static void code_block(Linear *l, int plane, int side, size_t top, size_t left,
                       const int32_t *coefficients)
{
    Place p = place_of(l, plane, side, top, left);
    Levels b;
    int64_t step = step_of(l);
    int last = 0;
    int32_t mean = expected_mean(l, &p), expected = mean * p.n, dc = 0;
    memset(b.size, 0, sizeof b.size);
    if (coefficients) {
        last = choose_levels(l, &p, coefficients, &b);
        int64_t off = ((int64_t)coefficients[0] - expected) * 256;
        dc = (int32_t)((off + (off < 0 ? -step : step) / 2) / step);
    } else {
        memset(b.level, 0, (size_t)(p.n * p.n) * sizeof *b.level);
    }
    b.level[0] = dc = code_dc(l, &p, dc);
    last = code_last(l, &p, last);
    last = last >= p.n * p.n ? p.n * p.n - 1 : last;
    int32_t values[MOST_SIDE * MOST_SIDE];
    memset(values, 0, (size_t)(p.n * p.n) * sizeof *values);
    int high = 1, wide = 1;
    for (int i = last; i > 0; i--) {
        Context c = context_of(l, &p, &b, l->scan[side][i], last - i);
        int32_t level = b.level[c.at];
        if (coefficients && i < last)
            level = choose_level(l, &p, &c, coefficients[c.at], level);
        level = code_level(l, &p, &c, i == last, level);
        b.level[c.at] = level;
        b.size[c.v * PITCH + c.u] = (uint8_t)(abs(level) > 127 ? 127 : abs(level));
        if (level) {
            values[c.at] = value_of(level, step);
            high = c.v >= high ? c.v + 1 : high;
            wide = c.u >= wide ? c.u + 1 : wide;
        }
    }
    int64_t first = (int64_t)expected + value_of(dc, step);
    values[0] = (int32_t)(first < -(1 << 20) ? -(1 << 20) : first > 1 << 20 ? 1 << 20 : first);
    remember(l, &p, &b, values[0] / p.n, last);
    int32_t *out = l->block[plane] + (top % BLOCK) * BLOCK + left % BLOCK;
    inverse_dct(&l->basis, side, values, high, wide, out, BLOCK);
}

#endif
