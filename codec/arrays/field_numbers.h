/*
 * field_numbers.h: the loops over the numbers of a field, for those of one size. field.h includes it
 * once for each, with FIELD_NUMBER as their type and FIELD_OF(name) as the name of a function.
 */

/* Mirrors the edges of a subplane. */
static void FIELD_OF(field_mirror)(const Field *f, FIELD_NUMBER *all, int32_t channel, int sub)
{
    size_t stride = (size_t)f->stride, plane = (size_t)f->rows * stride;
    int rows = field_rows(f, sub), columns = field_columns(f, sub);
    if (!rows || !columns)
        return;
    FIELD_NUMBER *p = all + field_sub(f, channel, sub);
    for (int32_t n = 0; n < f->count; n++, p += plane) {
        if (f->width > 1)
            for (int y = 0; y < rows; y++) {
                FIELD_NUMBER *row = p + (size_t)y * stride;
                if (sub % 2)
                    row[-1] = row[0];
                if ((f->width & 1) == sub % 2)
                    row[f->width / 2] = row[f->width / 2 - 1];
            }
        if (f->height > 1) {
            FIELD_NUMBER *first = p - sub % 2 * (f->width > 1);
            if (sub / 2)
                memcpy(first - stride, first, stride * sizeof *p);
            if ((f->height & 1) == sub / 2) {
                FIELD_NUMBER *last = first + (size_t)(f->height / 2) * stride;
                memcpy(last, last - stride, stride * sizeof *p);
            }
        }
    }
}

static void FIELD_OF(field_mirror_pass)(const Field *f, FIELD_NUMBER *all, int32_t channel, int pass)
{
    const int32_t *to = f->map.to, *from = f->map.from;
    FIELD_NUMBER *plane = all + field_sub(f, channel, 0);
    for (int32_t n = 0; f->map.number && n < f->count; n++, plane += field_plane(f))
        for (int32_t k = f->map.edges[pass]; k < f->map.edges[pass + 1]; k++)
            plane[to[k]] = plane[from[k]];
    if (f->map.number)
        return;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++)
        FIELD_OF(field_mirror)(f, all, channel, FIELD_SUBS[pass][i]);
}

/* Takes the numbers of a pass in, in the order of coding. */
FIELD_CLONES
static void FIELD_OF(field_put)(const Field *f, FIELD_NUMBER *all, int32_t channel, int pass,
                                const int32_t *restrict numbers)
{
    FieldRow r = field_first(pass);
    const int32_t *map = f->map.number;
    FIELD_NUMBER *plane = all + field_sub(f, channel, 0);
    for (int32_t n = 0; map && n < f->count; n++, plane += field_plane(f))
        for (int32_t k = f->map.start[pass]; k < f->map.start[pass + 1]; k++)
            plane[map[k]] = (FIELD_NUMBER)*numbers++;
    while (!map && field_next(f, &r)) {
        FIELD_NUMBER *restrict to = all + field_sub(f, channel, r.sub) + r.at;
        for (int k = 0; k < r.columns; k++)
            to[k] = (FIELD_NUMBER)numbers[k];
        numbers += r.columns;
    }
    FIELD_OF(field_mirror_pass)(f, all, channel, pass);
}

/* Takes a plane in as it is in the array, by a map. */
static void FIELD_OF(field_map_plane)(const Field *f, FIELD_NUMBER *all, int32_t channel,
                                      const Levels *plane)
{
    const int32_t *map = f->map.number, *from = f->map.value;
    FIELD_NUMBER *to = all + field_sub(f, channel, 0);
    int32_t each = f->map.start[FIELD_PASSES];
    for (size_t n = 0; n < (size_t)f->count; n++, to += field_plane(f)) {
        Levels own = levels_from(plane, n * (size_t)each);
        if (own.wide)
            for (int32_t k = 0; k < each; k++)
                to[map[k]] = (FIELD_NUMBER)((const int32_t *)own.all)[from[k]];
        else
            for (int32_t k = 0; k < each; k++)
                to[map[k]] = (FIELD_NUMBER)((const int16_t *)own.all)[from[k]];
    }
    for (int pass = 0; pass < FIELD_PASSES; pass++)
        FIELD_OF(field_mirror_pass)(f, all, channel, pass);
}

