/*
 * The loops of rans.h for x86: all of them for AVX-512 (with the byte permutations of VBMI and
 * VBMI2, since Ice Lake and Zen 4), encoding and decoding for AVX2. Every function carries its own
 * target, and vector_paths() asks the CPU. rans_x86_pairs.h decodes in another way, for AMD.
 */
#include <immintrin.h>

/* -------------------------------------------------------------- checksum */

/*
 * CRC-32 by carry-less multiplication: V. Gopal et al., "Fast CRC computation for generic
 * polynomials using PCLMULQDQ", 2009. Multiplying the two halves of 128 bits by
 * x^(D+32) and x^(D-32) modulo the polynomial moves them D bits on; constants are bit-reversed
 * and shifted by one.
 */
#define FOLD_2048 0x1322d1430, 0x11542778a
#define FOLD_512 0x1c6e41596, 0x154442bd4
#define FOLD_128 0x0ccaa009e, 0x1751997d0

#define CLMUL __attribute__((target("pclmul,sse4.1")))

CLMUL ALWAYS_INLINE __m128i fold(__m128i x, __m128i by, __m128i more)
{
    __m128i low = _mm_clmulepi64_si128(x, by, 0x00);
    __m128i high = _mm_clmulepi64_si128(x, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), more);
}

CLMUL ALWAYS_INLINE __m128i load_128(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* The CRC of 64 bytes in registers, and the bytes that follow. */
CLMUL ALWAYS_INLINE uint32_t checksum_rest(__m128i a, __m128i b, __m128i c, __m128i d,
                                           const uint8_t *p, size_t count)
{
    const __m128i by_512 = _mm_set_epi64x(FOLD_512);
    const __m128i by_128 = _mm_set_epi64x(FOLD_128);
    for (; count >= 64; count -= 64, p += 64) {
        a = fold(a, by_512, load_128(p));
        b = fold(b, by_512, load_128(p + 16));
        c = fold(c, by_512, load_128(p + 32));
        d = fold(d, by_512, load_128(p + 48));
    }
    a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
    for (; count >= 16; count -= 16, p += 16)
        a = fold(a, by_128, load_128(p));
    uint8_t last[16];
    _mm_storeu_si128((__m128i *)last, a);
    return checksum_bytes(checksum_bytes(0, last, sizeof last), p, count);
}

CLMUL static uint32_t checksum_clmul(uint32_t crc, const uint8_t *p, size_t count)
{
    if (count < 64)
        return checksum_scalar(crc, p, count);
    __m128i first = _mm_xor_si128(load_128(p), _mm_cvtsi32_si128((int)~crc));
    return ~checksum_rest(first, load_128(p + 16), load_128(p + 32), load_128(p + 48), p + 64,
                          count - 64);
}

/* --------------------------------------------------------------- AVX-512 */

#define AVX512                                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi2,"       \
                          "popcnt,pclmul,vpclmulqdq,sse4.1")))

AVX512 ALWAYS_INLINE __m512i fold_512(__m512i x, __m512i by, const uint8_t *p)
{
    __m512i low = _mm512_clmulepi64_epi128(x, by, 0x00);
    __m512i high = _mm512_clmulepi64_epi128(x, by, 0x11);
    return _mm512_ternarylogic_epi64(low, high, _mm512_loadu_si512(p), 0x96);   /* xor */
}

AVX512 static uint32_t checksum_avx512(uint32_t crc, const uint8_t *p, size_t count)
{
    if (count < 512)
        return checksum_clmul(crc, p, count);
    const __m512i by_2048 = _mm512_broadcast_i32x4(_mm_set_epi64x(FOLD_2048));
    const __m512i by_512 = _mm512_broadcast_i32x4(_mm_set_epi64x(FOLD_512));
    __m512i a = _mm512_xor_si512(_mm512_loadu_si512(p),
                                 _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    __m512i b = _mm512_loadu_si512(p + 64);
    __m512i c = _mm512_loadu_si512(p + 128);
    __m512i d = _mm512_loadu_si512(p + 192);
    for (count -= 256, p += 256; count >= 256; count -= 256, p += 256) {
        a = fold_512(a, by_2048, p);
        b = fold_512(b, by_2048, p + 64);
        c = fold_512(c, by_2048, p + 128);
        d = fold_512(d, by_2048, p + 192);
    }
    uint8_t lanes[192];
    _mm512_storeu_si512(lanes, b);
    _mm512_storeu_si512(lanes + 64, c);
    _mm512_storeu_si512(lanes + 128, d);
    for (int i = 0; i < 192; i += 64)
        a = fold_512(a, by_512, lanes + i);
    return ~checksum_rest(_mm512_extracti32x4_epi32(a, 0), _mm512_extracti32x4_epi32(a, 1),
                          _mm512_extracti32x4_epi32(a, 2), _mm512_extracti32x4_epi32(a, 3), p,
                          count);
}

/*
 * Prefetch what lies a page ahead of `count` bytes at p, to be read or written: hardware does so
 * only to the end of a page, and these loops are faster than memory. An address beyond the end of
 * an array does no harm.
 */
enum { AHEAD = 4096 };

ALWAYS_INLINE void fetch_ahead(const void *p, size_t count)
{
    for (size_t i = 0; i < count; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + AHEAD + i), 0, 3);
}

ALWAYS_INLINE void claim_ahead(void *p, size_t count)
{
    for (size_t i = 0; i < count; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + AHEAD + i), 1, 3);
}

