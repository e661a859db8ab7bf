/*
 * Vectors of LANES floats, and the functions of them that fitting needs. Included once for each
 * kind of machine, with LANES, VECTORS (vectors that a block of a matrix product is wide) and NAME
 * defined. GCC and clang turn these types into whatever registers there are; with one lane all of
 * it is C.
 */
#if LANES > 1
typedef float NAME(vf) __attribute__((vector_size(4 * LANES)));
typedef int32_t NAME(vi) __attribute__((vector_size(4 * LANES)));
typedef uint32_t NAME(vu) __attribute__((vector_size(4 * LANES)));
#define BITS_OF(v) ((vi)(v))
#define FLOAT_OF(v) ((vf)(v))
#define LESS(a, b) ((vi)((a) < (b)))
#define TO_FLOAT(v) __builtin_convertvector(v, vf)
#define TO_INT(v) __builtin_convertvector(v, vi)
#else
typedef float NAME(vf);
typedef int32_t NAME(vi);
typedef uint32_t NAME(vu);
static inline int32_t NAME(bits_of)(float v)
{
    int32_t bits;
    memcpy(&bits, &v, 4);
    return bits;
}
static inline float NAME(float_of)(int32_t v)
{
    float value;
    memcpy(&value, &v, 4);
    return value;
}
#define BITS_OF(v) NAME(bits_of)(v)
#define FLOAT_OF(v) NAME(float_of)(v)
#define LESS(a, b) (-(int32_t)((a) < (b)))
#define TO_FLOAT(v) ((float)(v))
#define TO_INT(v) ((int32_t)(v))
#endif
#define vf NAME(vf)
#define vi NAME(vi)
#define vu NAME(vu)
#define load NAME(load)
#define store NAME(store)
#define splat NAME(splat)
#define choose NAME(choose)
#define total NAME(total)
#define floor_of NAME(floor_of)
#define exp_of NAME(exp_of)
#define log2_of NAME(log2_of)
#define first NAME(first)
#define dot NAME(dot)

static inline vf load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf splat(float value)
{
    float all[LANES];
    for (int i = 0; i < LANES; i++)
        all[i] = value;
    return load(all);
}

/* a where the mask is set (all ones), else b. */
static inline vf choose(vi mask, vf a, vf b)
{
    return FLOAT_OF((mask & BITS_OF(a)) | (~mask & BITS_OF(b)));
}

static inline float total(vf v)
{
    float all[LANES], sum = 0;
    memcpy(all, &v, sizeof v);
    for (int i = 0; i < LANES; i++)
        sum += all[i];
    return sum;
}

/* A mask of the first n lanes. */
static inline vi first(int n)
{
    int32_t all[LANES];
    for (int i = 0; i < LANES; i++)
        all[i] = i < n ? -1 : 0;
    vi mask;
    memcpy(&mask, all, sizeof mask);
    return mask;
}

static inline vf floor_of(vf x)
{
    vf whole = TO_FLOAT(TO_INT(x));
    return whole + TO_FLOAT(LESS(x, whole)); /* a mask is -1 */
}

/* e^x, to a unit or two of the last place; 0 below -87, and x at most 88. */
static inline vf exp_of(vf x)
{
    vi tiny = LESS(x, splat(-87.f));
    x = choose(tiny, splat(-87.f), x);
    vf n = floor_of(x * 1.44269504f + .5f);
    vf r = x - n * .693359375f + n * 2.12194440e-4f; /* ln 2 in two parts */
    vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    vf power = FLOAT_OF((TO_INT(n) + 127) << 23);
    return choose(tiny, splat(0.f), p * power);
}

/* log2 of a positive normal number. */
static inline vf log2_of(vf x)
{
    vi bits = BITS_OF(x);
    vi exponent = ((bits - 0x3f3504f3) >> 23); /* so that the mantissa is in sqrt(.5) … sqrt(2) */
    vf m = FLOAT_OF(bits - (exponent << 23)) - 1.f;
    vf s = m / (m + 2.f), q = s * s; /* log(1 + m) = 2 atanh(m / (2 + m)) */
    vf series = q * (1.f / 9) + 1.f / 7;
    series = series * q + 1.f / 5;
    series = series * q + 1.f / 3;
    series = series * q + 1.f;
    return TO_FLOAT(exponent) + s * series * 2.88539008f;
}

/* The sum of a[i] b[i]. */
static inline float dot(const float *a, const float *b, size_t n)
{
    vf sum = splat(0.f), other = splat(0.f);
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sum += load(a + i) * load(b + i);
        other += load(a + i + LANES) * load(b + i + LANES);
    }
    float rest = 0;
    for (; i < n; i++)
        rest += a[i] * b[i];
    return total(sum + other) + rest;
}
