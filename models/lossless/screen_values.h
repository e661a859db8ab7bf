/*
 * screen_values.h: pixels of colours that nobody proposed, bit by bit (SCREEN.md, "Literals").
 */
#ifndef LICTOR_SCREEN_VALUES_H
#define LICTOR_SCREEN_VALUES_H

#include "screen_state.h"

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

typedef struct {                /* what is known of a value before its bits */
    int centre[EXPERTS];
    uint32_t slope[EXPERTS];    /* log odds for half a step, 16 bits after the point */
    int level, strange;         /* how rough it is around, how far off the channel before was */
    uint32_t hashes[VALUE_CONTEXTS];
} Outlook;

/* Where the experts see the value of channel c; returns how far off `before` was. */
static int set_centres(const Screen *s, const uint64_t *p, int c, int before, int v, int *centre)
{
    int w = channel_of(p[-1], c), n = channel_of(p[-s->stride], c);
    int nw = channel_of(p[-s->stride - 1], c), ne = channel_of(p[-s->stride + 1], c);
    int top = (1 << s->tile.depth) - 1, residual = 0;
    centre[0] = median_edge(w, n, nw);
    if (before >= 0) {
        int bw = channel_of(p[-1], before), bn = channel_of(p[-s->stride], before);
        int bnw = channel_of(p[-s->stride - 1], before);
        centre[1] = v + median_edge(w - bw, n - bn, nw - bnw);
        centre[2] = w + v - bw;
        centre[3] = n + v - bn;
        centre[4] = on_the_line(s, p, c, before, v);
        residual = v - median_edge(bw, bn, bnw);
    } else {
        centre[1] = w + (ne - n) / 2;
        centre[2] = (w + n) >> 1;
        centre[3] = w + ne - n;
        centre[4] = 2 * w - channel_of(p[-2], c);
    }
    for (int e = 0; e < EXPERTS; e++)
        centre[e] = clamp(centre[e], 0, top);
    return residual;
}

/* `known`: the channels so far, of which `before` is the latest, or -1. */
static void look_out(const Screen *s, size_t at, int c, int before, uint64_t known, Outlook *o)
{
    const uint64_t *p = s->pixels + at;
    int v = before >= 0 ? channel_of(known, before) : 0;
    int residual = set_centres(s, p, c, before, v, o->centre);
    int w = channel_of(p[-1], c), n = channel_of(p[-s->stride], c);
    int nw = channel_of(p[-s->stride - 1], c), ne = channel_of(p[-s->stride + 1], c);
    int activity = abs(w - nw) + abs(n - nw) + abs(n - ne) + abs(w - channel_of(p[-2], c)) +
                   abs(n - channel_of(p[-2 * s->stride], c));
    o->level = log2_of((uint32_t)activity * 2 + 1);
    o->level = o->level > 15 ? 15 : o->level;
    o->strange = log2_of((uint32_t)abs(residual) + 1);
    o->strange = o->strange > 6 ? 3 : (o->strange + 1) / 2;
    /* 177 = 128 · 2 ln 2, as the mean error of a logistic distribution is 2 ln 2 its scale. */
    for (int e = 0; e < EXPERTS; e++)
        o->slope[e] = (uint32_t)(((uint64_t)177 << 24) /
                                 (s->scales[e][c][o->level * 4 + o->strange] + 16));
    uint64_t seen = before >= 0 ? known + 1 : 0;
    uint64_t h[VALUE_CONTEXTS] = {
        seen,
        join(p[-1], seen),
        join(p[-s->stride], seen),
        join((uint64_t)o->centre[before >= 0], (uint64_t)(residual / 2)),
        join(join((uint64_t)(o->centre[0] / 4), (uint64_t)o->level), (uint64_t)o->strange),
        join((uint64_t)o->centre[4], (uint64_t)o->level),
    };
    for (int i = 0; i < VALUE_CONTEXTS; i++)
        o->hashes[i] = spread(join(h[i], (uint64_t)(8 * c + i + 1)));
}