/* Takes a plane in as it is in the array. */
FIELD_CLONES
static void FIELD_OF(field_put_plane)(const Field *f, FIELD_NUMBER *all, int32_t channel,
                                      const Levels *plane)
{
    if (f->map.number) {
        FIELD_OF(field_map_plane)(f, all, channel, plane);
        return;
    }
    for (int pass = 0; pass < FIELD_PASSES; pass++) {
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            FIELD_NUMBER *restrict to = all + field_sub(f, channel, r.sub) + r.at;
            size_t from = field_row(f, &r);
            if (plane->wide)
                for (int k = 0; k < r.columns; k++)
                    to[k] = (FIELD_NUMBER)((const int32_t *)plane->all)[from + 2 * (size_t)k];
            else
                for (int k = 0; k < r.columns; k++)
                    to[k] = (FIELD_NUMBER)((const int16_t *)plane->all)[from + 2 * (size_t)k];
        }
        FIELD_OF(field_mirror_pass)(f, all, channel, pass);
    }
}

/* Gives it as it is in the array. */
FIELD_CLONES
static void FIELD_OF(field_take_plane)(const Field *f, const FIELD_NUMBER *all, int32_t channel,
                                       FIELD_NUMBER *restrict plane)
{
    const FIELD_NUMBER *one = all + field_sub(f, channel, 0);
    int32_t each = f->map.start[FIELD_PASSES];
    for (int32_t n = 0; each && n < f->count; n++, one += field_plane(f), plane += each)
        for (int32_t k = 0; k < each; k++)
            plane[f->map.value[k]] = one[f->map.number[k]];
    for (int pass = 0; !each && pass < FIELD_PASSES; pass++) {
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            const FIELD_NUMBER *own = all + field_sub(f, channel, r.sub) + r.at;
            FIELD_NUMBER *restrict to = plane + field_row(f, &r);
            for (int k = 0; k < r.columns; k++)
                to[2 * k] = own[k];
        }
    }
}

/* Rounded predictions of a pass become its residuals. */
FIELD_CLONES
static void FIELD_OF(field_subtract)(const Field *f, const FIELD_NUMBER *all, int32_t channel,
                                     int pass, int32_t *restrict rounded)
{
    FieldRow r = field_first(pass);
    const int32_t *map = f->map.number;
    const FIELD_NUMBER *plane = all + field_sub(f, channel, 0);
    for (int32_t n = 0; map && n < f->count; n++, plane += field_plane(f))
        for (int32_t k = f->map.start[pass]; k < f->map.start[pass + 1]; k++, rounded++)
            *rounded = plane[map[k]] - *rounded;
    while (!map && field_next(f, &r)) {
        const FIELD_NUMBER *values = all + field_sub(f, channel, r.sub) + r.at;
        for (int k = 0; k < r.columns; k++)
            rounded[k] = values[k] - rounded[k];
        rounded += r.columns;
    }
}

/* ---- sums of what taps take: of `from`, where each begins, n numbers from `at` on */

FIELD_CLONES
static void FIELD_OF(field_add)(int32_t *restrict total, const FIELD_NUMBER *restrict from,
                                int32_t weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        total[i] += weight * from[i];
}

