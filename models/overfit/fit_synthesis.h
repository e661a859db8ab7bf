/*
 * From planes at the picture's size to the picture, its error, and back, in bands of rows that stay
 * in the second cache. A band computes some rows of its neighbours again, as many as its
 * convolutions see.
 */

typedef struct {
    vf hidden[MOST_HIDDEN * (LATENT_GRIDS + 1)], colour[3 * (MOST_HIDDEN + 1)],
        direct[3 * LATENT_GRIDS];
    vf conv[2][81], conv_bias[2][3];
    double up[TAPS];
} NAME(SynthesisSums);

typedef struct {
    float hidden[MOST_HIDDEN * CHUNK], d_hidden[MOST_HIDDEN * CHUNK],
        d_plane[(LATENT_GRIDS + 1) * CHUNK];
    float ones[CHUNK];
    NAME(SynthesisSums) sums;
} NAME(Synthesis);

/* Weights as products read them, behind those of the context network. */
typedef struct {
    float hidden[LATENT_GRIDS * MOST_HIDDEN], colour[MOST_HIDDEN * 3], direct[LATENT_GRIDS * 3];
    float conv[2][81]; /* with the identity added */
} NAME(SynthesisWeights);

static inline NAME(SynthesisWeights) * NAME(synthesis_weights)(const Fit *fit)
{
    return (void *)((NAME(ContextWeights) *)fit->packed + 1);
}

static void NAME(pack_synthesis)(const Fit *fit, NAME(SynthesisWeights) * w)
{
    const float *p = fit->parameters;
    int n = fit->hidden;
    for (int m = 0; m < n; m++)
        for (int k = 0; k < LATENT_GRIDS; k++)
            w->hidden[k * n + m] = p[fit->at.hidden + m * LATENT_GRIDS + k];
    for (int m = 0; m < 3; m++) {
        for (int k = 0; k < n; k++)
            w->colour[k * 3 + m] = p[fit->at.colour + m * n + k];
        for (int k = 0; k < LATENT_GRIDS; k++)
            w->direct[k * 3 + m] = p[fit->at.direct + m * LATENT_GRIDS + k];
    }
    for (int c = 0; c < fit->convs; c++)
        for (int i = 0; i < 81; i++)
            w->conv[c][i] = p[fit->at.conv[c] + i] + (i % 9 == 4 && i / 27 == i / 9 % 3);
}

/* Rows [low, high) of planes of a band: those it owns, and those around. */
typedef struct {
    int low, high, own_low, own_high, width;
    size_t stride, area; /* of a row, of a plane */
} NAME(Band);

static inline float *NAME(line)(const NAME(Band) * band, float *planes, int plane, int row)
{
    return planes + (size_t)plane * band->area + (size_t)(row - band->low) * band->stride + MARGIN;
}

/* A convolution of three planes, edges repeated; its identity is in the weights. */
static void NAME(convolve)(const Fit *fit, const NAME(Band) * band, float *out, float *in,
                           const float *w, const float *bias, int from, int to)
{
    for (int y = from; y < to; y++) {
        const float *rows[9];
        for (int i = 0; i < 9; i++)
            rows[i] = NAME(line)(band, in, i / 3, clamped(y - 1 + i % 3, fit->height));
        float *outs[3];
        for (int o = 0; o < 3; o++)
            outs[o] = NAME(line)(band, out, o, y);
        for (int x = 0; x < band->width; x += LANES) {
            vf sum[3];
            for (int o = 0; o < 3; o++)
                sum[o] = splat(bias[o]);
#pragma GCC unroll 9
            for (int i = 0; i < 9; i++)
#pragma GCC unroll 3
                for (int k = 0; k < 3; k++) {
                    vf value = load(rows[i] + x - 1 + k);
#pragma GCC unroll 3
                    for (int o = 0; o < 3; o++)
                        sum[o] += w[o * 27 + i * 3 + k] * value;
                }
            for (int o = 0; o < 3; o++)
                store(outs[o] + x, sum[o]);
        }
    }
}

