/*
 * field_fit.h: taps and weights for the passes of a field, chosen as predictor_fit.py chooses them,
 * from fewer places and fewer taps. Encoder only: floating point here decides how small a file
 * gets, never whether it decodes.
 *
 * All taps that are offered, and what is wanted, stand side by side for some of the places; their
 * products with one another (`gram`) are all that forward selection and least squares need.
 */
#ifndef LICTOR_FIELD_FIT_H
#define LICTOR_FIELD_FIT_H

#include <math.h>

#include "field.h"

enum {
    FIT_LEAST_ROWS = 768, FIT_MOST_ROWS = 4096, /* places that are looked at, */
    FIT_SHARE = 4,                             /* one of so many, between these */
    FIT_WORK = 2500,                             /* squares of taps offered · rows / places */
    FIT_LEAST = 24,                             /* taps offered all the same */
    FIT_RANKED = 256,                           /* for the order of earlier channels */
    FIT_WINDOWED = 16, FIT_CENTRED = 24,        /* earlier channels, with their window or alone */
    FIT_COLUMNS = 128,                          /* taps offered, and what is wanted */
    FIT_LANES = 16, FIT_FLUSH = 256, FIT_SPREAD = 512
};
#define FIT_TAP_BITS 24.0
#define FIT_FLOOR 0.06
#define FIT_CHANCE 1.44     /* bits that a tap of no use seems to save, and then loses, by rows */

typedef struct {
    size_t rows;                    /* places looked at in a pass */
    size_t *places;                 /* (rows,) each as its place in the subplanes */
    int8_t *subs;                   /* (rows,) and in which */
    float *alike;                   /* (channels, FIT_RANKED) of unit length; 0 where all is one */
    float *centred;                 /* (channels, padded), less their means, */
    double *means;                  /* (channels,), which are these */
    size_t room;                    /* taps that may be offered */
    size_t padded;                  /* rows to a multiple of FIT_LANES */
    float *columns;                 /* (FIT_COLUMNS, padded), 0 behind the rows */
    double gram[FIT_COLUMNS][FIT_COLUMNS];
} Fit;

static void fit_free(Fit *fit)
{
    free(fit->places);
    free(fit->subs);
    free(fit->alike);
    free(fit->centred);
    free(fit->means);
    free(fit->columns);
    memset(fit, 0, sizeof *fit);
}

FIELD_CLONES
static void fit_centre(float *column, size_t n, float mean)
{
    for (size_t r = 0; r < n; r++)
        column[r] -= mean;
}

/* What a tap takes in the places looked at, less its mean, which is given back. */
static double fit_column(const Fit *fit, const Field *f, int32_t channel, int place, float *column)
{
    int64_t sum = 0;
    const int32_t *at[4];
    for (int sub = 0; sub < 4; sub++)
        at[sub] = field_at(f, f->values, channel, sub, place);
    for (size_t r = 0; r < fit->rows; r++) {
        int32_t v = at[fit->subs[r]][fit->places[r]];
        column[r] = (float)v;
        sum += v;
    }
    double mean = (double)sum / (double)fit->rows;
    fit_centre(column, fit->rows, (float)mean);
    return mean;
}

