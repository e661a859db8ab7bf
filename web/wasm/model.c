/*
 * model.c: what JavaScript calls of the networks (src/network.js). All arguments were checked there
 * against the format; here are no checks but of memory.
 */
#include "transforms.h"
#include "gaussian.h"

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
    Weights weights;
    LatentsModel latents;
    Synthesis synthesis;
    Analysis analysis;
    HyperAnalysis hyper;
    Ladder gain, inverse_gain;
} Model;

static RansTables gaussian;

/* Makes the tables once; 0 without memory. */
static int gaussian_ready(void)
{
    if (gaussian.count == 0) {
        rans_set_up();
        if (rans_tables_fill(&gaussian, gaussian_frequencies, GAUSSIAN_ENTRIES, gaussian_lengths,
                             gaussian_offsets, gaussian_shifts, SCALES))
            return 0;
    }
    return 1;
}

/* ---------------------------------------------------------------- weights */

EXPORT("model_new") Model *model_new(size_t tensors)
{
    Model *m = calloc(1, sizeof *m);
    if (m)
        m->weights.tensors = calloc(tensors, sizeof *m->weights.tensors);
    return m;
}

EXPORT("model_tensor")
void model_tensor(Model *m, const char *name, size_t length, const uint8_t *data, int half,
                  size_t count)
{
    Tensor *t = &m->weights.tensors[m->weights.count++];
    if (length < NAME)
        memcpy(t->name, name, length);
    t->data = data;
    t->half = half;
    t->count = count;
}

/* Makes layers of the tensors, whose bytes may go after that. 0, −1 bad, −2 without memory. */
EXPORT("model_ready") int model_ready(Model *m, int encoder)
{
    Weights *w = &m->weights;
    const Tensor *gain = look_up(w, "g_s.gain8.log.rungs");
    if (gain == NULL)
        w->bad = 1;
    latents_load(&m->latents, w);
    int channels = gain ? (int)(gain->count / RUNGS) : 0;
    if (usable(w))
        synthesis_load(&m->synthesis, w, channels, m->latents.latent);
    m->inverse_gain = ladder(w, "inverse_gain.", m->latents.latent);
    if (usable(w) && encoder) {
        analysis_load(&m->analysis, &m->hyper, w, channels, m->latents.latent, m->latents.side);
        m->gain = ladder(w, "gain.", m->latents.latent);
    }
    free(w->tensors);
    w->tensors = NULL;
    w->count = 0;
    if (!gaussian_ready())
        w->no_memory = 1;
    return w->bad ? -1 : w->no_memory ? -2 : 0;
}

EXPORT("model_latent") int model_latent(const Model *m)
{
    return m->latents.latent;
}

/* Channels of z. */
EXPORT("model_side") int model_side(const Model *m)
{
    return m->latents.side;
}

/* How far from a place, in places, latents change pixels. */
EXPORT("model_halo") int model_halo(const Model *m)
{
    return m->synthesis.depth + (m->synthesis.depth + 1) / 2;
}

/* ---------------------------------------------------------------- streams */

static const Path *only_path(void)
{
    const Path *paths[MAX_PATHS];
    rans_paths(paths);
    return paths[0];
}

/*
 * The latents of a tile, float (4 rows, 4 columns, latent). `quality`: the step of each place.
 * CODING_OK, CODING_DAMAGED (more or fewer symbols than the stream has), CODING_MEMORY. *checksum:
 * of its symbols.
 */
EXPORT("model_pull")
int model_pull(const Model *m, const uint8_t *stream, size_t length, int rows, int columns,
               const int16_t *quality, int deep, float *out, uint32_t *checksum)
{
    RansDecoder decoder = {0};
    Coding c = {.model = &m->latents, .io = {NULL, &decoder, &gaussian}, .rows = rows,
                .columns = columns, .quality = quality, .deep = deep};
    if (rans_decoder_open(&decoder, only_path(), stream, length))
        return CODING_MEMORY;
    int status = latents_code(&c, out);
    End end = rans_ended(&decoder);
    *checksum = decoder.crc;
    rans_decoder_free(&decoder);
    if (status == CODING_OK && (!end.final || end.left || end.unused))
        status = CODING_DAMAGED;
    return status;
}

/*
 * Codes what `model_analyse` gave; `out` as of `model_pull`. The stream, for the caller to free, of
 * *length bytes; NULL without memory.
 */
EXPORT("model_push")
uint8_t *model_push(const Model *m, const float *y, const float *z, int rows, int columns,
                    const int16_t *quality, int deep, float *out, size_t *length,
                    uint32_t *checksum)
{
    RansEncoder encoder = {0};
    encoder.path = only_path();
    Coding c = {.model = &m->latents, .io = {&encoder, NULL, &gaussian}, .rows = rows,
                .columns = columns, .quality = quality, .deep = deep, .y = y, .z = z};
    Coded coded = {0};
    uint8_t *stream = NULL;
    if (latents_code(&c, out) == CODING_OK && rans_finish(&encoder, 0, &coded) == 0) {
        *length = rans_coded_size(&coded);
        *checksum = encoder.crc;
        stream = malloc(*length);
        if (stream)
            rans_coded_write(&coded, stream);
    }
    rans_coded_free(&coded);
    rans_encoder_free(&encoder);
    return stream;
}