/* Gradients of a convolution's output (0 outside of the picture) to those of its input. */
static void NAME(convolve_back)(const Fit *fit, const NAME(Band) * band, float *d_in, float *d_out,
                                const float *w, int from, int to)
{
    for (int y = from; y < to; y++) {
        int count = 0, taps[5];
        const float *rows[5][3];
        for (int k = 0; k < 3; k++)
            for (int source = y - 1; source <= y + 1; source++)
                if (source >= 0 && source < fit->height && source + k - 1 >= -1
                    && clamped(source + k - 1, fit->height) == y && count < 5) {
                    for (int o = 0; o < 3; o++)
                        rows[count][o] = NAME(line)(band, d_out, o, source);
                    taps[count++] = k;
                }
        for (int i = 0; i < 3; i++) {
            float *out = NAME(line)(band, d_in, i, y);
            for (int x = 0; x < band->width; x += LANES) {
                vf sum = splat(0.f);
                for (int t = 0; t < count; t++)
                    for (int o = 0; o < 3; o++) {
                        const float *row = rows[t][o] + x, *k = w + o * 27 + i * 9 + taps[t] * 3;
                        sum += k[0] * load(row + 1) + k[1] * load(row) + k[2] * load(row - 1);
                    }
                store(out + x, sum);
            }
            int last = band->width - 1;
            for (int t = 0; t < count; t++)
                for (int o = 0; o < 3; o++) {
                    const float *k = w + o * 27 + i * 9 + taps[t] * 3;
                    out[0] += k[0] * rows[t][o][0];
                    out[last] += k[2] * rows[t][o][last];
                }
        }
    }
}

/* Gradients of a convolution's weights, from rows that the band owns. */
static void NAME(convolve_learn)(const Fit *fit, const NAME(Band) * band, vf *sums, vf *bias,
                                 float *in, float *d_out)
{
    for (int y = band->own_low; y < band->own_high; y++)
        for (int o = 0; o < 3; o++) {
            const float *d = NAME(line)(band, d_out, o, y);
            vf all = bias[o];
            for (int i = 0; i < 3; i++) {
                const float *rows[3];
                vf *corner = sums + o * 27 + i * 9, sum[9];
                for (int r = 0; r < 3; r++)
                    rows[r] = NAME(line)(band, in, i, clamped(y - 1 + r, fit->height));
                memcpy(sum, corner, sizeof sum);
                for (int x = 0; x < band->width; x += LANES) {
                    vf slope = load(d + x);
                    if (i == 0)
                        all += slope;
#pragma GCC unroll 9
                    for (int k = 0; k < 9; k++)
                        sum[k] += slope * load(rows[k / 3] + x - 1 + k % 3);
                }
                memcpy(corner, sum, sizeof sum);
            }
            bias[o] = all;
        }
}

/* Planes of a row at the picture's size. */
static void
NAME(finest_planes)(const Fit *fit, const NAME(Band) * band, float *planes, int y, float *row)
{
    NAME(filter_down)(row, fit->value, y, fit->height, fit->width,
                      fit->parameters + fit->at.before);
    NAME(filter_across)(NAME(line)(band, planes, 0, y), row, fit->width,
                        fit->parameters + fit->at.before);
    for (int g = 1; g < LATENT_GRIDS; g++) {
        NAME(double_down)(row, fit->chain[g][1], y, fit->rows[1], fit->columns[1],
                          fit->parameters + fit->at.up);
        NAME(double_across)(NAME(line)(band, planes, g, y), row, fit->width,
                            fit->parameters + fit->at.up);
    }
    for (int g = 0; g < LATENT_GRIDS; g++)
        memset(NAME(line)(band, planes, g, y) + band->width, 0, CHUNK * sizeof *planes);
}

