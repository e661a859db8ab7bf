/*
 * Decoding for AMD's Zen, included by rans_x86.h. What its own loops do is slow there: of each
 * symbol's two looks at tables, by gathers, the second waits for the first, and vectors that wait
 * for a comparison's bit mask wait for long. Here each symbol has one look, at RansTables.pair, by
 * loads; what is found is chosen with vectors of all or no bits.
 */

/*
 * The bucket numbers are stored as one vector, then each is loaded. Not to be seen through: what
 * compilers would make of it, taking them out of the vector one by one, is slower.
 */
#define STORED(numbers) __asm__ volatile("" : : "r"(numbers) : "memory")

AVX2 ALWAYS_INLINE __m128i load_pairs_2(const uint64_t *pair, const uint32_t *at)
{
    __m128d first = _mm_load_sd((const double *)(pair + at[0]));
    return _mm_castpd_si128(_mm_loadh_pd(first, (const double *)(pair + at[1])));
}

/* Of each four bucket numbers, the pairs of the first two. */
AVX2 ALWAYS_INLINE __m256i load_pairs_4(const uint64_t *pair, const uint32_t *at)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_pairs_2(pair, at)),
                                   load_pairs_2(pair, at + 4), 1);
}

typedef struct {                /* what is found for up to 16 states, in memory */
    _Alignas(64) uint32_t slot[16];
    _Alignas(64) uint32_t bucket[16];
    _Alignas(64) uint32_t entry[16];
    _Alignas(64) uint32_t freq[16];
    _Alignas(64) uint32_t within[16];
    _Alignas(64) uint32_t raw[16];
} Lanes;

/* Finds the entries of the slots that neither of their pair's owns; `wrong` are those lanes. */
ALWAYS_INLINE void search_lanes(const RansTables *tables, unsigned wrong, Lanes *lanes)
{
    for (; wrong != 0; wrong &= wrong - 1) {
        int k = __builtin_ctz(wrong);
        uint32_t entry = search_bucket(tables, lanes->bucket[k], lanes->slot[k]);
        uint32_t code = tables->code[entry];
        lanes->entry[k] = entry;
        lanes->freq[k] = CODE_FREQ(code);
        lanes->within[k] = lanes->slot[k] - CODE_START(code);
        lanes->raw[k] = code << 16;         /* CODE_RAW becomes PAIR_RAW */
    }
}

/* --------------------------------------------------------------- AVX-512 */

typedef struct {                /* what is found for 16 states */
    __m512i slot, bucket;
    __m512i entry;              /* in the low halves */
    __m512i freq, within;
    __m512i raw;                /* in the highest bits */
    __mmask16 wrong;            /* where neither entry owns the slot, and the rest is arbitrary */
} Owners16;

AVX512 ALWAYS_INLINE __m512 load_pairs_8(const uint64_t *pair, const uint32_t *at)
{
    __m256i first = load_pairs_4(pair, at), second = load_pairs_4(pair, at + 8);
    return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
}

/* Bits of `yes` where those of `where` are set, else of `no`. */
AVX512 ALWAYS_INLINE __m512i select_16(__m512i where, __m512i yes, __m512i no)
{
    return _mm512_ternarylogic_epi32(where, yes, no, 0xCA);
}

