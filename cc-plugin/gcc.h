/* gcc.h - the only place where GCC's headers are included, in the order they need. */
#ifndef UMBEL_GCC_H
#define UMBEL_GCC_H

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gcc-plugin.h"
#include "plugin-version.h"
#include "config.h"
#include "system.h"
#include "coretypes.h"
#include "backend.h"
#include "tree.h"
#include "gimple.h"
#include "cfgloop.h"
#include "tree-pass.h"
#include "cgraph.h"
#include "stringpool.h"
#include "attribs.h"
#include "fold-const.h"
#include "stor-layout.h"
#include "tree-iterator.h"
#include "gimple-iterator.h"
#include "gimple-walk.h"
#include "diagnostic.h"
#include "tree-pretty-print.h"
#include "tree-nested.h"
#include "langhooks.h"
#include "varasm.h"
#include "gimplify.h"
#include "function.h"
#include "calls.h"
#include "context.h"

/* GCC 12 split the no-warning bit by warning; GCC 11 has one bit for all. */
inline void suppress_uninitialized_warning(gimple *stmt)
{
#if BUILDING_GCC_VERSION >= 12000
	suppress_warning(stmt, OPT_Wuninitialized);
	suppress_warning(stmt, OPT_Wmaybe_uninitialized);
#else
	gimple_set_no_warning(stmt, true);
#endif
}

#endif
