/*
 * fit_columns.h: what the taps of a pass take in some of its places, side by side, and the products
 * of these columns with one another: all that choosing taps and least squares need. Encoder only.
 */
#ifndef LICTOR_FIT_COLUMNS_H
#define LICTOR_FIT_COLUMNS_H

#include <math.h>

#include "field_predict.h"

enum {
    FIT_LEAST_ROWS = 768, FIT_MOST_ROWS = 4096, /* places that are looked at, */
    FIT_SHARE = 6,                             /* one of so many, between these */
    FIT_PAIRED = 640,                           /* columns whose products are kept */
    FIT_KEPT = 1 << 22,                         /* values of such columns that are kept */
    FIT_LEAST_PICKING = 640, FIT_MOST_PICKING = 1024,   /* of which so many, about, */
    FIT_PICKING_SHARE = 24,                     /* one place in so many, choose taps */
    FIT_WORK = 1000,                             /* squares of taps offered · rows / places */
    FIT_LEAST = 24,                             /* taps offered all the same */
    FIT_RANKED = 256,                           /* for the order of earlier channels; */
    FIT_MANY = 256,                             /* of more channels half as many do */
    FIT_WINDOWED = 16, FIT_CENTRED = 24,        /* earlier channels, with their window or alone */
    FIT_COLUMNS = 128,                          /* taps offered, and what is wanted */
    FIT_LARGE = 3 << 20,                        /* values, times passes, of what is no small field */
    FIT_LANES = 16, FIT_FLUSH = 256, FIT_SPREAD = 256
};
#define FIT_TAP_BITS 24.0
#define FIT_FLOOR 0.06
#define FIT_CHANCE 1.0      /* bits that a tap of no use seems to save, and then loses, by rows */

typedef struct {
    size_t at;                      /* in its subplane */
    int8_t sub, count;
} FitRun;

typedef struct {
    size_t rows;                    /* places looked at in a pass */
    size_t picking;                 /* the first of them choose taps */
    FitRun *runs;                   /* they come in runs, which lie together in memory */
    size_t count, picking_count;    /* of runs */
    float *alike;                   /* (channels, FIT_RANKED) of unit length; 0 where all is one, */
    float *like;                    /* (channels,) and how alike they are to one of them */
    float *centred;                 /* (channels, padded), less their means, */
    double *means;                  /* (channels,), which are these */
    size_t ranked;                  /* of FIT_RANKED, those that are used */
    size_t room;                    /* taps that may be offered */
    size_t padded;                  /* rows to a multiple of FIT_LANES */
    float *columns;                 /* (FIT_COLUMNS, padded), room for those that are not kept */
    size_t windows;                 /* channels * 9, */
    float **kept;                   /* (windows,) their columns of `picking`, once needed; or NULL */
    float *squares;                 /* (windows,) their mean squares, NAN until known */
    float *picked, *paired;         /* (windows, windows) mean products, NAN until known; or NULL */
    double gram[FIELD_MAX_TAPS + 1][FIT_COLUMNS];   /* of the taps chosen, and what is wanted */
} Fit;

/* Frees all but which places are looked at. */
static void fit_release(Fit *fit)
{
    free(fit->alike);
    free(fit->like);
    free(fit->centred);
    free(fit->means);
    free(fit->columns);
    for (size_t k = 0; fit->kept && k < fit->windows; k++)
        free(fit->kept[k]);
    free(fit->kept);
    free(fit->squares);
    free(fit->picked);
    free(fit->paired);
    fit->alike = fit->like = fit->centred = fit->columns = NULL;
    fit->squares = fit->picked = fit->paired = NULL;
    fit->means = NULL;
    fit->kept = NULL;
}

static void fit_free(Fit *fit)
{
    fit_release(fit);
    free(fit->runs);
    memset(fit, 0, sizeof *fit);
}

FIELD_CLONES
static void fit_centre(float *column, size_t n, float mean)
{
    for (size_t r = 0; r < n; r++)
        column[r] -= mean;
}

FIELD_CLONES
static float fit_mean(const float *column, size_t n)
{
    float sums[FIT_LANES] = {0}, total = 0;
    size_t i = 0;
    for (; i + FIT_LANES <= n; i += FIT_LANES)
        for (size_t k = 0; k < FIT_LANES; k++)
            sums[k] += column[i + k];
    for (; i < n; i++)
        sums[0] += column[i];
    for (size_t k = 0; k < FIT_LANES; k++)
        total += sums[k];
    return total / (float)n;
}