typedef struct {                /* a byte for each of up to 256 tables */
    __m512i part[4];
} ByteTable;

/* `large`: whether there are more than 128 tables. */
AVX512 ALWAYS_INLINE ByteTable load_bytes(const uint8_t *bytes, const int large)
{
    ByteTable table;
    for (int i = 0; i < 4; i++)
        table.part[i] = _mm512_loadu_si512(bytes + (large ? 64 * i : 64 * (i & 1)));
    return table;
}

AVX512 ALWAYS_INLINE __m512i look_up(const ByteTable *table, __m512i index, const int large)
{
    __m512i found = _mm512_permutex2var_epi8(table->part[0], index, table->part[1]);
    if (!large)
        return found;
    __m512i upper = _mm512_permutex2var_epi8(table->part[2], index, table->part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), found, upper);
}

/* 32 numbers of 16 bits from their bytes; `half` 0 for the first ones, 1 for the others. */
AVX512 ALWAYS_INLINE __m512i join(__m512i low, __m512i high, const int half)
{
    __m256i l = half ? _mm512_extracti64x4_epi64(low, 1) : _mm512_castsi512_si256(low);
    __m256i h = half ? _mm512_extracti64x4_epi64(high, 1) : _mm512_castsi512_si256(high);
    return _mm512_or_si512(_mm512_cvtepu8_epi16(l),
                           _mm512_slli_epi16(_mm512_cvtepu8_epi16(h), 8));
}

/* The numbers 0 to 63. */
AVX512 ALWAYS_INLINE __m512i counting(void)
{
    __m512i eights = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    eights = _mm512_shuffle_epi8(_mm512_slli_epi64(eights, 3),
                                 _mm512_set_epi64(0x0808080808080808, 0, 0x0808080808080808, 0,
                                                  0x0808080808080808, 0, 0x0808080808080808, 0));
    return _mm512_add_epi8(eights, _mm512_set1_epi64(0x0706050403020100));
}

/* 16 bits of each of 32 symbols, saturated. A narrow table's range ends before those limits. */
AVX512 ALWAYS_INLINE __m512i saturate(const int32_t *symbols, uint64_t present)
{
    __m512i a = _mm512_maskz_loadu_epi32((__mmask16)present, symbols);
    __m512i b = _mm512_maskz_loadu_epi32((__mmask16)(present >> 16), symbols + 16);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtsepi32_epi16(a)),
                              _mm512_cvtsepi32_epi16(b), 1);
}

AVX512 ALWAYS_INLINE size_t classify_avx512_sized(const RansTables *tables,
                                                  const int32_t *symbols, const uint8_t *index,
                                                  size_t count, uint16_t *slots, uint8_t *raw,
                                                  const int large)
{
    const ByteTable relation_low = load_bytes(tables->relation_bytes[0], large);
    const ByteTable relation_high = load_bytes(tables->relation_bytes[1], large);
    const ByteTable offset_low = load_bytes(tables->offset_bytes[0], large);
    const ByteTable offset_high = load_bytes(tables->offset_bytes[1], large);
    const ByteTable narrow = load_bytes(tables->narrow_byte, large);
    const __m512i last = _mm512_set1_epi8((char)(tables->count - 1));
    size_t raws = 0;
    for (size_t at = 0; at < count; at += 64) {
        uint64_t present = count - at < 64 ? ((uint64_t)1 << (count - at)) - 1 : UINT64_MAX;
        fetch_ahead(symbols + at, 4 * 64);
        fetch_ahead(index + at, 64);
        claim_ahead(slots + at, 2 * 64);
        __m512i t = _mm512_maskz_loadu_epi8(present, index + at);
        __m512i rl = look_up(&relation_low, t, large), rh = look_up(&relation_high, t, large);
        __m512i ol = look_up(&offset_low, t, large), oh = look_up(&offset_high, t, large);
        __m512i n = look_up(&narrow, t, large);
        /* A table that does not exist has no codes. */
        uint64_t mask = _mm512_cmpgt_epu8_mask(t, last);
        for (int half = 0; half < 2; half++) {
            uint32_t some = (uint32_t)(present >> 32 * half);
            __m512i symbol = saturate(symbols + at + 32 * half, some);
            __m512i slot = _mm512_sub_epi16(symbol, join(rl, rh, half));
            __m512i entry = _mm512_sub_epi16(symbol, join(ol, oh, half));
            __m256i limit = half ? _mm512_extracti64x4_epi64(n, 1) : _mm512_castsi512_si256(n);
            uint32_t out = _mm512_cmpge_epu16_mask(entry, _mm512_cvtepu8_epi16(limit));
            mask |= (uint64_t)(out & some) << 32 * half;
            _mm512_mask_storeu_epi16(slots + at + 32 * half, some, slot);
        }
        __m512i positions = _mm512_add_epi8(counting(), _mm512_set1_epi8((char)at));
        _mm512_storeu_si512(raw + raws, _mm512_maskz_compress_epi8(mask, positions));
        raws += (size_t)__builtin_popcountll(mask);
    }
    return raws;
}

AVX512 static size_t classify_avx512(const RansTables *tables, const int32_t *symbols,
                                     const uint8_t *index, size_t count, uint16_t *slots,
                                     uint8_t *raw)
{
    if (tables->count <= 128)
        return classify_avx512_sized(tables, symbols, index, count, slots, raw, 0);
    return classify_avx512_sized(tables, symbols, index, count, slots, raw, 1);
}

