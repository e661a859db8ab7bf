/*
 * photo.h: the lossless coder of photos of LOSSLESS.md, without Python.
 *
 * Every plane is predicted and coded sample by sample; the decoder repeats all that the encoder
 * does. All arithmetic is on integers, so that both agree on every machine.
 */
#ifndef LICTOR_PHOTO_H
#define LICTOR_PHOTO_H

#include "photo_lift.h"
#include "photo_planes.h"
#include "photo_predict.h"
#include "photo_spread.h"

enum {
    PHOTO_LIFT = 1,             /* bit 0 of the first byte: colours that were met are likelier */
    PHOTO_PARITY = 2,           /* bit 1: statistics by the parity of x and y */
    PHOTO_COLOURS_SHIFT = 2,    /* bits 2 to 4: see set_colours() */
    PHOTO_FLAGS = COLOURS << PHOTO_COLOURS_SHIFT,
    PHOTO_HEADER = 5            /* that byte, and a checksum of 4 */
};

enum { PHOTO_OK = 0, PHOTO_NO_MEMORY = -1, PHOTO_CORRUPT = -2 };

/* -------------------------------------------------------------- checksum */

static uint32_t photo_crc_table[256];

/* To be called once, before anything else. */
static void photo_set_up(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        photo_crc_table[b] = crc;
    }
    make_roots();
    make_curves();
}

/*
 * CRC-32 of the flags, and of the samples of coded blocks as they lie, in one byte or two each, low
 * byte first.
 */
static uint32_t photo_checksum(const Tile *t, int flags, const void *pixels, int wide)
{
    uint32_t crc = 0x00FFFFFFu ^ photo_crc_table[0xFF ^ flags];
    size_t at = 0;
    for (int y = 0; y < t->height; y++)
        for (int x = 0; x < t->width; x++)
            for (int c = 0; c < t->channels; c++, at++) {
                if (!is_coded(t, y, x))
                    continue;
                uint32_t sample = load_sample(pixels, wide, at);
                crc = crc >> 8 ^ photo_crc_table[(crc ^ sample) & 0xFF];
                if (wide)
                    crc = crc >> 8 ^ photo_crc_table[(crc ^ sample >> 8) & 0xFF];
            }
    return ~crc;
}

/* --------------------------------------------------------------- samples */

ALWAYS_INLINE uint32_t distance_of(int32_t a, int32_t b)
{
    return (uint32_t)(a < b ? b - a : a - b);
}

/* Energy of errors of the own plane around, in 1/128. */
ALWAYS_INLINE uint32_t own_energy(const int32_t *e, const int32_t *v, ptrdiff_t stride)
{
    uint32_t errors = 16u * (uint32_t)(e[-1] + e[-stride]) +
                      8u * (uint32_t)(e[-stride - 1] + e[-stride + 1]) +
                      5u * (uint32_t)(e[-2] + e[-2 * stride]);
    uint32_t gradient = distance_of(v[-1], v[-stride - 1]) +
                        distance_of(v[-stride], v[-stride - 1]) +
                        distance_of(v[-stride], v[-stride + 1]);
    return errors + 16 * gradient + 77;
}

/* The same of earlier planes at the sample, or farther around in the first. */
ALWAYS_INLINE uint32_t other_energy(const Tile *t, int p, ptrdiff_t at)
{
    ptrdiff_t s = t->stride;
    uint32_t sum = 0;
    for (int q = 0; q < p; q++) {
        const int32_t *e = t->planes[q].error + at;
        uint32_t near = (uint32_t)(4 * e[0] + 2 * e[1] + 2 * e[s] + e[-1] + e[-s]);
        sum += (q == p - 1 ? 8 * near : 5 * near) >> 1;
    }
    if (p == 0) {
        const int32_t *e = t->planes[0].error + at;
        for (int x = -3; x <= 3; x++)
            sum += (uint32_t)(e[x - s] + e[x - 2 * s] + (x < 0 ? e[x] : 0));
        sum = sum * 48 / 17;
    }
    return sum;
}

