/*
 * binary.h: binary decisions in rANS, and what models of them are made of. Without Python.
 *
 * Decisions go through the rANS of entropy/adaptive.h. Everything is integer arithmetic without
 * undefined behaviour, so that every machine finds the same probabilities.
 *
 * Mixing in the logistic domain: M. Mahoney, "Adaptive weighing of context models for lossless data
 * compression", 2005. SCREEN.md describes all of it.
 */
#ifndef LICTOR_BINARY_H
#define LICTOR_BINARY_H

#include <string.h>

#include "../../entropy/adaptive.h"

enum {
    ODDS_LIMIT = 3071,          /* log odds are in 1/256 nat, at most so large */
    ODDS_COUNT = 2 * ODDS_LIMIT + 1
};

/* ----------------------------------------------------------------- tables */

static uint16_t squash_table[ODDS_COUNT];   /* probability of 16 bits of log odds - ODDS_LIMIT */
static int16_t stretch_table[4096];         /* log odds of a probability's upper 12 bits */
static int32_t reciprocal_table[256];       /* 32768 / (n + 1.5) */

/* To be called once, before anything else. */
static void binary_set_up(void)
{
    uint64_t power = (uint64_t)1 << 32;             /* e^(-t/256) of 32 bits */
    for (int t = 0; t <= ODDS_LIMIT; t++) {
        uint32_t p = (uint32_t)(((uint64_t)1 << 48) / (((uint64_t)1 << 32) + power));
        p = p > 65535 ? 65535 : p;
        squash_table[ODDS_LIMIT + t] = (uint16_t)p;
        squash_table[ODDS_LIMIT - t] = (uint16_t)(65536 - p);
        power = power * 4278222805u >> 32;          /* times 2^32 e^(-1/256) */
    }
    int t = -ODDS_LIMIT;
    for (int i = 0; i < 4096; i++) {
        while (t < ODDS_LIMIT && squash_table[ODDS_LIMIT + t] < 16 * i + 8)
            t++;
        stretch_table[i] = (int16_t)t;
    }
    for (int n = 0; n < 256; n++)
        reciprocal_table[n] = 65536 / (2 * n + 3);
}

static inline int squash(int odds)
{
    odds = odds > ODDS_LIMIT ? ODDS_LIMIT : odds < -ODDS_LIMIT ? -ODDS_LIMIT : odds;
    return squash_table[ODDS_LIMIT + odds];
}

static inline int stretch(int p16)
{
    return stretch_table[p16 >> 4];
}

/* ------------------------------------------------------------------ coder */

typedef struct {
    int decoding;
    AdaptiveEncoder encoder;
    AdaptiveDecoder decoder;
} BitCoder;

static int bits_failed(const BitCoder *c)
{
    return c->encoder.no_memory || c->decoder.failed;
}

/* Codes one bit, p: probability of 1, 1 to 65535 of 65536. Returns the bit. */
static inline int code_bit(BitCoder *c, int bit, int p)
{
    uint32_t ones = (uint32_t)p;
    if (c->decoding)
        bit = adaptive_slot(&c->decoder) < ones;
    uint32_t start = bit ? 0 : ones, freq = bit ? ones : ADAPTIVE_TOTAL - ones;
    if (c->decoding)
        adaptive_take(&c->decoder, start, freq);
    else
        adaptive_put(&c->encoder, start, freq);
    return bit;
}

/* --------------------------------------------------------- adaptive parts */

/* A probability that has gone towards the bit by share / 32768 of the way. */
static inline uint16_t nudged(int p, int bit, int32_t share)
{
    return (uint16_t)(bit ? p + ((65535 - p) * share >> 15) : p - (p * share >> 15));
}

/* A probability of 16 bits that averages at first and then decays with 1 / (limit + 1.5). */
typedef struct {
    uint16_t p;
    uint16_t count;
} Adaptive;

static inline void adapt(Adaptive *a, int bit, int limit)
{
    a->p = nudged(a->p, bit, reciprocal_table[a->count]);
    if (a->count < limit)
        a->count++;
}

/* What a context has seen: a probability, how often, and small counts of the latest bits. */
typedef struct {
    uint16_t p;
    uint8_t history;            /* zeros | ones << 4, of late */
    uint8_t tag;                /* check << 4 | count */
} Slot;

static const uint8_t slot_limits[16] = {0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 18, 26, 40, 64, 110, 180};

static inline void slot_update(Slot *s, int bit)
{
    unsigned count = s->tag & 15;
    s->p = nudged(s->p, bit, reciprocal_table[slot_limits[count]]);
    s->tag = (uint8_t)(s->tag + (count < 15));
    unsigned same = bit ? s->history >> 4 : s->history & 15;
    unsigned other = bit ? s->history & 15 : s->history >> 4;
    same += same < 15;
    other = other > 2 ? (other + 2) >> 1 : other;
    s->history = (uint8_t)(bit ? same << 4 | other : other << 4 | same);
}

/* Asks for memory that is read soon. */
static inline void prefetch(const void *place)
{
#if defined(__GNUC__) || defined(__clang__)
    __builtin_prefetch(place, 1);
#else
    (void)place;
#endif
}

/* Two adjacent slots are looked at; the one seen less often gives way. */
static inline Slot *slot_find(Slot *table, uint32_t hash, unsigned bits)
{
    uint32_t at = hash >> (32 - bits);
    unsigned check = hash & 15;
    Slot *a = &table[at], *b = &table[at ^ 1];
    if (a->tag >> 4 == check && (a->tag & 15))
        return a;
    if (b->tag >> 4 == check && (b->tag & 15))
        return b;
    if ((b->tag & 15) < (a->tag & 15))
        a = b;
    a->p = 32768;
    a->history = 0;
    a->tag = (uint8_t)(check << 4);
    return a;
}

/*
 * The slots of up to four decisions in a row, a tree of 15 nodes from 1 on; the first of the 16
 * slots holds a check. They are in one line of the cache.
 */
static inline Slot *nodes_find(Slot *table, uint32_t hash, unsigned bits)
{
    Slot *nodes = table + ((hash >> (32 - bits)) & ~(uint32_t)15);
    uint16_t check = (uint16_t)(hash | 1);
    if (nodes->p != check) {
        memset(nodes, 0, 16 * sizeof *nodes);
        nodes->p = check;
        for (int i = 1; i < 16; i++)
            nodes[i].p = 32768;
    }
    return nodes;
}

/*
 * Weights have 16 bits after the point; of these 13 are looked at, in 16 bits with the sign. Sums
 * wrap. Compilers make vectors of these loops, of counts that are multiples of 8.
 */
static inline int mix(const int32_t *weights, const int16_t *inputs, int count)
{
    uint32_t sum = 0;
    for (int i = 0; i < count; i++) {
        int32_t w = weights[i] >> 3;
        w = w > INT16_MAX ? INT16_MAX : w < INT16_MIN ? INT16_MIN : w;
        sum += (uint32_t)(w * inputs[i]);
    }
    int odds = (int32_t)sum >> 13;
    return odds > ODDS_LIMIT ? ODDS_LIMIT : odds < -ODDS_LIMIT ? -ODDS_LIMIT : odds;
}

/* error: of 16 bits, with the sign, times the rate. */
static inline void mix_learn(int32_t *weights, const int16_t *inputs, int count, int error)
{
    error = error > INT16_MAX ? INT16_MAX : error < INT16_MIN ? INT16_MIN : error;
    for (int i = 0; i < count; i++)
        weights[i] = (int32_t)((uint32_t)weights[i] + (uint32_t)((inputs[i] * error) >> 16));
}

#endif
