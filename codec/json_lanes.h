// SPDX-License-Identifier: Apache-2.0
//
// json_lanes.h: sixty-four bytes of JSON looked at together.
//
// A prompt is text in strings, with an escape every line or so. A look that ends at each escape
// spends its time on guessing where the next one is; so nothing here branches on a backslash. Each
// comparison of sixty-four bytes becomes a word with a bit a byte, and from the words follows which
// bytes are escaped, whether each of those is a letter that two-byte escapes have, and where the
// first byte stands that ends the run:
//
//     text        s a y   \ " h i \ "   \ u 0 0 4 1 "
//     backslash   . . . . 1 . . . 1 . . 1 . . . . . .
//     escaped     . . . . . 1 . . . 1 . . 1 . . . . .
//     ending      . . . . . 1 . . . 1 . . . . . . . 1     quote, control, beyond ASCII
//     letter      . . . . 1 1 . . 1 1 . 1 . . . . . 1     " \ / b f n r t
//     stop        . . . . . . . . . . . . 1 . . . . 1     escaped ? no letter : ending
//
// Three roads give the words: AVX-512 and AVX2, chosen when it runs, and the sixteen lanes every
// machine has. What is done with the words is written once and inlined into the function of each
// road, where the compiler may use that road's instructions.
//
// Header only; private to codec.
#ifndef RINGGATE_CODEC_JSON_LANES_H
#define RINGGATE_CODEC_JSON_LANES_H

#include "codec/lanes.h"

#include <stddef.h>

#define JSON_LANES 64

// Groups in a row without a backslash after which only the end of the plain text is looked for.
#define JSON_LANES_QUIET 4

#define JSON_LANES_INLINE static inline __attribute__((always_inline))

enum lanes_road {
    LANES_ROAD_ANY,
    LANES_ROAD_AVX2,
    LANES_ROAD_AVX512,
};

#ifdef __x86_64__
#include <immintrin.h>

// What words of bits are searched and counted with came to processors together with AVX2.
#define LANES_AVX2_TARGET   "avx2,bmi,bmi2,popcnt"
#define LANES_AVX512_TARGET "avx512f,avx512bw," LANES_AVX2_TARGET
#define LANES_AVX2          __attribute__((target(LANES_AVX2_TARGET), noinline))
#define LANES_AVX2_INLINE   static inline __attribute__((target(LANES_AVX2_TARGET)))
#define LANES_AVX512        __attribute__((target(LANES_AVX512_TARGET), noinline))
#define LANES_AVX512_INLINE static inline __attribute__((target(LANES_AVX512_TARGET)))
typedef char lanes_wide __attribute__((vector_size(2 * LANES_BYTES)));
typedef uint16_t lanes_words __attribute__((vector_size(2 * LANES_BYTES)));
#endif

// Past the plain characters in [p, end), as far as they fill whole groups of JSON_LANES_PLAIN; what
// follows is looked at by the caller. With AVX2 it runs at the second-level cache's speed.
#define JSON_LANES_PLAIN (8 * LANES_BYTES)

#ifdef __x86_64__
LANES_AVX2 static const char *json__skip_plain_avx2(const char *p, const char *end)
{
    // By the low four bits: the quote, the backslash, else a byte that has other low bits. Compared
    // with the byte it was chosen by it says whether that is one of the two.
    static const lanes_wide quotes = {'!', 0, '"', 0, 0, 0, 0, 0, 0, 0, 0, 0, '\\', 0, 0, 0,
                                      '!', 0, '"', 0, 0, 0, 0, 0, 0, 0, 0, 0, '\\', 0, 0, 0};
    for (; end - p >= JSON_LANES_PLAIN; p += JSON_LANES_PLAIN) {
        lanes_wide hit = {0};
        for (int i = 0; i < JSON_LANES_PLAIN; i += (int)sizeof(hit)) {
            lanes_wide v;
            memcpy(&v, p + i, sizeof(v));
            hit |= (lanes_wide)(__builtin_ia32_pshufb256(quotes, v) == v) | (lanes_wide)(v < 0x20);
        }
        if (__builtin_ia32_pmovmskb256(hit) != 0)
            break;
    }
    return p;
}

LANES_AVX512 static const char *json__skip_plain_avx512(const char *p, const char *end)
{
    const __m512i quote = _mm512_set1_epi8('"'), backslash = _mm512_set1_epi8('\\');
    for (; end - p >= JSON_LANES_PLAIN; p += JSON_LANES_PLAIN) {
        __mmask64 hit = 0;
        for (int i = 0; i < JSON_LANES_PLAIN; i += (int)sizeof(quote)) {
            __m512i v = _mm512_loadu_si512(p + i);
            hit |= _mm512_cmpeq_epi8_mask(v, quote) | _mm512_cmpeq_epi8_mask(v, backslash) |
                   _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(0x20));
        }
        if (hit != 0)
            break;
    }
    return p;
}
#endif