enum { LIFTS = 2 };

typedef struct {                /* what a plane's coder learns */
    Predictor predictor;
    Spread spread;
    Lift *lifts[LIFTS];         /* or NULL */
    int no_memory;
} Model;

ALWAYS_INLINE int32_t clamped(int32_t value, int32_t least, int32_t greatest)
{
    return value < least ? least : value > greatest ? greatest : value;
}

/*
 * Codes the bucket of a sample of plane 2, knowing what it was beside the same differences, and
 * the same values, in planes 0 and 1.
 */
ALWAYS_INLINE int code_lifted(const Tile *t, Model *model, const Mixture *m, const Coder *coder,
                              int context, ptrdiff_t at)
{
    int32_t first = t->planes[0].value[at];
    int32_t second = t->planes[1].value[at] + first_plane_at(t, 1, at);
    int32_t base = m->base + first_plane_at(t, 2, at);          /* the value of bucket 0 */
    const int32_t keys[LIFTS] = {second - first + LIFT_VALUES, first * LIFT_VALUES + second};
    const int offsets[LIFTS] = {base - first + LIFT_VALUES, base};
    Colour *rows[LIFTS];
    Lifted lifted[LIFTS];
    Bounds plain;
    const Bounds *bounds[LIFTS + 1] = {&plain};
    bounds_start(&plain, m);
    for (int i = 0; i < LIFTS; i++) {
        rows[i] = lift_row(model->lifts[i], (uint32_t)keys[i]);
        if (rows[i] == NULL) {
            model->no_memory = 1;
            return 0;
        }
        lift_bounds(model->lifts[i], rows[i], offsets[i], bounds[i],
                    model->lifts[i]->trust[context / 3], &lifted[i]);
        bounds[i + 1] = &lifted[i].trusted;
    }
    int bucket = bounds_code(bounds[LIFTS], m, coder, t->planes[2].value[at]);
    for (int i = 0; i < LIFTS; i++)
        lift_learn(rows[i], offsets[i], bounds[i], &lifted[i],
                   &model->lifts[i]->trust[context / 3], bucket);
    return bucket;
}

ALWAYS_INLINE void code_sample(Tile *t, int p, Model *model, const Coder *coder, int y, int x)
{
    Predictor *predictor = &model->predictor;
    Spread *spread = &model->spread;
    ptrdiff_t at = y * t->stride + x, s = t->stride;
    int32_t *v = t->planes[p].value + at, *e = t->planes[p].error + at;
    int32_t most = (int32_t)((1u << t->depth) - 1);
    int32_t first = first_plane_at(t, p, at);
    int32_t least = -first, greatest = most - first;
    int class = class_of(predictor, y, x);

    Around around;
    int32_t predicted[PREDICTORS];
    uint32_t wrong[PREDICTORS];
    look_around(predictor, at, &around);
    predict_all(predictor, &around, class, predicted);
    recall_wrong(predictor, y, x, wrong);
    int32_t blended = blend(predicted, wrong, around.mean);

    uint32_t own = own_energy(e, v, s), other = other_energy(t, p, at);
    int c1 = energy_context(own), c2 = energy_context(other);
    Bias *bias = &predictor->bias[texture(&around, blended)][c1 >> 1];
    int32_t prediction = clamped(blended + bias_of(bias), least * 16, greatest * 16);

    Scale *scale = &spread->scales[class][c1 * CONTEXTS + c2];
    uint32_t guess = ((own * 3 + other * (p ? 2 : 1)) >> 8) + 4;  /* a mean error, in 1/16 */
    uint32_t mean = scale_of(scale, guess);
    Mixture mixture;
    int32_t centres[3] = {prediction, around.mean * 16 + (predicted[0] >> 2),
                          around.mean * 16 + (predicted[2] >> 2)};
    Weights *weights = &spread->weights[c1];
    mixture_start(&mixture, weights, mean, centres, least, greatest);
    int bucket = model->lifts[0] && mixture.step == 0
                     ? code_lifted(t, model, &mixture, coder, c1, at)
                     : mixture_code(&mixture, coder, *v);
    *v = clamped(mixture_code_rest(&mixture, coder, bucket, *v), least, greatest);

    weights_learn(weights, &mixture, bucket);
    *e = (int32_t)distance_of(*v * 16, prediction);
    scale_learn(scale, (uint32_t)*e);
    bias_learn(bias, *v * 16 - blended);
    around.taps[predictor->taps] = *v - around.mean;
    note_wrong(predictor, y, x, predicted, around.taps[predictor->taps]);
    note_scaled(predictor, &around, x, own);
    learn_step(predictor, &around, predicted[2]);
}

