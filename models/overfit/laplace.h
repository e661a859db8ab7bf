/*
 * Laplace distributions in integers, and the rANS coder that takes their intervals of 2^24.
 *
 * OVERFIT.md is the specification. adaptive.h has intervals of 2^16; here most symbols are certain
 * to a thousandth of a bit, which would be lost there. The state has 64 bits, the words 32, all
 * little-endian: the state first, then words in the order of reading. The state at the end is 2^32,
 * and no byte is left. rANS: J. Duda, 2013 (arXiv:1311.2540), section 3.
 */
#ifndef LICTOR_OVERFIT_LAPLACE_H
#define LICTOR_OVERFIT_LAPLACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    TOTAL_BITS = 24,
    TOTAL = 1 << TOTAL_BITS,
    STATE_BYTES = 8,
    MEAN_BITS = 8,              /* of a symbol's mean, after the point */
    SCALES = 321,               /* e^(-5) to e^5 in steps of e^(1/32) */
    MOST_DISTANCE = 65535,      /* from the mean; beyond it all symbols are alike */
    NUMBER_BITS = 3,            /* likewise of a parameter's */
    SYMBOLS = 128,
    LEAST_INTERVAL = 8,         /* of a symbol, which so takes at most 21 bits */
    NUMBER_HALF = 32768,        /* parameters are -32768 to 32767 steps */
    NATS = 18,                  /* beyond so many a probability is none of 2^24 */
    TAIL_ENTRIES = 256 * NATS + 2,
};
#define STATE_LOW ((uint64_t)1 << 32)   /* a state is never below this between symbols */

/* ------------------------------------------------------------ distributions */

static uint32_t tail_table[TAIL_ENTRIES];   /* 2^31 e^(-i / 256) */
static uint16_t inverse_table[SCALES];      /* 256 / scale, times 2^shift; from 2^15 to 2^16 */
static uint8_t inverse_shift[SCALES];

/* To be called once, before anything else. */
static void laplace_set_up(void)
{
    uint64_t power = (uint64_t)1 << 32;
    for (int i = 0; i < TAIL_ENTRIES; i++) {
        tail_table[i] = (uint32_t)((power + 1) >> 1);
        power = (power * 4278222805u + ((uint64_t)1 << 31)) >> 32;  /* times 2^32 e^(-1/256) */
    }
    uint64_t inverse = 2489959628u;             /* 2^16 256 e^5 */
    for (int i = 0; i < SCALES; i++) {
        uint64_t value = inverse;
        int shift = 0;
        for (; value < (uint64_t)1 << 31; shift++)
            value <<= 1;
        inverse_table[i] = (uint16_t)(value >> 16);
        inverse_shift[i] = (uint8_t)shift;
        inverse = (inverse * 4162825044u + ((uint64_t)1 << 31)) >> 32;  /* times 2^32 e^(-1/32) */
    }
}

/* A distribution over the whole numbers from -half to half - 1. */
typedef struct {
    int32_t half;
    int32_t bits;               /* of the mean, after the point */
    int32_t mean;               /* a distance from it is below 2^30 */
    uint32_t least;             /* interval of any symbol */
    uint32_t inverse, shift;    /* of the scale */
} Laplace;

/* Over symbols, of -64 to 63: a scale n is e^(n / 32 - 5), the mean has MEAN_BITS. */
static inline Laplace laplace_of_symbol(int32_t mean, int scale)
{
    return (Laplace){SYMBOLS / 2, MEAN_BITS, mean, LEAST_INTERVAL, inverse_table[scale],
                     inverse_shift[scale]};
}

/* Over 16 bits with the sign, whose scales are 32 times those, and means 0. */
static inline Laplace laplace_of_number(int scale)
{
    return (Laplace){NUMBER_HALF, NUMBER_BITS, 0, 1, inverse_table[scale], inverse_shift[scale]};
}

/* Where the interval of a symbol starts; that of symbol half is TOTAL. */
static inline uint32_t laplace_start(const Laplace *l, int32_t symbol)
{
    if (symbol <= -l->half)
        return 0;
    if (symbol >= l->half)
        return TOTAL;
    int32_t at = symbol * (1 << l->bits) - (1 << (l->bits - 1)) - l->mean;
    uint32_t distance = at < 0 ? (uint32_t)-at : (uint32_t)at;
    distance = distance > MOST_DISTANCE ? MOST_DISTANCE : distance;
    uint32_t nats = distance * l->inverse >> l->shift;      /* in 2^-16 */
    nats = nats > 65536u * NATS ? 65536u * NATS : nats;
    uint32_t tail = tail_table[nats >> 8];
    tail -= (tail - tail_table[(nats >> 8) + 1]) * (nats & 255) >> 8;
    uint32_t room = TOTAL - 2 * l->least * (uint32_t)l->half;
    uint32_t below = (uint32_t)((uint64_t)tail * room >> 32);
    return (at < 0 ? below : room - below) + l->least * (uint32_t)(symbol + l->half);
}

/* ------------------------------------------------------------------ encoder */

typedef struct {
    uint32_t start, freq;
} Interval;

typedef struct {
    Interval *intervals;        /* in the order of putting */
    size_t count, capacity;
    int no_memory;
} Encoder;

static void encoder_free(Encoder *self)
{
    free(self->intervals);
    self->intervals = NULL;
}

static int encoder_grow(Encoder *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : 4096;
    Interval *intervals = self->no_memory || capacity > SIZE_MAX / sizeof *intervals
                              ? NULL
                              : realloc(self->intervals, capacity * sizeof *intervals);
    if (intervals == NULL) {
        self->no_memory = 1;
        return -1;
    }
    self->intervals = intervals;
    self->capacity = capacity;
    return 0;
}

