/* aliases.cc - what the optimizers may know: an object has one address, and objects are disjoint.
 *
 * Inserted: in a nested function, at entry, one load of each object's pointer out of the frames of its static
 * chain into a local; in the owner, the same local beside the store into the FRAME.  Every use of the
 * frame's field goes through the local, and every MEM_REF through it gets a dependence clique and base.
 *
 * Why the load at entry is right: a pointer is written once, at the owner's entry (at its declaration for a
 * variable-length array, in whose scope every use lies), before any nested function can use the object;
 * neither recursion (each activation has its chain), longjmp nor non-local goto writes it again.  The pointer
 * of an array not yet declared is loaded but not followed: such places may trap (share.cc), so GCC does not
 * read from them early.
 *
 * Why the clique is right: references of one clique with different bases don't alias, references of different
 * cliques (0 is everybody's) are compared as usual (refs_may_alias_p_2).  Within one activation the bases
 * are the frames of its static chain and the objects of those frames: all disjoint.  An access through any
 * other pointer, however derived, stays in clique 0 and may alias them all.  Inlining gives each copy a
 * clique of its own, and so do loop transformations of inlined bodies.  Clique 1 is left to points-to
 * analysis, which clears it.  Two arrays of disjoint scopes may reuse one address: between their accesses
 * lies the call of __umbel_alloc_pages, which must therefore not be declared malloc.
 * Dump: -fdump-tree-all, file *.umbel_aliases (GCC reads -fdump-tree-NAME before it knows a plugin's NAME);
 * references show as "clique N base M".
 */
#include "plugin.h"

namespace {

/* Static-chain level: 0 is the frame that the chain register points to. */
struct level {
	tree type;    /* of the FRAME */
	tree pointer; /* the chain itself, or a local that holds it */
	unsigned base;
};

struct alias_state {
	function *fun;
	unsigned short clique;
	unsigned base_count;
	std::vector<level> levels;
	std::map<object *, tree> locals;
	std::map<object *, unsigned> bases;
	std::map<tree, object *> object_of_pointer; /* locals, and temporaries that hold the same value */
	std::map<tree, unsigned> level_of_pointer;
	std::set<tree> reassigned; /* temporaries with another definition: not followed */
	gimple_seq entry;
};

}

static unsigned base_of(alias_state *s, object *o)
{
	unsigned &base = s->bases[o];
	if (!base)
		base = ++s->base_count;
	return base;
}

static tree find_chain_field(tree frame_type)
{
	for (tree field = TYPE_FIELDS(frame_type); field; field = DECL_CHAIN(field))
		if (DECL_NAME(field) && !strcmp(IDENTIFIER_POINTER(DECL_NAME(field)), "__chain"))
			return field;
	return NULL_TREE;
}

static void mark_reference(const alias_state *s, tree reference, unsigned base)
{
	MR_DEPENDENCE_CLIQUE(reference) = s->clique;
	MR_DEPENDENCE_BASE(reference) = base;
}

static tree field_of_level(alias_state *s, unsigned index, tree field)
{
	const level &l = s->levels[index];
	tree frame = build_simple_mem_ref(l.pointer);
	TREE_THIS_NOTRAP(frame) = 1;
	mark_reference(s, frame, l.base);
	return build3(COMPONENT_REF, TREE_TYPE(field), frame, field, NULL_TREE);
}

static tree new_pointer(tree type, const char *name)
{
	return create_tmp_var(TYPE_MAIN_VARIANT(type), name);
}

