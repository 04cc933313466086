// Vectorscan (Hyperscan API); no logic.
#pragma once
#include <hs/hs.h>