AVX512 ALWAYS_INLINE Owners16 find_owners_16(const RansTables *tables, __m512i x, __m128i rows)
{
    const __m512i mask = _mm512_set1_epi32(TOTAL - 1);
    _Alignas(64) uint32_t at[16];
    Owners16 o;
    __m512i row = _mm512_slli_epi32(_mm512_cvtepu8_epi32(rows), GUIDE_BITS);
    __m512i part = _mm512_set1_epi32((1 << GUIDE_BITS) - 1);
    o.slot = _mm512_and_si512(x, mask);
    o.bucket = select_16(part, _mm512_srli_epi32(x, GUIDE_SHIFT), row);
    _mm512_store_si512(at, o.bucket);
    STORED(at);
    __m512 outer = load_pairs_8(tables->pair, at), inner = load_pairs_8(tables->pair, at + 2);
    __m512i low = _mm512_castps_si512(_mm512_shuffle_ps(outer, inner, 0x88));
    __m512i high = _mm512_castps_si512(_mm512_shuffle_ps(outer, inner, 0xDD));
    __m512i freq = code_freq(low);
    __m512i within = _mm512_sub_epi32(o.slot, code_start(low));
    __m512i beyond = _mm512_sub_epi32(within, freq);
    __m512i first = _mm512_srai_epi32(beyond, 31);      /* all bits where it can be the first */
    o.within = _mm512_min_epu32(within, beyond);
    o.freq = select_16(first, freq, _mm512_and_si512(_mm512_srli_epi32(high, 16), mask));
    o.entry = _mm512_add_epi32(high, _mm512_add_epi32(first, _mm512_set1_epi32(1)));
    o.raw = select_16(first, _mm512_slli_epi32(low, 16), high);
    o.wrong = _mm512_cmpge_epu32_mask(o.within, o.freq);
    return o;
}

AVX512 ALWAYS_INLINE void search_16(const RansTables *tables, Owners16 *o)
{
    Lanes lanes;
    _mm512_store_si512(lanes.slot, o->slot);
    _mm512_store_si512(lanes.bucket, o->bucket);
    _mm512_store_si512(lanes.entry, o->entry);
    _mm512_store_si512(lanes.freq, o->freq);
    _mm512_store_si512(lanes.within, o->within);
    _mm512_store_si512(lanes.raw, o->raw);
    search_lanes(tables, o->wrong, &lanes);
    o->entry = _mm512_load_si512(lanes.entry);
    o->freq = _mm512_load_si512(lanes.freq);
    o->within = _mm512_load_si512(lanes.within);
    o->raw = _mm512_load_si512(lanes.raw);
}

/* The next states of 16 lanes. */
AVX512 ALWAYS_INLINE __m512i next_16(__m512i x, const Owners16 *o, const uint8_t **words)
{
    x = _mm512_add_epi32(_mm512_mullo_epi32(o->freq, _mm512_srli_epi32(x, PRECISION)), o->within);
    __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(STATE_LOW));
    __m512i taken = _mm512_maskz_expand_epi32(
        low, _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)*words)));
    *words += 2 * __builtin_popcount(low);
    return _mm512_or_si512(_mm512_mask_slli_epi32(x, low, x, 16), taken);
}

AVX512 ALWAYS_INLINE void store_values(int32_t *out, __m512i entry0, __m512i entry1,
                                       __m512i relation)
{
    __m512i entry = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(entry0)),
                                       _mm512_cvtepi32_epi16(entry1), 1);
    __m512i value = _mm512_add_epi16(entry, relation);
    _mm512_storeu_si512(out, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(value)));
    _mm512_storeu_si512(out + 16, _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(value, 1)));
}

AVX512 ALWAYS_INLINE size_t decode_avx512_pairs_sized(const RansTables *tables, uint32_t *states,
                                                      const uint8_t *index, int32_t *out,
                                                      size_t groups, const uint8_t **words,
                                                      uint8_t *raw, const int large)
{
    const ByteTable relation_low = load_bytes(tables->relation_bytes[0], large);
    const ByteTable relation_high = load_bytes(tables->relation_bytes[1], large);
    const ByteTable rows = load_bytes(tables->row_byte, large);
    __m256i positions = _mm512_castsi512_si256(counting());
    __m512i x0 = _mm512_loadu_si512(states);
    __m512i x1 = _mm512_loadu_si512(states + 16);
    const uint8_t *from = *words;
    size_t raws = 0;
    for (; groups > 0; groups--, index += 32, out += 32) {
        fetch_ahead(index, 32);
        claim_ahead(out, 4 * 32);
        __m512i t = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)index));
        __m256i row = _mm512_castsi512_si256(look_up(&rows, t, large));
        Owners16 o0 = find_owners_16(tables, x0, _mm256_castsi256_si128(row));
        Owners16 o1 = find_owners_16(tables, x1, _mm256_extracti128_si256(row, 1));
        /* One rare branch for all. */
        if (UNLIKELY(_mm512_kunpackw(o1.wrong, o0.wrong))) {
            search_16(tables, &o0);
            search_16(tables, &o1);
        }
        x0 = next_16(x0, &o0, &from);
        x1 = next_16(x1, &o1, &from);
        store_values(out, o0.entry, o1.entry,
                     join(look_up(&relation_low, t, large), look_up(&relation_high, t, large), 0));
        __mmask32 some = _mm512_kunpackw(_mm512_movepi32_mask(o1.raw),
                                         _mm512_movepi32_mask(o0.raw));
        _mm256_storeu_si256((__m256i *)(raw + raws), _mm256_maskz_compress_epi8(some, positions));
        raws += (size_t)__builtin_popcount(some);
        positions = _mm256_add_epi8(positions, _mm256_set1_epi8(32));
    }
    _mm512_storeu_si512(states, x0);
    _mm512_storeu_si512(states + 16, x1);
    *words = from;
    return raws;
}

