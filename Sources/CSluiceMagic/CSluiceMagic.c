#include "CSluiceMagic.h"
