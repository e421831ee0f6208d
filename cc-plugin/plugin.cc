/* plugin.cc - options, the attribute shadow, the order of the passes.
 *
 * Options (-fplugin-arg-NAME-OPTION, NAME as the file is called): all, report, share-globals,
 * no-warn-globals.
 */
#include "plugin.h"

int plugin_is_GPL_compatible;
options opt;

/* ---- what is known about the unit ------------------------------------------------------------- */

static std::map<tree, nest_function *> nest_functions;
static std::map<tree, object *> objects_by_pointer, objects_by_field, objects_by_local;
static GTY(()) tree kept; /* the maps hold raw trees: this list keeps them from the garbage collector */

void keep_alive(tree node) { kept = tree_cons(NULL_TREE, node, kept); }

nest_function *find_nest_function(tree decl)
{
	auto found = nest_functions.find(decl);
	return found == nest_functions.end() ? NULL : found->second;
}

object *find_object_of_pointer(tree pointer)
{
	auto found = objects_by_pointer.find(pointer);
	return found == objects_by_pointer.end() ? NULL : found->second;
}

/* A function's own copy of an object's pointer. */
void remember_local(tree local, object *o)
{
	objects_by_local[local] = o;
	keep_alive(local);
}

/* The object whose pointer a local of some function holds, the owner's own included. */
object *find_object_of_local(tree local)
{
	auto found = objects_by_local.find(local);
	return found == objects_by_local.end() ? find_object_of_pointer(local) : found->second;
}

/* Call when F has been lowered: where a nested function uses an object, GCC left FRAME.FIELD as its pointer's
 * DECL_VALUE_EXPR.  An owner is always lowered before the functions nested in it. */
void learn_object_fields(const nest_function *f)
{
	for (object *o : f->objects) {
		if (!DECL_HAS_VALUE_EXPR_P(o->pointer) || TREE_CODE(DECL_VALUE_EXPR(o->pointer)) != COMPONENT_REF)
			continue;
		tree field = TREE_OPERAND(DECL_VALUE_EXPR(o->pointer), 1);
		objects_by_field[field] = o;
		keep_alive(field);
	}
}

/* The object whose pointer is in FIELD of its owner's FRAME. */
object *find_object_of_field(tree field)
{
	auto found = objects_by_field.find(field);
	return found == objects_by_field.end() ? NULL : found->second;
}

/* ---- GENERIC ----------------------------------------------------------------------------------- */

/* An outermost function without nested ones has no cgraph node yet. */
static cgraph_node *first_nested(tree decl)
{
	cgraph_node *node = cgraph_node::get(decl);
	return node ? first_nested_function(node) : NULL;
}

static nest_function *build_nest(tree decl, nest_function *outer, std::vector<nest_function *> &order)
{
	nest_function *f = new nest_function();
	f->decl = decl;
	f->outer = outer;
	nest_functions[decl] = f;
	keep_alive(decl);
	order.push_back(f);
	/* GCC lists the last function first. */
	std::vector<tree> inner;
	for (cgraph_node *n = first_nested(decl); n; n = next_nested_function(n))
		if (DECL_SAVED_TREE(n->decl))
			inner.push_back(n->decl);
	for (auto i = inner.rbegin(); i != inner.rend(); ++i)
		f->inner.push_back(build_nest(*i, f, order));
	return f;
}

/* All of the contract's functions, so that a missing header is one error and not a crash later. */
static bool has_abi()
{
	for (const char *name : { "__umbel_small", "__umbel_page", "__umbel_alloc", "__umbel_alloc_pages",
				  "__umbel_leave", "__umbel_thr_create", "__umbel_stub_mark",
				  "__umbel_stub_make", "__umbel_stub_leave" })
		if (!abi_function(name))
			return false;
	return true;
}

bool names_umbel(tree decl)
{
	return DECL_NAME(decl) && !strncmp(name_of(decl), "__umbel_", 8);
}

/* Does an ordinary function need us: a call of umbel_thr_create or setjmp, a marked local? */
static tree find_reason(tree *node, int *walk_subtrees, void *)
{
	if (TYPE_P(*node))
		*walk_subtrees = 0;
	else if (TREE_CODE(*node) == CALL_EXPR && (spawned_function_address(*node) || is_setjmp(*node)))
		return *node;
	else if (TREE_CODE(*node) == BIND_EXPR)
		for (tree v = BIND_EXPR_VARS(*node); v; v = DECL_CHAIN(v))
			if (VAR_P(v) && is_automatic(v) && has_shadow(v))
				return v;
	return NULL_TREE;
}

static bool concerns_us(tree decl)
{
	if (first_nested(decl))
		return true;
	for (tree p = DECL_ARGUMENTS(decl); p; p = DECL_CHAIN(p))
		if (has_shadow(p))
			return true;
	return walk_tree_without_duplicates(&DECL_SAVED_TREE(decl), find_reason, NULL) != NULL_TREE;
}

/* Named in a call of umbel_thr_create? */
bool is_spawned(tree decl)
{
	nest_function *f = find_nest_function(decl);
	return has_plain_record(decl) || (f && f->outer && f->spawned);
}