static inline void encoder_put(Encoder *self, uint32_t start, uint32_t freq)
{
    if (self->count < self->capacity || encoder_grow(self) == 0)
        self->intervals[self->count++] = (Interval){start, freq};
}

/* The stream, of *length bytes, to be freed by the caller; NULL when memory is short. */
static uint8_t *encoder_finish(const Encoder *self, size_t *length)
{
    size_t room = STATE_BYTES + 4 * (self->count + 1);  /* a word each at most */
    uint8_t *bytes = self->no_memory ? NULL : malloc(room);
    if (bytes == NULL)
        return NULL;
    size_t at = room;           /* from the end to the front */
    uint64_t state = STATE_LOW;
    for (size_t i = self->count; i-- > 0;) {
        uint32_t start = self->intervals[i].start, freq = self->intervals[i].freq;
        if (state >= (uint64_t)freq << (64 - TOTAL_BITS)) {
            for (int shift = 24; shift >= 0; shift -= 8)
                bytes[--at] = (uint8_t)(state >> shift);
            state >>= 32;
        }
        state = (state / freq << TOTAL_BITS) + start + state % freq;
    }
    for (int i = 0; i < STATE_BYTES; i++)
        bytes[i] = (uint8_t)(state >> 8 * i);
    *length = room - at + STATE_BYTES;
    for (size_t i = STATE_BYTES; i < *length; i++)
        bytes[i] = bytes[at++];
    return bytes;
}

/* ------------------------------------------------------------------ decoder */

typedef struct {
    const uint8_t *next, *end;
    uint64_t state;
    int failed;                 /* whether a word was missing; zeros are read from then on */
} Decoder;

static void decoder_start(Decoder *self, const uint8_t *bytes, size_t length)
{
    self->failed = length < STATE_BYTES;
    self->state = self->failed ? STATE_LOW : 0;
    for (int i = 0; i < STATE_BYTES && !self->failed; i++)
        self->state |= (uint64_t)bytes[i] << 8 * i;
    self->next = self->failed ? bytes + length : bytes + STATE_BYTES;
    self->end = bytes + length;
    if (self->state < STATE_LOW) {
        self->failed = 1;
        self->state = STATE_LOW;
    }
}

/* The number, below 2^24, that lies in the interval of the next symbol. */
static inline uint32_t decoder_slot(const Decoder *self)
{
    return (uint32_t)self->state & (TOTAL - 1);
}

/* Leaves the symbol whose interval the slot is in behind. */
static inline void decoder_take(Decoder *self, uint32_t start, uint32_t freq)
{
    uint64_t state = freq * (self->state >> TOTAL_BITS) + decoder_slot(self) - start;
    if (state < STATE_LOW) {
        uint64_t word = 0;
        if (self->end - self->next >= 4) {
            for (int i = 0; i < 4; i++)
                word |= (uint64_t)self->next[i] << 8 * i;
            self->next += 4;
        } else {
            self->failed = 1;
        }
        state = state << 32 | word;
    }
    self->state = state;
}

/* Whether the stream ended as an encoder ends it. */
static int decoder_ended(const Decoder *self)
{
    return !self->failed && self->state == STATE_LOW && self->next == self->end;
}

/* --------------------------------------------------------------------- both */

/* One of the two. */
typedef struct {
    Encoder *encoder;
    Decoder *decoder;
} Coder;

/* Codes a symbol; returns it. It is sought from the mean on, where it nearly always is. */
static inline int32_t code_symbol(const Coder *c, const Laplace *l, int32_t symbol)
{
    uint32_t start, end;
    if (c->encoder) {
        start = laplace_start(l, symbol);
        end = laplace_start(l, symbol + 1);
        encoder_put(c->encoder, start, end - start);
        return symbol;
    }
    uint32_t slot = decoder_slot(c->decoder);
    symbol = (l->mean + (1 << (l->bits - 1))) >> l->bits;
    symbol = symbol < -l->half ? -l->half : symbol >= l->half ? l->half - 1 : symbol;
    start = laplace_start(l, symbol);
    if (slot >= start) {
        while ((end = laplace_start(l, symbol + 1)) <= slot) {
            start = end;
            symbol++;
        }
    } else {
        do {
            end = start;
            start = laplace_start(l, --symbol);
        } while (slot < start);
    }
    decoder_take(c->decoder, start, end - start);
    return symbol;
}

/* The same for a wide range, where a hostile stream would take long: by halving it. */
static int32_t code_number(const Coder *c, const Laplace *l, int32_t symbol)
{
    if (c->decoder) {
        uint32_t slot = decoder_slot(c->decoder);
        int32_t low = -l->half, high = l->half;     /* start(low) <= slot < start(high) */
        while (high - low > 1) {
            int32_t middle = low + (high - low) / 2;
            if (laplace_start(l, middle) <= slot)
                low = middle;
            else
                high = middle;
        }
        symbol = low;
    }
    uint32_t start = laplace_start(l, symbol), freq = laplace_start(l, symbol + 1) - start;
    if (c->decoder)
        decoder_take(c->decoder, start, freq);
    else
        encoder_put(c->encoder, start, freq);
    return symbol;
}

/* Codes `bits` (1 to 24) bits, all values of which are as likely. */
static uint32_t code_bits(const Coder *c, uint32_t value, int bits)
{
    uint32_t freq = (uint32_t)TOTAL >> bits;
    if (c->decoder) {
        value = decoder_slot(c->decoder) / freq;
        decoder_take(c->decoder, value * freq, freq);
    } else {
        encoder_put(c->encoder, value * freq, freq);
    }
    return value;
}

static int coder_failed(const Coder *c)
{
    return c->encoder ? c->encoder->no_memory : c->decoder->failed;
}

#endif
