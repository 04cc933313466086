// libmagic; no logic.
#pragma once
#include <magic.h>

/// Text only, no look into archives, no error text in place of an answer.
static inline int sluice_magic_flags(void) { return MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_ELF; }