/* What a tap takes in the places of the first `runs`, less its mean, which is given back. */
static double fit_column(const Fit *fit, const Field *f, int32_t channel, int place, size_t runs,
                         float *column)
{
    size_t rows = 0;
    size_t at[4];
    for (int sub = 0; sub < 4; sub++)
        at[sub] = field_at(f, channel, sub, place);
    for (size_t r = 0; r < runs; r++) {
        const FitRun *run = fit->runs + r;
        size_t from = at[run->sub] + run->at;
        if (f->values.wide)
            field_floats_32(column + rows, (int32_t *)f->values.all + from, run->count);
        else
            field_floats_16(column + rows, (int16_t *)f->values.all + from, run->count);
        rows += (size_t)run->count;
    }
    float mean = rows ? fit_mean(column, rows) : 0;
    fit_centre(column, rows, mean);
    return mean;
}

/* Brings every `apart`th of the runs to the front, in order; the rest follow. */
static int fit_front(Fit *fit, size_t apart)
{
    FitRun *runs = malloc(fit->count * sizeof *runs);
    size_t at = 0;
    if (!runs)
        return -1;
    for (int rest = 0; rest < 2; rest++)
        for (size_t r = 0; r < fit->count; r++)
            if ((r % apart != 0) == rest)
                runs[at++] = fit->runs[r];
    memcpy(fit->runs, runs, fit->count * sizeof *runs);
    free(runs);
    return 0;
}

static float *fit_unknown(size_t n)
{
    float *found = malloc(n * sizeof *found);
    for (size_t i = 0; found && i < n; i++)
        found[i] = NAN;
    return found;
}

/* One place in `step` of a pass, in runs. */
static void fit_choose_runs(Fit *fit, const Field *f, int pass, size_t step)
{
    size_t place = 0, next = step / 2;
    FieldRow r = field_first(pass);
    while (field_next(f, &r)) {
        size_t end = place + (size_t)r.columns;
        while (next < end) {
            size_t count = end - next < FIELD_RUN ? end - next : FIELD_RUN;
            fit->runs[fit->count++] =
                (FitRun){r.at + (next - place), (int8_t)r.sub, (int8_t)count};
            fit->rows += count;
            next += step * count;
        }
        place = end;
    }
}

