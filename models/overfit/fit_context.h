/*
 * The context network: bits of each symbol given those before it, and their gradients. A strip of
 * rows goes through it CHUNK symbols at a time, which stay in the first cache.
 */

typedef struct {
    vf weight[2][MOST_CHANNELS * MOST_CHANNELS], bias[2][MOST_CHANNELS];
    vf out[2 * MOST_CHANNELS], skip[2 * MOST_CHANNELS], out_bias[2];
} NAME(ContextSums);

typedef struct {
    float feature[8 * CHUNK], first[MOST_CHANNELS * CHUNK], second[MOST_CHANNELS * CHUNK];
    float out[2 * CHUNK], d_out[2 * CHUNK], skipped[2 * CHUNK];
    float d_second[MOST_CHANNELS * CHUNK], d_first[MOST_CHANNELS * CHUNK],
        d_in[MOST_CHANNELS * CHUNK];
    float pair[8][MARGIN + TILE + CHUNK]; /* gradients of features of two rows */
    NAME(ContextSums) sums;
} NAME(Context);

/* Weights as the context network reads them, at the front of fit->packed: w0, w1 with the identity
   added (transposed for the way there, as they are for the way back), and of the output layers. */
typedef struct {
    float there[2][MOST_CHANNELS * MOST_CHANNELS], back[2][MOST_CHANNELS * MOST_CHANNELS];
    float out[2 * MOST_CHANNELS], skip[2 * MOST_CHANNELS];
} NAME(ContextWeights);

static void NAME(pack_context)(const Fit *fit, NAME(ContextWeights) * w)
{
    int n = fit->channels;
    const float *p = fit->parameters;
    for (int layer = 0; layer < 2; layer++)
        for (int m = 0; m < n; m++)
            for (int k = 0; k < n; k++) {
                float value = p[fit->at.weight[layer] + m * n + k] + (m == k);
                w->there[layer][k * n + m] = w->back[layer][m * n + k] = value;
            }
    for (int k = 0; k < n; k++)
        for (int m = 0; m < 2; m++) {
            w->out[k * 2 + m] = p[fit->at.out + m * n + k];
            w->skip[k * 2 + m] = p[fit->at.skip + m * n + k];
        }
}

/* Bits of `count` symbols; out becomes gradients, 0 after them. d_value: gradients of the symbols.
 */
static inline double NAME(laplace)(const float *value, float *out, float *d_out, float *d_value,
                                   int count, int length, float weight)
{
    vf sum = splat(0.f), half = splat(.5f);
    for (int x = 0; x < length; x += LANES) {
        vi valid = first(at_most(count - x, LANES));
        vf s = load(out + CHUNK + x) - 4.f, limit = splat(5.f);
        vi inside = LESS(-limit, s) & LESS(s, limit);
        s = choose(LESS(s, -limit), -limit, choose(LESS(limit, s), limit, s));
        vf sharp = exp_of(-s), d = load(value + x) - load(out + x);
        vi below = LESS(d, splat(0.f));
        vf a = choose(below, -d, d);
        vi centre = LESS(a, half);
        vf near = choose(centre, half - a, a - half), far = a + .5f;
        vf e1 = exp_of(-near * sharp), e2 = exp_of(-far * sharp);
        vf p = choose(centre, 1.f - .5f * (e1 + e2), .5f * (e1 - e2));
        vf least = splat(0x1p-21f);
        vi floored = LESS(p, least);
        p = choose(floored, least, p);
        vf bits = -log2_of(p);
        sum += choose(valid, bits, splat(0.f));
        /* of bits by p, of p by a and by s */
        vf d_bits = choose(valid & ~floored, -1.44269504f * weight / p, splat(0.f));
        vf d_a = d_bits * sharp * .5f * (e2 - e1);
        vf signed_near = choose(centre, -near, near);
        vf d_s = d_bits * -.5f * sharp * (far * e2 - signed_near * e1);
        vf d_v = choose(below, -d_a, d_a);
        store(d_out + x, -d_v);
        store(d_out + CHUNK + x, choose(inside, d_s, splat(0.f)));
        store(d_value + x, d_v);
    }
    return total(sum);
}

/* Features of `count` symbols of a row from column x on; each stands for two. */
static inline void NAME(spread_features)(const Fit *fit, const Strip *strip, int row, int x,
                                         int length, NAME(Context) * c)
{
    int g = strip->grid, coarse = g + 1;
    for (int f = 0; f < fit->features; f++) {
        float *out = c->feature + f * CHUNK;
        if (g >= FEATURE_GRIDS) {
            memset(out, 0, (size_t)length * sizeof *out);
            continue;
        }
        const float *in = fit->feature[g] + (size_t)f * fit->pyramid[g]
                          + (size_t)((strip->y + row) >> 1) * (size_t)fit->columns[coarse]
                          + ((strip->x + x) >> 1);
        for (int i = 0; i < length / 2; i++)
            out[2 * i] = out[2 * i + 1] = in[i];
        if (length & 1)
            out[length - 1] = in[length / 2];
    }
}

