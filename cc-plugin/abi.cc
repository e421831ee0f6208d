/* abi.cc - the tables of umbel_abi.h, and the functions it declares.
 *
 * Inserted: static variables named umbel.object.NAME.N, umbel.frame..., umbel.function... in the sections
 * umbel_objects, umbel_frames, umbel_functions.  A record is an array of pointer-sized words, so that the
 * linker's concatenation is an array of structures.
 * Dump: readelf -x umbel_objects FILE.o; gcc -S shows every word with its symbol.
 */
#include "plugin.h"

/* ---- functions of the contract --------------------------------------------------------------- */

static std::map<std::string, tree> abi_functions;

/* Called for everything declared or defined in the unit. */
void remember_abi_function(tree decl)
{
	if (TREE_CODE(decl) != FUNCTION_DECL && !VAR_P(decl) || !DECL_NAME(decl) || DECL_CONTEXT(decl)
	    && TREE_CODE(DECL_CONTEXT(decl)) == FUNCTION_DECL)
		return;
	const char *name = IDENTIFIER_POINTER(DECL_NAME(decl));
	if (strncmp(name, "__umbel_", 8) && strcmp(name, "umbel_remote_active") || abi_functions.count(name))
		return;
	abi_functions[name] = decl;
	keep_alive(decl);
}

/* Null, after one error per unit, if umbel_abi.h was not included. */
tree abi_function(const char *name)
{
	auto found = abi_functions.find(name);
	if (found != abi_functions.end())
		return found->second;
	static bool said;
	if (!said)
		error("umbel: %<umbel_abi.h%> is not included (no %qs): compile with %<umbel cc%>, or add"
		      " %<-include umbel_abi.h%>", name);
	said = true;
	return NULL_TREE;
}

tree call_abi(const char *name, const std::vector<tree> &arguments)
{
	tree function = abi_function(name);
	gcc_assert(function); /* transform_nest asked for all of them first */
	std::vector<tree> converted;
	tree parameter = TYPE_ARG_TYPES(TREE_TYPE(function));
	for (tree argument : arguments) {
		converted.push_back(fold_convert(TREE_VALUE(parameter), argument));
		parameter = TREE_CHAIN(parameter);
	}
	TREE_USED(function) = 1;
	return build_call_expr_loc_array(UNKNOWN_LOCATION, function, converted.size(), converted.data());
}

/* ---- records --------------------------------------------------------------------------------- */

tree word(HOST_WIDE_INT value) { return build_int_cst(ptr_type_node, value); }

tree word_of_size(tree size)
{
	return size && TREE_CODE(size) == INTEGER_CST ? fold_convert(ptr_type_node, size) : word(0);
}

tree word_of_text(const char *text)
{
	if (!text || !*text)
		return word(0);
	size_t bytes = strlen(text) + 1;
	tree literal = build_string(bytes, text);
	TREE_TYPE(literal) = build_array_type(char_type_node, build_index_type(size_int(bytes - 1)));
	TREE_CONSTANT(literal) = TREE_STATIC(literal) = TREE_READONLY(literal) = 1;
	return build1(ADDR_EXPR, ptr_type_node, literal);
}

tree address_of(tree decl)
{
	TREE_ADDRESSABLE(decl) = 1;
	return build1(ADDR_EXPR, ptr_type_node, decl);
}

/* Address of a nested function's code: without a chain, so without a trampoline. */
tree code_address(tree function)
{
	TREE_ADDRESSABLE(function) = 1;
	tree address = build1(ADDR_EXPR, ptr_type_node, function);
	TREE_NO_TRAMPOLINE(address) = 1;
	return address;
}

const char *name_of(tree decl) { return DECL_NAME(decl) ? IDENTIFIER_POINTER(DECL_NAME(decl)) : "?"; }

