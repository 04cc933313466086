#include "CSluicePCRE2.h"