/* Chooses the places of a pass, and makes the channels comparable there. -1: no memory. */
static int fit_begin(Fit *fit, const Field *f, int pass)
{
    size_t n = field_pass(f, pass), rows = n / FIT_SHARE;
    rows = rows < FIT_LEAST_ROWS ? FIT_LEAST_ROWS : rows > FIT_MOST_ROWS ? FIT_MOST_ROWS : rows;
    size_t step = n / rows + (n % rows != 0), most = step ? n / step + 1 : 1;
    memset(fit, 0, sizeof *fit);
    if (!n)
        return 0;
    fit->places = malloc(most * sizeof *fit->places);
    fit->subs = malloc(most);
    fit->padded = (most + FIT_LANES - 1) / FIT_LANES * FIT_LANES;
    fit->columns = calloc(fit->padded * FIT_COLUMNS, sizeof *fit->columns);
    fit->alike = calloc((size_t)f->channels * FIT_RANKED, sizeof *fit->alike);
    fit->centred = calloc((size_t)f->channels * fit->padded, sizeof *fit->centred);
    fit->means = malloc((size_t)f->channels * sizeof *fit->means);
    if (!fit->places || !fit->subs || !fit->columns || !fit->alike || !fit->centred
        || !fit->means) {
        fit_free(fit);
        return -1;
    }
    size_t place = 0, next = step / 2;
    FieldRow r = field_first(pass);
    while (field_next(f, &r)) {
        for (; next < place + (size_t)r.columns; next += step) {
            fit->places[fit->rows] = r.at + (next - place);
            fit->subs[fit->rows++] = (int8_t)r.sub;
        }
        place += (size_t)r.columns;
    }
    double work = sqrt((double)FIT_WORK * (double)n / (double)fit->rows);
    fit->room = work < FIT_LEAST ? FIT_LEAST : (size_t)work;
    size_t ranked = fit->rows < FIT_RANKED ? fit->rows : FIT_RANKED;
    size_t every = ranked ? fit->rows / ranked : 1;
    for (int32_t c = 0; c < f->channels; c++) {
        float *own = fit->centred + (size_t)c * fit->padded;
        float *unit = fit->alike + (size_t)c * FIT_RANKED;
        fit->means[c] = fit_column(fit, f, c, FIELD_CENTRE, own);
        double power = 0;
        for (size_t i = 0; i < ranked; i++)
            power += own[i * every] * own[i * every];
        float scale = power > 1e-9 ? (float)(1 / sqrt(power)) : 0;
        for (size_t i = 0; i < ranked; i++)
            unit[i] = own[i * every] * scale;
    }
    return 0;
}

FIELD_CLONES
static float fit_alike(const float *a, const float *b)
{
    float sums[16] = {0}, total = 0;
    for (size_t i = 0; i < FIT_RANKED; i += 16)
        for (size_t k = 0; k < 16; k++)
            sums[k] += a[i + k] * b[i + k];
    for (size_t k = 0; k < 16; k++)
        total += sums[k];
    return total;
}

/* The earlier channels most alike, the best first; how many were found. */
static int fit_order(const Fit *fit, int32_t channel, int32_t *found)
{
    float best[FIT_CENTRED];
    int count = 0;
    const float *own = fit->alike + (size_t)channel * FIT_RANKED;
    for (int32_t c = 0; c < channel; c++) {
        float like = fabsf(fit_alike(fit->alike + (size_t)c * FIT_RANKED, own));
        if (!(like > 0) || (count == FIT_CENTRED && !(like > best[count - 1])))
            continue;
        int k = count < FIT_CENTRED ? count++ : count - 1;
        for (; k && best[k - 1] < like; k--) {
            best[k] = best[k - 1];
            found[k] = found[k - 1];
        }
        best[k] = like;
        found[k] = c;
    }
    return count;
}

/* The taps to choose from: neighbours, and the channels most alike. */
static int fit_offer(const Fit *fit, const Field *f, int32_t channel, int pass, FieldTap *taps)
{
    int count = 0;
    size_t room = fit->rows / 6 < 4 ? 4 : fit->rows / 6;    /* with fewer, chance is found */
    room = room < fit->room ? room : fit->room;
    for (int k = 0; pass && k < 4; k++)
        if (field_has(f, FIELD_OWN[pass][k]))
            taps[count++] = (FieldTap){0, FIELD_OWN[pass][k], 0};
    int32_t order[FIT_CENTRED];
    int found = fit_order(fit, channel, order);
    /* All channels alone come before the third's window, if there is no room for both. */
    size_t alone = (size_t)(found < FIT_CENTRED ? found : FIT_CENTRED) / 2;
    for (int rank = 0; rank < found; rank++)
        for (int place = 0; place < 9 && count < FIT_COLUMNS - 1 && (size_t)count < room; place++)
            if (place == FIELD_CENTRE
                || (rank < FIT_WINDOWED && field_has(f, place)
                    && (rank < 2 || (size_t)count + alone < room)))
                taps[count++] = (FieldTap){channel - order[rank], place, 0};
    return count;
}

