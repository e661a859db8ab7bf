/*
 * The filter for one kind of sample. wiener.h includes this once for each, with
 *
 *   SAMPLE    uint8_t or uint16_t
 *   NUMBER    what holds a feature and a tap: int16_t or int32_t
 *   NAME(x)   what x is called for these
 *
 * All but what the encoder fits is in integers: with 16 bits a sample, 16 products of a tap and a
 * feature are below 2^29.
 */

/* A row of samples, held within the picture, with one more on both sides. */
static void NAME(row)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, NUMBER *to)
{
    const ptrdiff_t n = s->colours, count = s->width * n;
    const SAMPLE *from = samples + within(y, s->height) * count;
    for (ptrdiff_t i = 0; i < count; i++) to[n + i] = (NUMBER)from[i];
    for (ptrdiff_t c = 0; c < n; c++) {
        to[c] = (NUMBER)from[c];
        to[n + count + c] = (NUMBER)from[count - n + c];
    }
}

/* Sums of the colours of a row, held within the picture, with EDGE more on both sides. */
static void NAME(luma)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, int32_t *to)
{
    const SAMPLE *from = samples + within(y, s->height) * s->width * s->colours;
    for (ptrdiff_t x = 0; x < s->width; x++) {
        int32_t sum = from[x * s->colours];
        for (ptrdiff_t c = 1; c < s->colours; c++) sum += from[x * s->colours + c];
        to[EDGE + x] = sum;
    }
    for (ptrdiff_t i = 0; i < EDGE; i++) {
        to[i] = to[EDGE];
        to[EDGE + s->width + i] = to[EDGE + s->width - 1];
    }
}

/* Of row y, which may be beyond the picture: second differences summed over 5 columns. room: four
   rows of width + 2 * EDGE. */
static void NAME(bends)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, int32_t *room,
                        int32_t *to)
{
    const ptrdiff_t wide = s->width + 2 * EDGE;
    int32_t *above = room, *here = room + wide, *below = room + 2 * wide, *bend = room + 3 * wide;
    NAME(luma)(s, samples, y - 1, above);
    NAME(luma)(s, samples, y, here);
    NAME(luma)(s, samples, y + 1, below);
    for (ptrdiff_t x = 1; x < wide - 1; x++)
        bend[x] = abs(here[x + 1] + here[x - 1] - 2 * here[x])
                  + abs(below[x] + above[x] - 2 * here[x]);
    for (ptrdiff_t x = 0; x < s->width; x++)
        to[x] = bend[x + 1] + bend[x + 2] + bend[x + 3] + bend[x + 4] + bend[x + 5];
}

/* The activity of each pixel of row y. Rows come in turn, from 0 on. room: RING rows as above, which
   stay as they are from row to row. */
static void NAME(activity)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, int32_t *room,
                           int32_t *to)
{
    const ptrdiff_t wide = s->width + 2 * EDGE;
    int32_t *sums = room + 4 * wide; /* of rows y - 2…y + 2, row r at (r + 5) mod 5 */
    for (ptrdiff_t r = y ? y + 2 : -2; r <= y + 2; r++)
        NAME(bends)(s, samples, r, room, sums + (r + 5) % 5 * wide);
    for (ptrdiff_t x = 0; x < s->width; x++) {
        int32_t sum = 0;
        for (ptrdiff_t r = 0; r < 5; r++) sum += sums[r * wide + x];
        to[x] = sum >> (8 * sizeof(SAMPLE) - 8);
    }
}

/* What taps are of, of pixel x of the middle one of three rows. n: colours; for each a number known
   to the compiler. */
static inline void NAME(features)(const NUMBER *above, const NUMBER *here, const NUMBER *below,
                                  ptrdiff_t x, ptrdiff_t n, NUMBER *to)
{
    const ptrdiff_t left = x * n, middle = left + n, right = middle + n;
    const NUMBER half = (NUMBER)(1 << (8 * sizeof(SAMPLE) - 1));
    for (ptrdiff_t c = 0; c < n; c++) {
        const int32_t twice = 2 * (int32_t)here[middle + c];
        to[c] = (NUMBER)(here[right + c] + here[left + c] - twice);
        to[n + c] = (NUMBER)(below[middle + c] + above[middle + c] - twice);
        to[2 * n + c] = (NUMBER)(below[right + c] + above[left + c] - twice);
        to[3 * n + c] = (NUMBER)(below[left + c] + above[right + c] - twice);
        to[4 * n + c] = (NUMBER)(here[middle + c] - half);
    }
    to[5 * n] = (NUMBER)(1 << (8 * sizeof(SAMPLE) - 4));
    for (ptrdiff_t i = 5 * n + 1; i < PLACES(n); i++) to[i] = 0;
}