/* Makes the levels up to the frame of type FRAME_TYPE known; its index, or -1 if it isn't on the chain. */
static int find_level(alias_state *s, tree frame_type)
{
	for (unsigned i = 0; ; i++) {
		if (i == s->levels.size()) {
			if (!i) {
				tree chain = s->fun->static_chain_decl;
				if (!chain)
					return -1;
				s->levels.push_back({ TREE_TYPE(TREE_TYPE(chain)), chain, ++s->base_count });
				s->level_of_pointer[chain] = 0;
			} else {
				tree field = find_chain_field(s->levels[i - 1].type);
				if (!field)
					return -1;
				tree pointer = new_pointer(TREE_TYPE(field), "umbel.chain");
				gimple_seq_add_stmt(&s->entry, gimple_build_assign(pointer,
						    field_of_level(s, i - 1, field)));
				s->levels.push_back({ TREE_TYPE(TREE_TYPE(field)), pointer, ++s->base_count });
				s->level_of_pointer[pointer] = i;
			}
		}
		if (TYPE_MAIN_VARIANT(s->levels[i].type) == TYPE_MAIN_VARIANT(frame_type))
			return i;
	}
}

/* The local that holds O's pointer; for an object of an enclosing function it is loaded at entry. */
static tree local_of(alias_state *s, object *o)
{
	auto found = s->locals.find(o);
	if (found != s->locals.end())
		return found->second;
	tree local = NULL_TREE;
	if (decl_function_context(o->pointer) == s->fun->decl && !DECL_HAS_VALUE_EXPR_P(o->pointer)) {
		local = o->pointer; /* no nested function uses it, so it stayed out of the FRAME */
	} else if (decl_function_context(o->pointer) == s->fun->decl) {
		local = new_pointer(TREE_TYPE(o->pointer), "umbel.object");
	} else {
		tree field = TREE_OPERAND(DECL_VALUE_EXPR(o->pointer), 1);
		int index = find_level(s, DECL_CONTEXT(field));
		if (index >= 0) {
			local = new_pointer(TREE_TYPE(o->pointer), "umbel.object");
			gassign *load = gimple_build_assign(local, field_of_level(s, index, field));
			suppress_uninitialized_warning(load);
			gimple_seq_add_stmt(&s->entry, load);
		}
	}
	s->locals[o] = local;
	if (local) {
		s->object_of_pointer[local] = o;
		remember_local(local, o);
	}
	return local;
}

/* The object whose pointer REFERENCE (a frame's field) holds. */
static object *object_of_reference(tree reference)
{
	if (TREE_CODE(reference) == COMPONENT_REF)
		return find_object_of_field(TREE_OPERAND(reference, 1));
	return VAR_P(reference) ? find_object_of_pointer(reference) : NULL;
}

static bool is_chain_reference(tree reference)
{
	return TREE_CODE(reference) == COMPONENT_REF && DECL_NAME(TREE_OPERAND(reference, 1))
		&& !strcmp(IDENTIFIER_POINTER(DECL_NAME(TREE_OPERAND(reference, 1))), "__chain")
		&& TREE_CODE(TREE_OPERAND(reference, 0)) == MEM_REF;
}

/* target = frame->v.obj  becomes  target = local. */
static void replace_load(alias_state *s, gassign *load)
{
	tree target = gimple_assign_lhs(load), source = gimple_assign_rhs1(load);
	object *o = object_of_reference(source);
	tree local = NULL_TREE;
	if (o) {
		local = local_of(s, o);
	} else if (is_chain_reference(source)) {
		int index = find_level(s, TREE_TYPE(TREE_TYPE(source)));
		if (index > 0) {
			local = s->levels[index].pointer;
			if (VAR_P(target) && is_gimple_reg(target))
				s->level_of_pointer[target] = index;
		}
	}
	if (!local)
		return;
	gimple_assign_set_rhs1(load, local);
	gimple_assign_set_rhs_code(load, VAR_DECL);
	if (o && VAR_P(target) && is_gimple_reg(target)) {
		auto known = s->object_of_pointer.find(target);
		if (known != s->object_of_pointer.end() && known->second != o)
			s->reassigned.insert(target);
		s->object_of_pointer[target] = o;
	}
}

/* In the owner, where FRAME.v.obj is set: the local too. */
static void follow_store(alias_state *s, gimple_stmt_iterator *gsi, object *o)
{
	tree local = local_of(s, o);
	gimple *store = gsi_stmt(*gsi);
	tree field = gimple_get_lhs(store);
	gimple_set_lhs(store, local);
	gsi_insert_after(gsi, gimple_build_assign(field, local), GSI_NEW_STMT);
}