/* The product of two columns; each is filled with zeros to a multiple of FIT_LANES. */
FIELD_CLONES
static double fit_product(const float *restrict a, const float *restrict b, size_t n)
{
    double total = 0;
    for (size_t r = 0; r < n; r += FIT_FLUSH) {
        float sums[FIT_LANES] = {0};
        size_t end = n - r < FIT_FLUSH ? n : r + FIT_FLUSH;
        for (size_t i = r; i < end; i += FIT_LANES)
            for (size_t k = 0; k < FIT_LANES; k++)
                sums[k] += a[i + k] * b[i + k];
        for (size_t k = 0; k < FIT_LANES; k++)
            total += sums[k];
    }
    return total;
}

/* Fills columns and gram with what is offered, and what is wanted behind; their means. */
static void fit_gram(Fit *fit, const Field *f, int32_t channel, const FieldTap *taps, int count,
                     double *means)
{
    const float *columns[FIT_COLUMNS];
    for (int k = 0; k <= count; k++) {
        int32_t from = k < count ? channel - taps[k].distance : channel;
        int place = k < count ? taps[k].place : FIELD_CENTRE;
        if (place == FIELD_CENTRE) {
            columns[k] = fit->centred + (size_t)from * fit->padded;
            means[k] = fit->means[from];
        } else {
            float *own = fit->columns + (size_t)k * fit->padded;
            means[k] = fit_column(fit, f, from, place, own);
            columns[k] = own;
        }
        for (int i = 0; i <= k; i++)
            fit->gram[k][i] = fit->gram[i][k] =
                fit_product(columns[i], columns[k], fit->padded) / (double)fit->rows;
    }
}

/* Takes what column `k` explains out of all others (a step of Gram and Schmidt). */
FIELD_CLONES
static void fit_take(double (*gram)[FIT_COLUMNS], int k, int width)
{
    double column[FIT_COLUMNS], own = gram[k][k];
    memcpy(column, gram[k], sizeof column);
    for (int i = 0; i < width; i++) {
        double part = column[i] / own;
        for (int j = 0; j < width; j++)
            gram[i][j] -= part * column[j];
    }
}

/* Solves for the weights of the chosen taps by Cholesky, with a little on the diagonal. */
static void fit_solve(double (*gram)[FIT_COLUMNS], const int *chosen, int count, int wanted,
                      double *weights)
{
    static const double MORE = 1 + 1e-4;
    double l[FIELD_MAX_TAPS][FIELD_MAX_TAPS], y[FIELD_MAX_TAPS];
    for (int i = 0; i < count; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = gram[chosen[i]][chosen[j]] * (i == j ? MORE : 1);
            for (int k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            l[i][j] = i == j ? sqrt(sum > 1e-12 ? sum : 1e-12) : sum / l[j][j];
        }
        double sum = gram[chosen[i]][wanted];
        for (int k = 0; k < i; k++)
            sum -= l[i][k] * y[k];
        y[i] = sum / l[i][i];
    }
    for (int i = count - 1; i >= 0; i--) {
        double sum = y[i];
        for (int k = i + 1; k < count; k++)
            sum -= l[k][i] * weights[k];
        weights[i] = sum / l[i][i];
    }
}

static int32_t fit_bias(double mean)
{
    double x = mean * (1 << FIELD_FRACTION);
    return (int32_t)rint(x < -2147483647.0 ? -2147483647.0 : x > 2147483647.0 ? 2147483647.0 : x);
}

/* About the bits of one value without a prediction: of a Laplacian of this variance. */
static double fit_bits(double variance)
{
    double bits = 0.5 * log2(variance + FIT_FLOOR) + 1.94;
    return bits > 0 ? bits : 0;
}

