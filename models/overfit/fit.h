/*
 * Fitting a picture: the loss of grids and networks, and its gradients, stage by stage.
 */
#ifndef FIT_H
#define FIT_H

#include "fit_model.h"
#include "fit_pool.h"

typedef struct {
    int lanes;
    size_t packed; /* floats of weights as products read them */
    void (*pack)(Fit *);
    size_t (*scratch)(const Fit *);
    Job quantise, features, context, features_back, join_gradients, upsample, synthesis,
        upsample_back, step_grids;
} Kernels;

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define FIT_X86 1
#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define LANES 16
#define VECTORS 2
#define NAME(word) word##_16
#include "fit_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 8
#define VECTORS 1
#define NAME(word) word##_8
#include "fit_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#ifdef __GNUC__
#define LANES 4
#define VECTORS 2
#define NAME(word) word##_4
#include "fit_kernels.h"
#endif
#define LANES 1
#define VECTORS 4
#define NAME(word) word##_1
#include "fit_kernels.h"

/* The widest kernels that this machine has, of at most so many lanes. */
static const Kernels *kernels_of(int lanes)
{
#ifdef FIT_X86
    if (lanes >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("fma"))
        return &kernels_16;
    if (lanes >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &kernels_8;
#endif
#ifdef __GNUC__
    if (lanes >= 4)
        return &kernels_4;
#endif
    (void)lanes;
    return &kernels_1;
}

static int symbol_jobs(const Fit *fit)
{
    return (int)((fit->symbols + SYMBOLS_OF_JOB - 1) / SYMBOLS_OF_JOB);
}

/* A stage, and what its jobs found of gradients of parameters, in the order of jobs. */
static void stage(Fit *fit, Job job, int jobs, double *gradient)
{
    size_t count = (size_t)fit->at.count;
    if (fit->learn)
        memset(fit->partial, 0, (size_t)jobs * count * sizeof *fit->partial);
    pool_run(fit, job, jobs);
    for (int i = 0; fit->learn && i < jobs; i++)
        for (size_t k = 0; k < count; k++)
            gradient[k] += fit->partial[(size_t)i * count + k];
}

/* Loss and gradients. bits: of each grid. Returns the sum of squared errors. gradient: of
   parameters, cleared before; gradients of symbols stay in fit. */
static double fit_loss(Fit *fit, const Kernels *k, double *gradient, double bits[GRIDS])
{
    k->pack(fit);
    pool_run(fit, k->quantise, symbol_jobs(fit));
    pool_run(fit, k->features, FEATURE_GRIDS * fit->features);
    stage(fit, k->context, fit->strip_count, gradient);
    if (fit->learn)
        stage(fit, k->features_back, FEATURE_GRIDS * fit->features, gradient);
    if (fit->move)
        pool_run(fit, k->join_gradients, GRIDS);
    pool_run(fit, k->upsample, LATENT_GRIDS - 1);
    stage(fit, k->synthesis, fit->bands, gradient);
    if (fit->learn)
        stage(fit, k->upsample_back, LATENT_GRIDS, gradient);
    for (int i = 0; i < fit->strip_count; i++)
        bits[fit->strips[i].grid] += fit->bits[i];
    double error = 0;
    for (int i = 0; i < fit->bands; i++)
        error += fit->error[i];
    return error;
}

/* Strips of rows of all tiles of all grids; NULL counts them. */
static int cut_strips(const Fit *fit, Strip *strips)
{
    int count = 0;
    for (int g = 0; g < GRIDS; g++) {
        int high = fit->tile_height >> SHIFTS[g], wide = fit->tile_width >> SHIFTS[g];
        for (int top = 0; top < fit->rows[g]; top += high)
            for (int x = 0; x < fit->columns[g]; x += wide)
                for (int y = top; y < at_most(top + high, fit->rows[g]);
                     y += CONTEXT_ROWS, count++) {
                    if (!strips)
                        continue;
                    int rows = at_most(CONTEXT_ROWS, at_most(top + high, fit->rows[g]) - y);
                    int columns = at_most(wide, fit->columns[g] - x);
                    strips[count] = (Strip){g, x, y, columns, rows, y > top ? REACH : 0, NULL};
                }
    }
    return count;
}

/* Zeros for `count` floats and what vectors reach beyond; NULL once anything had no room. */
static float *plane(size_t count, int *failed)
{
    float *floats = *failed ? NULL : calloc(count + SLACK, sizeof *floats);
    *failed |= !floats;
    return floats;
}

static void fit_end(Fit *fit)
{
    if (!fit)
        return;
    pool_stop(fit->pool);
    float *planes[] = {fit->packed,   fit->picture, fit->value, fit->slope,
                       fit->gradient, fit->finest,  fit->above, fit->partial};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        free(planes[i]);
    for (int g = 0; g < FEATURE_GRIDS; g++) {
        free(fit->feature[g]);
        free(fit->feature_gradient[g]);
    }
    for (int g = 1; g < LATENT_GRIDS; g++) {
        free(fit->half[g]);
        for (int level = 1; level <= g; level++)
            free(fit->chain[g][level]);
    }
    for (int i = 0; fit->scratch && i < fit->threads; i++)
        free(fit->scratch[i]);
    free(fit->scratch);
    free(fit->strips);
    free(fit->bits);
    free(fit->error);
    free(fit);
}

/* All planes of a fit whose sides, tiles, networks and picture are set; 0 without memory. */
static int fit_begin(Fit *fit, const Kernels *k, int threads)
{
    int failed = 0;
    size_t pixels = (size_t)fit->height * (size_t)fit->width;
    fit->channels = fit->neighbours + fit->features;
    fit->at = places(fit->neighbours, fit->features, fit->hidden, fit->convs);
    for (int g = 0; g < GRIDS; g++) {
        fit->rows[g] = side(fit->height, SHIFTS[g]);
        fit->columns[g] = side(fit->width, SHIFTS[g]);
        fit->size[g] = (size_t)fit->rows[g] * (size_t)fit->columns[g];
        fit->start[g] = fit->symbols;
        fit->symbols += fit->size[g];
    }
    fit->value = plane(fit->symbols, &failed);
    fit->slope = plane(fit->symbols, &failed);
    fit->gradient = plane(fit->symbols, &failed);
    fit->finest = plane(pixels, &failed);
    for (int g = 0; g < FEATURE_GRIDS; g++) {
        for (int level = g + 1; level < LATENT_GRIDS; level++)
            fit->pyramid[g] += fit->size[level];
        fit->feature[g] = plane((size_t)fit->features * fit->pyramid[g], &failed);
        fit->feature_gradient[g] = plane((size_t)fit->features * fit->pyramid[g], &failed);
    }
    for (int g = 1; g < LATENT_GRIDS; g++) {
        size_t columns = (size_t)fit->columns[1];
        fit->half[g] = plane(((size_t)fit->height + (size_t)fit->rows[1]) * columns, &failed);
        for (int level = 1; level <= g; level++)
            fit->chain[g][level] = plane(fit->size[level], &failed);
    }
    fit->strip_count = cut_strips(fit, NULL);
    fit->strips = calloc((size_t)fit->strip_count, sizeof *fit->strips);
    fit->bits = calloc((size_t)fit->strip_count, sizeof *fit->bits);
    /* Bands whose planes fill about half a megabyte. */
    int rows =
        (int)((1 << 17) / ((size_t)(LATENT_GRIDS + 6 + 6 * fit->convs) * stride_of(fit->width)));
    fit->band_rows = rows < 8 * fit->convs ? 8 * fit->convs : rows;
    fit->bands = (fit->height + fit->band_rows - 1) / fit->band_rows;
    fit->error = calloc((size_t)fit->bands, sizeof *fit->error);
    int jobs = fit->strip_count > fit->bands ? fit->strip_count : fit->bands;
    jobs = jobs > FEATURE_GRIDS * fit->features ? jobs : FEATURE_GRIDS * fit->features;
    fit->partial = plane((size_t)jobs * (size_t)fit->at.count, &failed);
    fit->packed = plane(k->packed, &failed);
    if (failed || !fit->strips || !fit->bits || !fit->error)
        return 0;
    cut_strips(fit, fit->strips);
    size_t above = 0;
    for (int i = 0; i < fit->strip_count; i++)
        above += REACH * (size_t)fit->strips[i].width;
    fit->above = plane(above, &failed);
    fit->pool = pool_start(fit, threads);
    if (failed || !fit->pool
        || !(fit->scratch = calloc((size_t)fit->pool->threads, sizeof *fit->scratch)))
        return 0;
    above = 0;
    for (int i = 0; i < fit->strip_count; i++) {
        fit->strips[i].above = fit->above + above;
        above += REACH * (size_t)fit->strips[i].width;
    }
    for (fit->threads = 0; fit->threads < fit->pool->threads; fit->threads++)
        fit->scratch[fit->threads] = plane(k->scratch(fit), &failed);
    return !failed;
}

#endif
