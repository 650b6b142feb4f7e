/*
** sqlite_crc.h: CRC-32C (Castagnoli), which detects every burst of up to 32
** bits. A body is checked at a byte or more a cycle.
*/
#ifndef SL_SQLITE_CRC_H
#define SL_SQLITE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 at first) over n bytes. */
uint32_t sl_crc32c(uint32_t crc, const void *data, size_t n);

/* Must be called once before. */
void sl_crc32c_init(void);

#endif
