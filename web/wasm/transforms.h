/*
 * transforms.h: g_a, h_a and g_s (models/picture/transforms.py), in floats. Tensors lie row by row,
 * channels together. A block keeps three rows besides its input, however large the picture is.
 */
#ifndef LICTOR_WEB_TRANSFORMS_H
#define LICTOR_WEB_TRANSFORMS_H

#include "latents.h"

enum { CELL = 16, HALF = CELL / 2, COLOURS = 3, MOST_BLOCKS = 9 };
enum { PATCH = COLOURS * CELL * CELL, HALF_PATCH = COLOURS * HALF * HALF };

typedef struct {
    int channels;
    Matrix enter, leave, expand, project;
    float *spatial, *cap;
} Block;

typedef struct {
    int channels, latent, depth;
    Matrix enter, up, leave, shortcut;
    Ladder gain16, gain8;
    Block blocks16[MOST_BLOCKS], blocks8[MOST_BLOCKS];
} Synthesis;

typedef struct {
    int channels, latent, depth;
    Matrix enter, down, leave, shortcut;
    Ladder gain16, gain8;
    Block blocks16[MOST_BLOCKS], blocks8[MOST_BLOCKS];
} Analysis;

typedef struct {
    Matrix enter, down, leave;
    float *spatial;
} HyperAnalysis;

/* ---------------------------------------------------------------- weights */

static void block_load(Block *b, Weights *w, const char *stack, int number, int channels)
{
    Name own = named(stack, number, ".");
    b->channels = channels;
    b->enter = matrix(w, within(own.text, "enter").text, channels, channels);
    b->spatial = taps(w, within(own.text, "spatial").text, channels);
    b->leave = matrix(w, within(own.text, "leave").text, channels, channels);
    b->expand = matrix(w, within(own.text, "expand").text, channels, 2 * channels);
    b->project = matrix(w, within(own.text, "project").text, channels, channels);
    b->cap = floats(w, within(own.text, "cap"), (size_t)channels);
}

static void blocks_load(Block *blocks, Weights *w, const char *stack, int depth, int channels)
{
    for (int i = 0; i < depth; i++)
        block_load(&blocks[i], w, stack, i, channels);
}

/* How many blocks a stack has. */
static int depth_of(const Weights *w, const char *stack)
{
    int depth = 0;
    while (depth < MOST_BLOCKS && look_up(w, named(stack, depth, ".cap").text))
        depth++;
    return depth;
}

/* Pixel shuffle by 2 as PyTorch has it, channel by channel; ours is place by place. */
static int shuffled(int channel, int count)
{
    return channel % (count / 4) * 4 + channel / (count / 4);
}

static void synthesis_load(Synthesis *s, Weights *w, int channels, int latent)
{
    s->channels = channels;
    s->latent = latent;
    s->depth = depth_of(w, "g_s.blocks16.");
    s->enter = matrix(w, "g_s.enter", latent, latent);
    s->gain16 = ladder(w, "g_s.gain16.log.", latent);
    s->gain8 = ladder(w, "g_s.gain8.log.", channels);
    blocks_load(s->blocks16, w, "g_s.blocks16.", s->depth, latent);
    blocks_load(s->blocks8, w, "g_s.blocks8.", s->depth, channels);
    s->up = matrix_in_order(w, within("g_s.up.weight", ""), within("g_s.up.bias", ""), latent,
                            4 * channels, NULL, shuffled);
    s->leave = matrix(w, "g_s.leave", channels, HALF_PATCH);
    s->shortcut = matrix_in_order(w, within("g_s.shortcut.weight", ""), within("", ""), latent,
                                  PATCH, NULL, NULL);
}

static void analysis_load(Analysis *a, HyperAnalysis *h, Weights *w, int channels, int latent,
                          int side)
{
    a->channels = channels;
    a->latent = latent;
    a->depth = depth_of(w, "g_a.blocks16.");
    a->enter = matrix(w, "g_a.enter", HALF_PATCH, channels);
    a->gain8 = ladder(w, "g_a.gain8.log.", channels);
    a->gain16 = ladder(w, "g_a.gain16.log.", latent);
    blocks_load(a->blocks8, w, "g_a.blocks8.", a->depth, channels);
    blocks_load(a->blocks16, w, "g_a.blocks16.", a->depth, latent);
    a->down = matrix_in_order(w, within("g_a.down.weight", ""), within("g_a.down.bias", ""),
                              4 * channels, latent, shuffled, NULL);
    a->leave = matrix(w, "g_a.leave", latent, latent);
    a->shortcut = matrix_in_order(w, within("g_a.shortcut.weight", ""), within("", ""), PATCH,
                                  latent, NULL, NULL);
    int hidden = channels;
    h->enter = matrix(w, "h_a.body.0", latent, hidden);
    h->down = matrix_in_order(w, within("h_a.body.2.weight", ""), within("h_a.body.2.bias", ""),
                              4 * hidden, hidden, shuffled, NULL);
    h->spatial = taps(w, "h_a.body.4", hidden);
    h->leave = matrix_in_order(w, within("h_a.body.5.weight", ""), within("h_a.body.5.bias", ""),
                               4 * hidden, side, shuffled, NULL);
}