/* Codes columns x to end, in one stripe, of row y. */
ALWAYS_INLINE void code_stripe_row(Tile *t, int p, Model *model, const Coder *coder, int y, int x,
                                   int end)
{
    Plane *plane = &t->planes[p];
    int coded = is_coded(t, y, x);              /* a stripe is in one block */
    if (coded)
        solve_stripe(&model->predictor, y, x / STRIPE);
    int stripe = x / STRIPE;
    for (; x < end; x++) {
        if (coded) {
            code_sample(t, p, model, coder, y, x);
        } else {
            int32_t *v = plane->value + y * t->stride + x;
            *v = v[-1];
            forget_wrong(&model->predictor, y, x);
        }
        if (y == 0)
            fill_above(t, plane, x);
    }
    if (coded)
        learn_stripe(&model->predictor, y, stripe);
}

ALWAYS_INLINE void code_rows(Tile *t, int p, Model *model, const Coder *coder)
{
    Plane *plane = &t->planes[p];
    int32_t middle = t->differences && (p == 1 || p == 2) ? 0 : 1 << t->depth >> 1;
    for (int y = 0; y < t->height; y++) {
        fill_before_row(t, plane, y, middle);
        for (int x = 0; x < t->width; x += STRIPE)
            code_stripe_row(t, p, model, coder, y, x,
                            x + STRIPE < t->width ? x + STRIPE : t->width);
        learn_whole(&model->predictor, y);
        fill_after_row(t, plane, y);
        if ((coder->decoder && coder->decoder->failed) || model->no_memory)
            break;
    }
}

/* ----------------------------------------------------------------- paths */

/*
 * The same code, compiled for several kinds of CPU: compilers make vectors of its loops. Integers
 * give the same on each.
 */
typedef void CodeRows(Tile *t, int p, Model *model, const Coder *coder);

typedef struct {
    const char *name;
    CodeRows *code_rows;
} PhotoPath;

static void code_rows_plain(Tile *t, int p, Model *model, const Coder *coder)
{
    code_rows(t, p, model, coder);
}

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
__attribute__((target("avx2"))) static void code_rows_avx2(Tile *t, int p, Model *model,
                                                           const Coder *coder)
{
    code_rows(t, p, model, coder);
}

__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))) static void
code_rows_avx512(Tile *t, int p, Model *model, const Coder *coder)
{
    code_rows(t, p, model, coder);
}
#endif

enum { PHOTO_PATHS = 3 };

/* Fills in the paths that this CPU can take, best first; returns their number. */
static int photo_paths(PhotoPath *paths)
{
    int count = 0;
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2"))
        paths[count++] = (PhotoPath){"avx512", code_rows_avx512};
    if (__builtin_cpu_supports("avx2"))
        paths[count++] = (PhotoPath){"avx2", code_rows_avx2};
#endif
    paths[count++] = (PhotoPath){"plain", code_rows_plain};
    return count;
}

/* ---------------------------------------------------------------- planes */

static int can_lift(const Tile *t)
{
    return t->depth <= LIFT_DEPTH && t->channels >= 3;
}

