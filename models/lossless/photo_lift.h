/*
 * photo_lift.h: colours that were met are likelier to come again.
 *
 * Pictures that came through another colour space (decoded JPEGs, scans kept as YCC) have few of
 * all colours. A lift notes how often each was met, and how often the distributions so far
 * expected it; the quotient lifts its probability in the last of three planes. One lift does so by
 * the differences of two planes to the first, which is where integers of YCC lie in RGB; a second
 * one, after it, by the three values, for what went through curves since.
 */
#ifndef LICTOR_PHOTO_LIFT_H
#define LICTOR_PHOTO_LIFT_H

#include <stdlib.h>

#include "photo_spread.h"

enum {
    LIFT_DEPTH = 8,             /* most bits of a sample */
    LIFT_VALUES = 1 << LIFT_DEPTH,
    LIFT_PRIOR = 16,            /* met and expected of every colour from the start, of 2^9 */
    LIFT_ONE = 1 << 6,          /* a colour met, in `met` */
    LIFT_MOST = 1 << 16,        /* expected in 1/2^12, then the past is halved */
    LIFT_INVERSES = LIFT_MOST >> 3,
    LIFT_TRUSTS = CONTEXTS / 3,
    LIFT_RATE = 6,              /* how slowly trust follows */
    LIFT_LEAST = 200            /* trust, and distrust, of 2^16 */
};

typedef struct {
    uint16_t met;               /* in 1/2^6 */
    uint16_t expected;          /* in 1/2^12 */
} Colour;

typedef struct {
    Colour *colours;            /* rows of `width`, in the order in which they were first met */
    size_t width, rows, capacity;
    uint32_t *row_of;           /* number of the row of a key, and 1; 0: there is none yet */
    uint32_t trust[LIFT_TRUSTS];                /* of 2^16: how far to go to the lifted */
    uint32_t inverse[LIFT_INVERSES];            /* 2^22 / (expected in 1/2^9 + LIFT_PRIOR) */
} Lift;

static void lift_free(Lift *self)
{
    if (self) {
        free(self->colours);
        free(self->row_of);
    }
    free(self);
}

static Lift *lift_new(size_t keys, size_t width)
{
    Lift *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->width = width;
    self->row_of = calloc(keys, sizeof *self->row_of);
    for (uint32_t i = 0; i < LIFT_INVERSES; i++)
        self->inverse[i] = (1u << 22) / (i + LIFT_PRIOR);
    for (int i = 0; i < LIFT_TRUSTS; i++)
        self->trust[i] = 1 << 15;
    if (self->row_of == NULL) {
        lift_free(self);
        return NULL;
    }
    return self;
}

/* The row of a key, or NULL when memory is short. */
ALWAYS_INLINE Colour *lift_row(Lift *self, uint32_t key)
{
    if (self->row_of[key] == 0) {
        if (self->rows == self->capacity) {
            size_t capacity = self->capacity ? self->capacity * 2 : 64;
            Colour *more = realloc(self->colours, capacity * self->width * sizeof *more);
            if (more == NULL)
                return NULL;
            self->colours = more;
            self->capacity = capacity;
        }
        memset(self->colours + self->rows * self->width, 0, self->width * sizeof(Colour));
        self->row_of[key] = (uint32_t)++self->rows;
    }
    return self->colours + (self->row_of[key] - 1) * self->width;
}

typedef struct {                /* probabilities below edges from … to, of 2^16 */
    int from, to;               /* edges of the values that there can be */
    uint32_t below[EDGES];
} Bounds;

ALWAYS_INLINE void bounds_start(Bounds *self, const Mixture *m)
{
    self->from = m->first > 0 ? m->first : 0;
    self->to = m->last < WINDOW ? m->last + 1 : WINDOW;
    for (int i = self->from; i <= self->to; i++)
        self->below[i] = mixture_below(m, i);
}

typedef struct {
    Bounds lifted, trusted;     /* with the lift, and as far as that is trusted */
} Lifted;

/* `row`: the colour of bucket i is row[i + offset]. */
ALWAYS_INLINE void lift_bounds(const Lift *self, const Colour *row, int offset,
                               const Bounds *plain, uint32_t trust, Lifted *l)
{
    int from = plain->from, to = plain->to;
    uint64_t lifted[WINDOW], sum = 1, part = 0;
    for (int i = from; i < to; i++) {
        Colour colour = row[i + offset];
        uint64_t met = ((uint32_t)colour.met << 3) + LIFT_PRIOR;
        lifted[i] = (plain->below[i + 1] - plain->below[i]) * met *
                        self->inverse[colour.expected >> 3] >> 18;
        sum += lifted[i];
    }
    uint32_t start = plain->below[from];
    uint32_t spare = plain->below[to] - start - (uint32_t)(to - from);  /* each keeps 1 */
    uint64_t factor = ((uint64_t)spare << 32) / sum;
    for (int i = from; i < to; i++) {
        l->lifted.below[i] = start + (uint32_t)(i - from) + (uint32_t)(part * factor >> 32);
        part += lifted[i];
    }
    l->lifted.below[to] = plain->below[to];
    l->trusted.from = from;
    l->trusted.to = to;
    for (int i = from; i <= to; i++) {
        int64_t way = (int64_t)l->lifted.below[i] - plain->below[i];
        l->trusted.below[i] = plain->below[i] + (uint32_t)(way * trust >> 16);
    }
}

/* Notes what was expected and, unless it was an escape, that bucket `at` came. */
ALWAYS_INLINE void lift_learn(Colour *row, int offset, const Bounds *plain, const Lifted *l,
                              uint32_t *trust, int at)
{
    for (int i = plain->from; i < plain->to; i++) {
        Colour *colour = &row[i + offset];
        uint32_t expected =
            colour->expected + ((plain->below[i + 1] - plain->below[i] + 8) >> 4);
        if (expected >= LIFT_MOST) {
            expected >>= 1;
            colour->met >>= 1;
        }
        colour->expected = (uint16_t)expected;
    }
    if (at < plain->from || at >= plain->to)
        return;
    uint32_t met = row[at + offset].met + LIFT_ONE;
    row[at + offset].met = (uint16_t)(met > 0xFFFF ? 0xFFFF : met);
    uint64_t with = (uint64_t)(l->lifted.below[at + 1] - l->lifted.below[at]) * *trust;
    uint64_t without = (uint64_t)(plain->below[at + 1] - plain->below[at]) * (65536 - *trust);
    int32_t now = (int32_t)*trust;
    now += ((int32_t)((with << 16) / (with + without)) - now) >> LIFT_RATE;
    *trust = (uint32_t)(now < LIFT_LEAST           ? LIFT_LEAST
                        : now > 65536 - LIFT_LEAST ? 65536 - LIFT_LEAST
                                                   : now);
}

/* As mixture_code(), by these bounds. */
ALWAYS_INLINE int bounds_code(const Bounds *b, const Mixture *m, const Coder *c, int32_t value)
{
    int at = c->encoder ? mixture_bucket(m, value) : WINDOW;
    if (c->encoder == NULL) {
        uint32_t slot = adaptive_slot(c->decoder);
        if (slot < b->below[b->from])
            at = -1;
        else if (slot < b->below[b->to])
            for (at = b->from; slot >= b->below[at + 1]; at++)
                ;
    }
    code_interval(c, at < 0 ? 0 : b->below[at == WINDOW ? b->to : at],
                  at < 0         ? b->below[b->from]
                  : at == WINDOW ? ADAPTIVE_TOTAL
                                 : b->below[at + 1]);
    return at;
}

#endif
