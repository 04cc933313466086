#include "CSluiceLinux.h"