static int code_plane(Tile *t, int p, int flags, const PhotoPath *path, const Coder *coder)
{
    Model *model = calloc(1, sizeof *model);
    int status = model == NULL ? PHOTO_NO_MEMORY : PHOTO_OK;
    if (model && predictor_start(&model->predictor, t, p, p > 0 && flags & PHOTO_PARITY))
        status = PHOTO_NO_MEMORY;
    if (status == PHOTO_OK && p == 2 && flags & PHOTO_LIFT && can_lift(t)) {
        model->lifts[0] = lift_new(2 * LIFT_VALUES, 2 * LIFT_VALUES);
        model->lifts[1] = lift_new(LIFT_VALUES * LIFT_VALUES, LIFT_VALUES);
        status = model->lifts[0] && model->lifts[1] ? PHOTO_OK : PHOTO_NO_MEMORY;
    }
    if (status == PHOTO_OK) {
        spread_start(&model->spread);
        path->code_rows(t, p, model, coder);
        status = model->no_memory ? PHOTO_NO_MEMORY : PHOTO_OK;
    }
    if (model) {
        predictor_free(&model->predictor);
        for (int i = 0; i < LIFTS; i++)
            lift_free(model->lifts[i]);
    }
    free(model);
    return status;
}

static int code_tile(Tile *t, int flags, const PhotoPath *path, const Coder *coder)
{
    int status = PHOTO_OK;
    for (int p = 0; p < t->channels && status == PHOTO_OK; p++)
        status = code_plane(t, p, flags, path, coder);
    return status;
}

/* ------------------------------------------------------------------ both */

/*
 * Codes the pixels that `tile` describes (height, width, channels, depth, mask; the rest is 0).
 * The stream, for the caller to free, or NULL when memory is short.
 */
static uint8_t *photo_encode(Tile *tile, const PhotoPath *path, const void *pixels, int wide,
                             int flags, size_t *length)
{
    AdaptiveEncoder encoder = {0};
    Coder coder = {&encoder, NULL};
    uint8_t *coded = NULL, *stream = NULL;
    set_colours(tile, flags >> PHOTO_COLOURS_SHIFT);
    if (tile_start(tile) == 0) {
        split_pixels(tile, pixels, wide);
        if (code_tile(tile, flags, path, &coder) == PHOTO_OK)
            coded = adaptive_finish(&encoder, length);
    }
    if (coded)
        stream = malloc(PHOTO_HEADER + *length);
    if (stream) {
        uint32_t crc = photo_checksum(tile, flags, pixels, wide);
        stream[0] = (uint8_t)flags;
        for (int i = 0; i < 4; i++)
            stream[1 + i] = (uint8_t)(crc >> 8 * i);
        memcpy(stream + PHOTO_HEADER, coded, *length);
        *length += PHOTO_HEADER;
    }
    free(coded);
    adaptive_encoder_free(&encoder);
    tile_free(tile);
    return stream;
}

/* The way back, into `pixels`; PHOTO_OK, PHOTO_NO_MEMORY, or PHOTO_CORRUPT. */
static int photo_decode(Tile *tile, const PhotoPath *path, const uint8_t *stream, size_t length,
                        void *pixels, int wide)
{
    AdaptiveDecoder decoder;
    Coder coder = {NULL, &decoder};
    if (length < PHOTO_HEADER || stream[0] >= PHOTO_FLAGS)
        return PHOTO_CORRUPT;
    adaptive_start(&decoder, stream + PHOTO_HEADER, length - PHOTO_HEADER);
    set_colours(tile, stream[0] >> PHOTO_COLOURS_SHIFT);
    int status = tile_start(tile) ? PHOTO_NO_MEMORY
                 : decoder.failed ? PHOTO_CORRUPT
                                  : code_tile(tile, stream[0], path, &coder);
    if (status == PHOTO_OK && !adaptive_ended(&decoder))
        status = PHOTO_CORRUPT;
    if (status == PHOTO_OK) {
        join_planes(tile, pixels, wide);
        uint32_t crc = 0;
        for (int i = 0; i < 4; i++)
            crc |= (uint32_t)stream[1 + i] << 8 * i;
        if (crc != photo_checksum(tile, stream[0], pixels, wide))
            status = PHOTO_CORRUPT;
    }
    tile_free(tile);
    return status;
}

#endif
