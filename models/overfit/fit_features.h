/*
 * Features of the finest grids: what all coarser ones say, one linear layer. As each input is
 * repeated till it has the size of the output, the sum is made from coarse to fine: a pyramid. Its
 * gradient is one of sums over 2x2, from fine to coarse.
 */

/* Columns of the layer that read a scale: the latent grid's, and the hyper-grid's or -1. */
static inline int NAME(inputs_of)(int g, int level, int which)
{
    if (which == 0)
        return level - g - 1;
    return level >= 4 ? LATENT_GRIDS - 1 - g + level - 4 : -1;
}

/* A job is a feature of a grid. */
static void NAME(features)(Fit *fit, int job, int thread)
{
    (void)thread;
    int g = job / fit->features, f = job % fit->features, inputs = GRIDS - 1 - g;
    const float *w = fit->parameters + fit->at.feature[g] + f * inputs;
    float bias = fit->parameters[fit->at.feature_bias[g] + f];
    float *plane = fit->feature[g] + (size_t)f * fit->pyramid[g] + fit->pyramid[g];
    const float *coarse = NULL; /* planes stand from fine to coarse */
    for (int level = LATENT_GRIDS - 1; level > g; level--) {
        int rows = fit->rows[level], columns = fit->columns[level];
        plane -= fit->size[level];
        int hyper = NAME(inputs_of)(g, level, 1);
        float a = w[NAME(inputs_of)(g, level, 0)], b = hyper < 0 ? 0 : w[hyper];
        for (int y = 0; y < rows; y++) {
            size_t line = (size_t)y * (size_t)columns;
            float *out = plane + line;
            const float *first = fit->value + fit->start[level] + line;
            const float *second = hyper < 0 ? first : fit->value + fit->start[level + 3] + line;
            for (int x = 0; x < columns; x++)
                out[x] = a * first[x] + b * second[x];
            if (!coarse) {
                for (int x = 0; x < columns; x++)
                    out[x] += bias;
                continue;
            }
            const float *in = coarse + (size_t)(y >> 1) * (size_t)fit->columns[level + 1];
            int x = 0;
            for (; x + 1 < columns; x += 2) {
                out[x] += in[x >> 1];
                out[x + 1] += in[x >> 1];
            }
            if (x < columns)
                out[x] += in[x >> 1];
        }
        coarse = plane;
    }
}

static void NAME(features_back)(Fit *fit, int job, int thread)
{
    (void)thread;
    int g = job / fit->features, f = job % fit->features, inputs = GRIDS - 1 - g;
    float *partial = fit->partial + (size_t)job * (size_t)fit->at.count;
    float *w = partial + fit->at.feature[g] + f * inputs;
    float *plane = fit->feature_gradient[g] + (size_t)f * fit->pyramid[g];
    for (int level = g + 1; level < LATENT_GRIDS; level++) {
        int rows = fit->rows[level], columns = fit->columns[level];
        int hyper = NAME(inputs_of)(g, level, 1);
        w[NAME(inputs_of)(g, level, 0)] =
            dot(plane, fit->value + fit->start[level], fit->size[level]);
        if (hyper >= 0)
            w[hyper] = dot(plane, fit->value + fit->start[level + 3], fit->size[level]);
        float *next = plane + fit->size[level];
        if (level == LATENT_GRIDS - 1) {
            double sum = 0;
            for (size_t i = 0; i < fit->size[level]; i++)
                sum += plane[i];
            partial[fit->at.feature_bias[g] + f] = (float)sum;
            break;
        }
        int half = fit->columns[level + 1];
        for (int y = 0; y < fit->rows[level + 1]; y++) {
            const float *a = plane + 2 * (size_t)y * (size_t)columns;
            const float *b = a + columns;
            float *out = next + (size_t)y * (size_t)half;
            for (int x = 0; x < columns / 2; x++)
                out[x] = a[2 * x] + a[2 * x + 1];
            if (columns & 1)
                out[half - 1] = a[columns - 1];
            if (2 * y + 1 == rows)
                continue;
            for (int x = 0; x < columns / 2; x++)
                out[x] += b[2 * x] + b[2 * x + 1];
            if (columns & 1)
                out[half - 1] += b[columns - 1];
        }
        plane = next;
    }
}

/* Adds to a grid's gradient what contexts of strips below and features of finer grids left. A job
   is a grid. */
static void NAME(join_gradients)(Fit *fit, int job, int thread)
{
    (void)thread;
    float *gradient = fit->gradient + fit->start[job];
    for (int i = 0; i < fit->strip_count; i++) {
        const Strip *strip = fit->strips + i;
        if (strip->grid != job)
            continue;
        for (int row = 0; row < strip->top; row++) {
            float *out = gradient
                         + (size_t)(strip->y - strip->top + row) * (size_t)fit->columns[job]
                         + strip->x;
            for (int x = 0; x < strip->width; x++)
                out[x] += strip->above[row * strip->width + x];
        }
    }
    int level = SHIFTS[job];
    for (int g = 0; g < FEATURE_GRIDS && g < level; g++) {
        int input = NAME(inputs_of)(g, level, job >= LATENT_GRIDS), inputs = GRIDS - 1 - g;
        size_t before = 0;
        for (int finer = g + 1; finer < level; finer++)
            before += fit->size[finer];
        for (int f = 0; f < fit->features; f++) {
            float w = fit->parameters[fit->at.feature[g] + f * inputs + input];
            const float *in = fit->feature_gradient[g] + (size_t)f * fit->pyramid[g] + before;
            for (size_t i = 0; i < fit->size[job]; i++)
                gradient[i] += w * in[i];
        }
    }
}