/* Which of up to 64 symbols are not of certain tables. */
AVX512 ALWAYS_INLINE uint64_t are_kept(const ByteTable *certain, __m512i t, uint64_t present)
{
    return present & ~_mm512_movepi8_mask(look_up(certain, t, 1));
}

ALWAYS_INLINE uint64_t first_64(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX;
}

AVX512 static size_t keep_indexes_avx512(const RansTables *tables, const uint8_t *index,
                                         size_t count, uint8_t *kept)
{
    const ByteTable certain = load_bytes(tables->certain_byte, 1);
    size_t keeps = 0;
    for (size_t at = 0; at < count; at += 64) {
        uint64_t present = first_64(count - at);
        __m512i t = _mm512_maskz_loadu_epi8(present, index + at);
        uint64_t keep = are_kept(&certain, t, present);
        _mm512_storeu_si512(kept + keeps, _mm512_maskz_compress_epi8(keep, t));
        keeps += (size_t)__builtin_popcountll(keep);
    }
    return keeps;
}

AVX512 static size_t keep_slots_avx512(const RansTables *tables, const uint8_t *index,
                                       size_t count, uint16_t *slots)
{
    const ByteTable certain = load_bytes(tables->certain_byte, 1);
    size_t keeps = 0;
    for (size_t at = 0; at < count; at += 64) {
        uint64_t present = first_64(count - at);
        uint64_t keep =
            are_kept(&certain, _mm512_maskz_loadu_epi8(present, index + at), present);
        for (size_t j = at; j < at + 64; j += 32, keep >>= 32) {
            __mmask32 some = (__mmask32)keep;
            __m512i these = _mm512_maskz_compress_epi16(
                some, _mm512_maskz_loadu_epi16(some, slots + j));
            unsigned more = (unsigned)__builtin_popcount(some);
            _mm512_mask_storeu_epi16(slots + keeps, _bzhi_u32(UINT32_MAX, more), these);
            keeps += more;
        }
    }
    return keeps;
}

AVX512 static void spread_avx512(const RansTables *tables, const uint8_t *index, size_t count,
                                 const int32_t *found, int32_t *out)
{
    const ByteTable certain = load_bytes(tables->certain_byte, 1);
    for (size_t at = 0; at < count; at += 64) {
        uint64_t present = first_64(count - at);
        claim_ahead(out + at, 4 * 64);
        __m512i t = _mm512_maskz_loadu_epi8(present, index + at);
        uint64_t keep = are_kept(&certain, t, present);
        for (size_t j = at; present != 0; j += 16, keep >>= 16, present >>= 16) {
            __mmask16 some = (__mmask16)keep;
            __m128i t16 = _mm_maskz_loadu_epi8((__mmask16)present, index + j);
            __m512i only = _mm512_mask_i32gather_epi32(
                _mm512_setzero_si512(), 0xFFFF, _mm512_cvtepu8_epi32(t16), tables->only, 4);
            __m512i all = _mm512_mask_expand_epi32(only, some, _mm512_loadu_si512(found));
            _mm512_mask_storeu_epi32(out + j, (__mmask16)present, all);
            found += __builtin_popcount(some);
        }
    }
}

AVX512 ALWAYS_INLINE __m512i gather(const uint32_t *base, __m512i at)
{
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xFFFF, at, base, 4);
}

AVX512 ALWAYS_INLINE __m512i code_freq(__m512i code)
{
    return _mm512_srli_epi32(code, 16);
}

AVX512 ALWAYS_INLINE __m512i code_start(__m512i code)
{
    return _mm512_and_si512(code, _mm512_set1_epi32(TOTAL - 1));
}

/* Which of 16 states put a word. */
AVX512 ALWAYS_INLINE __mmask16 are_full(__m512i x, __m512i freq)
{
    return _mm512_cmpge_epu32_mask(_mm512_srli_epi32(x, RENORM_SHIFT), freq);
}

AVX512 ALWAYS_INLINE __m512i encode_16(__m512i x, __m512i code, __m512i freq, __mmask16 full)
{
    x = _mm512_mask_srli_epi32(x, full, x, 16);
    /* Both roundings are towards zero and lose less than 2^-22 of the quotient, which is below
     * 2^18: the integer is right, or too small by one. */
    __m512 dividend = _mm512_cvt_roundepu32_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m512 divisor = _mm512_cvtepi32_ps(freq);
    __m512i quotient = _mm512_cvttps_epi32(
        _mm512_div_round_ps(dividend, divisor, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
    __m512i rest = _mm512_sub_epi32(x, _mm512_mullo_epi32(quotient, freq));
    __mmask16 small = _mm512_cmpge_epu32_mask(rest, freq);
    __m512i next = _mm512_add_epi32(_mm512_slli_epi32(quotient, PRECISION),
                                    _mm512_add_epi32(rest, code_start(code)));
    __m512i complement = _mm512_sub_epi32(_mm512_set1_epi32(TOTAL), freq);
    return _mm512_mask_add_epi32(next, small, next, complement);
}

AVX512 static uint8_t *encode_avx512(const RansTables *tables, uint32_t *states,
                                     const uint16_t *end, size_t groups, uint8_t *words)
{
    __m512i x0 = _mm512_loadu_si512(states);
    __m512i x1 = _mm512_loadu_si512(states + 16);
    for (; groups > 0; groups--) {
        end -= 32;
        __m512i slots = _mm512_loadu_si512(end);
        __m512i code0 = gather(tables->code, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(slots)));
        __m512i code1 =
            gather(tables->code, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(slots, 1)));
        __m512i freq0 = code_freq(code0), freq1 = code_freq(code1);
        __mmask16 full0 = are_full(x0, freq0), full1 = are_full(x1, freq1);
        __mmask32 full = _mm512_kunpackw(full1, full0);
        __m512i low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(x0)),
                                         _mm512_cvtepi32_epi16(x1), 1);
        unsigned count = (unsigned)__builtin_popcount(full);
        words -= 2 * count;
        _mm512_mask_storeu_epi16(words, _bzhi_u32(UINT32_MAX, count),
                                 _mm512_maskz_compress_epi16(full, low));
        x0 = encode_16(x0, code0, freq0, full0);
        x1 = encode_16(x1, code1, freq1, full1);
    }
    _mm512_storeu_si512(states, x0);
    _mm512_storeu_si512(states + 16, x1);
    return words;
}

