// SPDX-License-Identifier: GPL-2.0
/* The production source, compiled into the test module. */
#include "../../src/switcher/offsets.c"
