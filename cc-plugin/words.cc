/* words.cc - what __attribute__((shadow("..."))) and an object's type say about its consistency.
 *
 * Inserted: nothing.  The verdict goes into the object's record (abi.cc) and decides what atomics.cc does.
 * Words, separated by commas or spaces, in any number of strings:
 *     sequential weak                                        consistency
 *     auto invalidate migratory read_only update remote      protocol
 *     unit(N)                                                an array's outermost elements per unit
 * They may stand at a local, a parameter, a global, a member, a structure's or union's definition and a typedef.
 * What stands at a member or at a type counts for the whole object that the member lies in, at any depth,
 * because an object is coherent as one; so does `volatile` or `_Atomic` of a member or element.  An object with
 * such a part, and one that is an operand of an atomic builtin, is sequential.  "weak" overrules volatile,
 * which C programs also use for other reasons, but never _Atomic.
 * Seen in: readelf -x umbel_objects FILE.o; errors name the object and the words that contradict each other.
 */
#include "plugin.h"

namespace {
/* Everything said about one object so far, and the first contradiction. */
struct words {
	std::string text, consistency, protocol;
	unsigned long unit = 0;
	std::string first, second; /* contradict each other */

	void add(const std::string &word);
	void contradict(const std::string &a, const std::string &b);
};
}

static bool is_protocol(const std::string &word)
{
	for (const char *protocol : { "auto", "invalidate", "migratory", "read_only", "update", "remote" })
		if (word == protocol)
			return true;
	return false;
}

/* N of unit(N), or 0. */
static unsigned long unit_of(const std::string &word)
{
	if (word.compare(0, 5, "unit(") || word.back() != ')')
		return 0;
	std::string digits = word.substr(5, word.size() - 6);
	bool number = !digits.empty() && digits.size() < 16
		&& digits.find_first_not_of("0123456789") == std::string::npos;
	return number ? strtoul(digits.c_str(), NULL, 10) : 0;
}

static bool is_word(const std::string &word)
{
	return word == "sequential" || word == "weak" || is_protocol(word) || unit_of(word);
}

static std::vector<std::string> split_words(const char *text)
{
	std::vector<std::string> result;
	while (*(text += strspn(text, ", \t"))) {
		size_t length = strcspn(text, ", \t");
		result.push_back(std::string(text, length));
		text += length;
	}
	return result;
}

void words::contradict(const std::string &a, const std::string &b)
{
	if (first.empty()) {
		first = a;
		second = b;
	}
}

void words::add(const std::string &word)
{
	std::string *place = is_protocol(word) ? &protocol : unit_of(word) ? NULL : &consistency;
	if (place ? *place == word : unit == unit_of(word))
		return;
	if (place && !place->empty())
		contradict(*place, word);
	else if (!place && unit)
		contradict("unit(" + std::to_string(unit) + ")", word);
	if (place)
		*place = word;
	else
		unit = unit_of(word);
	if (protocol == "update" && consistency == "sequential")
		contradict("update", "sequential");
	text += (text.empty() ? "" : ",") + word;
}

static void add_arguments(words &all, tree arguments)
{
	for (tree a = arguments; a; a = TREE_CHAIN(a))
		if (TREE_CODE(TREE_VALUE(a)) == STRING_CST)
			for (const std::string &word : split_words(TREE_STRING_POINTER(TREE_VALUE(a))))
				if (is_word(word))
					all.add(word);
}

static void add_attributes(words &all, tree attributes)
{
	for (tree a = lookup_attribute("shadow", attributes); a; a = lookup_attribute("shadow", TREE_CHAIN(a)))
		add_arguments(all, TREE_VALUE(a));
}

/* ---- types ----------------------------------------------------------------------------------- */

/* What a type says, its members and elements included. */
struct type_says {
	words *all;
	bool is_volatile, is_atomic;
};

static void scan_type(type_says &says, tree type)
{
	says.is_volatile |= TYPE_VOLATILE(type);
	says.is_atomic |= TYPE_ATOMIC(type);
	add_attributes(*says.all, TYPE_ATTRIBUTES(type));
	tree name = TYPE_NAME(type);
	while (name && TREE_CODE(name) == TYPE_DECL) { /* a typedef, and what it is a typedef of */
		add_attributes(*says.all, DECL_ATTRIBUTES(name));
		tree original = DECL_ORIGINAL_TYPE(name);
		name = original ? TYPE_NAME(original) : NULL_TREE;
	}
	if (TREE_CODE(type) == ARRAY_TYPE)
		scan_type(says, TREE_TYPE(type));
	if (!RECORD_OR_UNION_TYPE_P(type))
		return;
	for (tree field = TYPE_FIELDS(type); field; field = DECL_CHAIN(field)) {
		if (TREE_CODE(field) != FIELD_DECL)
			continue;
		says.is_volatile |= TREE_THIS_VOLATILE(field);
		add_attributes(*says.all, DECL_ATTRIBUTES(field));
		scan_type(says, TREE_TYPE(field));
	}
}