/* The entries and codes of 16 states; `row` is the number of each one's table row. */
AVX512 ALWAYS_INLINE __m512i find_16(const RansTables *tables, __m512i slot, __m512i row,
                                     __m512i *code)
{
    __m512i bucket = _mm512_or_si512(_mm512_slli_epi32(row, GUIDE_BITS),
                                     _mm512_srli_epi32(slot, GUIDE_SHIFT));
    __m512i guide = gather(tables->guide, bucket);
    __mmask16 past = _mm512_cmpge_epu32_mask(slot, _mm512_srli_epi32(guide, 16));
    __m512i entry = _mm512_and_si512(guide, _mm512_set1_epi32(0xFFFF));
    const __m512i one = _mm512_set1_epi32(1);
    entry = _mm512_mask_add_epi32(entry, past, entry, one);
    *code = gather(tables->code, entry);
    for (;;) {
        __m512i within = _mm512_sub_epi32(slot, code_start(*code));
        __mmask16 wrong = _mm512_cmpge_epu32_mask(within, code_freq(*code));
        if (__builtin_expect(wrong == 0, 1))
            return entry;
        entry = _mm512_mask_add_epi32(entry, wrong, entry, one);
        *code = _mm512_mask_i32gather_epi32(*code, wrong, entry, tables->code, 4);
    }
}

/* States before renormalisation. */
AVX512 ALWAYS_INLINE __m512i advance_16(__m512i x, __m512i slot, __m512i code)
{
    return _mm512_add_epi32(_mm512_mullo_epi32(code_freq(code), _mm512_srli_epi32(x, PRECISION)),
                            _mm512_sub_epi32(slot, code_start(code)));
}

AVX512 ALWAYS_INLINE __m512i take_words(__m512i x, __mmask16 low, __m256i words)
{
    __m512i more = _mm512_or_si512(_mm512_slli_epi32(x, 16), _mm512_cvtepu16_epi32(words));
    return _mm512_mask_mov_epi32(x, low, more);
}

AVX512 ALWAYS_INLINE size_t decode_avx512_sized(const RansTables *tables, uint32_t *states,
                                                const uint8_t *index, int32_t *out, size_t groups,
                                                const uint8_t **words, uint8_t *raw,
                                                const int large)
{
    const ByteTable relation_low = load_bytes(tables->relation_bytes[0], large);
    const ByteTable relation_high = load_bytes(tables->relation_bytes[1], large);
    const ByteTable rows = load_bytes(tables->row_byte, large);
    const __m512i mask = _mm512_set1_epi32(TOTAL - 1);
    const __m512i least = _mm512_set1_epi32(STATE_LOW);
    const __m512i flag = _mm512_set1_epi32(CODE_RAW);
    const __m256i step = _mm256_set1_epi8(32);
    __m256i positions = _mm512_castsi512_si256(counting());
    __m512i x0 = _mm512_loadu_si512(states);
    __m512i x1 = _mm512_loadu_si512(states + 16);
    const uint8_t *from = *words;
    size_t raws = 0;
    for (size_t group = 0; group < groups; group += 2) {
        uint64_t present = groups - group == 1 ? UINT32_MAX : UINT64_MAX;
        fetch_ahead(index + 32 * group, 64);
        claim_ahead(out + 32 * group, 4 * 64);
        __m512i t = _mm512_maskz_loadu_epi8(present, index + 32 * group);
        __m512i row = look_up(&rows, t, large);
        __m512i rl = look_up(&relation_low, t, large), rh = look_up(&relation_high, t, large);
        for (int half = 0; half < 2; half++) {
            if (half && groups - group == 1)
                break;
            __m256i r = half ? _mm512_extracti64x4_epi64(row, 1) : _mm512_castsi512_si256(row);
            __m512i slot0 = _mm512_and_si512(x0, mask), slot1 = _mm512_and_si512(x1, mask);
            __m512i code0, code1;
            __m512i row0 = _mm512_cvtepu8_epi32(_mm256_castsi256_si128(r));
            __m512i row1 = _mm512_cvtepu8_epi32(_mm256_extracti128_si256(r, 1));
            __m512i entry0 = find_16(tables, slot0, row0, &code0);
            __m512i entry1 = find_16(tables, slot1, row1, &code1);
            x0 = advance_16(x0, slot0, code0);
            x1 = advance_16(x1, slot1, code1);
            __mmask16 low0 = _mm512_cmplt_epu32_mask(x0, least);
            __mmask16 low1 = _mm512_cmplt_epu32_mask(x1, least);
            __mmask32 low = _mm512_kunpackw(low1, low0);
            __m512i taken = _mm512_maskz_expand_epi16(low, _mm512_loadu_si512(from));
            from += 2 * __builtin_popcount(low);
            x0 = take_words(x0, low0, _mm512_castsi512_si256(taken));
            x1 = take_words(x1, low1, _mm512_extracti64x4_epi64(taken, 1));
            __m512i entry =
                _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(entry0)),
                                   _mm512_cvtepi32_epi16(entry1), 1);
            __m512i value = _mm512_add_epi16(entry, join(rl, rh, half));
            int32_t *to = out + 32 * (group + (size_t)half);
            _mm512_storeu_si512(to, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(value)));
            _mm512_storeu_si512(to + 16,
                                _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(value, 1)));
            __mmask32 rare = _mm512_kunpackw(_mm512_test_epi32_mask(code1, flag),
                                             _mm512_test_epi32_mask(code0, flag));
            _mm256_storeu_si256((__m256i *)(raw + raws),
                                _mm256_maskz_compress_epi8(rare, positions));
            raws += (size_t)__builtin_popcount(rare);
            positions = _mm256_add_epi8(positions, step);
        }
    }
    _mm512_storeu_si512(states, x0);
    _mm512_storeu_si512(states + 16, x1);
    *words = from;
    return raws;
}