/* Gradients of features, summed over 2x2 symbols, when both rows of them are there. */
static inline void NAME(fold_features)(Fit *fit, const Strip *strip, int row, NAME(Context) * c)
{
    int g = strip->grid, width = strip->width;
    if (g >= FEATURE_GRIDS || (!(row & 1) && row + 1 < strip->rows))
        return;
    for (int f = 0; f < fit->features; f++) {
        float *in = c->pair[f] + MARGIN;
        float *out = fit->feature_gradient[g] + (size_t)f * fit->pyramid[g]
                     + (size_t)((strip->y + row) >> 1) * (size_t)fit->columns[g + 1]
                     + (strip->x >> 1);
        in[width] = 0;
        for (int i = 0; i < (width + 1) / 2; i++)
            out[i] = in[2 * i] + in[2 * i + 1];
    }
}

/* One chunk: `in` has the rows of symbols and features, d_rows where gradients of the former go. */
FORCED double
NAME(chunk)(Fit *fit, int n, NAME(Context) * c, const float *const *in, float *const *d_rows,
            const float *value, float *d_value, int count, int length)
{
    const NAME(ContextWeights) *w = (const void *)fit->packed;
    const float *p = fit->parameters;
    const float *firsts[MOST_CHANNELS], *seconds[MOST_CHANNELS], *ds[MOST_CHANNELS];
    for (int k = 0; k < n; k++)
        firsts[k] = c->first + k * CHUNK, seconds[k] = c->second + k * CHUNK;
    NAME(product)(n, RECTIFIED, c->first, CHUNK, w->there[0], n, p + fit->at.bias[0], in, n, NULL,
                  length);
    NAME(product)(n, RECTIFIED, c->second, CHUNK, w->there[1], n, p + fit->at.bias[1], firsts, n,
                  NULL, length);
    NAME(product)(2, PLAIN, c->out, CHUNK, w->out, 2, p + fit->at.out_bias, seconds, n, NULL,
                  length);
    NAME(product)(2, PLAIN, c->skipped, CHUNK, w->skip, 2, NULL, in, n, NULL, length);
    for (int m = 0; m < 2; m++)
        for (int x = 0; x < length; x += LANES)
            store(c->out + m * CHUNK + x,
                  load(c->out + m * CHUNK + x) + load(c->skipped + m * CHUNK + x));
    double bits = NAME(laplace)(value, c->out, c->d_out, c->d_in, count, length, fit->rate_weight);
    if (!fit->learn && !fit->move)
        return bits;
    for (int x = 0; x < count; x++)
        d_value[x] += c->d_in[x];

    const float *d_outs[2] = {c->d_out, c->d_out + CHUNK};
    NAME(product)(n, MASKED, c->d_second, CHUNK, p + fit->at.out, n, NULL, d_outs, 2, c->second,
                  length);
    for (int k = 0; k < n; k++)
        ds[k] = c->d_second + k * CHUNK;
    NAME(product)(n, MASKED, c->d_first, CHUNK, w->back[1], n, NULL, ds, n, c->first, length);
    if (fit->learn) {
        NAME(ContextSums) *s = &c->sums;
        NAME(outer)(2, n, s->out, c->d_out, CHUNK, seconds, length);
        NAME(outer)(2, n, s->skip, c->d_out, CHUNK, in, length);
        NAME(outer)(n, n, s->weight[1], c->d_second, CHUNK, firsts, length);
        NAME(outer)(n, n, s->weight[0], c->d_first, CHUNK, in, length);
        NAME(gather)(2, s->out_bias, c->d_out, CHUNK, length);
        NAME(gather)(n, s->bias[1], c->d_second, CHUNK, length);
        NAME(gather)(n, s->bias[0], c->d_first, CHUNK, length);
    }
    /* The inputs: symbols, and features, which have parameters. */
    for (int k = 0; k < n; k++)
        ds[k] = c->d_first + k * CHUNK;
    NAME(product)(n, PLAIN, c->d_in, CHUNK, w->back[0], n, NULL, ds, n, NULL, length);
    for (int k = 0; k < n; k++) {
        float a = p[fit->at.skip + k], b = p[fit->at.skip + n + k], *out = d_rows[k];
        const float *d = c->d_in + k * CHUNK;
        for (int x = 0; x < length; x += LANES)
            store(out + x, load(out + x) + load(d + x) + a * load(c->d_out + x)
                               + b * load(c->d_out + CHUNK + x));
    }
    return bits;
}

