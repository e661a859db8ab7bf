/*
 * What stands for rounding while grids are fitted, and their steps. Sources: soft rounding of C3
 * (Kim et al., CVPR 2024), section 3.2; Adam (Kingma and Ba 2015).
 */

/* Four halves of random words added are near enough to normal; the variance of each is 1/12. */
static inline vf NAME(normal)(vu place, uint32_t seed)
{
    vf sum = splat(-2.f);
    for (uint32_t word = 0; word < 2; word++) {
        vu x = place * 2u + word; /* hash of Wellons, "lowbias32" */
        x ^= seed;
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        x ^= x >> 16;
        sum += TO_FLOAT((vi)(x >> 16)) * 0x1p-16f + TO_FLOAT((vi)(x & 0xffffu)) * 0x1p-16f;
    }
    return sum * 1.7320508f;
}

/* s(x), and in slope its derivative. */
static inline vf NAME(soft_round)(vf x, float sharp, float scale, vf *slope)
{
    vf whole = floor_of(x);
    vf e = exp_of((x - whole - .5f) * (2 * sharp));
    vf inverse = 1.f / (e + 1.f);
    *slope = 4.f * scale * sharp * e * inverse * inverse;
    return whole + .5f + scale * (1.f - 2.f * inverse);
}

static void NAME(quantise)(Fit *fit, int job, int thread)
{
    (void)thread;
    size_t from = (size_t)job * SYMBOLS_OF_JOB, to = from + SYMBOLS_OF_JOB;
    if (to > fit->symbols)
        to = fit->symbols;
    float t = fit->temperature;
    if (t == 0) {
        for (size_t i = from; i < to; i++)
            fit->value[i] = rintf(fit->latents[i]);
        return;
    }
    float sharp = 1 / t, scale = .5f / tanhf(.5f / t);
    uint32_t each[LANES];
    for (uint32_t i = 0; i < LANES; i++)
        each[i] = (uint32_t)from + i;
    vu place;
    memcpy(&place, each, sizeof place);
    for (size_t i = from; i < to;
         i += LANES) { /* what is written has slack, what is read has none */
        float rest[LANES] = {0};
        if (to - i < LANES)
            memcpy(rest, fit->latents + i, (to - i) * sizeof *rest);
        vf inner, outer, x = load(to - i < LANES ? rest : fit->latents + i);
        x = NAME(soft_round)(x, sharp, scale, &inner)
            + NAME(normal)(place, fit->seed) * fit->deviation;
        store(fit->value + i, NAME(soft_round)(x, sharp, scale, &outer));
        store(fit->slope + i, inner * outer);
        place += LANES;
    }
}

static void NAME(step_grids)(Fit *fit, int job, int thread)
{
    (void)thread;
    size_t from = (size_t)job * SYMBOLS_OF_JOB, to = from + SYMBOLS_OF_JOB;
    if (to > fit->symbols)
        to = fit->symbols;
    for (size_t i = from; i < to; i++) {
        float g = fit->gradient[i] * fit->slope[i];
        float mean = fit->mean[i] = .9f * fit->mean[i] + .1f * g;
        float square = fit->square[i] = .99f * fit->square[i] + .01f * g * g;
        float x =
            fit->latents[i] - fit->step_size * mean / (sqrtf(square) * fit->root + fit->epsilon);
        fit->latents[i] = x < -64 ? -64 : x > 63 ? 63 : x;
    }
}