AVX512 static size_t decode_avx512(const RansTables *tables, uint32_t *states,
                                   const uint8_t *index, int32_t *out, size_t groups,
                                   const uint8_t **words, uint8_t *raw)
{
    if (tables->count <= 128)
        return decode_avx512_sized(tables, states, index, out, groups, words, raw, 0);
    return decode_avx512_sized(tables, states, index, out, groups, words, raw, 1);
}

/* ------------------------------------------------------------------ AVX2 */

#define AVX2 __attribute__((target("avx2,bmi2,popcnt,pclmul,sse4.1")))

AVX2 ALWAYS_INLINE __m256i gather_8(const uint32_t *base, __m256i at)
{
    return _mm256_mask_i32gather_epi32(_mm256_setzero_si256(), (const int *)base, at,
                                       _mm256_set1_epi32(-1), 4);
}

/* Bit patterns of 32-bit comparisons, one bit a lane. */
AVX2 ALWAYS_INLINE unsigned bits_of(__m256i x)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(x));
}

/* For each set of the 8 lanes that take a word: which of the next 8 words each gets, as bytes. */
static _Alignas(16) uint8_t take_order[256][16];
/* For each set of the 8 lanes that put a word: their lanes in order, at the end of 8 words. */
static _Alignas(16) uint8_t put_order[256][16];
/* The members of each set of 0 to 7, in order. */
static _Alignas(8) uint8_t members[256][8];

static void set_orders(unsigned set)
{
    unsigned next = 0, free = 8 - (unsigned)__builtin_popcount(set);
    memset(take_order[set], 0x80, 16);
    memset(put_order[set], 0x80, 16);
    for (unsigned lane = 0; lane < 8; lane++) {
        if (!(set >> lane & 1))
            continue;
        for (unsigned byte = 0; byte < 2; byte++) {
            take_order[set][2 * lane + byte] = (uint8_t)(2 * next + byte);
            put_order[set][2 * (free + next) + byte] = (uint8_t)(2 * lane + byte);
        }
        members[set][next++] = (uint8_t)lane;
    }
}

static void vector_set_up(void)
{
    for (unsigned set = 0; set < 256; set++)
        set_orders(set);
}

/* Writes the members of a set of 8, which begins at `first`; returns how many there are. */
AVX2 ALWAYS_INLINE size_t put_members(uint8_t *to, uint8_t first, unsigned set)
{
    uint64_t eight;
    memcpy(&eight, members[set], sizeof eight);
    store_u64(to, eight + first * UINT64_C(0x0101010101010101));
    return (size_t)__builtin_popcount(set);
}

/* The low halves of 8 numbers, then those of 8 more. */
AVX2 ALWAYS_INLINE __m256i low_halves(__m256i first, __m256i second)
{
    const __m256i mask = _mm256_set1_epi32(0xFFFF);
    __m256i mixed =
        _mm256_packus_epi32(_mm256_and_si256(first, mask), _mm256_and_si256(second, mask));
    return _mm256_permute4x64_epi64(mixed, 0xD8);
}

/* The slots of 8 symbols; `out` is the set of those that their tables do not hold. */
AVX2 ALWAYS_INLINE __m256i classify_8(const RansTables *tables, const int32_t *symbols,
                                      const uint8_t *index, unsigned *out)
{
    __m256i t = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)index));
    __m256i symbol = _mm256_loadu_si256((const __m256i *)symbols);
    __m256i range = gather_8(tables->range, t);
    __m256i relation = _mm256_srli_epi32(gather_8(tables->row, t), 16);
    __m256i entry = _mm256_sub_epi32(symbol, _mm256_srai_epi32(range, 16));
    __m256i limit = _mm256_and_si256(range, _mm256_set1_epi32(0xFFFF));
    *out = bits_of(_mm256_cmpeq_epi32(_mm256_max_epu32(entry, limit), entry));
    return _mm256_sub_epi32(symbol, relation);
}