tree make_record(const char *kind, tree of, unsigned words, const char *section)
{
	static unsigned count;
	std::string name = std::string("umbel.") + kind + "." + name_of(of) + "." + std::to_string(count++);
	tree type = build_array_type(ptr_type_node, build_index_type(size_int(words - 1)));
	tree record = build_decl(UNKNOWN_LOCATION, VAR_DECL, get_identifier(name.c_str()), type);
	TREE_STATIC(record) = TREE_USED(record) = DECL_ARTIFICIAL(record) = DECL_IGNORED_P(record) = 1;
	DECL_PRESERVE_P(record) = 1;
	/* The natural alignment of a large array would leave gaps between records. */
	SET_DECL_ALIGN(record, POINTER_SIZE);
	DECL_USER_ALIGN(record) = 1;
	if (section)
		set_decl_section_name(record, section);
	SET_DECL_ASSEMBLER_NAME(record, get_identifier(name.c_str()));
	keep_alive(record);
	return record;
}

void fill_record(tree record, const std::vector<tree> &words)
{
	vec<constructor_elt, va_gc> *elements = NULL;
	for (size_t i = 0; i < words.size(); i++)
		CONSTRUCTOR_APPEND_ELT(elements, size_int(i), words[i]);
	tree initial = build_constructor(TREE_TYPE(record), elements);
	TREE_STATIC(initial) = TREE_CONSTANT(initial) = 1;
	DECL_INITIAL(record) = initial;
	varpool_node::finalize_decl(record);
}

/* FUNCTION: the owner, or null for a global outside of functions. */
tree object_record(tree variable, tree function, const verdict &v, unsigned more_flags)
{
	enum { VLA = 1, PARAMETER = 2, VOLATILE = 8, ATOMIC = 16, CONST = 32, ARRAY = 64, SEQUENTIAL = 128,
	       OPERATIONS = 256 };
	tree type = TREE_TYPE(variable);
	bool array = TREE_CODE(type) == ARRAY_TYPE;
	unsigned flags = (is_vla(variable) ? VLA : 0) | (TREE_CODE(variable) == PARM_DECL ? PARAMETER : 0)
		| (TYPE_VOLATILE(strip_array_types(type)) ? VOLATILE : 0)
		| (TYPE_ATOMIC(strip_array_types(type)) ? ATOMIC : 0) | (TREE_READONLY(variable) ? CONST : 0)
		| (array ? ARRAY : 0) | (v.is_sequential ? SEQUENTIAL : 0) | (v.has_operations ? OPERATIONS : 0);
	char *type_text = print_generic_expr_to_str(type);
	expanded_location place = expand_location(DECL_SOURCE_LOCATION(variable));
	tree record = make_record("object", variable, OBJECT_WORDS, "umbel_objects");
	fill_record(record, { word_of_text(name_of(variable)),
		word_of_text(function ? name_of(function) : NULL),
		word_of_text(type_text), word_of_text(v.words.c_str()),
		word_of_size(is_vla(variable) ? NULL_TREE : DECL_SIZE_UNIT(variable)),
		word(DECL_ALIGN_UNIT(variable)), word(flags | more_flags),
		word_of_size(array ? TYPE_SIZE_UNIT(TREE_TYPE(type)) : NULL_TREE),
		word_of_text(place.file), word(place.line), word(v.unit), word(0) });
	free(type_text);
	return record;
}

/* The record of a nested function; frames.cc fills it when the function has been lowered. */
tree function_record_of(nest_function *f)
{
	if (!f->function_record)
		f->function_record = make_record("function", f->decl, FUNCTION_WORDS, "umbel_functions");
	return f->function_record;
}

tree frame_record_of(nest_function *f)
{
	if (!f->frame_record)
		f->frame_record = make_record("frame", f->decl, FRAME_WORDS, "umbel_frames");
	return f->frame_record;
}

/* The record of an ordinary function: no chain, so it is complete at once. */
static std::map<tree, tree> plain_records;

tree plain_function_record(tree decl)
{
	tree &record = plain_records[decl];
	if (!record) {
		record = make_record("function", decl, FUNCTION_WORDS, "umbel_functions");
		keep_alive(decl);
		fill_record(record, { address_of(decl), word_of_text(name_of(decl)), word(0), word(0),
				      word(0), word(0) });
	}
	return record;
}

/* Is DECL an ordinary function that a call of umbel_thr_create names? */
bool has_plain_record(tree decl) { return plain_records.count(decl); }