/* ---------------------------------------------------------------- layers */

static void leaky(float *x, size_t count)
{
    for (size_t i = 0; i < count; i += 4) {
        v128_t v = wasm_v128_load(x + i);
        wasm_v128_store(x + i, wasm_f32x4_pmax(v, wasm_f32x4_mul(v, wasm_f32x4_splat(0.125f))));
    }
}

/* A row of a depthwise 3x3; a row of `in` that is NULL is outside, all zeros. */
static void depthwise_row(const float *taps, const float *const in[3], size_t columns,
                          size_t channels, float *out)
{
    for (size_t x = 0; x < columns; x++)
        for (size_t c = 0; c < channels; c += 4) {
            v128_t sum = wasm_v128_load(taps + 9 * channels + c);
            for (size_t k = 0; k < 9; k++) {
                size_t column = x + k % 3;      /* one more than it is */
                if (in[k / 3] == NULL || column == 0 || column > columns)
                    continue;
                v128_t v = wasm_v128_load(in[k / 3] + (column - 1) * channels + c);
                v = wasm_f32x4_mul(v, wasm_v128_load(taps + k * channels + c));
                sum = wasm_f32x4_add(v, sum);
            }
            wasm_v128_store(out + x * channels + c, sum);
        }
}

/* value · min(max(gate, 0), cap) of (columns, 2 · channels), into the front of each place. */
static void gate_row(const Block *b, size_t columns, const float *expanded, float *out)
{
    size_t n = (size_t)b->channels;
    for (size_t x = 0; x < columns; x++, expanded += 2 * n, out += n)
        for (size_t c = 0; c < n; c += 4) {
            v128_t gate = wasm_f32x4_max(wasm_v128_load(expanded + n + c), wasm_f32x4_splat(0));
            gate = wasm_f32x4_min(gate, wasm_v128_load(b->cap + c));
            wasm_v128_store(out + c, wasm_f32x4_mul(gate, wasm_v128_load(expanded + c)));
        }
}

/* Room for a block: three rows of what `enter` makes, and two more for the rest. */
static size_t block_room(size_t columns, size_t channels)
{
    return 6 * columns * channels;
}

static void block_run(const Block *b, float *x, size_t rows, size_t columns, float *room)
{
    size_t wide = columns * (size_t)b->channels;
    float *entered[3] = {room, room + wide, room + 2 * wide};
    float *inner = room + 3 * wide, *expanded = room + 4 * wide;
    for (size_t y = 0; y <= rows; y++) {
        if (y < rows) {
            multiply(&b->enter, x + y * wide, columns, entered[y % 3]);
            leaky(entered[y % 3], wide);
        }
        if (y == 0)
            continue;
        const float *around[3] = {y > 1 ? entered[(y - 2) % 3] : NULL, entered[(y - 1) % 3],
                                  y < rows ? entered[y % 3] : NULL};
        float *row = x + (y - 1) * wide;
        depthwise_row(b->spatial, around, columns, (size_t)b->channels, inner);
        multiply_onto(&b->leave, inner, columns, row);
        multiply(&b->expand, row, columns, expanded);
        gate_row(b, columns, expanded, inner);
        multiply_onto(&b->project, inner, columns, row);
    }
}

static void blocks_run(const Block *blocks, int depth, float *x, size_t rows, size_t columns,
                       float *room)
{
    for (int i = 0; i < depth; i++)
        block_run(&blocks[i], x, rows, columns, room);
}

/* Each place times exp of the ladder at its quality; `shift`: places a side, as a shift, to one. */
static void gain_run(const Ladder *l, const int16_t *quality, size_t rows, size_t columns,
                     int shift, float *values, float *x)
{
    size_t n = (size_t)l->channels, across = columns >> shift;
    Rung rung = {l, -1, values};
    for (size_t y = 0; y < rows; y++)
        for (size_t c = 0; c < columns; c++, x += n) {
            const float *gain = gain_rung(&rung, quality[(y >> shift) * across + (c >> shift)]);
            for (size_t i = 0; i < n; i++)
                x[i] *= gain[i];
        }
}