AVX2 static size_t classify_avx2(const RansTables *tables, const int32_t *symbols,
                                 const uint8_t *index, size_t count, uint16_t *slots, uint8_t *raw)
{
    size_t raws = 0, j = 0;
    for (; j + 16 <= count; j += 16) {
        unsigned out[2];
        __m256i first = classify_8(tables, symbols + j, index + j, &out[0]);
        __m256i second = classify_8(tables, symbols + j + 8, index + j + 8, &out[1]);
        _mm256_storeu_si256((__m256i *)(slots + j), low_halves(first, second));
        raws += put_members(raw + raws, (uint8_t)j, out[0]);
        raws += put_members(raw + raws, (uint8_t)(j + 8), out[1]);
    }
    size_t more = classify_scalar(tables, symbols + j, index + j, count - j, slots + j, raw + raws);
    for (; more > 0; more--, raws++)
        raw[raws] = (uint8_t)(raw[raws] + j);
    return raws;
}

/* Which of 32 symbols are of certain tables. */
AVX2 ALWAYS_INLINE uint32_t are_certain(const RansTables *tables, const uint8_t *index)
{
    const __m256i low = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)tables->certain_bits));
    const __m256i high = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)tables->certain_bits + 1));
    const __m256i weights = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i t = _mm256_loadu_si256((const __m256i *)index);
    __m256i byte = _mm256_and_si256(_mm256_srli_epi16(t, 3), _mm256_set1_epi8(15));
    __m256i bits = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, byte),
                                      _mm256_shuffle_epi8(high, byte), t);
    __m256i bit = _mm256_shuffle_epi8(weights, _mm256_and_si256(t, _mm256_set1_epi8(7)));
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
    return (uint32_t)_mm256_movemask_epi8(set);
}

/* The bytes, or words, of a set of 8, moved together; `at` are members[set]. */
AVX2 ALWAYS_INLINE __m128i pack_bytes(const uint8_t *bytes, __m128i at)
{
    return _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)bytes), at);
}

AVX2 ALWAYS_INLINE __m128i pack_words(const uint16_t *words, __m128i at)
{
    __m128i pairs = _mm_mullo_epi16(_mm_cvtepu8_epi16(at), _mm_set1_epi16(0x0202));
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)words),
                            _mm_add_epi16(pairs, _mm_set1_epi16(0x0100)));
}

AVX2 static size_t keep_indexes_avx2(const RansTables *tables, const uint8_t *index, size_t count,
                                     uint8_t *kept)
{
    size_t keeps = 0, at = 0;
    for (; at + 32 <= count; at += 32) {
        uint32_t keep = ~are_certain(tables, index + at);
        if (keep == 0)
            continue;
        UNROLL for (size_t j = at; j < at + 32; keep >>= 8, j += 8) {
            __m128i these = _mm_loadl_epi64((const __m128i *)members[keep & 0xFF]);
            _mm_storel_epi64((__m128i *)(kept + keeps), pack_bytes(index + j, these));
            keeps += (size_t)__builtin_popcount(keep & 0xFF);
        }
    }
    return keeps + keep_indexes_scalar(tables, index + at, count - at, kept + keeps);
}

/* What is stored beyond the slots kept lies below those still to be read. */
AVX2 static size_t keep_slots_avx2(const RansTables *tables, const uint8_t *index, size_t count,
                                   uint16_t *slots)
{
    size_t keeps = 0, at = 0;
    for (; at + 32 <= count; at += 32) {
        uint32_t keep = ~are_certain(tables, index + at);
        if (keep == 0)
            continue;
        UNROLL for (size_t j = at; j < at + 32; keep >>= 8, j += 8) {
            __m128i these = _mm_loadl_epi64((const __m128i *)members[keep & 0xFF]);
            _mm_storeu_si128((__m128i *)(slots + keeps), pack_words(slots + j, these));
            keeps += (size_t)__builtin_popcount(keep & 0xFF);
        }
    }
    for (; at < count; at++) {
        slots[keeps] = slots[at];
        keeps += !tables->certain_byte[index[at]];
    }
    return keeps;
}

AVX2 static void spread_avx2(const RansTables *tables, const uint8_t *index, size_t count,
                             const int32_t *found, int32_t *out)
{
    size_t at = 0;
    for (; at + 32 <= count; at += 32) {
        uint32_t certain = are_certain(tables, index + at);
        for (size_t j = at; j < at + 32; j += 8, certain >>= 8) {
            unsigned keep = ~certain & 0xFF;
            __m256i t = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(index + j)));
            __m256i only = gather_8((const uint32_t *)tables->only, t);
            /* The low byte of a word's order is twice the number of those before. */
            __m256i order = _mm256_srli_epi32(
                _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)take_order[keep])), 1);
            __m256i next = _mm256_permutevar8x32_epi32(
                _mm256_loadu_si256((const __m256i *)found), order);
            /* Only for those that are certain is the order's highest byte set. */
            __m256i taken = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x4000), order);
            _mm256_storeu_si256((__m256i *)(out + j), _mm256_blendv_epi8(only, next, taken));
            found += __builtin_popcount(keep);
        }
    }
    spread_scalar(tables, index + at, count - at, found, out + at);
}

