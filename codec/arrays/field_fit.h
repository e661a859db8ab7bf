/*
 * field_fit.h: taps and weights for the passes of a field, chosen as predictor_fit.py chooses them,
 * from fewer places and fewer taps. Encoder only: floating point here decides how small a file
 * gets, never whether it decodes.
 */
#ifndef LICTOR_FIELD_FIT_H
#define LICTOR_FIELD_FIT_H

#include "fit_columns.h"

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

/* The weights of the taps that were chosen, and the bias, from all places looked at. */
static void fit_chosen(Fit *fit, const Field *f, int32_t channel, const FieldTap *offered,
                       const int *chosen, int used, FieldWeights *w, FieldTap *taps)
{
    FieldTap own[FIELD_MAX_TAPS];
    int order[FIELD_MAX_TAPS];
    double means[FIELD_MAX_TAPS + 1], weights[FIELD_MAX_TAPS];
    for (int k = 0; k < used; k++) {
        own[k] = offered[chosen[k]];
        order[k] = k;
    }
    fit_chosen_gram(fit, f, channel, own, used, means);
    fit_solve(fit->gram, order, used, used, weights);
    double bias = means[used];
    for (int k = 0; k < used; k++) {
        double whole = rint(weights[k] * (1 << FIELD_FRACTION));
        whole = whole < -FIELD_MAX_WEIGHT ? -FIELD_MAX_WEIGHT
                : whole > FIELD_MAX_WEIGHT ? FIELD_MAX_WEIGHT : whole;
        bias -= whole * means[k] / (1 << FIELD_FRACTION);
        if (whole == 0)
            continue;
        taps[w->count] = own[k];
        taps[w->count++].weight = (int32_t)whole;
    }
    w->bias = fit_bias(bias);
}

/* Forward selection among the taps offered, over the places that choose. What is chosen makes an
   orthonormal base, one at a time; of each tap is kept what lies beside the base. */
typedef struct {
    FitColumns columns;
    double first[FIT_COLUMNS], own[FIT_COLUMNS];    /* square of each, at first and beside the base */
    double product[FIT_COLUMNS];                    /* with what is wanted, likewise */
    double base[FIELD_MAX_TAPS][FIT_COLUMNS];       /* products with the base */
} FitChoice;

/* Looks the columns up; gives the mean square of what is wanted. */
static double fit_offered(Fit *fit, const Field *f, int32_t channel, const FieldTap *offered,
                          int count, FitChoice *choice)
{
    FitColumns *c = &choice->columns;
    double products[FIT_COLUMNS + 1];
    *c = (FitColumns){{0}, {0}, fit->picked, fit->windows, fit->picking};
    for (int k = 0; k <= count; k++) {
        int32_t from = k < count ? channel - offered[k].distance : channel;
        int place = k < count ? offered[k].place : FIELD_CENTRE;
        c->columns[k] = fit_picked(fit, f, from, place, fit->columns + (size_t)k * fit->padded);
        c->windows[k] = (size_t)from * 9 + (size_t)place;
    }
    for (int k = 0; k < count; k++) {
        float *square = fit->squares + c->windows[k];
        if (isnan(*square))
            *square = (float)fit_square(c->columns[k], fit->picking);
        choice->first[k] = choice->own[k] = *square;
    }
    fit_against(c, count, count + 1, products);
    memcpy(choice->product, products, (size_t)count * sizeof *products);
    return products[count];
}

/* Takes a tap into the base. */
static void fit_take(FitChoice *choice, int tap, int used, int count)
{
    double *base = choice->base[used], unit = sqrt(choice->own[tap]);
    double wanted = choice->product[tap] / unit;
    fit_against(&choice->columns, tap, count, base);
    for (int i = 0; i < used; i++) {
        double part = choice->base[i][tap];
        for (int k = 0; k < count; k++)
            base[k] -= part * choice->base[i][k];
    }
    for (int k = 0; k < count; k++) {
        base[k] /= unit;
        choice->own[k] -= base[k] * base[k];
        choice->product[k] -= base[k] * wanted;
    }
}