/* May it run as a thread, as far as this unit tells? */
bool is_thread_function(tree decl)
{
	nest_function *f = find_nest_function(decl);
	return has_plain_record(decl) || (f && f->outer && f->thread_root());
}

static void transform_nest(tree decl)
{
	if (seen_error() || names_umbel(decl) || find_nest_function(decl) || !concerns_us(decl) || !has_abi())
		return;
	captures nest;
	build_nest(decl, NULL, nest.order);
	scan_captures(nest);
	choose_shared(nest);
	share_escaping_addresses(nest);
	judge_units(nest);
	for (nest_function *f : nest.order) {
		move_objects(f, nest);
		for (object *o : f->objects)
			objects_by_pointer[o->pointer] = o;
	}
}

/* ---- callbacks --------------------------------------------------------------------------------- */

static void on_declaration(void *decl, void *) { remember_abi_function(static_cast<tree>(decl)); }

static void on_pre_genericize(void *data, void *)
{
	tree decl = static_cast<tree>(data);
	if (TREE_CODE(decl) != FUNCTION_DECL || !DECL_SAVED_TREE(decl) || decl_function_context(decl))
		return;
	remember_abi_function(decl);
	mark_void_main(decl);
	transform_nest(decl);
}

static struct attribute_spec shadow_attribute = { "shadow", 0, -1, false, false, false, false, handle_shadow, NULL };

static tree handle_node_local(tree *node, tree name, tree, int, bool *no_add)
{
	if (VAR_P(*node) && (!current_function_decl || TREE_STATIC(*node) || DECL_EXTERNAL(*node)))
		return NULL_TREE;
	warning(OPT_Wattributes, "%qE attribute ignored: it is for globals and static locals", name);
	*no_add = true;
	return NULL_TREE;
}

static struct attribute_spec node_local_attribute = { "node_local", 0, 0, true, false, false, false,
						      handle_node_local, NULL };

static void on_attributes(void *, void *)
{
	register_attribute(&shadow_attribute);
	register_attribute(&node_local_attribute);
}

/* No callback lies between the end of parsing and the first function's gimplification. */
static void (*front_end_parse_file)(void);

static void parse_file()
{
	front_end_parse_file();
	share_globals();
}

static const struct ggc_root_tab roots[] = {
	{ &kept, 1, sizeof kept, &gt_ggc_mx_tree_node, &gt_pch_nx_tree_node }, LAST_GGC_ROOT_TAB
};

/* ---- loading ----------------------------------------------------------------------------------- */

static bool built_for(const plugin_gcc_version *running)
{
	if (plugin_default_version_check(&gcc_version, const_cast<plugin_gcc_version *>(running)))
		return true;
	int major = atoi(running->basever);
	error("umbel: this plugin was built for gcc %s (%s), this is gcc %s (%s): install gcc-%d-plugin-dev and"
	      " run %<make -C cc-plugin GCC=gcc-%d%>", gcc_version.basever, gcc_version.datestamp,
	      running->basever, running->datestamp, major, major);
	return false;
}

static bool read_options(const plugin_name_args *arguments)
{
	for (int i = 0; i < arguments->argc; i++) {
		std::string key = arguments->argv[i].key;
		if (key == "all") {
			opt.all = true;
		} else if (key == "report") {
			opt.report = true;
		} else if (key == "share-globals") {
			opt.share_globals = true;
		} else if (key == "no-warn-globals") {
			opt.no_warn_globals = true;
		} else {
			error("umbel: unknown option %qs; there are %<all%>, %<report%>, %<share-globals%> and"
			      " %<no-warn-globals%>", key.c_str());
			return false;
		}
	}
	return true;
}

int plugin_init(plugin_name_args *arguments, plugin_gcc_version *running)
{
	if (!built_for(running) || !read_options(arguments))
		return 1;
	const char *name = arguments->base_name;
	/* The first four are inserted before the same pass, so they run in this order. */
	static register_pass_info passes[] = {
		{ make_stubs_pass(g), "*warn_unused_result", 1, PASS_POS_INSERT_BEFORE },
		{ make_frames_pass(g), "*warn_unused_result", 1, PASS_POS_INSERT_BEFORE },
		{ make_aliases_pass(g), "*warn_unused_result", 1, PASS_POS_INSERT_BEFORE },
		{ make_atomics_pass(g), "*warn_unused_result", 1, PASS_POS_INSERT_BEFORE },
		{ make_loops_pass(g), "cfg", 1, PASS_POS_INSERT_AFTER },
	};
	for (register_pass_info &pass : passes)
		register_callback(name, PLUGIN_PASS_MANAGER_SETUP, NULL, &pass);
	register_callback(name, PLUGIN_REGISTER_GGC_ROOTS, NULL, const_cast<ggc_root_tab *>(roots));
	register_callback(name, PLUGIN_ATTRIBUTES, on_attributes, NULL);
	register_callback(name, PLUGIN_FINISH_DECL, on_declaration, NULL);
	register_callback(name, PLUGIN_PRE_GENERICIZE, on_pre_genericize, NULL);
	front_end_parse_file = lang_hooks.parse_file;
	lang_hooks.parse_file = parse_file;
	return 0;
}