/* Taps, weights and bias of a channel in a pass; taps: FIELD_MAX_TAPS of room. */
static void fit_weights(Fit *fit, const Field *f, int32_t channel, int pass, FieldTap *taps,
                        FieldWeights *w)
{
    FieldTap offered[FIT_COLUMNS];
    double means[FIT_COLUMNS], work[FIT_COLUMNS][FIT_COLUMNS], weights[FIELD_MAX_TAPS];
    int chosen[FIELD_MAX_TAPS], used = 0;
    uint8_t taken[FIT_COLUMNS] = {0};
    double size = (double)field_pass(f, pass);
    memset(w, 0, sizeof *w);
    w->taps = taps;
    if (!fit->rows)
        return;
    int count = fit_offer(fit, f, channel, pass, offered);
    fit_gram(fit, f, channel, offered, count, means);
    double total = fit->gram[count][count], variance = total;
    double bits = size * fit_bits(total), bias = means[count];
    for (int i = 0; i <= count; i++)    /* and what fit_take runs over behind */
        for (int k = 0; k < FIT_COLUMNS; k++)
            work[i][k] = k <= count ? fit->gram[i][k] : 0;
    while (total > 0 && used < FIELD_MAX_TAPS && used < count) {
        int best = -1;
        double gain = 0;
        for (int k = 0; k < count; k++) {
            double own = work[k][k], product = work[k][count];
            if (!taken[k] && own > fit->gram[k][k] * 1e-4 + 1e-9 && product * product > gain * own) {
                gain = product * product / own;
                best = k;
            }
        }
        double after = variance - gain > 0 ? variance - gain : 0;
        double saved = size / 2 * log2((variance + FIT_FLOOR) / (after + FIT_FLOOR));
        double share = bits * (variance - after) / (total + 1e-9);
        double chance = FIT_CHANCE * size / (double)fit->rows;
        if (best < 0 || (saved - chance < share ? saved - chance : share) < FIT_TAP_BITS)
            break;
        chosen[used++] = best;
        taken[best] = 1;
        fit_take(work, best, count + 1);
        variance = after;
    }
    fit_solve(fit->gram, chosen, used, count, weights);
    for (int k = 0; k < used; k++) {
        double whole = rint(weights[k] * (1 << FIELD_FRACTION));
        whole = whole < -FIELD_MAX_WEIGHT ? -FIELD_MAX_WEIGHT
                : whole > FIELD_MAX_WEIGHT ? FIELD_MAX_WEIGHT : whole;
        bias -= whole * means[chosen[k]] / (1 << FIELD_FRACTION);
        if (whole == 0)
            continue;
        taps[w->count] = offered[chosen[k]];
        taps[w->count++].weight = (int32_t)whole;
    }
    w->bias = fit_bias(bias);
}

/* The weights of the expected error, from the errors themselves, which are known by now. */
static void fit_spread(const Fit *fit, Field *f, int32_t channel, int pass, FieldWeights *w)
{
    double s[3][4] = {{0}}, best[3] = {0};
    int32_t distance = field_distance(w);
    int small = 6 * f->most_error < FIELD_SMALL;
    size_t every = fit->rows / FIT_SPREAD | 1;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++) {
        int sub = FIELD_SUBS[pass][i];
        const int32_t *errors = field_sub(f, f->errors, channel, sub);
        if (small && field_rows(f, sub) && field_columns(f, sub))
            field_term_planes(f, channel, pass, sub, distance);
        for (size_t r = 0; r < fit->rows; r += every) {
            size_t at = fit->places[r];
            int64_t near, before;
            if (fit->subs[r] != sub)
                continue;
            if (small) {
                near = f->total[at];
                before = f->spread[at];
            } else {
                field_terms(f, channel, pass, sub, distance, at, &near, &before);
            }
            double terms[4] = {1, (double)near, (double)before, errors[at]};
            for (int k = 0; k < 3; k++)
                for (int j = k; j < 4; j++)
                    s[k][j] += terms[k] * terms[j];
        }
    }
    if (!fit->rows)
        return;
    best[0] = s[0][3] / s[0][0];
    int used[3] = {0}, count = 1;
    for (int i = 1; i < 3; i++)
        if (fit->rows >= 64 && s[i][i] > 0)
            used[count++] = i;
    double l[3][3], y[3], x[3] = {0};
    int good = count > 1;
    for (int i = 0; i < count; i++) {
        double sum = s[used[i]][3];
        for (int j = 0; j <= i; j++) {
            double v = s[used[j]][used[i]] * (i == j ? 1.001 : 1) + (i == j ? 1e-9 : 0);
            for (int k = 0; k < j; k++)
                v -= l[i][k] * l[j][k];
            l[i][j] = i == j ? sqrt(v > 1e-12 ? v : 1e-12) : v / l[j][j];
        }
        for (int k = 0; k < i; k++)
            sum -= l[i][k] * y[k];
        y[i] = sum / l[i][i];
    }
    for (int i = count - 1; i >= 0; i--) {
        double sum = y[i];
        for (int k = i + 1; k < count; k++)
            sum -= l[k][i] * x[k];
        x[i] = sum / l[i][i];
        good &= x[i] >= 0;
    }
    for (int i = 0; good && i < count; i++)
        best[used[i]] = x[i];
    for (int i = 0; i < 3; i++) {
        double v = rint(best[i] * (1 << FIELD_FRACTION)), most = i ? FIELD_MAX_WEIGHT : 1 << 30;
        w->spread[i] = (int32_t)(v < 0 ? 0 : v > most ? most : v);
    }
}