/* Taps, weights and bias of a channel in a pass; taps: FIELD_MAX_TAPS of room. */
static void fit_weights(Fit *fit, const Field *f, int32_t channel, int pass, FieldTap *taps,
                        FieldWeights *w)
{
    FieldTap offered[FIT_COLUMNS];
    FitChoice choice;
    int chosen[FIELD_MAX_TAPS], used = 0;
    uint8_t taken[FIT_COLUMNS] = {0};
    double size = (double)field_pass(f, pass);
    memset(w, 0, sizeof *w);
    w->taps = taps;
    if (!fit->rows)
        return;
    int count = fit_offer(fit, f, channel, pass, offered);
    double total = fit_offered(fit, f, channel, offered, count, &choice), variance = total;
    double bits = size * fit_bits(total);
    while (total > 0 && used < FIELD_MAX_TAPS && used < count) {
        int best = -1;
        double gain = 0;
        for (int k = 0; k < count; k++) {
            double own = choice.own[k], product = choice.product[k];
            if (!taken[k] && own > choice.first[k] * 1e-4 + 1e-9 && product * product > gain * own) {
                gain = product * product / own;
                best = k;
            }
        }
        double after = variance - gain > 0 ? variance - gain : 0;
        double saved = size / 2 * log2((variance + FIT_FLOOR) / (after + FIT_FLOOR));
        double share = bits * (variance - after) / (total + 1e-9);
        double chance = FIT_CHANCE * size / (double)fit->picking;
        if (best < 0 || (saved - chance < share ? saved - chance : share) < FIT_TAP_BITS)
            break;
        fit_take(&choice, best, used, count);
        chosen[used++] = best;
        taken[best] = 1;
        variance = after;
    }
    fit_chosen(fit, f, channel, offered, chosen, used, w, taps);
}