/* Which of 8 states put a word. */
AVX2 ALWAYS_INLINE __m256i are_full_8(__m256i x, __m256i freq)
{
    return _mm256_cmpgt_epi32(_mm256_srli_epi32(x, RENORM_SHIFT),
                              _mm256_sub_epi32(freq, _mm256_set1_epi32(1)));
}

/* Codes an entry in each of 8 lanes; states that are full have put their words already. */
AVX2 ALWAYS_INLINE __m256i encode_8(__m256i x, __m256i code, __m256i freq, __m256i full)
{
    x = _mm256_blendv_epi8(x, _mm256_srli_epi32(x, 16), full);
    /*
     * AVX2 converts signed integers only, and rounds to the nearest. So the upper half counts
     * 65536 (1 - 2^-21): that outweighs the three roundings of up to 2^-24 each, and all of it
     * loses less than 2^-20 of the quotient, which is below 2^18: the integer is right, or too
     * small by one. Without an upper half all is exact but the quotient, which cannot come to the
     * next integer either: it is 1 / freq away.
     */
    __m256 upper = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 16));
    __m256 lower = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(0xFFFF)));
    __m256 dividend =
        _mm256_add_ps(_mm256_mul_ps(upper, _mm256_set1_ps(65536 - 0.03125f)), lower);
    __m256i quotient = _mm256_cvttps_epi32(_mm256_div_ps(dividend, _mm256_cvtepi32_ps(freq)));
    __m256i rest = _mm256_sub_epi32(x, _mm256_mullo_epi32(quotient, freq));
    __m256i right = _mm256_cmpgt_epi32(freq, rest);
    __m256i start = _mm256_and_si256(code, _mm256_set1_epi32(TOTAL - 1));
    __m256i next = _mm256_add_epi32(_mm256_slli_epi32(quotient, PRECISION),
                                    _mm256_add_epi32(rest, start));
    __m256i complement = _mm256_sub_epi32(_mm256_set1_epi32(TOTAL), freq);
    return _mm256_add_epi32(next, _mm256_andnot_si256(right, complement));
}

/* Puts the words of those of 8 states that are full in front; `low` are all low halves. */
AVX2 ALWAYS_INLINE uint8_t *put_words(uint8_t *words, __m128i low, unsigned full)
{
    __m128i order = _mm_load_si128((const __m128i *)put_order[full]);
    _mm_storeu_si128((__m128i *)(words - 16), _mm_shuffle_epi8(low, order));
    return words - 2 * __builtin_popcount(full);
}

/* Codes an entry in each of 16 lanes. */
AVX2 ALWAYS_INLINE uint8_t *encode_16_avx2(const RansTables *tables, __m256i *x,
                                           const uint16_t *slots, uint8_t *words)
{
    __m256i all = _mm256_loadu_si256((const __m256i *)slots);
    __m256i code0 = gather_8(tables->code, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(all)));
    __m256i code1 = gather_8(tables->code, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(all, 1)));
    __m256i freq0 = _mm256_srli_epi32(code0, 16), freq1 = _mm256_srli_epi32(code1, 16);
    __m256i full0 = are_full_8(x[0], freq0), full1 = are_full_8(x[1], freq1);
    __m256i low = low_halves(x[0], x[1]);
    words = put_words(words, _mm256_extracti128_si256(low, 1), bits_of(full1));
    words = put_words(words, _mm256_castsi256_si128(low), bits_of(full0));
    x[0] = encode_8(x[0], code0, freq0, full0);
    x[1] = encode_8(x[1], code1, freq1, full1);
    return words;
}

AVX2 static uint8_t *encode_avx2(const RansTables *tables, uint32_t *states, const uint16_t *end,
                                 size_t groups, uint8_t *words)
{
    __m256i x[4];
    for (int i = 0; i < 4; i++)
        x[i] = _mm256_loadu_si256((const __m256i *)(states + 8 * i));
    for (; groups > 0; groups--) {
        end -= 32;
        words = encode_16_avx2(tables, x + 2, end + 16, words);
        words = encode_16_avx2(tables, x, end, words);
    }
    for (int i = 0; i < 4; i++)
        _mm256_storeu_si256((__m256i *)(states + 8 * i), x[i]);
    return words;
}

typedef struct {                /* what is found for 8 states */
    __m256i row, entry, code, within;
} Found;

AVX2 ALWAYS_INLINE __m256i code_8(const RansTables *tables, Found *found, __m256i slot)
{
    found->code = gather_8(tables->code, found->entry);
    found->within = _mm256_sub_epi32(
        slot, _mm256_and_si256(found->code, _mm256_set1_epi32(TOTAL - 1)));
    return _mm256_cmpgt_epi32(_mm256_srli_epi32(found->code, 16), found->within);
}

/* The entries that the guide gives for 8 states; returns which of them are right. */
AVX2 ALWAYS_INLINE __m256i find_8(const RansTables *tables, __m256i slot, const uint8_t *index,
                                  Found *found)
{
    __m256i t = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)index));
    found->row = gather_8(tables->row, t);
    __m256i bucket = _mm256_or_si256(
        _mm256_slli_epi32(_mm256_and_si256(found->row, _mm256_set1_epi32(0xFF)), GUIDE_BITS),
        _mm256_srli_epi32(slot, GUIDE_SHIFT));
    __m256i guide = gather_8(tables->guide, bucket);
    __m256i before = _mm256_cmpgt_epi32(_mm256_srli_epi32(guide, 16), slot);
    /* The entry after, and back again where the slot lies before the boundary. */
    found->entry = _mm256_add_epi32(_mm256_and_si256(guide, _mm256_set1_epi32(0xFFFF)),
                                    _mm256_add_epi32(before, _mm256_set1_epi32(1)));
    return code_8(tables, found, slot);
}