/* Two rows of places to one of their 2x2, as a matrix of four times the channels wants them. */
static void gather_row(const float *in, size_t columns, size_t channels, float *out)
{
    for (size_t x = 0; x < columns / 2; x++)
        for (size_t d = 0; d < 2; d++, out += 2 * channels)
            memcpy(out, in + (d * columns + 2 * x) * channels, 2 * channels * sizeof *out);
}

/* A 2x2 convolution of stride 2. `row`: room for columns · 2 · channels. */
static void down_run(const Matrix *m, const float *in, size_t rows, size_t columns, float *row,
                     float *out)
{
    size_t channels = (size_t)m->inputs / 4;
    for (size_t y = 0; y < rows / 2; y++, out += columns / 2 * (size_t)m->outputs) {
        gather_row(in + 2 * y * columns * channels, columns, channels, row);
        multiply(m, row, columns / 2, out);
    }
}

/* ---------------------------------------------------------------- g_s */

static float clamped(float v, float most)
{
    return v < 0 ? 0 : v > most ? most : v;
}

/* Half to even, as rounding is where Python rounds. */
static float rounded(float v)
{
    return __builtin_rintf(v);
}

typedef struct {
    int channels, depth;        /* 1 or 3; 8 or 16 bits */
    void *samples;              /* (height, width, channels) */
    size_t width;
    size_t top, left, bottom, right;    /* what is written, in pixels of the window */
} Target;

static void write_pixel(const Target *t, size_t at, const float colours[COLOURS])
{
    float most = t->depth == 8 ? 255.0f : 65535.0f, v[COLOURS];
    for (int k = 0; k < COLOURS; k++)
        v[k] = clamped(colours[k] + 0.5f, 1.0f);
    if (t->channels == 1)
        v[0] = (v[0] + v[1] + v[2]) / 3;
    for (int k = 0; k < t->channels; k++) {
        float sample = clamped(rounded(v[k] * most), most);
        if (t->depth == 8)
            ((uint8_t *)t->samples)[at * (size_t)t->channels + (size_t)k] = (uint8_t)sample;
        else
            ((uint16_t *)t->samples)[at * (size_t)t->channels + (size_t)k] = (uint16_t)sample;
    }
}

/* Two rows of halves (2 columns, HALF_PATCH) and one of cells (columns, PATCH) to pixels. */
static void write_row(const Target *t, size_t y, size_t columns, const float *halves,
                      const float *cells)
{
    for (size_t dy = 0; dy < CELL; dy++) {
        size_t row = y * CELL + dy;
        if (row < t->top || row >= t->bottom)
            continue;
        for (size_t x = t->left; x < t->right; x++) {
            const float *half = halves + (dy / HALF * 2 * columns + x / HALF) * HALF_PATCH
                                + dy % HALF * HALF + x % HALF;
            const float *cell = cells + x / CELL * PATCH + dy * CELL + x % CELL;
            float colours[COLOURS];
            for (int k = 0; k < COLOURS; k++)
                colours[k] = half[k * HALF * HALF] + cell[k * CELL * CELL];
            write_pixel(t, (row - t->top) * t->width + x - t->left, colours);
        }
    }
}

/*
 * v (rows, columns, latent), already times the inverse gain, to pixels. `quality`: of its places.
 * 0, or −1 without memory.
 */
static int synthesise(const Synthesis *s, const float *v, const int16_t *quality, size_t rows,
                      size_t columns, const Target *target)
{
    size_t latent = (size_t)s->latent, channels = (size_t)s->channels;
    size_t widest = latent > 2 * channels ? latent : 2 * channels;
    size_t room_size = block_room(columns, widest) + columns * (PATCH + 4 * HALF_PATCH);
    float *h = malloc(rows * columns * latent * sizeof *h);
    float *fine = malloc(4 * rows * columns * channels * sizeof *fine);
    float *room = malloc(room_size * sizeof *room);
    float *values = malloc(widest * sizeof *values);
    int ok = h && fine && room && values;
    if (ok) {
        multiply(&s->enter, v, rows * columns, h);
        gain_run(&s->gain16, quality, rows, columns, 0, values, h);
        blocks_run(s->blocks16, s->depth, h, rows, columns, room);
        for (size_t y = 0; y < rows; y++) {
            multiply(&s->up, h + y * columns * latent, columns, room);
            for (size_t x = 0; x < columns; x++)
                for (size_t d = 0; d < 4; d++)
                    memcpy(fine + ((2 * y + d / 2) * 2 * columns + 2 * x + d % 2) * channels,
                           room + (4 * x + d) * channels, channels * sizeof *fine);
        }
        gain_run(&s->gain8, quality, 2 * rows, 2 * columns, 1, values, fine);
        blocks_run(s->blocks8, s->depth, fine, 2 * rows, 2 * columns, room);
        for (size_t y = 0; y < rows; y++) {
            if ((y + 1) * CELL <= target->top || y * CELL >= target->bottom)
                continue;
            float *cells = room + 4 * columns * HALF_PATCH;
            multiply(&s->leave, fine + 4 * y * columns * channels, 4 * columns, room);
            multiply(&s->shortcut, v + y * columns * latent, columns, cells);
            write_row(target, y, columns, room, cells);
        }
    }
    free(h);
    free(fine);
    free(room);
    free(values);
    return ok ? 0 : -1;
}