/* What the passes of a whole field are coded with, pass by pass, channel by channel. */
typedef struct {
    int32_t *counts;            /* (channels * passes,) of taps */
    FieldTap *taps;             /* one after another; (channels * passes * FIELD_MAX_TAPS,) */
    int32_t *biases, *spreads;  /* (…,), (…, 3) */
    int32_t *residuals;         /* (values,) in the order of coding */
    uint8_t *levels;            /* likewise */
    int64_t *predictions;       /* likewise, or NULL */
    size_t used;                /* taps so far */
} FitResult;

static int fit_pass(Fit *fit, Field *f, int32_t channel, int pass, const FieldContexts *same,
                    int64_t *predictions, int32_t *work, size_t start, FitResult *out)
{
    size_t n = field_pass(f, pass), unit = (size_t)channel * FIELD_PASSES + (size_t)pass;
    FieldWeights w;
    fit_weights(fit, f, channel, pass, out->taps + out->used, &w);
    int64_t *own = out->predictions ? out->predictions + start : predictions;
    if (field_predict(f, channel, pass, &w, own))
        return -1;
    int32_t *values = work, *errors = work + n, *residuals = out->residuals + start;
    size_t place = 0;
    FieldRow r = field_first(pass);
    while (field_next(f, &r)) {
        memcpy(values + place, field_sub(f, f->values, channel, r.sub) + r.at,
               (size_t)r.columns * sizeof *values);
        place += (size_t)r.columns;
    }
    for (size_t i = 0; i < n; i++) {
        residuals[i] = values[i] - field_rounded(own[i]);
        errors[i] = residuals[i] < 0 ? -residuals[i] : residuals[i];
    }
    field_store_errors(f, channel, pass, errors);
    fit_spread(fit, f, channel, pass, &w);
    field_levels(f, channel, pass, &w, same, out->levels + start);
    out->counts[unit] = w.count;
    out->biases[unit] = w.bias;
    memcpy(out->spreads + 3 * unit, w.spread, sizeof w.spread);
    out->used += (size_t)w.count;
    return 0;
}

/* Fits and applies everything; the values of the field are stored. -1: no memory. */
static int fit_field(Field *f, FitResult *out)
{
    Fit fits[FIELD_PASSES];
    FieldContexts same;
    uint8_t identity[FIELD_LEVELS];
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width, start = 0;
    int64_t *predictions = out->predictions ? NULL : malloc((plane + 1) * sizeof *predictions);
    int32_t *work = malloc((2 * plane + 1) * sizeof *work);
    int error = !work || !(predictions || out->predictions);
    for (int k = 0; k < FIELD_LEVELS; k++)
        identity[k] = (uint8_t)k;
    field_contexts(&same, identity);
    memset(fits, 0, sizeof fits);
    for (int pass = 0; !error && pass < FIELD_PASSES; pass++)
        error = fit_begin(&fits[pass], f, pass) != 0;
    out->used = 0;
    for (int32_t c = 0; !error && c < f->channels; c++)
        for (int pass = 0; !error && pass < FIELD_PASSES; pass++) {
            error = fit_pass(&fits[pass], f, c, pass, &same, predictions, work, start, out) != 0;
            start += field_pass(f, pass);
        }
    for (int pass = 0; pass < FIELD_PASSES; pass++)
        fit_free(&fits[pass]);
    free(predictions);
    free(work);
    return error ? -1 : 0;
}

#endif