/* Colours of a row before the convolutions, its ends repeated. */
static void NAME(colours)(const Fit *fit, const NAME(Band) * band, float *planes, float *out, int y,
                          NAME(Synthesis) * s)
{
    const NAME(SynthesisWeights) *w = NAME(synthesis_weights)(fit);
    const float *p = fit->parameters, *in[LATENT_GRIDS], *hidden[MOST_HIDDEN];
    for (int k = 0; k < fit->hidden; k++)
        hidden[k] = s->hidden + k * CHUNK;
    for (int x = 0; x < band->width; x += CHUNK) {
        int length = (at_most(CHUNK, band->width - x) + WIDE - 1) / WIDE * WIDE;
        for (int k = 0; k < LATENT_GRIDS; k++)
            in[k] = NAME(line)(band, planes, k, y) + x;
        NAME(product)(fit->hidden, RECTIFIED, s->hidden, CHUNK, w->hidden, fit->hidden,
                      p + fit->at.hidden_bias, in, LATENT_GRIDS, NULL, length);
        NAME(block)(3, PLAIN, NAME(line)(band, out, 0, y) + x, band->area, w->colour, 3,
                    p + fit->at.colour_bias, hidden, fit->hidden, NULL, length);
    }
    for (int c = 0; c < 3; c++)
        NAME(repeat_ends)(NAME(line)(band, out, c, y), band->width, 1);
}

/* The picture of a row, in `out` with the convolutions' output, becomes gradients; the error of it.
 */
static double
NAME(compare)(const Fit *fit, const NAME(Band) * band, float *planes, float *out, int y)
{
    const NAME(SynthesisWeights) *w = NAME(synthesis_weights)(fit);
    int own = y >= band->own_low && y < band->own_high;
    double error = 0;
    for (int c = 0; c < 3; c++) {
        size_t line = ((size_t)c * (size_t)fit->height + (size_t)y) * (size_t)band->width;
        const float *picture = fit->picture + line, *in[LATENT_GRIDS];
        float *x_hat = fit->x_hat && own ? fit->x_hat + line : NULL,
              *d = NAME(line)(band, out, c, y);
        for (int k = 0; k < LATENT_GRIDS; k++)
            in[k] = NAME(line)(band, planes, k, y);
        vf sum = splat(0.f), zero = splat(0.f), one = splat(1.f);
        for (int x = 0; x < band->width; x += LANES) {
            vf value = load(d + x);
            for (int k = 0; k < LATENT_GRIDS; k++)
                value += w->direct[k * 3 + c] * load(in[k] + x);
            if (x_hat)
                memcpy(x_hat + x, &value, 4 * (size_t)at_most(LANES, band->width - x));
            value = choose(LESS(value, zero), zero, choose(LESS(one, value), one, value));
            vf off =
                choose(first(at_most(LANES, band->width - x)), value - load(picture + x), zero);
            sum += off * off;
            store(d + x, off * (2 * fit->error_weight));
        }
        memset(d - MARGIN, 0, MARGIN * sizeof *d);
        memset(d + band->width, 0, (CHUNK + MARGIN) * sizeof *d);
        error += total(sum);
    }
    return own ? error : 0;
}

/* From gradients of colours and of the picture to those of the planes, of a row. */
static void NAME(colours_back)(Fit *fit, const NAME(Band) * band, float *planes, float *d_colour,
                               float *d_picture, int y, NAME(Synthesis) * s)
{
    const float *p = fit->parameters, *in[LATENT_GRIDS + 1], *d_in[MOST_HIDDEN],
                *hidden[MOST_HIDDEN];
    const float *d_out[3], *d_all[3];
    const NAME(SynthesisWeights) *w = NAME(synthesis_weights)(fit);
    int n = fit->hidden, inputs = LATENT_GRIDS;
    float bias[MOST_HIDDEN];
    memcpy(bias, p + fit->at.hidden_bias, (size_t)n * sizeof *bias);
    for (int k = 0; k < n; k++)
        hidden[k] = s->hidden + k * CHUNK, d_in[k] = s->d_hidden + k * CHUNK;
    for (int x = 0; x < band->width; x += CHUNK) {
        int count = at_most(CHUNK, band->width - x), length = (count + WIDE - 1) / WIDE * WIDE;
        for (int k = 0; k < inputs; k++)
            in[k] = NAME(line)(band, planes, k, y) + x;
        in[inputs] = s->ones;
        for (int c = 0; c < 3; c++) {
            d_out[c] = NAME(line)(band, d_colour, c, y) + x;
            d_all[c] = NAME(line)(band, d_picture, c, y) + x;
        }
        NAME(product)(n, RECTIFIED, s->hidden, CHUNK, w->hidden, n, bias, in, inputs, NULL, length);
        NAME(product)(n, MASKED, s->d_hidden, CHUNK, p + fit->at.colour, n, NULL, d_out, 3,
                      s->hidden, length);
        if (fit->learn) {
            NAME(outer)(n, inputs + 1, s->sums.hidden, s->d_hidden, CHUNK, in, length);
            NAME(outer)(3, n, s->sums.colour, d_out[0], band->area, hidden, length);
            NAME(gather)(3, s->sums.colour + 3 * n, d_out[0], band->area, length);
            NAME(outer)(3, inputs, s->sums.direct, d_all[0], band->area, in, length);
        }
        NAME(block)(7, PLAIN, s->d_plane, CHUNK, p + fit->at.hidden, inputs, NULL, d_in, n, NULL,
                    length);
        for (int k = 0; k < inputs; k++) {
            float *out = NAME(line)(band, planes, k, y) + x;
            for (int i = 0; i < length; i += LANES) {
                vf sum = load(s->d_plane + k * CHUNK + i);
                for (int c = 0; c < 3; c++)
                    sum += p[fit->at.direct + c * inputs + k] * load(d_all[c] + i);
                store(out + i, sum); /* the planes of this row are not needed again */
            }
        }
    }
}