/* A whole number that one operation can change. */
static bool fits_operation(tree type)
{
	if (!INTEGRAL_TYPE_P(type) && !POINTER_TYPE_P(type))
		return false;
	HOST_WIDE_INT bytes = int_size_in_bytes(type);
	return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

/* An operation of this many bytes takes a lock in libatomic, and each node has its own. */
static bool takes_lock(tree type)
{
	HOST_WIDE_INT bytes = int_size_in_bytes(type);
	return TYPE_ATOMIC(type) && !(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
}

/* ---- the verdict ----------------------------------------------------------------------------- */

static void check_verdict(tree variable, const words &all, const type_says &says, bool operand)
{
	location_t place = DECL_SOURCE_LOCATION(variable);
	const char *why = says.is_atomic ? "it or a part of it is _Atomic"
		: operand ? "an atomic builtin operates on it" : "it or a part of it is volatile";
	bool atomic = says.is_atomic || operand;
	if (!all.first.empty())
		error_at(place, "umbel: words of the attribute %<shadow%> of %qD contradict each other: %qs and %qs",
			 variable, all.first.c_str(), all.second.c_str());
	else if (all.consistency == "weak" && atomic)
		error_at(place, "umbel: %qD cannot be %<weak%>: %s", variable, why);
	else if (all.protocol == "update" && (atomic || (says.is_volatile && all.consistency.empty())))
		error_at(place, "umbel: %qD is sequential, because %s, and %<update%> is for weak objects", variable,
			 why);
	if (all.unit && TREE_CODE(TREE_TYPE(variable)) != ARRAY_TYPE)
		error_at(place, "umbel: %<unit(%lu)%> is for arrays; %qD is none", all.unit, variable);
	if (takes_lock(strip_array_types(TREE_TYPE(variable))))
		warning_at(place, 0, "umbel: operations on %qD are not atomic between nodes: it is %<_Atomic%> and has"
			   " not 1, 2, 4 or 8 bytes, so each node has a lock of its own for it", variable);
}

/* ATOMIC_OPERAND: an atomic builtin, or a volatile access by a cast, names VARIABLE directly. */
verdict judge(tree variable, bool atomic_operand)
{
	words all;
	type_says says = { &all, false, false };
	add_attributes(all, DECL_ATTRIBUTES(variable));
	scan_type(says, TREE_TYPE(variable));
	says.is_volatile |= TREE_THIS_VOLATILE(variable);
	check_verdict(variable, all, says, atomic_operand);

	verdict v;
	v.words = all.text;
	v.unit = all.unit;
	v.is_remote = all.protocol == "remote";
	v.is_weak = all.consistency == "weak";
	v.is_sequential = all.consistency.empty() ? says.is_volatile || says.is_atomic || atomic_operand
		: all.consistency == "sequential";
	tree element = strip_array_types(TREE_TYPE(variable));
	v.has_operations = v.is_remote || (TYPE_ATOMIC(element) && fits_operation(element));
	return v;
}

bool has_shadow(tree variable) { return lookup_attribute("shadow", DECL_ATTRIBUTES(variable)) != NULL_TREE; }

/* ---- the attribute --------------------------------------------------------------------------- */

static bool check_words(tree name, const std::string &text)
{
	bool right = true;
	for (const std::string &word : split_words(text.c_str())) {
		if (is_word(word))
			continue;
		error("%qE attribute: no such word: %qs; there are %<sequential%>, %<weak%>, %<auto%>,"
		      " %<invalidate%>, %<migratory%>, %<read_only%>, %<update%>, %<remote%> and %<unit(N)%>", name,
		      word.c_str());
		right = false;
	}
	return right;
}

static bool is_place(tree node)
{
	switch (TREE_CODE(node)) {
	case PARM_DECL:
	case FIELD_DECL:
	case TYPE_DECL:
	case RECORD_TYPE:
	case UNION_TYPE:
		return true;
	case VAR_DECL: /* DECL_CONTEXT is not set yet */
		return lang_GNU_C() || (current_function_decl && !TREE_STATIC(node) && !DECL_EXTERNAL(node));
	default:
		return false;
	}
}

tree handle_shadow(tree *node, tree name, tree arguments, int, bool *no_add)
{
	if (!is_place(*node)) {
		warning(OPT_Wattributes, "%qE attribute ignored: it is for variables, parameters, members, structures,"
			" unions and typedefs", name);
		*no_add = true;
		return NULL_TREE;
	}
	words all;
	for (tree a = arguments; a; a = TREE_CHAIN(a)) {
		if (TREE_CODE(TREE_VALUE(a)) != STRING_CST) {
			error("argument of %qE must be a string", name);
			*no_add = true;
		} else if (!check_words(name, TREE_STRING_POINTER(TREE_VALUE(a)))) {
			*no_add = true;
		}
	}
	add_arguments(all, arguments);
	if (!all.first.empty()) {
		error("words of the attribute %qE contradict each other: %qs and %qs", name, all.first.c_str(),
		      all.second.c_str());
		*no_add = true;
	}
	if (all.unit && (TREE_CODE(*node) == FIELD_DECL || TYPE_P(*node))) {
		error("%qE attribute: %<unit(%lu)%> is for arrays that are variables", name, all.unit);
		*no_add = true;
	}
	return NULL_TREE;
}