/* A row filtered. taps: of each class and colour PLACES(n). */
static inline void NAME(filter_row)(const Shape *s, const NUMBER *above, const NUMBER *here,
                                    const NUMBER *below, const uint8_t *classes, const NUMBER *taps,
                                    int precision, ptrdiff_t n, SAMPLE *out)
{
    const int32_t most = (1 << 8 * sizeof(SAMPLE)) - 1;
    for (ptrdiff_t x = 0; x < s->width; x++) {
        NUMBER feature[PLACES(3)];
        NAME(features)(above, here, below, x, n, feature);
        const NUMBER *own = taps + classes[x] * n * PLACES(n);
        for (ptrdiff_t c = 0; c < n; c++, own += PLACES(n)) {
            int32_t sum = 0;
            for (ptrdiff_t i = 0; i < PLACES(n); i++) sum += (int32_t)own[i] * feature[i];
            /* Shifted up, so that no negative number is shifted down. */
            sum = ((sum + (1 << precision >> 1) + (1 << 30)) >> precision) - (1 << 30 >> precision);
            sum += here[(x + 1) * n + c];
            out[x * n + c] = (SAMPLE)(sum < 0 ? 0 : sum > most ? most : sum);
        }
    }
}

/* What a row adds to the sums of its pixels' classes. wanted: the row as it should be. weights: of
   each pixel. sums: of each class PLACES(n) + n rows of PLACES(n), of which those of the first are
   right from the diagonal on. */
static inline void NAME(square_row)(const Shape *s, const NUMBER *above, const NUMBER *here,
                                    const NUMBER *below, const uint8_t *classes,
                                    const SAMPLE *wanted, const float *weights, ptrdiff_t n,
                                    float *sums)
{
    for (ptrdiff_t x = 0; x < s->width; x++) {
        NUMBER feature[PLACES(3)];
        float of[PLACES(3)], by[PLACES(3) + 3];
        NAME(features)(above, here, below, x, n, feature);
        for (ptrdiff_t i = 0; i < PLACES(n); i++) of[i] = (float)feature[i];
        for (ptrdiff_t i = 0; i < PLACES(n); i++) by[i] = weights[x] * of[i];
        for (ptrdiff_t c = 0; c < n; c++)
            by[PLACES(n) + c] = weights[x] * (float)(wanted[x * n + c] - here[(x + 1) * n + c]);
        float *row = sums + classes[x] * (PLACES(n) + n) * PLACES(n);
        for (ptrdiff_t block = 0; block < PLACES(n); block += 4)
            for (ptrdiff_t i = block; i < block + 4; i++, row += PLACES(n))
                for (ptrdiff_t j = block; j < PLACES(n); j++) row[j] += by[i] * of[j];
        for (ptrdiff_t i = PLACES(n); i < PLACES(n) + n; i++, row += PLACES(n))
            for (ptrdiff_t j = 0; j < PLACES(n); j++) row[j] += by[i] * of[j];
    }
}

/* The classes of row y; room: as of `activity`, and a row more. */
static void NAME(classify)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, int32_t *room,
                           uint8_t *classes)
{
    int32_t *found = room + RING * (s->width + 2 * EDGE);
    memset(classes, 0, (size_t)s->width);
    if (!s->count) return;
    NAME(activity)(s, samples, y, room, found);
    for (ptrdiff_t k = 0; k < s->count; k++)
        for (ptrdiff_t x = 0; x < s->width; x++) classes[x] += found[x] >= s->thresholds[k];
}

/* Memory of a pass over all rows: three rows of samples, classes, and room of `classify`. */
typedef struct {
    NUMBER *all, *rows[3];
    uint8_t *classes;
    int32_t *room;
} NAME(Work);