/* Gradients of the planes of a row, back across the last doubling. */
static void NAME(finest_back)(Fit *fit, const NAME(Band) * band, float *planes, int y, int thread,
                              float *d_taps)
{
    const float *taps = fit->parameters + fit->at.up;
    float *rows[NAME(ROWS)];
    for (int i = 0; i < NAME(ROWS); i++)
        rows[i] = NAME(scratch_row)(fit, thread, i);
    int half = fit->columns[1];
    memcpy(fit->finest + (size_t)y * (size_t)fit->width, NAME(line)(band, planes, 0, y),
           (size_t)fit->width * sizeof(float));
    for (int g = 1; g < LATENT_GRIDS; g++) {
        NAME(double_down)(rows[0], fit->chain[g][1], y, fit->rows[1], half, taps);
        NAME(double_across_back)(fit->half[g] + (size_t)y * (size_t)half,
                                 NAME(line)(band, planes, g, y), fit->width, taps, rows[0], d_taps,
                                 rows[1], rows[2], rows[3]);
    }
}

static void NAME(flush_synthesis)(const Fit *fit, const NAME(SynthesisSums) * s, float *partial)
{
    int n = fit->hidden, inputs = LATENT_GRIDS;
    const Places *at = &fit->at;
    for (int m = 0; m < n; m++) {
        for (int k = 0; k < inputs; k++)
            partial[at->hidden + m * inputs + k] = total(s->hidden[m * (inputs + 1) + k]);
        partial[at->hidden_bias + m] = total(s->hidden[m * (inputs + 1) + inputs]);
    }
    for (int i = 0; i < 3 * n; i++)
        partial[at->colour + i] = total(s->colour[i]);
    for (int i = 0; i < 3; i++)
        partial[at->colour_bias + i] = total(s->colour[3 * n + i]);
    for (int i = 0; i < 3 * inputs; i++)
        partial[at->direct + i] = total(s->direct[i]);
    for (int c = 0; c < fit->convs; c++) {
        for (int i = 0; i < 81; i++)
            partial[at->conv[c] + i] = total(s->conv[c][i]);
        for (int i = 0; i < 3; i++)
            partial[at->conv_bias[c] + i] = total(s->conv_bias[c][i]);
    }
    for (int i = 0; i < TAPS; i++)
        partial[at->up + i] = (float)s->up[i];
}

/* Floats of a band's planes: seven, and three of each layer and of its gradients. */
static size_t NAME(band_floats)(const Fit *fit, int rows)
{
    return (size_t)(LATENT_GRIDS + 6 + 6 * fit->convs) * ((size_t)rows * stride_of(fit->width));
}

