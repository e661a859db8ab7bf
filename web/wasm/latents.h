/*
 * latents.h: which symbols a model codes, in which order, with which tables: LATENTS.md as code,
 * once for both directions.
 */
#ifndef LICTOR_WEB_LATENTS_H
#define LICTOR_WEB_LATENTS_H

#include "exact.h"
#include "../../entropy/rans.h"

enum { PLACES = 4, FRACTION = 12, SCALES = 128, SYMBOL_LIMIT = 1 << 20 };
#define UNIT 4096.0             /* 2^FRACTION */

typedef struct {
    ExactMatrix from_prior, from_known, heads[4];
    double *spatial;
} ContextStep;

typedef struct {
    int latent, side, prior;    /* channels of y, z and p */
    float *octave, *smooth;     /* of each channel of y */
    Ladder z_scale, scale, bias;
    struct {
        ExactMatrix enter, middle, leave;
        double *spatial[2];
    } h_s;
    ContextStep steps[4];
} LatentsModel;

static void latents_load(LatentsModel *m, Weights *w)
{
    const Tensor *octave = look_up(w, "octave"), *z = look_up(w, "z_scale.rungs"),
                 *bias = look_up(w, "h_s.bias.rungs");
    if (octave == NULL || z == NULL || bias == NULL) {
        w->bad = 1;
        return;
    }
    m->latent = (int)octave->count;
    m->side = (int)(z->count / RUNGS);
    m->prior = (int)(bias->count / RUNGS);
    if (m->latent % 16 || m->side % 8 || m->prior % 8 || !m->latent || !m->side || !m->prior)
        w->bad = 1;
    m->octave = floats(w, within("octave", ""), (size_t)m->latent);
    m->smooth = floats(w, within("smooth", ""), (size_t)m->latent);
    m->z_scale = ladder(w, "z_scale.", m->side);
    m->scale = ladder(w, "context.scale.", m->latent);
    m->bias = ladder(w, "h_s.bias.", m->prior);
    m->h_s.enter = exact_matrix(w, "h_s.body.0", m->side, 4 * m->side);
    m->h_s.spatial[0] = exact_taps(w, "h_s.body.3", m->side);
    m->h_s.middle = exact_matrix(w, "h_s.body.4", m->side, 4 * m->prior);
    m->h_s.spatial[1] = exact_taps(w, "h_s.body.7", m->prior);
    m->h_s.leave = exact_matrix(w, "h_s.body.9", m->prior, m->prior);
    for (int k = 0; k < 4; k++) {
        ContextStep *s = &m->steps[k];
        const char *step = "context.steps.";
        s->from_prior = exact_matrix(w, named(step, k, ".from_prior").text, m->prior, m->prior);
        if (k)
            s->from_known =
                exact_matrix(w, named(step, k, ".from_known").text, m->latent, m->prior);
        s->spatial = exact_taps(w, named(step, k, ".spatial").text, m->prior);
        exact_heads(w, named(step, k, ".heads").text, m->prior, m->latent / 2, s->heads);
    }
}

/* ---------------------------------------------------------------- a picture */

/* Which direction; one of the two is NULL. */
typedef struct {
    RansEncoder *encoder;
    RansDecoder *decoder;
    const RansTables *tables;
} Symbols_io;

typedef struct {
    const LatentsModel *model;
    Symbols_io io;
    int rows, columns;          /* of z; y has four times as many */
    const int16_t *quality;     /* the step of each place of y */
    int deep;                   /* whether samples have more than 8 bits */
    const float *y, *z;         /* what is coded, or NULL of a decoder */
    double *prior, *known;      /* p; y_hat so far */
    double *features, *spatial; /* of a step */
    double *seen;               /* known in units of the network; means and scales after that */
    double *rung;               /* room for the values of a ladder */
    int32_t *symbols;
    uint8_t *index;
    int failed;
} Coding;

enum { CODING_OK, CODING_DAMAGED = -1, CODING_MEMORY = -2 };

/* Codes `count` symbols of the tables in c->index, from or into c->symbols. */
static void code_symbols(Coding *c, size_t count)
{
    if (c->failed)
        return;
    int status = 0;
    if (c->io.encoder)
        status = rans_push(c->io.encoder, c->io.tables, c->symbols, c->index, count, 1) != PUSHED;
    else if (rans_pull(c->io.decoder, c->io.tables, c->index, c->symbols, count, 1) ||
             c->io.decoder->failed)
        status = 1;
    if (status)
        c->failed = c->io.encoder ? CODING_MEMORY : CODING_DAMAGED;
}

static double symbol_held(double symbol)
{
    return symbol < -SYMBOL_LIMIT ? -SYMBOL_LIMIT : symbol > SYMBOL_LIMIT ? SYMBOL_LIMIT : symbol;
}

/* R(target − mean), held within what is used. */
static int32_t symbol_of(double target, double mean)
{
    return (int32_t)symbol_held(__builtin_floor(target - mean / UNIT + 0.5));
}

