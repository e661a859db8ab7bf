/*
 * The coding loops of rans.h for 64-bit ARM. Without gathers, look-ups stay scalar; the states'
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
/* For each set of the 4 lanes that put a word: their lanes in order, at the end of 4 words. */
static uint8_t put_order[16][8];
static uint8_t set_size[16];

static void vector_set_up(void)
{
    memset(take_order, 0xFF, sizeof take_order);
    memset(put_order, 0xFF, sizeof put_order);
    for (unsigned set = 0; set < 16; set++) {
        unsigned next = 0, size = (unsigned)__builtin_popcount(set);
        for (unsigned lane = 0; lane < 4; lane++) {
            if (!(set >> lane & 1))
                continue;
            for (unsigned byte = 0; byte < 2; byte++) {
                take_order[set][2 * lane + byte] = (uint8_t)(2 * next + byte);
                put_order[set][2 * (4 - size + next) + byte] = (uint8_t)(2 * lane + byte);
            }
            next++;
        }
        set_size[set] = (uint8_t)size;
    }
}

/* The set of those of 4 lanes that are all ones, the others being zero. */
ALWAYS_INLINE uint32_t set_of(uint32x4_t lanes)
{
    static const uint32_t weights[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(lanes, vld1q_u32(weights)));
}

/* Puts the words of those of 4 states that are full in front, and codes an entry in each. */
ALWAYS_INLINE uint32x4_t encode_4(uint32x4_t x, uint32x4_t code, uint8_t **words)
{
    uint32x4_t freq = vshrq_n_u32(code, 16);
    uint32x4_t full = vcgeq_u32(vshrq_n_u32(x, RENORM_SHIFT), freq);
    uint32_t set = set_of(full);
    uint8x8_t low = vreinterpret_u8_u16(vmovn_u32(x));
    vst1_u8(*words - 8, vtbl1_u8(low, vld1_u8(put_order[set])));
    *words -= 2 * set_size[set];
    x = vbslq_u32(full, vshrq_n_u32(x, 16), x);
    /*
     * The factor outweighs the three roundings of up to 2^-24 each, and all of it loses less than
     * 2^-20 of the quotient, which is below 2^18: the integer is right, or too small by one.
     */
    float32x4_t dividend = vmulq_n_f32(vcvtq_f32_u32(x), 1 - 0x1p-21f);
    uint32x4_t quotient = vcvtq_u32_f32(vdivq_f32(dividend, vcvtq_f32_u32(freq)));
    uint32x4_t rest = vmlsq_u32(x, quotient, freq);
    uint32x4_t start = vandq_u32(code, vdupq_n_u32(TOTAL - 1));
    uint32x4_t next = vaddq_u32(vshlq_n_u32(quotient, PRECISION), vaddq_u32(rest, start));
    uint32x4_t complement = vsubq_u32(vdupq_n_u32(TOTAL), freq);
    return vaddq_u32(next, vandq_u32(vcgeq_u32(rest, freq), complement));
}

static uint8_t *encode_neon(const RansTables *tables, uint32_t *states, const uint16_t *end,
                            size_t groups, uint8_t *words)
{
    uint32x4_t x[8];
    for (int i = 0; i < 8; i++)
        x[i] = vld1q_u32(states + 4 * i);
    for (; groups > 0; groups--) {
        end -= 32;
        UNROLL for (int i = 7; i >= 0; i--) {
            uint32_t codes[4];
            for (int k = 0; k < 4; k++)
                codes[k] = tables->code[end[4 * i + k]];
            x[i] = encode_4(x[i], vld1q_u32(codes), &words);
        }
    }
    for (int i = 0; i < 8; i++)
        vst1q_u32(states + 4 * i, x[i]);
    return words;
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
    uint32x4_t low = vcltq_u32(x, vdupq_n_u32(STATE_LOW));
    uint32_t set = set_of(low);
    uint8x8_t taken = vtbl1_u8(vld1_u8(*words), vld1_u8(take_order[set]));
    *words += 2 * set_size[set];
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
                               spread_scalar, encode_neon, decode_neon, checksum_neon, NULL};

static size_t vector_paths(const Path **paths)
{
    paths[0] = &neon_path;
    return 1;
}
