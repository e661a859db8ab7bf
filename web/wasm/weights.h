/*
 * weights.h: the tensors of a weights file by name, and what layers make of them.
 *
 * JavaScript reads the file's header and says where each tensor lies (src/weights.js). All sizes
 * follow from the tensors; one that is missing or of another size than its neighbours ask for makes
 * `bad` true, and the model is refused.
 */
#ifndef LICTOR_WEB_WEIGHTS_H
#define LICTOR_WEB_WEIGHTS_H

#include "matrix.h"

enum { NAME = 64, RUNGS = 9, STEPS = 400, STEPS_PER_RUNG = STEPS / (RUNGS - 1) };

typedef struct {
    char name[NAME];
    const uint8_t *data;
    int half;                   /* float16, else float32 */
    size_t count;
} Tensor;

typedef struct {
    Tensor *tensors;
    size_t count;
    int bad;                    /* not the weights of such a model */
    int no_memory;
} Weights;

/* Memory that stays; without any, the model is refused at the end. */
static void *kept(Weights *w, size_t size)
{
    static double nothing[2];
    void *memory = w->bad || w->no_memory ? NULL : malloc(size);
    if (memory == NULL && !w->bad)
        w->no_memory = 1;
    return memory ? memory : nothing;
}

static int usable(const Weights *w)
{
    return !w->bad && !w->no_memory;
}

/* "a", 3, "b" to "a3b"; a part may be "", a negative number is left out. */
typedef struct {
    char text[NAME];
} Name;

static Name named(const char *start, int number, const char *end)
{
    Name n = {{0}};
    size_t at = strlen(start);
    memcpy(n.text, start, at);
    if (number >= 0)
        n.text[at++] = (char)('0' + number % 10);
    memcpy(n.text + at, end, strlen(end));
    return n;
}

static Name within(const char *start, const char *end)
{
    return named(start, -1, end);
}

static const Tensor *look_up(const Weights *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->tensors[i].name, name) == 0)
            return &w->tensors[i];
    return NULL;
}

/* The tensor of this name, of so many values; NULL, and all is bad, if there is none. */
static const Tensor *find(Weights *w, Name name, size_t count)
{
    const Tensor *t = look_up(w, name.text);
    if (t == NULL || t->count != count) {
        w->bad = 1;
        return NULL;
    }
    return t;
}

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7FFF;
    union {
        uint32_t bits;
        float value;
    } u = {rest << 13};
    /* The exponent is rebased by a multiplication, which makes subnormals right, too. */
    u.value *= 0x1p112f;
    if (rest >= 0x7C00)
        u.bits |= 0x7F800000;
    u.bits |= sign;
    return u.value;
}

static float value_at(const Tensor *t, size_t i)
{
    if (t->half) {
        uint16_t half;
        memcpy(&half, t->data + 2 * i, 2);
        return half_to_float(half);
    }
    float value;
    memcpy(&value, t->data + 4 * i, 4);
    return value;
}

static float *floats(Weights *w, Name name, size_t count)
{
    const Tensor *t = find(w, name, count);
    float *values = kept(w, count * sizeof *values);
    for (size_t i = 0; t && usable(w) && i < count; i++)
        values[i] = value_at(t, i);
    return values;
}

/* ---------------------------------------------------------------- floats */

/* Where a channel of ours is among those of the file. */
typedef int Order(int channel, int count);

/*
 * A convolution without overlap, as a matrix. `bias` may be "". `from_input`, `from_output`: the
 * order of channels in the file, where it is not ours.
 */
static Matrix matrix_in_order(Weights *w, Name weight, Name bias, int inputs, int outputs,
                              Order *from_input, Order *from_output)
{
    size_t all = (size_t)inputs * (size_t)outputs;
    Matrix m = {inputs, outputs, NULL, NULL};
    const Tensor *t = find(w, weight, all);
    const Tensor *b = bias.text[0] ? find(w, bias, (size_t)outputs) : NULL;
    if (outputs % PANEL)
        w->bad = 1;
    m.panels = kept(w, all * sizeof *m.panels);
    m.bias = kept(w, (size_t)outputs * sizeof *m.bias);
    for (int o = 0; usable(w) && o < outputs; o++) {
        int row = from_output ? from_output(o, outputs) : o;
        m.bias[o] = b ? value_at(b, (size_t)row) : 0;
        float *to = m.panels + (size_t)(o / PANEL) * (size_t)inputs * PANEL + o % PANEL;
        for (int i = 0; i < inputs; i++) {
            int column = from_input ? from_input(i, inputs) : i;
            to[i * PANEL] = value_at(t, (size_t)row * (size_t)inputs + (size_t)column);
        }
    }
    return m;
}

static Matrix matrix(Weights *w, const char *layer, int inputs, int outputs)
{
    return matrix_in_order(w, within(layer, ".weight"), within(layer, ".bias"), inputs, outputs,
                           NULL, NULL);
}

/* The taps of a depthwise 3x3 convolution, tap by tap, and after them the bias. */
static float *taps(Weights *w, const char *layer, int channels)
{
    size_t n = (size_t)channels;
    const Tensor *t = find(w, within(layer, ".weight"), 9 * n);
    const Tensor *b = find(w, within(layer, ".bias"), n);
    float *out = kept(w, 10 * n * sizeof *out);
    for (size_t c = 0; usable(w) && c < n; c++) {
        for (size_t k = 0; k < 9; k++)
            out[k * n + c] = value_at(t, 9 * c + k);
        out[9 * n + c] = value_at(b, c);
    }
    return out;
}

/* ---------------------------------------------------------------- exactly */