FIELD_CLONES
static void FIELD_OF(field_add_four)(int32_t *restrict total, const FIELD_NUMBER *all,
                                     const size_t *from, const int32_t *weights, size_t n)
{
    const FIELD_NUMBER *a = all + from[0], *b = all + from[1], *c = all + from[2],
                       *d = all + from[3];
    int32_t wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
    for (size_t i = 0; i < n; i++)
        total[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

static void FIELD_OF(field_add_all)(int32_t *restrict total, const FIELD_NUMBER *all,
                                    const size_t *from, const int32_t *weights, int32_t count,
                                    size_t n)
{
    int32_t t = 0;
    for (; t + 4 <= count; t += 4)
        FIELD_OF(field_add_four)(total, all, from + t, weights + t, n);
    for (; t < count; t++)
        FIELD_OF(field_add)(total, all + from[t], weights[t], n);
}

FIELD_CLONES
static void FIELD_OF(field_add_wide)(int64_t *restrict total, const FIELD_NUMBER *restrict from,
                                     int64_t weight, size_t n)
{
    for (size_t i = 0; i < n; i++)
        total[i] += weight * from[i];
}

/* Likewise of four, with one weight. */
FIELD_CLONES
static void FIELD_OF(field_add_around)(int32_t *restrict total, const FIELD_NUMBER *all,
                                       const size_t *from, int32_t weight, size_t n)
{
    const FIELD_NUMBER *a = all + from[0], *b = all + from[1], *c = all + from[2],
                       *d = all + from[3];
    for (size_t i = 0; i < n; i++)
        total[i] += weight * (a[i] + b[i] + c[i] + d[i]);
}

/* Likewise, with a fifth that counts twice. */
FIELD_CLONES
static void FIELD_OF(field_add_cross)(int32_t *restrict total, const FIELD_NUMBER *all,
                                      const size_t *from, int32_t weight, size_t n)
{
    const FIELD_NUMBER *a = all + from[0], *b = all + from[1], *c = all + from[2],
                       *d = all + from[3], *e = all + from[4];
    for (size_t i = 0; i < n; i++)
        total[i] += weight * (a[i] + b[i] + c[i] + d[i] + 2 * e[i]);
}

/* Adds what is expected of errors around n places. */
static void FIELD_OF(field_expect)(int32_t *restrict total, const FIELD_NUMBER *all,
                                   const FieldTerms *t, const int32_t *spread, size_t n)
{
    if (t->nears == 4)
        FIELD_OF(field_add_around)(total, all, t->near, spread[1], n);
    for (int k = 0; t->nears < 4 && k < t->nears; k++)
        FIELD_OF(field_add)(total, all + t->near[k], spread[1], n);
    if (t->befores == 5)
        FIELD_OF(field_add_cross)(total, all, t->before, spread[2], n);
    for (int k = 0; t->befores < 5 && k < t->befores; k++) {
        int32_t times = k == t->befores - 1 ? 2 : 1;
        FIELD_OF(field_add)(total, all + t->before[k], times * spread[2], n);
    }
}

/* ---- for the encoder */

/* Numbers of a run to floats. */
static inline void FIELD_OF(field_floats)(float *restrict to, const FIELD_NUMBER *restrict from,
                                          int count)
{
    if (count == FIELD_RUN)
        for (int k = 0; k < FIELD_RUN; k++)
            to[k] = (float)from[k];
    else
        for (int k = 0; k < count; k++)
            to[k] = (float)from[k];
}

/* Errors around a place, as field_terms has them, and its own. all: void, so that both sizes are alike. */
static void FIELD_OF(field_around)(const void *all, const FieldTerms *t, size_t own, size_t at,
                                   double *near, double *before, double *error)
{
    const FIELD_NUMBER *errors = (const FIELD_NUMBER *)all + at;
    int64_t sum = 0, other = 0;
    for (int k = 0; k < t->nears; k++)
        sum += errors[t->near[k]];
    for (int k = 0; k < t->befores; k++)
        other += errors[t->before[k]];
    if (t->befores)
        other += errors[t->before[t->befores - 1]];
    *near = (double)sum;
    *before = (double)other;
    *error = (double)errors[own];
}