/* ---------------------------------------------------------------- g_a, h_a */

/* Squares of so many pixels a side of x (height, width, 3), place by place, colour by colour. */
static void unshuffle_row(const float *x, size_t width, size_t y, size_t side, float *out)
{
    for (size_t place = 0; place < width / side; place++)
        for (size_t k = 0; k < COLOURS; k++)
            for (size_t i = 0; i < side * side; i++)
                *out++ = x[((y * side + i / side) * width + place * side + i % side) * COLOURS + k];
}

/*
 * x (rows · 16, columns · 16, 3), centred on 0, to v (rows, columns, latent). `quality`: of its
 * places of y. 0, or −1 without memory.
 */
static int analyse(const Analysis *a, const float *x, const int16_t *quality, size_t rows,
                   size_t columns, float *v)
{
    size_t latent = (size_t)a->latent, channels = (size_t)a->channels, wide = columns * CELL;
    size_t widest = latent > 2 * channels ? latent : 2 * channels;
    size_t patches = columns * PATCH;   /* more than two rows of halves */
    float *fine = malloc(4 * rows * columns * channels * sizeof *fine);
    float *h = malloc(rows * columns * latent * sizeof *h);
    float *room = malloc((block_room(columns, widest) + patches) * sizeof *room);
    float *values = malloc(widest * sizeof *values);
    int ok = fine && h && room && values;
    if (ok) {
        for (size_t y = 0; y < 2 * rows; y++) {
            unshuffle_row(x, wide, y, HALF, room);
            multiply(&a->enter, room, 2 * columns, fine + y * 2 * columns * channels);
        }
        gain_run(&a->gain8, quality, 2 * rows, 2 * columns, 1, values, fine);
        blocks_run(a->blocks8, a->depth, fine, 2 * rows, 2 * columns, room);
        down_run(&a->down, fine, 2 * rows, 2 * columns, room, h);
        gain_run(&a->gain16, quality, rows, columns, 0, values, h);
        blocks_run(a->blocks16, a->depth, h, rows, columns, room);
        for (size_t y = 0; y < rows; y++) {
            float *out = v + y * columns * latent;
            multiply(&a->leave, h + y * columns * latent, columns, out);
            unshuffle_row(x, wide, y, CELL, room);
            multiply_onto(&a->shortcut, room, columns, out);
        }
    }
    free(fine);
    free(h);
    free(room);
    free(values);
    return ok ? 0 : -1;
}

/* v (rows, columns, latent), both multiples of 4, to z (rows / 4, columns / 4, side). */
static int hyper_analyse(const HyperAnalysis *m, const float *v, size_t rows, size_t columns,
                         float *z)
{
    size_t hidden = (size_t)m->enter.outputs, latent = (size_t)m->enter.inputs;
    size_t count = rows * columns;
    float *loud = malloc(count * latent * sizeof *loud);
    float *a = malloc(count * hidden * sizeof *a), *b = malloc(count * hidden * sizeof *b);
    float *row = malloc(2 * columns * hidden * sizeof *row);
    int ok = loud && a && b && row;
    if (ok) {
        for (size_t i = 0; i < count * latent; i++)
            loud[i] = __builtin_asinhf(v[i]);
        multiply(&m->enter, loud, count, a);
        leaky(a, count * hidden);
        down_run(&m->down, a, rows, columns, row, b);
        leaky(b, count / 4 * hidden);
        size_t wide = columns / 2 * hidden;
        for (size_t y = 0; y < rows / 2; y++) {
            const float *around[3] = {y ? b + (y - 1) * wide : NULL, b + y * wide,
                                      y + 1 < rows / 2 ? b + (y + 1) * wide : NULL};
            depthwise_row(m->spatial, around, columns / 2, hidden, a + y * wide);
        }
        down_run(&m->leave, a, rows / 2, columns / 2, row, z);
    }
    free(loud);
    free(a);
    free(b);
    free(row);
    return ok ? 0 : -1;
}

#endif