static uint8_t table_of(double scale)
{
    double least = scale < 4 * UNIT ? scale : 4 * UNIT;
    double step = __builtin_floor(8 * (scale + least) / UNIT + 0.5);
    return (uint8_t)(step < 0 ? 0 : step > SCALES - 1 ? SCALES - 1 : step);
}

/* The step of a place of z: the mean of those of its places of y. */
static int side_step(const Coding *c, int row, int column)
{
    int sum = 0;
    for (int i = 0; i < PLACES * PLACES; i++)
        sum += c->quality[(PLACES * row + i / PLACES) * PLACES * c->columns + PLACES * column
                          + i % PLACES];
    return (sum + PLACES * PLACES / 2) / (PLACES * PLACES);
}

static void code_side(Coding *c, double *z_hat)
{
    const LatentsModel *m = c->model;
    size_t count = (size_t)c->rows * (size_t)c->columns * (size_t)m->side, n = 0;
    Rung rung = {&m->z_scale, -1, c->rung};
    for (int row = 0; row < c->rows; row++)
        for (int column = 0; column < c->columns; column++) {
            const double *scale = exact_rung(&rung, side_step(c, row, column));
            for (int i = 0; i < m->side; i++, n++) {
                c->index[n] = table_of(scale[i]);
                if (c->z)
                    c->symbols[n] = symbol_of(c->z[n], 0);
            }
        }
    code_symbols(c, count);
    for (n = 0; n < count; n++) {
        double value = symbol_held(c->symbols[n]) * UNIT;
        z_hat[n] = value < -LIMIT ? -LIMIT : value > LIMIT ? LIMIT : value;
    }
}

/* z_hat to p. The rooms of the steps, which come later, serve what lies between. */
static void hyper_synthesis(Coding *c, const double *z_hat)
{
    const LatentsModel *m = c->model;
    int rows = c->rows, columns = c->columns;
    size_t side = (size_t)m->side, prior = (size_t)m->prior;
    size_t middle = 4 * (size_t)rows * (size_t)columns, places = 4 * middle;
    double *row = c->seen, *a = c->features, *b = c->spatial;
    exact_upsample(&m->h_s.enter, z_hat, rows, columns, row, a);
    exact_leaky(a, middle * side);
    exact_depthwise(m->h_s.spatial[0], a, 2 * rows, 2 * columns, m->side, b);
    exact_upsample(&m->h_s.middle, b, 2 * rows, 2 * columns, row, a);
    exact_leaky(a, places * prior);
    exact_depthwise(m->h_s.spatial[1], a, 4 * rows, 4 * columns, m->prior, b);
    exact_leaky(b, places * prior);
    exact_multiply(&m->h_s.leave, b, prior, places, c->prior, prior);
    Rung rung = {&m->bias, -1, c->rung};
    for (size_t p = 0; p < places; p++) {
        const double *bias = exact_rung(&rung, c->quality[p]);
        for (size_t i = 0; i < prior; i++)
            c->prior[p * prior + i] += bias[i];
    }
    exact_leaky(c->prior, places * prior);
}

/* How often the steps of smooth channels are halved at a quality (picture/high_bit_depth.py). */
static int halvings(const Coding *c, int step)
{
    return c->deep ? (step >= 300) + (step >= 350) + (step >= 375) : 0;
}

static double power_of_two(int exponent)
{
    union {
        uint64_t bits;
        double value;
    } u = {(uint64_t)(1023 + exponent) << 52};
    return u.value;
}

/* What a step sees of y_hat at a place. */
static void normalise(const Coding *c, size_t place, double *seen)
{
    const LatentsModel *m = c->model;
    const double *known = c->known + place * (size_t)m->latent;
    int n = halvings(c, c->quality[place]);
    for (int i = 0; i < m->latent; i += 2) {
        int one = (int)m->octave[i] + n * (int)m->smooth[i];
        int two = (int)m->octave[i + 1] + n * (int)m->smooth[i + 1];
        v128_t unit = wasm_f64x2_make(power_of_two(-one), power_of_two(-two));
        wasm_v128_store(seen + i, held(wasm_f64x2_mul(wasm_v128_load(known + i), unit)));
    }
}

static void step_features(Coding *c, const ContextStep *s, int k)
{
    const LatentsModel *m = c->model;
    int rows = PLACES * c->rows, columns = PLACES * c->columns;
    size_t wide = (size_t)columns, prior = (size_t)m->prior, latent = (size_t)m->latent;
    for (size_t row = 0; row < (size_t)rows; row++) {
        double *f = c->features + row * wide * prior, *more = c->spatial;
        exact_multiply(&s->from_prior, c->prior + row * wide * prior, prior, wide, f, prior);
        if (k) {
            for (size_t x = 0; x < wide; x++)
                normalise(c, row * wide + x, c->seen + x * latent);
            exact_multiply(&s->from_known, c->seen, latent, wide, more, prior);
            for (size_t i = 0; i < wide * prior; i++)
                f[i] += more[i];
        }
        exact_leaky(f, wide * prior);
    }
    exact_depthwise(s->spatial, c->features, rows, columns, m->prior, c->spatial);
    exact_leaky(c->spatial, wide * (size_t)rows * prior);
}

