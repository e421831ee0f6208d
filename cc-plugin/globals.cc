/* globals.cc - shared globals; none yet. */
#include "plugin.h"

object *find_global_of_pointer(tree) { return NULL; }
