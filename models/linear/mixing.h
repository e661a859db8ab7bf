/*
 * Adaptive binary coding in integers: what several contexts say of a bit is mixed, and coded.
 *
 * A context is a Cell, a probability that learns. The mixed probability is the logistic function of
 * a weighted sum of the cells' logits; the weights learn too. (M. Mahoney, Adaptive weighing of
 * context models for lossless data compression, 2005.) All is integer arithmetic: every machine has the same probabilities.
 */
#ifndef LICTOR_MIXING_H
#define LICTOR_MIXING_H

#include <math.h>
#include <string.h>

#include "../../entropy/adaptive.h"

#define LOGITS 2048             /* logits run from -LOGITS + 1 to LOGITS - 1, in 1/256 */
#define MAX_INPUTS 4
#define CELL_LIMIT 200          /* a cell's rate falls to 1 / (CELL_LIMIT + 1.5) */

typedef struct {
    uint16_t p;                 /* that the bit is 1, of 2^16 */
    uint16_t count;             /* bits seen, up to CELL_LIMIT */
} Cell;

typedef struct {
    int32_t weight[MAX_INPUTS]; /* in 2^-16 */
} Weights;

typedef struct {
    int16_t logit[4096];        /* of a probability p / 4096 */
    uint16_t logistic[2 * LOGITS];
    uint16_t rate[CELL_LIMIT + 1];
    float bits[4096];           /* what a bit of a probability costs; for the encoder's choices */
} MixTables;

typedef struct {
    const MixTables *tables;
    AdaptiveEncoder *encoder;   /* NULL of a decoder */
    AdaptiveDecoder *decoder;
    double bits;                /* spent so far, of an encoder */
} BitCoder;

/* e^(-1/256) in 2^-32; with it, the tables need no floating point. */
#define E_STEP 4278222843u

static void mix_tables_fill(MixTables *t)
{
    uint64_t e = UINT64_C(1) << 40;  /* e^(-k/256), in 2^-40 */
    for (int k = 0; k < LOGITS; k++) {
        uint64_t one = UINT64_C(1) << 40;
        uint32_t p = (uint32_t)((one << 16) / (one + e));  /* of the logit k */
        p = p > 65535 - 8 ? 65535 - 8 : p;
        t->logistic[LOGITS + k] = (uint16_t)p;
        t->logistic[LOGITS - k] = (uint16_t)(65536 - p);
        e = (e >> 20) * E_STEP >> 12;
    }
    t->logistic[0] = t->logistic[1];
    int k = -LOGITS + 1;
    for (int p = 0; p < 4096; p++) {
        while (k < LOGITS - 1 && t->logistic[LOGITS + k] < p * 16 + 8)
            k++;
        t->logit[p] = (int16_t)k;
        t->bits[p] = (float)-log2((p + 0.5) / 4096);
    }
    for (int n = 0; n <= CELL_LIMIT; n++)
        t->rate[n] = (uint16_t)(131072 / (2 * n + 3));
}

static void cells_reset(Cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cells[i] = (Cell){32768, 0};
}

static void weights_reset(Weights *weights, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < MAX_INPUTS; k++)
            weights[i].weight[k] = 26000;
}

static void cell_learn(const MixTables *t, Cell *cell, int bit)
{
    int32_t error = (bit ? 65535 : 0) - cell->p;
    cell->p = (uint16_t)(cell->p + (int32_t)((int64_t)error * t->rate[cell->count] / 65536));
    cell->count += cell->count < CELL_LIMIT;
}

/* A bit that is 1 with a probability p of 2^16, 0 < p < 2^16. */
static int coder_bit(BitCoder *c, uint32_t p, int bit)
{
    if (c->encoder) {
        c->bits += c->tables->bits[(bit ? p : 65536 - p) >> 4];
        adaptive_put(c->encoder, bit ? 0 : p, bit ? p : 65536 - p);
        return bit;
    }
    bit = adaptive_slot(c->decoder) < p;
    adaptive_take(c->decoder, bit ? 0 : p, bit ? p : 65536 - p);
    return bit;
}

/* `count` bits, 0 to 20, all values of which are as likely. */
static uint32_t coder_bits(BitCoder *c, int count, uint32_t value)
{
    uint32_t found = 0;
    while (count > 0) {
        int some = count < 15 ? count : 15;
        count -= some;
        uint32_t part = value >> count & ((1u << some) - 1);
        if (c->encoder) {
            adaptive_put_bits(c->encoder, part, some);
            c->bits += some;
        } else {
            part = adaptive_take_bits(c->decoder, some);
        }
        found = found << some | part;
    }
    return found;
}

/* ---------------------------------------------------------------- mixing */

typedef struct {
    Cell *cell[MAX_INPUTS];
    int count;
    Weights *weights;
} Mixed;

static uint32_t mixed_logits(const MixTables *t, const Mixed *m, int32_t *logit)
{
    int64_t sum = 0;
    for (int i = 0; i < m->count; i++) {
        logit[i] = t->logit[m->cell[i]->p >> 4];
        sum += (int64_t)logit[i] * m->weights->weight[i];
    }
    sum /= 65536;
    sum = sum < 1 - LOGITS ? 1 - LOGITS : sum > LOGITS - 1 ? LOGITS - 1 : sum;
    return t->logistic[LOGITS + sum];
}

static float mixed_price(const MixTables *t, const Mixed *m, int bit)
{
    int32_t logit[MAX_INPUTS];
    uint32_t p = mixed_logits(t, m, logit);
    return t->bits[(bit ? p : 65536 - p) >> 4];
}

static int mixed_bit(BitCoder *c, const Mixed *m, int bit)
{
    int32_t logit[MAX_INPUTS];
    const MixTables *t = c->tables;
    uint32_t p = mixed_logits(t, m, logit);
    bit = coder_bit(c, p, bit);
    int32_t error = (bit ? 65536 : 0) - (int32_t)p;
    for (int i = 0; i < m->count; i++) {
        int32_t weight = m->weights->weight[i] + logit[i] * error / 65536;
        int32_t most = 1 << 20;
        m->weights->weight[i] = weight > most ? most : weight < -most ? -most : weight;
        cell_learn(t, m->cell[i], bit);
    }
    return bit;
}

#endif