/* The weights of the expected error, from the errors themselves, which are known by now. */
static void fit_spread(const Fit *fit, Field *f, int32_t channel, int pass, FieldWeights *w)
{
    double s[3][4] = {{0}}, best[3] = {0};
    int32_t distance = field_distance(w);
    size_t every = fit->rows / FIT_SPREAD | 1, next = 0, row = 0;
    FieldTerms terms[4];
    for (int sub = 0; sub < 4; sub++)
        terms[sub] = field_terms_of(f, channel, pass, sub, distance);
    for (size_t n = 0; n < fit->count; n++) {
        const FitRun *run = fit->runs + n;
        for (; next < row + (size_t)run->count; next += every) {
            size_t at = run->at + (next - row);
            double near, before, own;
            (f->errors.wide ? field_around_32 : field_around_16)(
                f->errors.all, terms + run->sub, field_sub(f, channel, run->sub), at, &near, &before,
                &own);
            s[0][0] += 1;
            s[0][1] += near;
            s[0][2] += before;
            s[0][3] += own;
            s[1][1] += near * near;
            s[1][2] += near * before;
            s[1][3] += near * own;
            s[2][2] += before * before;
            s[2][3] += before * own;
        }
        row += (size_t)run->count;
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
    Levels residuals;           /* (values,) in the order of coding, or none, and no levels, */
    uint8_t *levels;            /* likewise, where values themselves are coded */
    int64_t *predictions;       /* likewise, of every `every`th value, or NULL */
    size_t every;
    size_t used;                /* taps in all */
} FitResult;

/* Predictions of a pass, rounded, and those that are asked for, of which one stands for the `start`th
   value of all. wide: room for 64 bits where 32 do not do. -1: no memory. */
static int fit_predict(Field *f, int32_t channel, int pass, const FieldWeights *w, int64_t *wide,
                       int32_t *narrow, size_t start, const FitResult *out)
{
    size_t n = field_pass(f, pass), every = out->every;
    size_t first = out->predictions ? (every - start % every) % every : n;
    int64_t *asked = out->predictions ? out->predictions + (start + every - 1) / every : NULL;
    if (!field_is_wide(f, w)) {
        field_predict_narrow(f, channel, pass, w, narrow);
        for (size_t i = first; i < n; i += every)
            *asked++ = narrow[i];
        field_round_narrow(narrow, n);
        return 0;
    }
    if (field_predict(f, channel, pass, w, wide))
        return -1;
    for (size_t i = first; i < n; i += every)
        *asked++ = wide[i];
    for (size_t i = 0; i < n; i++)
        narrow[i] = field_rounded(wide[i]);
    return 0;
}

/* What a pass is off by, in the place of its predictions. */
static void fit_residuals(const Field *f, int32_t channel, int pass, int32_t *rounded)
{
    if (f->values.wide)
        field_subtract_32(f, f->values.all, channel, pass, rounded);
    else
        field_subtract_16(f, f->values.all, channel, pass, rounded);
}

FIELD_CLONES
static void fit_sizes(int32_t *residuals, size_t n)
{
    for (size_t i = 0; i < n; i++)
        residuals[i] = residuals[i] < 0 ? -residuals[i] : residuals[i];
}

/* Applies the weights of a pass, and fits those of its expected errors. */
static int fit_pass(const Fit *fit, Field *f, int32_t channel, int pass, FieldWeights *w,
                    const FieldContexts *same, int64_t *wide, int32_t *narrow, size_t start,
                    FitResult *out)
{
    if (fit_predict(f, channel, pass, w, wide, narrow, start, out))
        return -1;
    if (!out->residuals.all)
        return 0;
    size_t n = field_pass(f, pass);
    fit_residuals(f, channel, pass, narrow);
    if (!out->residuals.wide && field_largest(narrow, n) > INT16_MAX) {
        /* So far off that nothing is gained by it: values do fit. */
        w->count = w->bias = 0;
        if (fit_predict(f, channel, pass, w, wide, narrow, start, out))
            return -1;
        fit_residuals(f, channel, pass, narrow);
    }
    levels_put(&out->residuals, start, n, narrow);
    fit_sizes(narrow, n);
    if (field_store_errors(f, channel, pass, narrow))
        return -1;
    fit_spread(fit, f, channel, pass, w);
    field_levels(f, channel, pass, w, same, out->levels + start);
    return 0;
}

/* The weights of all channels in a pass: what they are chosen by is then needed no more. */
static int fit_all(Fit *fit, const Field *f, int pass, FieldWeights *weights, FieldTap *taps)
{
    if (fit_begin(fit, f, pass))
        return -1;
    for (int32_t c = 0; c < f->channels; c++) {
        size_t unit = (size_t)c * FIELD_PASSES + (size_t)pass;
        fit_weights(fit, f, c, pass, taps + unit * FIELD_MAX_TAPS, weights + unit);
    }
    fit_release(fit);
    return 0;
}

/* Fits and applies everything; the values of the field are stored. -1: no memory. */
static int fit_field(Field *f, FitResult *out)
{
    Fit fits[FIELD_PASSES];
    FieldContexts same;
    uint8_t identity[FIELD_LEVELS];
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width, start = 0;
    size_t units = (size_t)f->channels * FIELD_PASSES;
    FieldWeights *weights = calloc(units, sizeof *weights);
    int64_t *wide = malloc((plane + 1) * sizeof *wide);
    int32_t *narrow = malloc((plane + 1) * sizeof *narrow);
    int error = !wide || !narrow || !weights;
    for (int k = 0; k < FIELD_LEVELS; k++)
        identity[k] = (uint8_t)k;
    field_contexts(&same, identity);
    memset(fits, 0, sizeof fits);
    for (int pass = 0; !error && pass < FIELD_PASSES; pass++)
        error = fit_all(&fits[pass], f, pass, weights, out->taps) != 0;
    if (units * plane >= FIT_LARGE)
        field_trim();   /* before errors take as much */
    out->used = 0;
    for (size_t unit = 0; !error && unit < units; unit++) {
        FieldWeights *w = weights + unit;
        int pass = (int)(unit % FIELD_PASSES);
        int32_t channel = (int32_t)(unit / FIELD_PASSES);
        error = fit_pass(&fits[pass], f, channel, pass, w, &same, wide, narrow, start, out) != 0;
        start += field_pass(f, pass);
        out->counts[unit] = w->count;
        out->biases[unit] = w->bias;
        memcpy(out->spreads + 3 * unit, w->spread, sizeof w->spread);
        memmove(out->taps + out->used, w->taps, (size_t)w->count * sizeof *w->taps);
        out->used += (size_t)w->count;
    }
    for (int pass = 0; pass < FIELD_PASSES; pass++)
        fit_free(&fits[pass]);
    free(weights);
    free(wide);
    free(narrow);
    return error ? -1 : 0;
}

#endif
