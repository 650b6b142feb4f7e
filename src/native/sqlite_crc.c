/*
** sqlite_crc.c: see sqlite_crc.h. Eight tables, eight bytes a step; or the
** instruction that x86 has for it.
*/
#include "sqlite_crc.h"

#include <stdbool.h>


enum { SLICES = 8 };

static const uint32_t POLYNOMIAL = 0x82f63b78; /* reflected */
static uint32_t tables[SLICES][256];

static void make_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[0][byte] = crc;
  }
  for (int slice = 1; slice < SLICES; slice++)
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t crc = tables[slice - 1][byte];
      tables[slice][byte] = crc >> 8 ^ tables[0][crc & 255];
    }
}

/* Eight bytes at once, in the order of a machine that has the lowest
   first; assembled by hand, so that it does not matter which it is. */
static uint32_t step(uint32_t crc, const unsigned char *at) {
  crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
         (uint32_t)at[3] << 24;
  return tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^
         tables[5][crc >> 16 & 255] ^ tables[4][crc >> 24] ^
         tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
         tables[0][at[7]];
}

static uint32_t by_tables(uint32_t crc, const void *data, size_t n) {
  const unsigned char *at = data;
  for (; n >= SLICES; n -= SLICES, at += SLICES) crc = step(crc, at);
  for (; n > 0; n--, at++) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
  return crc;
}

/* -- by the processor, where it can -- */

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
#include <string.h>

__attribute__((target("sse4.2"))) static uint32_t by_processor(
    uint32_t crc, const void *data, size_t n) {
  const unsigned char *at = data;
  uint64_t wide = crc;
  for (; n >= 8; n -= 8, at += 8) {
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    wide = _mm_crc32_u64(wide, eight);
  }
  crc = (uint32_t)wide;
  for (; n > 0; n--, at++) crc = _mm_crc32_u8(crc, *at);
  return crc;
}

static bool processor_can(void) { return __builtin_cpu_supports("sse4.2"); }
#else
static uint32_t by_processor(uint32_t crc, const void *data, size_t n) {
  return by_tables(crc, data, n);
}

static bool processor_can(void) { return false; }
#endif

static uint32_t (*update)(uint32_t crc, const void *data, size_t n);

void sl_crc32c_init(void) {
  make_tables();
  update = processor_can() ? by_processor : by_tables;
}

uint32_t sl_crc32c(uint32_t crc, const void *data, size_t n) {
  return ~update(~crc, data, n);
}