AVX512 static size_t decode_avx512_pairs(const RansTables *tables, uint32_t *states,
                                         const uint8_t *index, int32_t *out, size_t groups,
                                         const uint8_t **words, uint8_t *raw)
{
    if (tables->count <= 128)
        return decode_avx512_pairs_sized(tables, states, index, out, groups, words, raw, 0);
    return decode_avx512_pairs_sized(tables, states, index, out, groups, words, raw, 1);
}

/* ------------------------------------------------------------------ AVX2 */

typedef struct {                /* Owners16 for 8 states */
    __m256i slot, bucket, entry, freq, within, raw;
    unsigned wrong;
} Owners8;

AVX2 ALWAYS_INLINE __m256i load_rows(const uint32_t *row, const uint8_t *t)
{
    return _mm256_setr_epi32((int)row[t[0]], (int)row[t[1]], (int)row[t[2]], (int)row[t[3]],
                             (int)row[t[4]], (int)row[t[5]], (int)row[t[6]], (int)row[t[7]]);
}

AVX2 ALWAYS_INLINE Owners8 find_owners_8(const RansTables *tables, __m256i x, __m256i row)
{
    const __m256i mask = _mm256_set1_epi32(TOTAL - 1);
    _Alignas(32) uint32_t at[8];
    Owners8 o;
    o.slot = _mm256_and_si256(x, mask);
    o.bucket = _mm256_or_si256(
        _mm256_slli_epi32(_mm256_and_si256(row, _mm256_set1_epi32(0xFF)), GUIDE_BITS),
        _mm256_srli_epi32(o.slot, GUIDE_SHIFT));
    _mm256_store_si256((__m256i *)at, o.bucket);
    STORED(at);
    __m256 outer = _mm256_castsi256_ps(load_pairs_4(tables->pair, at));
    __m256 inner = _mm256_castsi256_ps(load_pairs_4(tables->pair, at + 2));
    __m256i low = _mm256_castps_si256(_mm256_shuffle_ps(outer, inner, 0x88));
    __m256i high = _mm256_castps_si256(_mm256_shuffle_ps(outer, inner, 0xDD));
    __m256i freq = _mm256_srli_epi32(low, 16);
    __m256i within = _mm256_sub_epi32(o.slot, _mm256_and_si256(low, mask));
    __m256i beyond = _mm256_sub_epi32(within, freq);
    __m256i first = _mm256_srai_epi32(beyond, 31);
    o.within = _mm256_min_epu32(within, beyond);
    o.freq = _mm256_blendv_epi8(_mm256_and_si256(_mm256_srli_epi32(high, 16), mask), freq, first);
    o.entry = _mm256_add_epi32(high, _mm256_add_epi32(first, _mm256_set1_epi32(1)));
    o.raw = _mm256_blendv_epi8(high, _mm256_slli_epi32(low, 16), first);
    o.wrong = bits_of(_mm256_cmpeq_epi32(_mm256_max_epu32(o.within, o.freq), o.within));
    return o;
}