static inline const char *json__skip_plain_any(const char *p, const char *end)
{
    for (; end - p >= JSON_LANES_PLAIN; p += JSON_LANES_PLAIN) {
        struct lanes hit = lanes_not_plain(lanes_load(p));
        for (int i = LANES_BYTES; i < JSON_LANES_PLAIN; i += LANES_BYTES)
            hit = lanes_or(hit, lanes_not_plain(lanes_load(p + i)));
        if (lanes_any(hit))
            break;
    }
    return p;
}

// A bit for each of the bytes, the lowest for the first.
struct json_bits {
    uint64_t backslash;
    uint64_t quote;
    uint64_t ending; // of plain text: quote, control character, beyond ASCII
    uint64_t letter; // behind the backslash of an escape of two bytes
};

struct json_brackets {
    uint64_t open;
    uint64_t close;
};

static inline struct json_bits json__bits_any(const char *p)
{
    struct json_bits bits = {0};
    for (unsigned i = 0; i < JSON_LANES; i += LANES_BYTES) {
        struct lanes l = lanes_load(p + i);
        struct lanes quote = {.v = l.v == '"'}, backslash = {.v = l.v == '\\'};
        struct lanes ending = {.v = quote.v | (l.v < 0x20)};
        struct lanes letter = {.v = quote.v | backslash.v | (l.v == '/') | ((l.v & ~4) == 'b') |
                                    (l.v == 'n') | (l.v == 'r') | (l.v == 't')};
        bits.backslash |= (uint64_t)lanes_mask(backslash) << i;
        bits.quote |= (uint64_t)lanes_mask(quote) << i;
        bits.ending |= (uint64_t)lanes_mask(ending) << i;
        bits.letter |= (uint64_t)lanes_mask(letter) << i;
    }
    return bits;
}

// A square bracket and a curly one differ in one bit.
static inline struct json_brackets json__brackets_any(const char *p)
{
    struct json_brackets b = {0};
    for (unsigned i = 0; i < JSON_LANES; i += LANES_BYTES) {
        struct lanes l = lanes_load(p + i);
        struct lanes open = {.v = (l.v | 0x20) == '{'}, close = {.v = (l.v | 0x20) == '}'};
        b.open |= (uint64_t)lanes_mask(open) << i;
        b.close |= (uint64_t)lanes_mask(close) << i;
    }
    return b;
}

#ifdef __x86_64__
LANES_AVX2_INLINE uint64_t json__mask_avx2(lanes_wide hit)
{
    return (uint32_t)__builtin_ia32_pmovmskb256(hit);
}

LANES_AVX2_INLINE struct json_bits json__bits_avx2(const char *p)
{
#define TWICE(...)                                                                                 \
    {                                                                                              \
        __VA_ARGS__, __VA_ARGS__                                                                   \
    }
    // The letters by the low and the high four bits: a high half that has some is given a bit of
    // its own, and a byte is a letter when its low half has that bit too. Beyond ASCII none has.
    static const lanes_wide low = TWICE(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    static const lanes_wide high = TWICE(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
#undef TWICE
    struct json_bits bits = {0};
    for (unsigned i = 0; i < JSON_LANES; i += sizeof(lanes_wide)) {
        lanes_wide v;
        memcpy(&v, p + i, sizeof(v));
        lanes_wide half = (lanes_wide)((lanes_words)v >> 4) & 0x0F;
        lanes_wide letter = __builtin_ia32_pshufb256(low, v) & __builtin_ia32_pshufb256(high, half);
        lanes_wide quote = v == '"';
        bits.backslash |= json__mask_avx2(v == '\\') << i;
        bits.quote |= json__mask_avx2(quote) << i;
        bits.ending |= json__mask_avx2(quote | (v < 0x20)) << i;
        bits.letter |= json__mask_avx2(letter != 0) << i;
    }
    return bits;
}

LANES_AVX2_INLINE struct json_brackets json__brackets_avx2(const char *p)
{
    struct json_brackets b = {0};
    for (unsigned i = 0; i < JSON_LANES; i += sizeof(lanes_wide)) {
        lanes_wide v;
        memcpy(&v, p + i, sizeof(v));
        b.open |= json__mask_avx2((v | 0x20) == '{') << i;
        b.close |= json__mask_avx2((v | 0x20) == '}') << i;
    }
    return b;
}

LANES_AVX512_INLINE struct json_bits json__bits_avx512(const char *p)
{
    __m512i v = _mm512_loadu_si512(p);
    // As with AVX2.
    const __m512i low = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1));
    const __m512i high =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    __m512i half = _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(0x0F));
    uint64_t quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"'));
    return (struct json_bits){
        .backslash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')),
        .quote = quote,
        .ending = quote | _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(0x20)),
        .letter =
            _mm512_test_epi8_mask(_mm512_shuffle_epi8(low, v), _mm512_shuffle_epi8(high, half)),
    };
}