/* Finds the slots of the next four bits, those above being `low`. */
static void find_nodes(Screen *s, const Outlook *o, int low, int b, Slot **nodes)
{
    uint32_t key = spread(((uint64_t)low << 5) + (uint64_t)b), places[VALUE_CONTEXTS];
    for (int i = 0; i < VALUE_CONTEXTS; i++) {
        places[i] = (o->hashes[i] ^ key) * 0x9E3779B1u;
        prefetch(s->value_slots + ((size_t)i << s->value_bits) +
                 (places[i] >> (32 - s->value_bits)));
    }
    for (int i = 0; i < VALUE_CONTEXTS; i++)
        nodes[i] = nodes_find(s->value_slots + ((size_t)i << s->value_bits), places[i],
                              s->value_bits);
}

/* Codes bit b; `low`: the bits above it, `node`: those of them since find_nodes, after a 1. */
static int code_value_bit(Screen *s, const Outlook *o, Slot *const *nodes, int node, int low, int b,
                          int32_t **sets, int bit)
{
    int16_t inputs[VALUE_INPUTS] = {0};
    Adaptive *maps[VALUE_CONTEXTS];
    for (int i = 0; i < VALUE_CONTEXTS; i++) {
        maps[i] = &s->value_histories[i][nodes[i][node].history];
        inputs[2 * i] = (int16_t)stretch(nodes[i][node].p);
        inputs[2 * i + 1] = (int16_t)stretch(maps[i]->p);
    }
    for (int e = 0; e < EXPERTS; e++)
        inputs[2 * VALUE_CONTEXTS + e] =
            (int16_t)expert_odds(low, 1 << b, o->centre[e], o->slope[e]);
    inputs[VALUE_INPUTS - 1] = 256;
    int odds[2] = {mix(sets[0], inputs, VALUE_INPUTS), mix(sets[1], inputs, VALUE_INPUTS)};
    bit = code_bit(&s->coder, bit, squash((odds[0] + odds[1]) / 2));
    for (int k = 0; k < 2; k++)
        mix_learn(sets[k], inputs, VALUE_INPUTS, ((bit ? 65535 : 0) - squash(odds[k])) * 7 / 8);
    for (int i = 0; i < VALUE_CONTEXTS; i++) {
        slot_update(&nodes[i][node], bit);
        adapt(maps[i], bit, MAP_LIMIT);
    }
    return bit;
}

/* The experts' mean errors where it was as rough as here. */
static void learn_scales(Screen *s, const Outlook *o, int c, int value)
{
    int scale = o->level * 4 + o->strange;
    int rate = 2 + s->scale_counts[c][scale];
    s->scale_counts[c][scale] = (uint8_t)(rate < 20 ? rate - 1 : 18);
    for (int e = 0; e < EXPERTS; e++) {
        uint32_t *mean = &s->scales[e][c][scale];
        int64_t error = (int64_t)abs(value - o->centre[e]) * 256;
        *mean = (uint32_t)((int64_t)*mean + (error - (int64_t)*mean) / rate);
    }
}

/* Codes the value of channel c; `before`: the channel coded before it, or -1. */
static int code_value(Screen *s, size_t at, int c, int before, uint64_t known, int value)
{
    Outlook o;
    Slot *nodes[VALUE_CONTEXTS];
    int low = 0, node = 1;
    look_out(s, at, c, before, known, &o);
    for (int b = s->tile.depth - 1; b >= 0; b--) {
        if ((s->tile.depth - 1 - b) % 4 == 0) {
            find_nodes(s, &o, low, b, nodes);
            node = 1;
        }
        int newness = 0;
        for (int i = 0; i < 3; i++)
            newness += (nodes[i][node].tag & 15) > 0;
        int32_t *sets[2] = {s->value_weights[0][(c * 16 + b) * 8 + newness],
                            s->value_weights[1][(o.level * 4 + o.strange) * 4 + (before >= 0)]};
        int bit = code_value_bit(s, &o, nodes, node, low, b, sets, value >> b & 1);
        low += bit << b;
        node = 2 * node + bit;
    }
    learn_scales(s, &o, c, low);
    return low;
}

/* Codes a pixel channel by channel: green first, then red, blue and alpha. */
static uint64_t code_literal(Screen *s, size_t at, uint64_t pixel)
{
    static const int order[4] = {1, 0, 2, 3};
    uint64_t known = 0;
    int before = -1;
    for (int i = 0; i < s->tile.channels; i++) {
        int c = s->tile.channels >= 3 ? order[i] : i;
        known |= (uint64_t)code_value(s, at, c, before, known, channel_of(pixel, c)) << 16 * c;
        before = i < 2 ? c : 1;
    }
    return known;
}

#endif
