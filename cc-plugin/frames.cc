/* frames.cc - tables of what GCC's nested-function lowering laid out.
 *
 * Inserted: nothing into the code.  For each function with a FRAME record a struct umbel_frame with its fields,
 * for each nested function that may run as a thread a struct umbel_function.  Runs as the first lowering pass:
 * FRAME layouts are final, and DECL_STATIC_CHAIN says which chains the lowering dropped.
 * Dump: -fdump-tree-nested shows FRAME.N; readelf -x umbel_frames FILE.o.
 */
#include "plugin.h"

enum { FIELD_VALUE, FIELD_SHARED, FIELD_CHAIN, FIELD_STUB, FIELD_DESCRIPTOR, FIELD_NONLOCAL_GOTO,
       FIELD_FRAME_BASE };

static tree find_frame(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *info)
{
	if (gbind *bind = dyn_cast<gbind *>(gsi_stmt(*gsi)))
		for (tree v = gimple_bind_vars(bind); v; v = DECL_CHAIN(v))
			if (VAR_P(v) && DECL_NONLOCAL_FRAME(v))
				*static_cast<tree *>(info->info) = v;
	return NULL_TREE;
}

/* FRAME.N of a lowered function, or null. */
tree frame_variable(tree function)
{
	tree frame = NULL_TREE;
	walk_stmt_info info;
	memset(&info, 0, sizeof info);
	info.info = &frame;
	walk_gimple_seq(gimple_body(function), find_frame, NULL, &info);
	return frame;
}

static const char *type_name(tree type)
{
	tree name = TYPE_NAME(type);
	if (name && TREE_CODE(name) == TYPE_DECL)
		name = DECL_NAME(name);
	return name ? IDENTIFIER_POINTER(name) : "";
}

static int field_kind(tree field, const char *name)
{
	const char *type = type_name(TREE_TYPE(field));
	if (find_object_of_field(field))
		return FIELD_SHARED;
	if (!strcmp(name, "__chain"))
		return FIELD_CHAIN;
	if (!strcmp(name, "__nl_goto_buf"))
		return FIELD_NONLOCAL_GOTO;
	if (!strcmp(name, "FRAME_BASE.PARENT"))
		return FIELD_FRAME_BASE;
	if (!strcmp(type, "__builtin_trampoline"))
		return FIELD_STUB;
	if (!strcmp(type, "__builtin_descriptor"))
		return FIELD_DESCRIPTOR;
	return FIELD_VALUE;
}

/* The inner function that a trampoline or descriptor field is for: GCC names the field after it, and makes
 * fields in the order of first use, so a repeated name is told apart only by what is still free. */
static nest_function *function_of_field(nest_function *f, tree field, std::set<nest_function *> &taken)
{
	for (nest_function *inner : f->inner)
		if (DECL_NAME(inner->decl) == DECL_NAME(field) && !taken.count(inner)) {
			taken.insert(inner);
			return inner;
		}
	return NULL;
}

static void emit_frame(nest_function *f, tree frame)
{
	tree type = TREE_TYPE(frame);
	std::vector<tree> fields;
	std::set<nest_function *> stubs, descriptors;
	HOST_WIDE_INT chain_offset = -1;
	for (tree field = TYPE_FIELDS(type); field; field = DECL_CHAIN(field)) {
		const char *name = DECL_NAME(field) ? IDENTIFIER_POINTER(DECL_NAME(field)) : "";
		int kind = field_kind(field, name);
		tree reference = word(0);
		if (kind == FIELD_SHARED)
			reference = address_of(find_object_of_field(field)->record);
		if (kind == FIELD_CHAIN)
			chain_offset = int_byte_position(field);
		if (kind == FIELD_STUB || kind == FIELD_DESCRIPTOR)
			if (nest_function *inner = function_of_field(f, field, kind == FIELD_STUB ? stubs
								     : descriptors))
				reference = address_of(function_record_of(inner));
		fields.insert(fields.end(), { word(int_byte_position(field)), word_of_size(DECL_SIZE_UNIT(field)),
					      word(kind), reference, word_of_text(name) });
	}
	tree table = make_record("fields", f->decl, fields.size(), NULL);
	fill_record(table, fields);
	fill_record(frame_record_of(f), { word_of_text(name_of(f->decl)), word_of_size(TYPE_SIZE_UNIT(type)),
		word(chain_offset), chain_offset >= 0 ? address_of(frame_record_of(f->outer)) : word(0),
		word(fields.size() / FIELD_WORDS), address_of(table) });
}

static void emit_function(nest_function *f)
{
	fill_record(function_record_of(f), { code_address(f->decl), word_of_text(name_of(f->decl)),
		DECL_STATIC_CHAIN(f->decl) ? address_of(frame_record_of(f->outer)) : word(0),
		word(DECL_STATIC_CHAIN(f->decl)), word(0), word(0) });
}

namespace {
const pass_data frames_data = { GIMPLE_PASS, "umbel_frames", OPTGROUP_NONE, TV_NONE, PROP_gimple_any, 0, 0, 0, 0 };

struct frames_pass : gimple_opt_pass {
	explicit frames_pass(gcc::context *context) : gimple_opt_pass(frames_data, context) {}
	bool gate(function *fun) override { return find_nest_function(fun->decl) != NULL; }
	unsigned int execute(function *fun) override
	{
		nest_function *f = find_nest_function(fun->decl);
		if (tree frame = frame_variable(fun->decl))
			emit_frame(f, frame);
		/* With the owner, not with the function itself: once its record is all that names a function,
		 * GCC lowers it only because the record exists. */
		for (nest_function *inner : f->inner)
			if (inner->thread_root())
				emit_function(inner);
		return 0;
	}
};
}

gimple_opt_pass *make_frames_pass(gcc::context *context) { return new frames_pass(context); }
