/*
** sqlite_crc.c: see sqlite_crc.h. Eight tables: eight bytes a step.
*/
#include "sqlite_crc.h"


enum { SLICES = 8 };

static const uint32_t POLYNOMIAL = 0x82f63b78; /* reflected */
static uint32_t tables[SLICES][256];

void sl_crc32c_init(void) {
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

uint32_t sl_crc32c(uint32_t crc, const void *data, size_t n) {
  const unsigned char *at = data;
  crc = ~crc;
  for (; n >= SLICES; n -= SLICES, at += SLICES) crc = step(crc, at);
  for (; n > 0; n--, at++) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
  return ~crc;
}