AVX2 ALWAYS_INLINE void search_owners_8(const RansTables *tables, Owners8 *o)
{
    Lanes lanes;
    _mm256_store_si256((__m256i *)lanes.slot, o->slot);
    _mm256_store_si256((__m256i *)lanes.bucket, o->bucket);
    _mm256_store_si256((__m256i *)lanes.entry, o->entry);
    _mm256_store_si256((__m256i *)lanes.freq, o->freq);
    _mm256_store_si256((__m256i *)lanes.within, o->within);
    _mm256_store_si256((__m256i *)lanes.raw, o->raw);
    search_lanes(tables, o->wrong, &lanes);
    o->entry = _mm256_load_si256((const __m256i *)lanes.entry);
    o->freq = _mm256_load_si256((const __m256i *)lanes.freq);
    o->within = _mm256_load_si256((const __m256i *)lanes.within);
    o->raw = _mm256_load_si256((const __m256i *)lanes.raw);
}

/* The next states of 8 lanes, whose symbols are stored. */
AVX2 ALWAYS_INLINE __m256i next_8(__m256i x, const Owners8 *o, __m256i row, int32_t *out,
                                  const uint8_t **words)
{
    /* Sign extended from 16 bits. */
    __m256i value = _mm256_add_epi32(o->entry, _mm256_srli_epi32(row, 16));
    value = _mm256_srai_epi32(_mm256_slli_epi32(value, 16), 16);
    _mm256_storeu_si256((__m256i *)out, value);
    x = _mm256_mullo_epi32(o->freq, _mm256_srli_epi32(x, PRECISION));
    return renew_8(_mm256_add_epi32(x, o->within), words);
}

/* Decodes `groups` times 8 symbols in each of so many vectors, 1 or 4. */
AVX2 ALWAYS_INLINE size_t decode_avx2_vectors(const int vectors, const RansTables *tables,
                                              uint32_t *states, const uint8_t *index,
                                              int32_t *out, size_t groups, const uint8_t **words,
                                              uint8_t *raw)
{
    __m256i x[4], row[4];
    Owners8 o[4];
    UNROLL for (int i = 0; i < vectors; i++)
        x[i] = _mm256_loadu_si256((const __m256i *)(states + 8 * i));
    const uint8_t *from = *words;
    size_t raws = 0;
    for (size_t j = 0; groups > 0; groups--, j += 8 * (size_t)vectors) {
        unsigned wrong = 0;
        UNROLL for (int i = 0; i < vectors; i++) {
            row[i] = load_rows(tables->row, index + j + 8 * i);
            o[i] = find_owners_8(tables, x[i], row[i]);
            wrong |= o[i].wrong;
        }
        if (UNLIKELY(wrong))            /* one rare branch for all */
            UNROLL for (int i = 0; i < vectors; i++)
                search_owners_8(tables, &o[i]);
        UNROLL for (int i = 0; i < vectors; i++)
            x[i] = next_8(x[i], &o[i], row[i], out + j + 8 * i, &from);
        UNROLL for (int i = 0; i < vectors; i++)
            raws += put_members(raw + raws, (uint8_t)(j + 8 * (size_t)i), bits_of(o[i].raw));
    }
    UNROLL for (int i = 0; i < vectors; i++)
        _mm256_storeu_si256((__m256i *)(states + 8 * i), x[i]);
    *words = from;
    return raws;
}

AVX2 static size_t decode_avx2_pairs(const RansTables *tables, uint32_t *states,
                                     const uint8_t *index, int32_t *out, size_t groups,
                                     const uint8_t **words, uint8_t *raw)
{
    return decode_avx2_vectors(4, tables, states, index, out, groups, words, raw);
}

AVX2 static size_t decode_avx2_pairs_8(const RansTables *tables, uint32_t *states,
                                       const uint8_t *index, int32_t *out, size_t groups,
                                       const uint8_t **words, uint8_t *raw)
{
    return decode_avx2_vectors(1, tables, states, index, out, groups, words, raw);
}
