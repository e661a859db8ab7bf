/*
 * The decoding loop of rans.h for 64-bit ARM. Without gathers, look-ups stay scalar; the states'
 * arithmetic and renormalisation are done four at a time.
 */
#include <arm_neon.h>
#if defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#if defined(__ARM_FEATURE_CRC32)
static uint32_t checksum_neon(uint32_t crc, const uint8_t *p, size_t count)
{
    crc = ~crc;
    for (; count >= 8; count -= 8, p += 8) {
        uint64_t eight;
        memcpy(&eight, p, sizeof eight);
        crc = __crc32d(crc, eight);
    }
    return ~checksum_bytes(crc, p, count);
}
#else
#define checksum_neon checksum_scalar
#endif

/* For each set of the 4 lanes that take a word: which of the next 4 words each gets, as bytes. */
static uint8_t take_order[16][8];
static uint8_t take_count[16];

static void vector_set_up(void)
{
    for (unsigned set = 0; set < 16; set++) {
        unsigned next = 0;
        for (unsigned lane = 0; lane < 4; lane++) {
            unsigned takes = set >> lane & 1;
            take_order[set][2 * lane] = (uint8_t)(takes ? 2 * next : 0xFF);
            take_order[set][2 * lane + 1] = (uint8_t)(takes ? 2 * next + 1 : 0xFF);
            next += takes;
        }
        take_count[set] = (uint8_t)next;
    }
}

/* Decodes one symbol in each of 4 lanes; `codes` is given their codes. */
ALWAYS_INLINE uint32x4_t decode_4(const RansTables *tables, uint32x4_t x, const uint8_t *index,
                                  int32_t *out, uint32_t *codes)
{
    uint32x4_t slot = vandq_u32(x, vdupq_n_u32(TOTAL - 1));
    uint32_t slots[4];
    vst1q_u32(slots, slot);
    UNROLL for (int k = 0; k < 4; k++) {
        uint32_t row = tables->row[index[k]];
        uint32_t guide = tables->guide[(row & 0xFF) << GUIDE_BITS | slots[k] >> GUIDE_SHIFT];
        uint32_t entry = (guide & 0xFFFF) + (slots[k] >= guide >> 16);
        while (UNLIKELY(slots[k] - CODE_START(tables->code[entry]) >=
                        CODE_FREQ(tables->code[entry])))
            entry++;
        codes[k] = tables->code[entry];
        out[k] = (int16_t)(entry + (row >> 16));
    }
    uint32x4_t code = vld1q_u32(codes);
    uint32x4_t freq = vshrq_n_u32(code, 16);
    uint32x4_t start = vandq_u32(code, vdupq_n_u32(TOTAL - 1));
    return vmlaq_u32(vsubq_u32(slot, start), freq, vshrq_n_u32(x, PRECISION));
}

/* Gives a word to each state that is low. */
ALWAYS_INLINE uint32x4_t renew_4(uint32x4_t x, const uint8_t **words)
{
    static const uint32_t weights[4] = {1, 2, 4, 8};
    uint32x4_t low = vcltq_u32(x, vdupq_n_u32(STATE_LOW));
    uint32_t set = vaddvq_u32(vandq_u32(low, vld1q_u32(weights)));
    uint8x8_t taken = vtbl1_u8(vld1_u8(*words), vld1_u8(take_order[set]));
    *words += 2 * take_count[set];
    uint32x4_t more = vorrq_u32(vshlq_n_u32(x, 16), vmovl_u16(vreinterpret_u16_u8(taken)));
    return vbslq_u32(low, more, x);
}

static size_t decode_neon(const RansTables *tables, uint32_t *states, const uint8_t *index,
                          int32_t *out, size_t groups, const uint8_t **words, uint8_t *raw)
{
    uint32x4_t x[8];
    for (int i = 0; i < 8; i++)
        x[i] = vld1q_u32(states + 4 * i);
    const uint8_t *from = *words;
    size_t raws = 0;
    for (size_t j = 0; groups > 0; groups--, j += 32) {
        uint32_t codes[32];
        UNROLL for (int i = 0; i < 8; i++)
            x[i] = decode_4(tables, x[i], index + j + 4 * i, out + j + 4 * i, codes + 4 * i);
        UNROLL for (int i = 0; i < 8; i++)
            x[i] = renew_4(x[i], &from);
        for (size_t k = 0; k < 32; k++) {
            raw[raws] = (uint8_t)(j + k);
            raws += codes[k] >> 15 & 1;
        }
    }
    for (int i = 0; i < 8; i++)
        vst1q_u32(states + 4 * i, x[i]);
    *words = from;
    return raws;
}

static const Path neon_path = {"neon", classify_scalar, keep_indexes_scalar, keep_slots_scalar,
                               spread_scalar, encode_scalar, decode_neon, checksum_neon};

static size_t vector_paths(const Path **paths)
{
    paths[0] = &neon_path;
    return 1;
}