/* The place of y of a cell's phase. */
static size_t place_of(const Coding *c, int phase, int row, int column)
{
    size_t wide = (size_t)(PLACES * c->columns);
    return (size_t)(2 * row + phase / 2) * wide + (size_t)(2 * column + phase % 2);
}

/*
 * Step k of the quadtree: at each phase of the cells one group of channels. What the heads say goes
 * to c->features, which has served: for each value its mean.
 */
static void code_step(Coding *c, int k)
{
    static const int order[4] = {0, 3, 1, 2};
    const LatentsModel *m = c->model;
    const ContextStep *s = &m->steps[k];
    int rows = PLACES / 2 * c->rows, columns = PLACES / 2 * c->columns, group = m->latent / 4;
    size_t n = 0, prior = (size_t)m->prior;
    step_features(c, s, k);
    Rung rung = {&m->scale, -1, c->rung};
    double *means = c->features, *out = c->seen;
    for (int phase = 0; phase < 4; phase++) {
        int first = (phase ^ order[k]) * group;
        for (int row = 0; row < rows; row++) {
            /* Every second place of a row of places. */
            exact_multiply(&s->heads[phase], c->spatial + place_of(c, phase, row, 0) * prior,
                           2 * prior, (size_t)columns, out, (size_t)(2 * group));
            for (int column = 0; column < columns; column++) {
                size_t place = place_of(c, phase, row, column);
                int step = c->quality[place], halved = halvings(c, step);
                const double *base = exact_rung(&rung, step);
                const double *mean = out + column * 2 * group, *scale = mean + group;
                for (int i = 0; i < group; i++, n++) {
                    int channel = first + i, finer = halved * (int)m->smooth[channel];
                    int octave = (int)m->octave[channel] + finer;
                    means[n] = __builtin_floor(mean[i] * power_of_two(octave) + 0.5);
                    c->index[n] = table_of(scale[i] + base[channel] + finer * UNIT);
                    if (c->y)
                        c->symbols[n] =
                            symbol_of(c->y[place * (size_t)m->latent + (size_t)channel], means[n]);
                }
            }
        }
    }
    code_symbols(c, n);
    n = 0;
    for (int phase = 0; phase < 4; phase++)
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) {
                double *known = c->known + place_of(c, phase, row, column) * (size_t)m->latent
                                + (phase ^ order[k]) * group;
                for (int i = 0; i < group; i++, n++)
                    known[i] = symbol_held(c->symbols[n]) * UNIT + means[n];
            }
}

static void coding_free(Coding *c)
{
    free(c->prior);
    free(c->known);
    free(c->features);
    free(c->spatial);
    free(c->seen);
    free(c->rung);
    free(c->symbols);
    free(c->index);
}

static int coding_start(Coding *c)
{
    const LatentsModel *m = c->model;
    size_t places = 16 * (size_t)c->rows * (size_t)c->columns, wide = 4 * (size_t)c->columns;
    size_t prior = (size_t)m->prior, latent = (size_t)m->latent;
    size_t widest = 4 * (prior > latent ? prior : latent);
    size_t wider = prior > latent ? prior : latent;
    size_t most = widest > (size_t)m->side * 4 ? widest : (size_t)m->side * 4;
    c->prior = malloc(places * prior * sizeof(double));
    c->known = calloc(places * latent, sizeof(double));
    c->features = malloc(places * wider * sizeof(double));
    c->spatial = malloc(places * prior * sizeof(double));
    c->seen = malloc(wide * most * sizeof(double));
    c->rung = malloc(most * sizeof(double));
    c->symbols = malloc(places * wider * sizeof(int32_t));
    c->index = malloc(places * wider);
    return c->prior && c->known && c->features && c->spatial && c->seen && c->rung && c->symbols &&
           c->index;
}

/* y_hat of a picture or tile as floats (rows, columns, channels), into `out`; CODING_OK or not. */
static int latents_code(Coding *c, float *out)
{
    const LatentsModel *m = c->model;
    size_t count = 16 * (size_t)c->rows * (size_t)c->columns * (size_t)m->latent;
    if (coding_start(c)) {
        code_side(c, c->known);     /* whose room is free, and large enough */
        hyper_synthesis(c, c->known);
        memset(c->known, 0, count * sizeof *c->known);
        for (int k = 0; k < 4 && !c->failed; k++)
            code_step(c, k);
        for (size_t i = 0; i < count; i++)
            out[i] = (float)(c->known[i] / UNIT);
    } else {
        c->failed = CODING_MEMORY;
    }
    coding_free(c);
    return c->failed;
}

#endif
