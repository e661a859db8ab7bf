/*
 * Small matrix products over many symbols or pixels at once: a row of values for each channel.
 */

enum { NAME(WIDE) = VECTORS * LANES };
#define WIDE NAME(WIDE)

/* out[m] = f(bias[m] + sum over k of w[k * pitch + m] in[k]) for M channels of one block. f:
   nothing, max(0, .), or 0 where mask[m] is not positive. */
FORCED void
NAME(block)(int M, int mode, float *out, size_t stride, const float *w, int pitch,
            const float *bias, const float *const *in, int K, const float *mask, int length)
{
    for (int x = 0; x < length; x += WIDE) {
        vf sum[8][VECTORS];
#pragma GCC unroll 8
        for (int m = 0; m < M; m++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                sum[m][v] = splat(bias ? bias[m] : 0.f);
        for (int k = 0; k < K; k++) {
            const float *weights = w + k * pitch;
            vf value[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                value[v] = load(in[k] + x + v * LANES);
#pragma GCC unroll 8
            for (int m = 0; m < M; m++)
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; v++)
                    sum[m][v] += weights[m] * value[v];
        }
#pragma GCC unroll 8
        for (int m = 0; m < M; m++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) {
                size_t place = (size_t)m * stride + (size_t)(x + v * LANES);
                vf s = sum[m][v];
                if (mode == RECTIFIED)
                    s = choose(LESS(splat(0.f), s), s, splat(0.f));
                if (mode == MASKED)
                    s = choose(LESS(splat(0.f), load(mask + place)), s, splat(0.f));
                store(out + place, s);
            }
    }
}

/* All M channels: multiples of 8, or what is left by two or one. */
FORCED void
NAME(product)(int M, int mode, float *out, size_t stride, const float *w, int pitch,
              const float *bias, const float *const *in, int K, const float *mask, int length)
{
    int m = 0;
#define PART(count)                                                                                \
    for (; m + count <= M; m += count)                                                             \
        NAME(block)(count, mode, out + (size_t)m * stride, stride, w + m, pitch,                   \
                    bias ? bias + m : NULL, in, K, mask ? mask + (size_t)m * stride : NULL,        \
                    length);
    PART(8)
    PART(2)
    PART(1)
#undef PART
}

/* total[m * pitch + k] += the sum of d[m] in[k], lane by lane, for M x N. */
FORCED void NAME(corner)(int M, int N, vf *sums, int pitch, const float *d, size_t stride,
                         const float *const *in, int length)
{
    vf sum[4][4];
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int k = 0; k < N; k++)
            sum[m][k] = sums[m * pitch + k];
    for (int x = 0; x < length; x += LANES) {
        vf value[4];
#pragma GCC unroll 4
        for (int k = 0; k < N; k++)
            value[k] = load(in[k] + x);
#pragma GCC unroll 4
        for (int m = 0; m < M; m++) {
            vf slope = load(d + (size_t)m * stride + x);
#pragma GCC unroll 4
            for (int k = 0; k < N; k++)
                sum[m][k] += slope * value[k];
        }
    }
#pragma GCC unroll 4
    for (int m = 0; m < M; m++)
#pragma GCC unroll 4
        for (int k = 0; k < N; k++)
            sums[m * pitch + k] = sum[m][k];
}

/* Likewise for M x K: the gradient of the weights of a product. */
static inline void NAME(outer)(int M, int K, vf *sums, const float *d, size_t stride,
                               const float *const *in, int length)
{
    for (int m = 0; m < M; m += 4) {
        const float *slopes = d + (size_t)m * stride;
        vf *row = sums + m * K;
        int k = 0;
        if (M - m >= 4) {
            for (; k + 4 <= K; k += 4)
                NAME(corner)(4, 4, row + k, K, slopes, stride, in + k, length);
            for (; k < K; k++)
                NAME(corner)(4, 1, row + k, K, slopes, stride, in + k, length);
        } else if (M - m == 3) {
            for (; k + 4 <= K; k += 4)
                NAME(corner)(3, 4, row + k, K, slopes, stride, in + k, length);
            for (; k < K; k++)
                NAME(corner)(3, 1, row + k, K, slopes, stride, in + k, length);
        } else {
            for (; k + 4 <= K; k += 4)
                NAME(corner)(2, 4, row + k, K, slopes, stride, in + k, length);
            for (; k < K; k++)
                NAME(corner)(2, 1, row + k, K, slopes, stride, in + k, length);
        }
    }
}

/* sums[m] += d[m], lane by lane: the gradient of biases. */
static inline void NAME(gather)(int M, vf *sums, const float *d, size_t stride, int length)
{
    for (int m = 0; m < M; m++) {
        vf sum = sums[m];
        for (int x = 0; x < length; x += LANES)
            sum += load(d + (size_t)m * stride + x);
        sums[m] = sum;
    }
}