LANES_AVX512_INLINE struct json_brackets json__brackets_avx512(const char *p)
{
    __m512i v = _mm512_or_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(0x20));
    return (struct json_brackets){
        .open = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('{')),
        .close = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('}')),
    };
}
#else // never called
#define json__bits_avx2         json__bits_any
#define json__bits_avx512       json__bits_any
#define json__brackets_avx2     json__brackets_any
#define json__brackets_avx512   json__brackets_any
#define json__skip_plain_avx2   json__skip_plain_any
#define json__skip_plain_avx512 json__skip_plain_any
#endif

JSON_LANES_INLINE struct json_bits json__bits(const char *p, enum lanes_road road)
{
    return road == LANES_ROAD_AVX512 ? json__bits_avx512(p)
           : road == LANES_ROAD_AVX2 ? json__bits_avx2(p)
                                     : json__bits_any(p);
}

JSON_LANES_INLINE struct json_brackets json__brackets(const char *p, enum lanes_road road)
{
    return road == LANES_ROAD_AVX512 ? json__brackets_avx512(p)
           : road == LANES_ROAD_AVX2 ? json__brackets_avx2(p)
                                     : json__brackets_any(p);
}

JSON_LANES_INLINE const char *json__skip_plain(const char *p, const char *end, enum lanes_road road)
{
    return road == LANES_ROAD_AVX512 ? json__skip_plain_avx512(p, end)
           : road == LANES_ROAD_AVX2 ? json__skip_plain_avx2(p, end)
                                     : json__skip_plain_any(p, end);
}

// The bytes that stand behind a backslash which is not itself escaped. *escaping, 0 or 1: the byte
// before the first was such a backslash; afterwards, whether the last one is. That is a matter of
// how many backslashes there are at the end, so that one group need not wait for the one before it.
JSON_LANES_INLINE uint64_t json__escaped(uint64_t backslash, uint64_t *escaping)
{
    // In a run of backslashes every second byte is escaped, and so is what follows an odd one. The
    // sum carries through the runs that begin at an even place: with what follows them they are
    // `even_run`, and of those the odd places are escaped; of the others the even ones.
    const uint64_t even = UINT64_C(0x5555555555555555);
    uint64_t before = *escaping;
    if (backslash != UINT64_MAX)
        *escaping = (uint64_t)__builtin_clzll(~backslash) & 1;
    backslash &= ~before;
    uint64_t begin = backslash & ~(backslash << 1);
    uint64_t even_run = backslash ^ (backslash + (begin & even));
    return ((backslash | backslash << 1) & (even_run ^ even)) | before;
}

// Where a string that is being walked at `p` has its first byte that is neither plain nor part of
// an escape of two bytes; of a longer or a false escape its backslash. Looks at whole groups that
// begin before `limit` and end before `end`: less may be left at an earlier place, then. *escapes
// is set when there were escapes before it.
JSON_LANES_INLINE const char *json__string_lanes(const char *p, const char *limit, const char *end,
                                                 bool *escapes, enum lanes_road road)
{
    uint64_t escaping = 0, seen = 0;
    for (unsigned quiet = 0; p < limit && end - p >= JSON_LANES; p += JSON_LANES) {
        struct json_bits b = json__bits(p, road);
        uint64_t escaped = json__escaped(b.backslash, &escaping);
        uint64_t stop = (b.ending & ~escaped) | (escaped & ~b.letter);
        seen |= escaped & (stop - 1) & ~stop; // the bits below the lowest of `stop`
        if (stop != 0) {
            unsigned first = (unsigned)__builtin_ctzll(stop);
            escaping = escaped >> first & 1;
            p += first;
            break;
        }
        quiet = b.backslash == 0 ? quiet + 1 : 0;
        if (quiet == JSON_LANES_QUIET) {
            const char *next = p + JSON_LANES;
            p = json__skip_plain(next, limit, road) - JSON_LANES;
            quiet = 0;
        }
    }
    *escapes |= seen != 0;
    return p - escaping;
}

// The closing quote of a well-formed string that is being walked at `p`; where less than a group is
// left before `end` when it is not found, and then not between a backslash and what it escapes.
JSON_LANES_INLINE const char *json__quote_lanes(const char *p, const char *end,
                                                enum lanes_road road)
{
    uint64_t escaping = 0;
    for (; end - p >= JSON_LANES; p += JSON_LANES) {
        struct json_bits b = json__bits(p, road);
        uint64_t quote = b.quote & ~json__escaped(b.backslash, &escaping);
        if (quote != 0)
            return p + __builtin_ctzll(quote);
    }
    return p - escaping;
}

