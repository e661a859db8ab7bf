/*
 * Hostile weights and residuals for the field that arrays are decoded by. The first bytes choose
 * its shape; what follows are taps, biases and residuals. Predictions and levels must be those of
 * the plain formulas of FEATURES.md, and what an encoder fits must bring its values back.
 */
#define NAME "fuzz_field"
#include "fuzz.h"

#pragma GCC diagnostic ignored "-Wunused-function"

#include "../../codec/arrays/direct.h"
#include "../../codec/arrays/field_fit.h"

enum { MOST = 9 * 9 * 3 };

typedef struct {
    const uint8_t *at, *end;
} Bytes;

static int32_t number(Bytes *b, int bits)
{
    uint32_t v = 0;
    for (int k = 0; k < 4; k++)
        v = v << 8 | (b->at < b->end ? *b->at++ : 0);
    return (int32_t)(v >> 1 & (uint32_t)((1ll << bits) - 1)) * (v & 1 ? -1 : 1);
}

static int mirrored(int i, int size)
{
    i = i < 0 ? -i : i;
    return i >= size ? 2 * (size - 1) - i : i;
}

/* What a tap takes, from planes as they are in the array. */
static int64_t taken(const Field *f, int32_t planes[][MOST], int channel, int n, int y, int x,
                     int place)
{
    int row = mirrored(y + place / 3 - 1, f->height), column = mirrored(x + place % 3 - 1, f->width);
    return planes[channel][(n * f->height + row) * f->width + column];
}

static int of_pass(int y, int x)
{
    return y % 2 == x % 2 ? y % 2 : 2;
}

static int slow_level(int64_t expected)
{
    static const int OCTAVE[] = {16, 20, 25};
    int level = 0;
    for (int k = 0; k < FIELD_LEVELS - 1; k++)
        level += (((int64_t)OCTAVE[k % 3] << (k / 3)) >> 1) <= expected;
    return level;
}

static void weights(Field *f, Bytes *b, int channel, int pass, int bits, FieldTap *taps,
                    FieldWeights *w)
{
    memset(w, 0, sizeof *w);
    w->taps = taps;
    int count = (uint8_t)number(b, 7) % (FIELD_MAX_TAPS + 1);
    for (int k = 0; k < count; k++) {
        uint32_t chosen = (uint32_t)number(b, 30);
        FieldTap t = {(int32_t)(chosen % (uint32_t)(channel + 1)), (int32_t)(chosen / 8 % 9),
                      number(b, bits < 14 ? bits : 14)};
        int own = t.distance > 0;
        for (int i = 0; i < 4; i++)
            own |= FIELD_OWN[pass][i] == t.place;
        if (own && field_has(f, t.place))
            taps[w->count++] = t;
    }
    w->bias = number(b, bits * 2);
    for (int k = 0; k < 3; k++)
        w->spread[k] = abs(number(b, k ? (bits < 14 ? bits : 14) : bits));
}

static int32_t values[3][MOST], errors[3][MOST];

static void decode(Field *f, Bytes *b, int bits, int wide)
{
    FieldTap taps[FIELD_MAX_TAPS];
    FieldContexts same;
    uint8_t identity[FIELD_LEVELS], levels[MOST];
    int64_t predictions[MOST];
    int32_t residuals[MOST], given[MOST], own[MOST], back[MOST] = {0};
    int16_t narrow[MOST] = {0};
    size_t whole = (size_t)f->count * (size_t)f->height * (size_t)f->width;
    for (int k = 0; k < FIELD_LEVELS; k++)
        identity[k] = (uint8_t)k;
    field_contexts(&same, identity);
    memset(values, 0, sizeof values);
    memset(errors, 0, sizeof errors);
    for (int c = 0; c < f->channels; c++)
        for (int pass = 0; pass < FIELD_PASSES; pass++) {
            FieldWeights w;
            size_t n = field_pass(f, pass), i = 0;
            weights(f, b, c, pass, bits, taps, &w);
            int32_t rounded[MOST];
            if (field_predict(f, c, pass, &w, predictions)
                || field_predict_rounded(f, c, pass, &w, rounded))
                return;
            field_levels(f, c, pass, &w, &same, levels);
            int64_t bounds[DIRECT_BOUNDS];
            uint8_t contexts[MOST];
            for (int k = 0; k < DIRECT_BOUNDS; k++)
                bounds[k] = k < DIRECT_BOUNDS - 1 ? (int64_t)(k - 60) * (1ll << (bits * 2)) : INT64_MAX;
            if (direct_contexts(f, c, pass, &w, bounds, contexts))
                return;
            int32_t distance = field_distance(&w);
            for (int m = 0; m < f->count; m++)
                for (int y = 0; y < f->height; y++)
                    for (int x = 0; x < f->width; x++) {
                        if (of_pass(y, x) != pass)
                            continue;
                        int64_t p = w.bias, near = 0, before = 0;
                        for (int t = 0; t < w.count; t++)
                            p += w.taps[t].weight
                                 * taken(f, values, c - w.taps[t].distance, m, y, x,
                                         w.taps[t].place);
                        for (int k = 0; k < 4; k++) {
                            if (pass && field_has(f, FIELD_OWN[pass][k]))
                                near += taken(f, errors, c, m, y, x, FIELD_OWN[pass][k]);
                            if (c && field_has(f, FIELD_OWN[2][k]))
                                before += taken(f, errors, c - distance, m, y, x, FIELD_OWN[2][k]);
                        }
                        if (c)
                            before += 2 * taken(f, errors, c - distance, m, y, x, FIELD_CENTRE);
                        require(p == predictions[i], "another prediction");
                        int below = 0;
                        while (bounds[below] <= p)
                            below++;
                        require(below == contexts[i], "another context");
                        require(field_rounded(p) == rounded[i], "rounded otherwise");
                        require(slow_level(w.spread[0] + w.spread[1] * near + w.spread[2] * before)
                                    == levels[i], "another level");
                        i++;
                    }
            require(i == n, "another number of values");
            for (i = 0; i < n; i++)
                given[i] = residuals[i] = number(b, wide ? 31 : bits);
            memcpy(own, rounded, n * sizeof *own);
            int wrong = field_values(own, residuals, n), is = 0;
            for (size_t k = 0; k < n; k++) {
                int64_t value = (int64_t)given[k] + rounded[k], most = FIELD_MAX_SYMBOL;
                is |= value > most || value < -most || llabs(given[k]) > 2 * most;
            }
            require(is == (wrong != 0), "a value out of range, or in it");
            if (wrong)
                return;
            if (field_store(f, c, pass, own) || field_store_errors(f, c, pass, residuals))
                return;
            Levels own_values = {values[c], 1}, own_errors = {errors[c], 1};
            field_scatter(f, pass, own, &own_values);
            field_scatter(f, pass, residuals, &own_errors);
            if (f->values.wide)
                field_take_plane_32(f, f->values.all, c, back);
            else {
                field_take_plane_16(f, f->values.all, c, narrow);
                for (size_t k = 0; k < MOST; k++)
                    back[k] = narrow[k];
            }
            for (size_t k = 0; pass == FIELD_PASSES - 1 && k < whole; k++)
                require(back[k] == values[c][k], "values move");
        }
}