/* Whether there was memory for it; `end` in either case. */
static int NAME(begin)(const Shape *s, const SAMPLE *samples, NAME(Work) *w)
{
    const size_t row = (size_t)(s->width + 2) * (size_t)s->colours;
    w->all = malloc(3 * row * sizeof(NUMBER));
    w->classes = malloc((size_t)s->width);
    w->room = malloc((RING + 1) * (size_t)(s->width + 2 * EDGE) * sizeof(int32_t));
    if (!w->all || !w->classes || !w->room) return 0;
    for (size_t i = 0; i < 3; i++) w->rows[i] = w->all + i * row;
    NAME(row)(s, samples, -1, w->rows[1]);
    NAME(row)(s, samples, 0, w->rows[2]);
    return 1;
}

/* Row y is the one in the middle; rows come in turn. */
static void NAME(next)(const Shape *s, const SAMPLE *samples, ptrdiff_t y, NAME(Work) *w)
{
    NUMBER *oldest = w->rows[0];
    w->rows[0] = w->rows[1];
    w->rows[1] = w->rows[2];
    w->rows[2] = oldest;
    NAME(row)(s, samples, y + 1, oldest);
    NAME(classify)(s, samples, y, w->room, w->classes);
}

static void NAME(end)(NAME(Work) *w)
{
    free(w->all);
    free(w->classes);
    free(w->room);
}

/* The picture filtered; whether there was memory for it. taps: as of `filter_row`. */
static int NAME(filter)(const Shape *s, const void *samples, const int32_t *taps, int precision,
                        void *out)
{
    const ptrdiff_t n = s->colours, each = n * PLACES(n), row = s->width * n;
    NUMBER own[MOST_CLASSES * 3 * PLACES(3)];
    NAME(Work) w;
    for (ptrdiff_t i = 0; i < (s->count + 1) * each; i++) own[i] = (NUMBER)taps[i];
    int enough = NAME(begin)(s, samples, &w);
    for (ptrdiff_t y = 0; enough && y < s->height; y++) {
        NAME(next)(s, samples, y, &w);
        SAMPLE *to = (SAMPLE *)out + y * row;
        if (n == 3)
            NAME(filter_row)(s, w.rows[0], w.rows[1], w.rows[2], w.classes, own, precision, 3, to);
        else
            NAME(filter_row)(s, w.rows[0], w.rows[1], w.rows[2], w.classes, own, precision, 1, to);
    }
    NAME(end)(&w);
    return enough;
}

/* Sums as of `square_row`, added to those that there are; whether there was memory for it. */
static int NAME(squares)(const Shape *s, const void *samples, const void *wanted,
                         const float *weights, double *sums)
{
    const ptrdiff_t n = s->colours, row = s->width * n;
    const ptrdiff_t count = (s->count + 1) * (PLACES(n) + n) * PLACES(n);
    float own[MOST_CLASSES * (PLACES(3) + 3) * PLACES(3)];
    NAME(Work) w;
    int enough = NAME(begin)(s, samples, &w);
    for (ptrdiff_t y = 0; enough && y < s->height; y++) {
        NAME(next)(s, samples, y, &w);
        const SAMPLE *to = (const SAMPLE *)wanted + y * row;
        const float *of = weights + y * s->width;
        memset(own, 0, (size_t)count * sizeof(float));
        if (n == 3)
            NAME(square_row)(s, w.rows[0], w.rows[1], w.rows[2], w.classes, to, of, 3, own);
        else
            NAME(square_row)(s, w.rows[0], w.rows[1], w.rows[2], w.classes, to, of, 1, own);
        for (ptrdiff_t i = 0; i < count; i++) sums[i] += own[i];
    }
    NAME(end)(&w);
    return enough;
}

/* The activity of all pixels; whether there was memory for it. */
static int NAME(all_activity)(const Shape *s, const void *samples, int32_t *out)
{
    int32_t *room = malloc(RING * (size_t)(s->width + 2 * EDGE) * sizeof(int32_t));
    for (ptrdiff_t y = 0; room && y < s->height; y++)
        NAME(activity)(s, samples, y, room, out + y * s->width);
    free(room);
    return room != NULL;
}