/* Chooses the places of a pass, and makes the channels comparable there. -1: no memory. */
static int fit_begin(Fit *fit, const Field *f, int pass)
{
    size_t n = field_pass(f, pass), rows = n / FIT_SHARE;
    rows = rows < FIT_LEAST_ROWS ? FIT_LEAST_ROWS : rows > FIT_MOST_ROWS ? FIT_MOST_ROWS : rows;
    size_t step = n / rows + (n % rows != 0), most = step ? n / step + FIELD_RUN : 1;
    memset(fit, 0, sizeof *fit);
    if (!n)
        return 0;
    fit->runs = malloc(most * sizeof *fit->runs);
    fit->padded = (most + FIT_LANES - 1) / FIT_LANES * FIT_LANES;
    fit->columns = malloc(fit->padded * FIT_COLUMNS * sizeof *fit->columns);
    fit->alike = calloc((size_t)f->channels * FIT_RANKED, sizeof *fit->alike);
    fit->centred = calloc((size_t)f->channels * fit->padded, sizeof *fit->centred);
    fit->means = malloc((size_t)f->channels * sizeof *fit->means);
    fit->like = malloc((size_t)f->channels * sizeof *fit->like);
    if (!fit->runs || !fit->columns || !fit->alike || !fit->centred || !fit->means
        || !fit->like) {
        fit_free(fit);
        return -1;
    }
    fit_choose_runs(fit, f, pass, step);
    size_t picking = n / FIT_PICKING_SHARE;
    picking = picking < FIT_LEAST_PICKING ? FIT_LEAST_PICKING
              : picking > FIT_MOST_PICKING ? FIT_MOST_PICKING : picking;
    size_t apart = fit->rows > picking ? fit->rows / picking : 1;
    if (apart > 1 && fit_front(fit, apart)) {
        fit_free(fit);
        return -1;
    }
    fit->picking_count = (fit->count + apart - 1) / apart;
    for (size_t r = 0; r < fit->picking_count; r++)
        fit->picking += (size_t)fit->runs[r].count;
    fit->windows = (size_t)f->channels * 9;
    size_t there = (f->height > 1 ? 3u : 1u) * (f->width > 1 ? 3u : 1u);
    if ((size_t)f->channels * there * fit->picking <= FIT_KEPT)
        fit->kept = calloc(fit->windows, sizeof *fit->kept);
    fit->squares = fit_unknown(fit->windows);
    if (!fit->squares) {
        fit_free(fit);
        return -1;
    }
    if (fit->windows <= FIT_PAIRED) {
        fit->picked = fit_unknown(fit->windows * fit->windows);
        fit->paired = fit_unknown(fit->windows * fit->windows);
    }
    double work = sqrt((double)FIT_WORK * (double)n / (double)fit->picking);
    fit->room = work < FIT_LEAST ? FIT_LEAST : (size_t)work;
    fit->ranked = f->channels > FIT_MANY ? FIT_RANKED / 2 : FIT_RANKED;
    size_t ranked = fit->rows < fit->ranked ? fit->rows : fit->ranked;
    size_t every = ranked ? fit->rows / ranked : 1;
    for (int32_t c = 0; c < f->channels; c++) {
        float *own = fit->centred + (size_t)c * fit->padded;
        float *unit = fit->alike + (size_t)c * FIT_RANKED;
        fit->means[c] = fit_column(fit, f, c, FIELD_CENTRE, fit->count, own);
        double power = 0;
        for (size_t i = 0; i < ranked; i++)
            power += own[i * every] * own[i * every];
        float scale = power > 1e-9 ? (float)(1 / sqrt(power)) : 0;
        for (size_t i = 0; i < ranked; i++)
            unit[i] = own[i * every] * scale;
    }
    return 0;
}

/* How alike each of the first channels is to one. */
FIELD_CLONES
static void fit_alike(const float *restrict all, int32_t count, const float *restrict own, size_t n,
                      float *restrict out)
{
    for (int32_t c = 0; c < count; c++, all += FIT_RANKED) {
        float sums[16] = {0}, total = 0;
        for (size_t i = 0; i < n; i += 16)
            for (size_t k = 0; k < 16; k++)
                sums[k] += all[i + k] * own[i + k];
        for (size_t k = 0; k < 4; k++)
            total += sums[k] + sums[k + 4] + (sums[k + 8] + sums[k + 12]);
        out[c] = fabsf(total);
    }
}