static void encode(Field *f, Bytes *b, int bits)
{
    static FieldTap taps[9 * FIELD_MAX_TAPS];
    static int32_t counts[9], biases[9], spreads[27], residuals[3 * MOST], wanted[3][MOST];
    static int16_t small[3 * MOST];
    static uint8_t levels[3 * MOST];
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width, start = 0;
    for (int c = 0; c < f->channels; c++) {
        for (size_t i = 0; i < plane; i++)
            wanted[c][i] = number(b, bits);
        Levels own = {wanted[c], 1};
        if (field_reach(f, &f->values, levels_largest(&own, plane)))
            return;
        field_store_plane(f, c, &own);
    }
    static int64_t some[3 * MOST];
    /* In 16 bits where these do, as an encoder has them. */
    Levels narrow = {small, 0}, whole = {residuals, 1};
    FitResult out = {counts, taps, biases, spreads, f->values.wide ? whole : narrow, levels, some,
                     1 + plane % 4, 0};
    if (fit_field(f, &out))
        return;
    for (size_t i = 0; !f->values.wide && i < plane * (size_t)f->channels; i++)
        residuals[i] = small[i];
    Field g;
    if (field_init(&g, f->channels, f->count, f->height, f->width))
        return;
    FieldContexts same;
    uint8_t identity[FIELD_LEVELS], own_levels[MOST];
    for (int k = 0; k < FIELD_LEVELS; k++)
        identity[k] = (uint8_t)k;
    field_contexts(&same, identity);
    size_t used = 0;
    size_t at = 0;
    for (int c = 0; c < f->channels; c++)
        for (int pass = 0; pass < FIELD_PASSES; pass++) {
            at = pass ? at : 0;
            int unit = c * FIELD_PASSES + pass;
            size_t n = field_pass(&g, pass);
            int64_t predictions[MOST];
            int32_t own[MOST], expected[MOST], ordered[MOST], own_errors[MOST];
            FieldWeights w = {taps + used, counts[unit], biases[unit],
                              {spreads[3 * unit], spreads[3 * unit + 1], spreads[3 * unit + 2]}};
            used += (size_t)counts[unit];
            require(!field_predict(&g, c, pass, &w, predictions)
                        && !field_predict_rounded(&g, c, pass, &w, own), "no memory");
            for (size_t i = 0; i < n; i++)
                require((start + i) % out.every || some[(start + i) / out.every] == predictions[i],
                        "other predictions");
            field_levels(&g, c, pass, &w, &same, own_levels);
            require(memcmp(own_levels, levels + start, n) == 0, "the encoder has other levels");
            memcpy(own_errors, residuals + start, n * sizeof *own);
            require(!field_values(own, own_errors, n), "range");
            Levels from = {wanted[c], 1}, to = {expected, 1}, other = {ordered, 1};
            field_order(&g, &from, &to);
            field_take_ordered(f, c, &other);
            require(memcmp(expected, ordered, plane * sizeof *ordered) == 0, "another order");
            require(memcmp(own, expected + at, n * sizeof *own) == 0, "other values come back");
            at += n;
            require(!field_store(&g, c, pass, own)
                        && !field_store_errors(&g, c, pass, own_errors), "no memory");
            start += n;
        }
    field_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    Field f;
    Bytes b = {data + 4, data + size};
    if (field_init(&f, 1 + data[0] % 3, 1 + data[1] % 3, 1 + data[2] % 9, 1 + data[3] % 9))
        return 0;
    int bits = 1 + data[1] / 4 % 15;
    if (data[0] & 128)
        encode(&f, &b, data[0] & 64 ? 28 : bits);
    else
        decode(&f, &b, data[0] & 64 ? 15 : bits, data[0] & 32);
    field_free(&f);
    return 0;
}