static void NAME(synthesis)(Fit *fit, int job, int thread)
{
    NAME(Band) band;
    int convs = fit->convs, halo = 2 * convs;
    band.own_low = job * fit->band_rows;
    band.own_high = at_most(band.own_low + fit->band_rows, fit->height);
    band.low = band.own_low < halo ? 0 : band.own_low - halo;
    band.high = at_most(band.own_high + halo, fit->height);
    band.width = fit->width;
    band.stride = stride_of(fit->width);
    band.area = (size_t)(band.high - band.low) * band.stride;
    float *row = NAME(scratch_row)(fit, thread, 0);
    NAME(Synthesis) *s = aligned(fit->scratch[thread] + NAME(ROWS) * stride_of(fit->width));
    float *planes = (float *)(s + 1), *at[3], *d[3]; /* outputs of layers, and their gradients */
    at[0] = planes + LATENT_GRIDS * band.area;
    for (int c = 0; c <= convs; c++) {
        at[c] = planes + (size_t)(LATENT_GRIDS + 3 * c) * band.area;
        d[c] = planes + (size_t)(LATENT_GRIDS + 3 * (convs + 1 + c)) * band.area;
    }
    d[convs] = at[convs];
    memset(&s->sums, 0, sizeof s->sums);
    for (int i = 0; i < CHUNK; i++)
        s->ones[i] = 1;

    const NAME(SynthesisWeights) *w = NAME(synthesis_weights)(fit);
    for (int y = band.low; y < band.high; y++) {
        NAME(finest_planes)(fit, &band, planes, y, row);
        NAME(colours)(fit, &band, planes, at[0], y, s);
    }
    int from[3] = {band.low, 0, 0}, to[3] = {band.high, 0, 0};
    for (int c = 0; c < convs; c++) {
        from[c + 1] = from[c] ? from[c] + 1 : 0;
        to[c + 1] = to[c] == fit->height ? to[c] : to[c] - 1;
        NAME(convolve)(fit, &band, at[c + 1], at[c], w->conv[c],
                       fit->parameters + fit->at.conv_bias[c], from[c + 1], to[c + 1]);
        for (int y = from[c + 1]; c + 1 < convs && y < to[c + 1]; y++)
            for (int k = 0; k < 3; k++) {
                float *line = NAME(line)(&band, at[c + 1], k, y);
                for (int x = 0; x < band.width; x++)
                    line[x] = line[x] > 0 ? line[x] : 0;
                NAME(repeat_ends)(line, band.width, 1);
            }
    }
    double error = 0;
    for (int y = from[convs]; y < to[convs]; y++)
        error += NAME(compare)(fit, &band, planes, at[convs], y);
    fit->error[job] = error;
    if (!fit->learn && !fit->move)
        return;
    for (int c = convs; c-- > 0;) {
        if (fit->learn)
            NAME(convolve_learn)(fit, &band, s->sums.conv[c], s->sums.conv_bias[c], at[c],
                                 d[c + 1]);
        from[c] = from[c + 1] ? from[c + 1] + 1 : 0;
        to[c] = to[c + 1] == fit->height ? fit->height : to[c + 1] - 1;
        NAME(convolve_back)(fit, &band, d[c], d[c + 1], w->conv[c], from[c], to[c]);
        for (int y = from[c]; y < to[c]; y++)
            for (int k = 0; k < 3; k++) {
                float *line = NAME(line)(&band, d[c], k, y), *seen = NAME(line)(&band, at[c], k, y);
                for (int x = 0; c && x < band.width; x++)
                    line[x] = seen[x] > 0 ? line[x] : 0;
                memset(line - MARGIN, 0, MARGIN * sizeof *line);
                memset(line + band.width, 0, (CHUNK + MARGIN) * sizeof *line);
            }
    }
    float d_taps[TAPS];
    for (int y = band.own_low; y < band.own_high; y++) {
        NAME(colours_back)(fit, &band, planes, d[0], d[convs], y, s);
        memset(d_taps, 0, sizeof d_taps);
        NAME(finest_back)(fit, &band, planes, y, thread, fit->learn ? d_taps : NULL);
        for (int i = 0; i < TAPS; i++)
            s->sums.up[i] += d_taps[i];
    }
    if (fit->learn)
        NAME(flush_synthesis)(fit, &s->sums, fit->partial + (size_t)job * (size_t)fit->at.count);
}