/* Adds sums to gradients of parameters. */
static void NAME(flush_context)(const Fit *fit, const NAME(ContextSums) * s, float *partial)
{
    int n = fit->channels;
    for (int layer = 0; layer < 2; layer++) {
        for (int i = 0; i < n * n; i++)
            partial[fit->at.weight[layer] + i] = total(s->weight[layer][i]);
        for (int i = 0; i < n; i++)
            partial[fit->at.bias[layer] + i] = total(s->bias[layer][i]);
    }
    for (int i = 0; i < 2 * n; i++) {
        partial[fit->at.out + i] = total(s->out[i]);
        partial[fit->at.skip + i] = total(s->skip[i]);
    }
    for (int i = 0; i < 2; i++)
        partial[fit->at.out_bias + i] = total(s->out_bias[i]);
}

static void NAME(context)(Fit *fit, int job, int thread)
{
    const Strip *strip = fit->strips + job;
    int g = strip->grid, width = strip->width, n = fit->channels;
    size_t stride = stride_of(width), columns = (size_t)fit->columns[g];
    size_t area = (size_t)(CONTEXT_ROWS + REACH) * stride;
    NAME(Context) *c = aligned(fit->scratch[thread]);
    float *symbols = (float *)(c + 1) + MARGIN, *gradients = symbols + area;
    size_t start = fit->start[g] + (size_t)strip->y * columns + (size_t)strip->x;
    memset(&c->sums, 0, sizeof c->sums);
    memset(symbols - MARGIN, 0, area * sizeof *symbols);
    memset(gradients - MARGIN, 0, area * sizeof *gradients);
    for (int row = -strip->top; row < strip->rows; row++)
        memcpy(symbols + (size_t)(row + REACH) * stride,
               fit->value + start + (ptrdiff_t)row * (ptrdiff_t)columns,
               (size_t)width * sizeof *symbols);

    double bits = 0;
    for (int row = 0; row < strip->rows; row++) {
        size_t line = (size_t)(row + REACH) * stride;
        if (!(row & 1))
            for (int f = 0; f < fit->features; f++)
                memset(c->pair[f], 0, (MARGIN + (size_t)width + CHUNK) * sizeof(float));
        for (int x = 0; x < width; x += CHUNK) {
            int count = at_most(CHUNK, width - x), length = (count + WIDE - 1) / WIDE * WIDE;
            const float *in[MOST_CHANNELS];
            float *d_rows[MOST_CHANNELS];
            NAME(spread_features)(fit, strip, row, x, length, c);
            for (int k = 0; k < n; k++) {
                if (k >= fit->neighbours) {
                    in[k] = c->feature + (k - fit->neighbours) * CHUNK;
                    d_rows[k] = c->pair[k - fit->neighbours] + MARGIN + x;
                    continue;
                }
                ptrdiff_t away = NEIGHBOURS[k][0] * (ptrdiff_t)stride + NEIGHBOURS[k][1] + x;
                in[k] = symbols + line + away;
                d_rows[k] = gradients + line + away;
            }
            const float *value = symbols + line + x;
            float *d_value = gradients + line + x;
            size_t place = start + (size_t)row * columns + (size_t)x;
            switch (n) { /* constants make loops short */
            case 8:
                bits += NAME(chunk)(fit, 8, c, in, d_rows, value, d_value, count, length);
                break;
            case 16:
                bits += NAME(chunk)(fit, 16, c, in, d_rows, value, d_value, count, length);
                break;
            default:
                bits += NAME(chunk)(fit, 24, c, in, d_rows, value, d_value, count, length);
                break;
            }
            if (fit->means) {
                memcpy(fit->means + place, c->out, (size_t)count * sizeof *c->out);
                memcpy(fit->scales + place, c->out + CHUNK, (size_t)count * sizeof *c->out);
            }
        }
        if (fit->learn)
            NAME(fold_features)(fit, strip, row, c);
    }
    fit->bits[job] = bits;
    if (fit->learn)
        NAME(flush_context)(fit, &c->sums, fit->partial + (size_t)job * (size_t)fit->at.count);
    if (!fit->move)
        return;
    for (int row = 0; row < strip->rows; row++)
        memcpy(fit->gradient + start + (size_t)row * columns,
               gradients + (size_t)(row + REACH) * stride, (size_t)width * sizeof(float));
    for (int row = 0; row < strip->top; row++)
        memcpy(strip->above + (size_t)row * (size_t)width,
               gradients + (size_t)(row + REACH - strip->top) * stride,
               (size_t)width * sizeof(float));
}