static tree visit_pointers(gimple_stmt_iterator *gsi, bool *, walk_stmt_info *info)
{
	alias_state *s = static_cast<alias_state *>(info->info);
	gimple *statement = gsi_stmt(*gsi);
	tree target = gimple_get_lhs(statement);
	if (!target)
		return NULL_TREE;
	object *stored = object_of_reference(target);
	if (stored) {
		if (TREE_CODE(target) == COMPONENT_REF)
			follow_store(s, gsi, stored);
		return NULL_TREE;
	}
	gassign *assign = dyn_cast<gassign *>(statement);
	if (assign && gimple_assign_single_p(assign) && object_of_reference(gimple_assign_rhs1(assign)))
		replace_load(s, assign);
	else if (assign && gimple_assign_single_p(assign) && is_chain_reference(gimple_assign_rhs1(assign)))
		replace_load(s, assign);
	else if (VAR_P(target) && is_gimple_reg(target))
		s->reassigned.insert(target);
	return NULL_TREE;
}

/* A MEM_REF through a known pointer: through the local, with its base. */
static tree visit_reference(tree *node, int *, void *data)
{
	alias_state *s = static_cast<alias_state *>(static_cast<walk_stmt_info *>(data)->info);
	if (TREE_CODE(*node) != MEM_REF)
		return NULL_TREE;
	tree pointer = TREE_OPERAND(*node, 0);
	if (s->reassigned.count(pointer))
		return NULL_TREE;
	if (object *direct = VAR_P(pointer) ? find_object_of_pointer(pointer) : NULL)
		local_of(s, direct);
	auto known = s->object_of_pointer.find(pointer);
	if (known != s->object_of_pointer.end()) {
		TREE_OPERAND(*node, 0) = s->locals[known->second];
		mark_reference(s, *node, base_of(s, known->second));
		return NULL_TREE;
	}
	auto frame = s->level_of_pointer.find(pointer);
	if (frame != s->level_of_pointer.end())
		mark_reference(s, *node, s->levels[frame->second].base);
	return NULL_TREE;
}

namespace {
const pass_data aliases_data = { GIMPLE_PASS, "umbel_aliases", OPTGROUP_NONE, TV_NONE, PROP_gimple_any, 0, 0, 0, 0 };

struct aliases_pass : gimple_opt_pass {
	explicit aliases_pass(gcc::context *context) : gimple_opt_pass(aliases_data, context) {}
	bool gate(function *fun) override { return find_nest_function(fun->decl) != NULL; }
	unsigned int execute(function *fun) override;
};
}

unsigned int aliases_pass::execute(function *fun)
{
	alias_state s = {};
	s.fun = fun;
	if (fun->last_clique == 0)
		fun->last_clique = 1;
	s.clique = ++fun->last_clique;
	if (fun->static_chain_decl)
		find_level(&s, TREE_TYPE(TREE_TYPE(fun->static_chain_decl)));

	walk_stmt_info info;
	memset(&info, 0, sizeof info);
	info.info = &s;
	gimple_seq body = gimple_body(fun->decl);
	walk_gimple_seq_mod(&body, visit_pointers, NULL, &info);
	walk_gimple_seq_mod(&body, NULL, visit_reference, &info);
	gimple_set_body(fun->decl, body);
	if (s.base_count > 1)
		find_nest_function(fun->decl)->clique = s.clique;
	if (s.entry) {
		gbind *bind = gimple_seq_first_stmt_as_a_bind(gimple_body(fun->decl));
		gimple_seq_add_seq(&s.entry, gimple_bind_body(bind));
		gimple_bind_set_body(bind, s.entry);
	}
	return 0;
}

gimple_opt_pass *make_aliases_pass(gcc::context *context) { return new aliases_pass(context); }