/* The earlier channels most alike, the best first; how many were found. */
static int fit_order(const Fit *fit, int32_t channel, int32_t *found)
{
    float best[FIT_CENTRED];
    int count = 0;
    fit_alike(fit->alike, channel, fit->alike + (size_t)channel * FIT_RANKED, fit->ranked, fit->like);
    for (int32_t c = 0; c < channel; c++) {
        float like = fit->like[c];
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
    size_t room = fit->picking / 5 < 4 ? 4 : fit->picking / 5;    /* with fewer, chance is found */
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

/* Products of one column with four others; all are filled with zeros to FIT_LANES. */
FIELD_CLONES
static void fit_products(const float *restrict a, const float *const *b, size_t n, double *out)
{
    const float *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
    double total[4] = {0};
    for (size_t r = 0; r < n; r += FIT_FLUSH) {
        float s0[FIT_LANES] = {0}, s1[FIT_LANES] = {0}, s2[FIT_LANES] = {0}, s3[FIT_LANES] = {0};
        size_t end = n - r < FIT_FLUSH ? n : r + FIT_FLUSH;
        for (size_t i = r; i < end; i += FIT_LANES)
            for (size_t k = 0; k < FIT_LANES; k++) {
                s0[k] += a[i + k] * b0[i + k];
                s1[k] += a[i + k] * b1[i + k];
                s2[k] += a[i + k] * b2[i + k];
                s3[k] += a[i + k] * b3[i + k];
            }
        for (size_t k = 0; k < FIT_LANES; k++) {
            total[0] += s0[k];
            total[1] += s1[k];
            total[2] += s2[k];
            total[3] += s3[k];
        }
    }
    memcpy(out, total, sizeof total);
}

/* A column of the first `picking` places, less its mean: kept, or else in `own`. */
static const float *fit_picked(Fit *fit, const Field *f, int32_t channel, int place, float *own)
{
    size_t n = fit->picking, padded = (n + FIT_LANES - 1) / FIT_LANES * FIT_LANES;
    float **kept = fit->kept ? fit->kept + (size_t)channel * 9 + place : NULL;
    if (kept && *kept)
        return *kept;
    if (kept && (*kept = malloc(padded * sizeof *own)))
        own = *kept;
    if (place == FIELD_CENTRE) {
        memcpy(own, fit->centred + (size_t)channel * fit->padded, n * sizeof *own);
        fit_centre(own, n, fit_mean(own, n));   /* over the first places, which is another one */
    } else
        fit_column(fit, f, channel, place, fit->picking_count, own);
    memset(own + n, 0, (padded - n) * sizeof *own);
    return own;
}

FIELD_CLONES
static double fit_square(const float *a, size_t rows)
{
    float sums[FIT_LANES] = {0};
    double total = 0;
    size_t padded = (rows + FIT_LANES - 1) / FIT_LANES * FIT_LANES;
    for (size_t i = 0; i < padded; i += FIT_LANES)
        for (size_t k = 0; k < FIT_LANES; k++)
            sums[k] += a[i + k] * a[i + k];
    for (size_t k = 0; k < FIT_LANES; k++)
        total += sums[k];
    return total / (double)rows;
}

/* Columns of some rows, each the window of a channel, and what is known of their products. */
typedef struct {
    const float *columns[FIT_COLUMNS + 1];
    size_t windows[FIT_COLUMNS + 1];
    float *known;
    size_t width, rows;
} FitColumns;

/* The mean products of column `k` with the first `count`. Those that are kept are rounded to float,
   so that all are. */
static void fit_against(const FitColumns *c, int k, int count, double *out)
{
    size_t padded = (c->rows + FIT_LANES - 1) / FIT_LANES * FIT_LANES;
    const float *four[4];
    int missing[FIT_COLUMNS + 1], some = 0;
    for (int i = 0; i < count; i++) {
        float known = c->known ? c->known[c->windows[k] * c->width + c->windows[i]] : NAN;
        out[i] = known;
        if (isnan(known))
            missing[some++] = i;
    }
    for (int at = 0; at < some; at += 4) {
        double products[4];
        for (int j = 0; j < 4; j++)
            four[j] = c->columns[missing[at + j < some ? at + j : at]];
        fit_products(c->columns[k], four, padded, products);
        for (int j = 0; j < 4 && at + j < some; j++) {
            int i = missing[at + j];
            float mean = (float)(products[j] / (double)c->rows);
            out[i] = mean;
            if (c->known)
                c->known[c->windows[k] * c->width + c->windows[i]] =
                    c->known[c->windows[i] * c->width + c->windows[k]] = mean;
        }
    }
}

/* Gram of chosen taps, and what is wanted behind, over all places; their means. */
static void fit_chosen_gram(Fit *fit, const Field *f, int32_t channel, const FieldTap *taps,
                            int count, double *means)
{
    FitColumns c = {{0}, {0}, fit->paired, fit->windows, fit->rows};
    for (int k = 0; k <= count; k++) {
        int32_t from = k < count ? channel - taps[k].distance : channel;
        int place = k < count ? taps[k].place : FIELD_CENTRE;
        c.windows[k] = (size_t)from * 9 + (size_t)place;
        float *own = fit->columns + (size_t)k * fit->padded;
        if (place == FIELD_CENTRE) {
            c.columns[k] = fit->centred + (size_t)from * fit->padded;
            means[k] = fit->means[from];
        } else {
            means[k] = fit_column(fit, f, from, place, fit->count, own);
            memset(own + fit->rows, 0, (fit->padded - fit->rows) * sizeof *own);
            c.columns[k] = own;
        }
    }
    for (int k = 0; k <= count; k++) {
        fit_against(&c, k, k + 1, fit->gram[k]);
        for (int i = 0; i < k; i++)
            fit->gram[i][k] = fit->gram[k][i];
    }
}

#endif