/* Moves on to the entries that own the slots; `right` tells which have. */
AVX2 NOINLINE void search_8(const RansTables *tables, __m256i slot, __m256i right, Found *found)
{
    while (bits_of(right) != 0xFF) {
        found->entry = _mm256_add_epi32(found->entry,
                                        _mm256_add_epi32(right, _mm256_set1_epi32(1)));
        right = code_8(tables, found, slot);
    }
}

/* Stores the symbols found in 8 lanes; returns the states before renormalisation. */
AVX2 ALWAYS_INLINE __m256i advance_8(__m256i x, const Found *found, int32_t *out)
{
    /* Sign extended from 16 bits. */
    __m256i value = _mm256_add_epi32(found->entry, _mm256_srli_epi32(found->row, 16));
    value = _mm256_srai_epi32(_mm256_slli_epi32(value, 16), 16);
    _mm256_storeu_si256((__m256i *)out, value);
    __m256i freq = _mm256_srli_epi32(found->code, 16);
    return _mm256_add_epi32(_mm256_mullo_epi32(freq, _mm256_srli_epi32(x, PRECISION)),
                            found->within);
}

/* Gives a word to each state that is low. */
AVX2 ALWAYS_INLINE __m256i renew_8(__m256i x, const uint8_t **words)
{
    __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    unsigned set = bits_of(low);
    __m128i order = _mm_load_si128((const __m128i *)take_order[set]);
    __m128i taken = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)*words), order);
    *words += 2 * __builtin_popcount(set);
    __m256i more = _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_cvtepu16_epi32(taken));
    return _mm256_blendv_epi8(x, more, low);
}

AVX2 static size_t decode_avx2(const RansTables *tables, uint32_t *states, const uint8_t *index,
                               int32_t *out, size_t groups, const uint8_t **words, uint8_t *raw)
{
    __m256i x[4], slot[4], right[4];
    Found found[4];
    UNROLL for (int i = 0; i < 4; i++)
        x[i] = _mm256_loadu_si256((const __m256i *)(states + 8 * i));
    const uint8_t *from = *words;
    size_t raws = 0;
    for (size_t j = 0; groups > 0; groups--, j += 32) {
        UNROLL for (int i = 0; i < 4; i++) {
            slot[i] = _mm256_and_si256(x[i], _mm256_set1_epi32(TOTAL - 1));
            right[i] = find_8(tables, slot[i], index + j + 8 * i, &found[i]);
        }
        /* One rare branch for all. */
        __m256i all = _mm256_and_si256(_mm256_and_si256(right[0], right[1]),
                                       _mm256_and_si256(right[2], right[3]));
        if (UNLIKELY(bits_of(all) != 0xFF))
            for (int i = 0; i < 4; i++)
                search_8(tables, slot[i], right[i], &found[i]);
        UNROLL for (int i = 0; i < 4; i++)
            x[i] = advance_8(x[i], &found[i], out + j + 8 * i);
        UNROLL for (int i = 0; i < 4; i++)
            x[i] = renew_8(x[i], &from);
        UNROLL for (int i = 0; i < 4; i++)
            raws += put_members(raw + raws, (uint8_t)(j + 8 * (size_t)i),
                                bits_of(_mm256_slli_epi32(found[i].code, 16)));     /* CODE_RAW */
    }
    UNROLL for (int i = 0; i < 4; i++)
        _mm256_storeu_si256((__m256i *)(states + 8 * i), x[i]);
    *words = from;
    return raws;
}

#include "rans_x86_pairs.h"

/* ----------------------------------------------------------------- paths */

static const Path avx512_path = {"avx512", classify_avx512, keep_indexes_avx512,
                                 keep_slots_avx512, spread_avx512, encode_avx512, decode_avx512,
                                 checksum_avx512, NULL};
static const Path avx2_path = {"avx2", classify_avx2, keep_indexes_avx2, keep_slots_avx2,
                               spread_avx2, encode_avx2, decode_avx2, checksum_clmul, NULL};

static const Path avx512_pairs_path = {"avx512-pairs", classify_avx512, keep_indexes_avx512,
                                       keep_slots_avx512, spread_avx512, encode_avx512,
                                       decode_avx512_pairs, checksum_avx512, decode_avx2_pairs_8};
static const Path avx2_pairs_path = {"avx2-pairs", classify_avx2, keep_indexes_avx2,
                                     keep_slots_avx2, spread_avx2, encode_avx2, decode_avx2_pairs,
                                     checksum_clmul, decode_avx2_pairs_8};

static size_t vector_paths(const Path **paths)
{
    size_t count = 0;
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
                 __builtin_cpu_supports("vpclmulqdq");
    /* Best first. Those with pairs are made for Zen; elsewhere nobody has measured them. */
    int pairs = __builtin_cpu_is("amd") != 0;
    if (avx512) {
        paths[count + pairs] = &avx512_path;
        paths[count + !pairs] = &avx512_pairs_path;
        count += 2;
    }
    if (avx2) {
        paths[count + pairs] = &avx2_path;
        paths[count + !pairs] = &avx2_pairs_path;
        count += 2;
    }
    return count;
}
