/*
 * What an encoder of linear.h chooses: levels, and the sides of blocks. Bits are weighed against
 * squared errors in units of the step; both are estimates here, in floating point.
 */
#ifndef LICTOR_LINEAR_CHOICES_H
#define LICTOR_LINEAR_CHOICES_H

#include "linear.h"

#define PRICE_STEPS 16          /* entries of the table for each step */
#define PRICES (64 * PRICE_STEPS)

typedef struct {
    float of_zero;              /* bits of a coefficient that is 0, somewhere in a block */
    float of_one, of_octave;    /* of a level of 1 with its sign, and more for each doubling */
    float of_last;              /* of where the last coefficient is */
    float of_empty;             /* of a plane of a block without any */
    float of_split;
} Guess;

static const Guess GUESS = {0.15f, 3.8f, 1.6f, 5.0f, 1.0f, 0.7f};

static float guessed_bits(int32_t size)
{
    return size ? GUESS.of_one + GUESS.of_octave * log2f((float)size) : GUESS.of_zero;
}

/* ---------------------------------------------------------------- levels */

/* The nearest levels, and where to end; what follows the end is 0. */
static int choose_levels(Linear *l, const Place *p, const int32_t *coefficients, Levels *b)
{
    int count = p->n * p->n, best = 0;
    float scale = 256.0f / (float)step_of(l), gain = 0, most = GUESS.of_last - GUESS.of_empty;
    b->level[0] = 0;
    for (int i = 1; i < count; i++) {
        int at = l->scan[p->side][i];
        float x = fabsf((float)coefficients[at]) * scale;
        int32_t size = (int32_t)(x + 0.5f);
        size = size > MOST_LEVEL ? MOST_LEVEL : size;
        b->level[at] = coefficients[at] < 0 ? -size : size;
        float off = x - (float)size, zero = l->slope * x * x;
        float kept = size ? l->slope * off * off + guessed_bits(size) : zero + GUESS.of_zero;
        gain += zero - (kept < zero + GUESS.of_zero ? kept : zero + GUESS.of_zero);
        if (size && kept < zero + GUESS.of_zero && gain > most) {
            most = gain;
            best = i;
        }
    }
    for (int i = best + 1; i < count; i++)
        b->level[l->scan[p->side][i]] = 0;
    return best;
}

static float price_of(Linear *l, const Place *p, const Context *c, int32_t size)
{
    Mixed m = sig_contexts(l, p, c);
    float bits = mixed_price(&l->mix, &m, size > 0);
    if (size == 0)
        return bits;
    m = one_contexts(l, p, c);
    bits += 1 + mixed_price(&l->mix, &m, size > 1);
    if (size == 1)
        return bits;
    m = two_contexts(l, p, c);
    bits += mixed_price(&l->mix, &m, size > 2);
    return size == 2 ? bits : bits + 1.0f + 2.0f * log2f((float)size - 2.0f);
}

static float off_by(const Linear *l, int32_t coefficient, int32_t size, int64_t step)
{
    float off = (float)(abs(coefficient) - value_of(size, step)) * 256.0f / (float)step;
    return l->slope * off * off;
}

/* The nearest level, or one nearer to 0. */
static int32_t choose_level(Linear *l, const Place *p, const Context *c, int32_t coefficient,
                            int32_t level)
{
    int32_t size = abs(level);
    int64_t step = step_of(l);
    if (size == 0 || (size > 1 && (int64_t)abs(coefficient) * 256 >= size * step))
        return level;
    float as_is = off_by(l, coefficient, size, step) + price_of(l, p, c, size);
    float less = off_by(l, coefficient, size - 1, step) + price_of(l, p, c, size - 1);
    if (less < as_is)
        size--;
    return level < 0 ? -size : size;
}

/* ---------------------------------------------------------------- sides */

typedef struct {
    float price[PRICES];        /* bits and error of a coefficient, by its size in steps */
} Prices;

static void prices_fill(Prices *t, float slope)
{
    for (int k = 0; k < PRICES; k++) {
        float x = ((float)k + 0.5f) / PRICE_STEPS, zero = slope * x * x + GUESS.of_zero;
        int32_t size = (int32_t)(x + 0.4f);
        float off = x - (float)size, kept = slope * off * off + guessed_bits(size);
        t->price[k] = size == 0 || zero < kept ? zero : kept;
    }
}

static float price_at(const Prices *t, float x)
{
    int k = (int)(x * PRICE_STEPS);
    if (k < PRICES)
        return t->price[k];
    return t->price[PRICES - 1] + GUESS.of_octave * log2f(x * PRICE_STEPS / PRICES);
}

/* What a block would cost, of samples in planes of BLOCK a side. */
static float guess_block(const Linear *l, const Prices *t, int side, const int32_t *const *planes,
                         const float *means)
{
    int n = 4 << side;
    float scale = 256.0f / (float)step_of(l), total = 0;
    int32_t coefficients[MOST_SIDE * MOST_SIDE];
    for (int k = 0; k < l->planes; k++) {
        dct(&l->basis, side, planes[k], BLOCK, coefficients);
        float dc = fabsf((float)coefficients[0] - means[k] * (float)n) * scale;
        float sum = price_at(t, dc), empty = sum;
        int far = 0;
        for (int i = 1; i < n * n; i++) {
            int at = l->scan[side][i];
            float x = fabsf((float)coefficients[at]) * scale;
            empty += l->slope * x * x;
            sum += price_at(t, x);
            far = x > 0.6f ? i : far;
        }
        sum += GUESS.of_last - GUESS.of_zero * (float)(n * n - 1 - far);
        empty += GUESS.of_empty;
        total += sum < empty ? sum : empty;
    }
    return total;
}

static float choose_side(Linear *l, const Prices *t, int side, int top, int left,
                         int32_t (*samples)[BLOCK * BLOCK], const float *means)
{
    int n = 4 << side;
    const int32_t *planes[KINDS];
    for (int k = 0; k < l->planes; k++)
        planes[k] = samples[k] + top * BLOCK + left;
    float whole = guess_block(l, t, side, planes, means);
    if (side > 0) {
        int half = n / 2;
        float parts = GUESS.of_split;
        for (int i = 0; i < 4; i++)
            parts += choose_side(l, t, side - 1, top + i / 2 * half, left + i % 2 * half, samples,
                                 means);
        if (parts < whole)
            return parts;
    }
    for (int y = 0; y < n / CELL_SIDE; y++)
        for (int x = 0; x < n / CELL_SIDE; x++)
            l->tree[top / CELL_SIDE + y][left / CELL_SIDE + x] = (uint8_t)side;
    return whole + (side > 0 ? GUESS.of_split / 4 : 0);
}

static void choose_tree(Linear *l, int32_t (*samples)[BLOCK * BLOCK])
{
    Prices t;
    prices_fill(&t, l->slope);
    for (int i = 0; i < 4; i++) {
        int top = i / 2 * MOST_SIDE, left = i % 2 * MOST_SIDE;
        float means[KINDS];
        for (int k = 0; k < l->planes; k++) {
            int64_t sum = 0;
            for (int y = 0; y < MOST_SIDE; y++)
                for (int x = 0; x < MOST_SIDE; x++)
                    sum += samples[k][(top + y) * BLOCK + left + x];
            means[k] = (float)sum / (MOST_SIDE * MOST_SIDE);
        }
        choose_side(l, &t, SIDES - 1, top, left, samples, means);
    }
}

#endif