/* ---------------------------------------------------------------- pictures */

/* Times the gain of the quality of each place, and 2^±n for smooth channels of deep pictures. */
static void scale(const Model *m, const Ladder *ladder, float *x, const int16_t *quality,
                  size_t places, int deep, int sign)
{
    float *values = malloc((size_t)ladder->channels * sizeof *values);
    Rung rung = {ladder, -1, values};
    Coding c = {.deep = deep};
    for (size_t p = 0; values && p < places; p++, x += ladder->channels) {
        const float *gain = gain_rung(&rung, quality[p]);
        float finer = (float)power_of_two(sign * halvings(&c, quality[p]));
        for (int i = 0; i < ladder->channels; i++)
            x[i] *= m->latents.smooth[i] ? gain[i] * finer : gain[i];
    }
    free(values);
}

/*
 * The pixels `top` to `bottom`, `left` to `right` of a window of latents (rows, columns, latent),
 * which are overwritten. samples: (bottom − top, right − left, channels). 0, or −1 without memory.
 */
EXPORT("model_show")
int model_show(const Model *m, float *latents, const int16_t *quality, int rows, int columns,
               int channels, int depth, int top, int left, int bottom, int right, void *samples)
{
    Target t = {channels, depth, samples, (size_t)(right - left), (size_t)top, (size_t)left,
                (size_t)bottom, (size_t)right};
    size_t places = (size_t)rows * (size_t)columns;
    scale(m, &m->inverse_gain, latents, quality, places, depth > 8, -1);
    return synthesise(&m->synthesis, latents, quality, (size_t)rows, (size_t)columns, &t);
}

/*
 * What is coded of a window of pixels: x float (16 rows, 16 columns, 3), centred on 0, to y
 * (rows, columns, latent) and z (rows / 4, columns / 4, side). 0, or −1 without memory.
 */
EXPORT("model_analyse")
int model_analyse(const Model *m, const float *x, const int16_t *quality, int rows, int columns,
                  int deep, float *y, float *z)
{
    size_t places = (size_t)rows * (size_t)columns;
    if (analyse(&m->analysis, x, quality, (size_t)rows, (size_t)columns, y))
        return -1;
    scale(m, &m->gain, y, quality, places, 0, 1);
    if (hyper_analyse(&m->hyper, y, (size_t)rows, (size_t)columns, z))
        return -1;
    for (size_t p = 0; deep && p < places; p++) {
        Coding c = {.deep = 1};
        float finer = (float)power_of_two(halvings(&c, quality[p]));
        for (int i = 0; i < m->latents.latent; i++)
            if (m->latents.smooth[i])
                y[p * (size_t)m->latents.latent + (size_t)i] *= finer;
    }
    return 0;
}

/* ---------------------------------------------------------------- other streams */

/* The symbols of a stream, by tables each has the index of one; closes the decoder. 0, -1, -2. */
static int decode_all(const RansTables *tables, const uint8_t *stream, size_t length,
                      const uint8_t *index, int32_t *symbols, size_t count)
{
    RansDecoder decoder = {0};
    if (rans_decoder_open(&decoder, only_path(), stream, length))
        return -2;
    int status = rans_pull(&decoder, tables, index, symbols, count, 0) || decoder.failed ? -1 : 0;
    End end = rans_ended(&decoder);
    if (!end.final || end.left || end.unused)
        status = -1;
    rans_decoder_free(&decoder);
    return status;
}

/*
 * A stream by tables that are given: of each its entries, the last of which is the escape, its
 * first symbol, and the frequencies of all entries, table after table. `index` tells the table of
 * each symbol. 0, -1 if it is damaged, -2 without memory.
 */
EXPORT("rans_decode")
int rans_decode(const uint8_t *stream, size_t length, const uint16_t *frequencies, size_t entries,
                const uint16_t *sizes, const int32_t *offsets, size_t count, const uint8_t *index,
                int32_t *symbols, size_t symbol_count)
{
    RansTables *tables = calloc(1, sizeof *tables);
    uint8_t *shifts = calloc(count, 1);
    int status = -2;
    rans_set_up();
    if (tables && shifts) {
        status = -1;
        if (!rans_tables_fill(tables, frequencies, entries, sizes, offsets, shifts, count))
            status = decode_all(tables, stream, length, index, symbols, symbol_count);
        rans_tables_free(tables);
    }
    free(tables);
    free(shifts);
    return status;
}

/* A stream whose symbols all have the Gaussian table of that number. As rans_decode. */
EXPORT("rans_decode_gaussian")
int rans_decode_gaussian(const uint8_t *stream, size_t length, int number, int32_t *symbols,
                         size_t count)
{
    uint8_t *index = malloc(count ? count : 1);
    int status = -2;
    if (index && gaussian_ready()) {
        memset(index, number, count);
        status = decode_all(&gaussian, stream, length, index, symbols, count);
    }
    free(index);
    return status;
}