// Each bit: whether the number of set bits up to and with it is odd.
JSON_LANES_INLINE uint64_t json__odd_so_far(uint64_t bits)
{
    for (unsigned step = 1; step < 64; step *= 2)
        bits ^= bits << step;
    return bits;
}

// Behind the bracket that closes the well-formed container in which `p` is, outside strings, and
// *depth 0; or where less than a group is left before `end`: *depth containers deep, *in_string or
// not, and not between a backslash and what it escapes.
JSON_LANES_INLINE const char *json__close_lanes(const char *p, const char *end, size_t *depth,
                                                bool *in_string, enum lanes_road road)
{
    uint64_t escaping = 0, in = 0; // all ones when the byte before `p` is inside a string
    size_t deep = 1;
    *in_string = false;
    for (; end - p >= JSON_LANES; p += JSON_LANES) {
        struct json_bits b = json__bits(p, road);
        uint64_t quote = b.quote & ~json__escaped(b.backslash, &escaping);
        if (quote == 0 && in != 0)
            continue;
        uint64_t inside = json__odd_so_far(quote) ^ in;
        in = 0 - (inside >> 63);
        struct json_brackets brackets = json__brackets(p, road);
        uint64_t open = brackets.open & ~inside, close = brackets.close & ~inside;
        for (; close != 0; close &= close - 1) {
            uint64_t before = open & (close - 1) & ~close;
            deep += (size_t)__builtin_popcountll(before);
            open ^= before;
            if (--deep == 0) {
                *depth = 0;
                return p + __builtin_ctzll(close) + 1;
            }
        }
        deep += (size_t)__builtin_popcountll(open);
    }
    *depth = deep;
    *in_string = in != 0;
    return p - escaping;
}

// The roads.

static inline const char *json_lanes_string_any(const char *p, const char *limit, const char *end,
                                                bool *escapes)
{
    return json__string_lanes(p, limit, end, escapes, LANES_ROAD_ANY);
}

static inline const char *json_lanes_quote_any(const char *p, const char *end)
{
    return json__quote_lanes(p, end, LANES_ROAD_ANY);
}

static inline const char *json_lanes_close_any(const char *p, const char *end, size_t *depth,
                                               bool *in_string)
{
    return json__close_lanes(p, end, depth, in_string, LANES_ROAD_ANY);
}

#ifdef __x86_64__
LANES_AVX2 static const char *json_lanes_string_avx2(const char *p, const char *limit,
                                                     const char *end, bool *escapes)
{
    return json__string_lanes(p, limit, end, escapes, LANES_ROAD_AVX2);
}

LANES_AVX512 static const char *json_lanes_string_avx512(const char *p, const char *limit,
                                                         const char *end, bool *escapes)
{
    return json__string_lanes(p, limit, end, escapes, LANES_ROAD_AVX512);
}

LANES_AVX2 static const char *json_lanes_quote_avx2(const char *p, const char *end)
{
    return json__quote_lanes(p, end, LANES_ROAD_AVX2);
}

LANES_AVX512 static const char *json_lanes_quote_avx512(const char *p, const char *end)
{
    return json__quote_lanes(p, end, LANES_ROAD_AVX512);
}

LANES_AVX2 static const char *json_lanes_close_avx2(const char *p, const char *end, size_t *depth,
                                                    bool *in_string)
{
    return json__close_lanes(p, end, depth, in_string, LANES_ROAD_AVX2);
}

LANES_AVX512 static const char *json_lanes_close_avx512(const char *p, const char *end,
                                                        size_t *depth, bool *in_string)
{
    return json__close_lanes(p, end, depth, in_string, LANES_ROAD_AVX512);
}

static inline bool lanes_have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

// VBMI2 came with the processors that no longer slow down for AVX-512.
static inline bool lanes_have_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2") &&
           lanes_have_avx2();
}

#define LANES_ROAD(name, ...)                                                                      \
    (lanes_have_avx512() ? name##_avx512(__VA_ARGS__)                                              \
     : lanes_have_avx2() ? name##_avx2(__VA_ARGS__)                                                \
                         : name##_any(__VA_ARGS__))
#else
#define LANES_ROAD(name, ...) name##_any(__VA_ARGS__)
#endif

static inline const char *json_lanes_string(const char *p, const char *limit, const char *end,
                                            bool *escapes)
{
    return LANES_ROAD(json_lanes_string, p, limit, end, escapes);
}

static inline const char *json_lanes_quote(const char *p, const char *end)
{
    return LANES_ROAD(json_lanes_quote, p, end);
}

static inline const char *json_lanes_close(const char *p, const char *end, size_t *depth,
                                           bool *in_string)
{
    return LANES_ROAD(json_lanes_close, p, end, depth, in_string);
}

#endif