/* floor(v · 2^bits + 1/2) */
static double fixed(float value, int bits)
{
    return __builtin_floor((double)value * (double)(1LL << bits) + 0.5);
}

/* Every sum must stay below 2^53, or order would matter. */
static void check_bound(Weights *w, double weights, double bias)
{
    if (!(weights * 2 * LIMIT + bias < 0x1p53))
        w->bad = 1;
}

/* From the values that start at these of two tensors. */
static ExactMatrix exact_part(Weights *w, const Tensor *t, size_t first, const Tensor *b,
                              size_t first_bias, int inputs, int outputs)
{
    size_t all = (size_t)inputs * (size_t)outputs;
    ExactMatrix m = {inputs, outputs, NULL, NULL};
    if (outputs % EXACT_PANEL)
        w->bad = 1;
    m.panels = kept(w, all * sizeof *m.panels);
    m.bias = kept(w, (size_t)outputs * sizeof *m.bias);
    for (int o = 0; usable(w) && o < outputs; o++) {
        double sum = 0;
        m.bias[o] = fixed(value_at(b, first_bias + (size_t)o), 28);
        for (int i = 0; i < inputs; i++) {
            size_t panel = (size_t)(o / EXACT_PANEL);
            double v = fixed(value_at(t, first + (size_t)o * (size_t)inputs + (size_t)i), 16);
            m.panels[(panel * (size_t)inputs + (size_t)i) * EXACT_PANEL + o % EXACT_PANEL] = v;
            sum += __builtin_fabs(v);
        }
        check_bound(w, sum, __builtin_fabs(m.bias[o]));
    }
    return m;
}

static ExactMatrix exact_matrix(Weights *w, const char *layer, int inputs, int outputs)
{
    const Tensor *t = find(w, within(layer, ".weight"), (size_t)inputs * (size_t)outputs);
    const Tensor *b = find(w, within(layer, ".bias"), (size_t)outputs);
    return exact_part(w, t, 0, b, 0, inputs, outputs);
}

/* One for each phase of a cell. */
static void exact_heads(Weights *w, const char *layer, int inputs, int outputs,
                        ExactMatrix heads[4])
{
    size_t all = (size_t)inputs * (size_t)outputs;
    const Tensor *t = find(w, within(layer, ".weight"), 4 * all);
    const Tensor *b = find(w, within(layer, ".bias"), 4 * (size_t)outputs);
    for (size_t f = 0; f < 4; f++)
        heads[f] = exact_part(w, t, f * all, b, f * (size_t)outputs, inputs, outputs);
}

/* As `taps`. */
static double *exact_taps(Weights *w, const char *layer, int channels)
{
    size_t n = (size_t)channels;
    float *given = taps(w, layer, channels);
    double *out = kept(w, 10 * n * sizeof *out);
    for (size_t c = 0; usable(w) && c < n; c++) {
        double sum = 0;
        for (size_t k = 0; k < 9; k++) {
            out[k * n + c] = fixed(given[k * n + c], 16);
            sum += __builtin_fabs(out[k * n + c]);
        }
        out[9 * n + c] = fixed(given[9 * n + c], 28);
        check_bound(w, sum, __builtin_fabs(out[9 * n + c]));
    }
    return out;
}

/* ---------------------------------------------------------------- ladders */

typedef struct {
    int channels;
    float *rungs;               /* (RUNGS, channels) */
} Ladder;

static Ladder ladder(Weights *w, const char *layer, int channels)
{
    return (Ladder){channels, floats(w, within(layer, "rungs"), (size_t)(RUNGS * channels))};
}

/* At a quality step, in floats. */
static void ladder_at(const Ladder *l, int step, float *out)
{
    int low = step / STEPS_PER_RUNG < RUNGS - 2 ? step / STEPS_PER_RUNG : RUNGS - 2;
    float t = (float)(step - low * STEPS_PER_RUNG) / STEPS_PER_RUNG;
    const float *a = l->rungs + low * l->channels, *b = a + l->channels;
    for (int c = 0; c < l->channels; c++)
        out[c] = a[c] + t * (b[c] - a[c]);
}

/* R((a (50 − t) + b t) / 50) of integers a and b. */
static void exact_ladder_at(const Ladder *l, int step, double *out)
{
    int low = step / STEPS_PER_RUNG < RUNGS - 2 ? step / STEPS_PER_RUNG : RUNGS - 2;
    int64_t t = step - low * STEPS_PER_RUNG;
    const float *a = l->rungs + low * l->channels, *b = a + l->channels;
    for (int c = 0; c < l->channels; c++) {
        int64_t mixed = (int64_t)fixed(a[c], 12) * (STEPS_PER_RUNG - t) + (int64_t)fixed(b[c], 12) * t;
        int64_t halves = 2 * mixed + STEPS_PER_RUNG, whole = 2 * STEPS_PER_RUNG;
        int64_t q = halves / whole;
        out[c] = (double)(q - (halves % whole < 0));
    }
}

/*
 * A ladder over places whose steps differ: the values of the last step are kept, since most places
 * have that of the one before.
 */
typedef struct {
    const Ladder *ladder;
    int step;                   /* −1: none yet */
    void *values;
} Rung;

static const double *exact_rung(Rung *r, int step)
{
    if (r->step != step)
        exact_ladder_at(r->ladder, step, r->values);
    r->step = step;
    return r->values;
}

/* exp of it: what gains are. */
static const float *gain_rung(Rung *r, int step)
{
    float *values = r->values;
    if (r->step != step) {
        ladder_at(r->ladder, step, values);
        for (int c = 0; c < r->ladder->channels; c++)
            values[c] = __builtin_expf(values[c]);
    }
    r->step = step;
    return values;
}

#endif
