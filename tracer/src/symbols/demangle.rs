//! Names as the source has them.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{
    BorrowedSymbol, DemangleNodeType, DemangleOptions, DemangleWrite, ParseOptions,
};

/// Depth of a C++ name that is still taken apart: real ones stay below 40; a hostile one must not fill the stack.
const RECURSION_MAX: u32 = 96;

/// Longest name that is taken apart, and longest result.
const NAME_BYTES_MAX: usize = 64 * 1024;

/// Ends that compilers put on a function that they split or copied: for a reader it's the same function.
const CLONES: [&str; 8] = [
    "constprop",
    "isra",
    "part",
    "cold",
    "lto_priv",
    "llvm",
    "clone",
    "localalias",
];

/// The name without parameters and return type: what trees, tables and filters use. `ns::List<int>::push`.
pub fn short_name(linkage: &str) -> Cow<'_, str> {
    let options = DemangleOptions::new().no_params().no_return_type();
    demangled(linkage, options.recursion_limit(RECURSION_MAX))
}

/// The name with its parameters: `ns::List<int>::push(int)`.
pub fn full_name(linkage: &str) -> Cow<'_, str> {
    let options = DemangleOptions::new();
    demangled(linkage, options.recursion_limit(RECURSION_MAX))
}

/// `work.part.0.isra.2` becomes `work`; other dots stay.
pub fn without_clone(linkage: &str) -> &str {
    let clone_start = linkage.match_indices('.').find(|(at, _)| {
        let word = linkage[at + 1..].split('.').next().unwrap_or("");
        *at > 0 && CLONES.contains(&word)
    });
    match clone_start {
        Some((at, _)) => &linkage[..at],
        None => linkage,
    }
}

fn demangled(linkage: &str, options: DemangleOptions) -> Cow<'_, str> {
    if linkage.len() > NAME_BYTES_MAX {
        return Cow::Borrowed(linkage);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(linkage) {
        return Cow::Owned(format!("{rust:#}"));
    }
    let name = without_clone(linkage);
    if !name.starts_with("_Z") {
        return Cow::Borrowed(name);
    }
    let parse_options = ParseOptions::default().recursion_limit(RECURSION_MAX);
    let parsed = BorrowedSymbol::new_with_options(name.as_bytes(), &parse_options);
    let mut text = Bounded(String::new());
    match parsed.map(|symbol| symbol.structured_demangle(&mut text, &options)) {
        Ok(Ok(())) => Cow::Owned(without_defaults(text.0)),
        _ => Cow::Borrowed(name),
    }
}

/// Template arguments of the C++ library that nobody writes: each is left out where it is the last.
const DEFAULTS: [&str; 5] = [
    ", std::allocator<",
    ", std::char_traits<",
    ", std::less<",
    ", std::equal_to<",
    ", std::hash<",
];

/// Names as people write them: `std::string`, `std::vector<int>`.
fn without_defaults(mut name: String) -> String {
    if !name.contains("std::") {
        return name;
    }
    name = name.replace("std::__cxx11::", "std::");
    // From the last on: when one is gone, the one before it may be the last.
    let mut end = name.len();
    while let Some(start) = name[..end].rfind(", std::") {
        end = start;
        let rest = &name[start..];
        let Some(default) = DEFAULTS.iter().find(|default| rest.starts_with(**default)) else {
            continue;
        };
        let Some(length) = closing(&rest[default.len()..]) else {
            continue;
        };
        let behind = &rest[default.len() + length + 1..];
        let spaces = behind.len() - behind.trim_start_matches(' ').len();
        if behind[spaces..].starts_with('>') {
            name.replace_range(start..start + default.len() + length + 1 + spaces, "");
        }
    }
    name.replace("std::basic_string<char>", "std::string")
}

/// Bytes up to the `>` that closes what is open before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => open += 1,
            b'>' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// Text up to [`NAME_BYTES_MAX`]: a short name that refers to its own parts can become longer than any memory.
struct Bounded(String);

impl DemangleWrite for Bounded {
    fn push_demangle_node(&mut self, _: DemangleNodeType) {}

    fn pop_demangle_node(&mut self) {}

    fn write_string(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > NAME_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_in_the_source() {
        for (linkage, short, full) in [
            ("main", "main", "main"),
            ("_ZN2ns3Box3putEi", "ns::Box::put", "ns::Box::put(int)"),
            ("_Z3maxIiET_S0_S0_", "max<int>", "int max<int>(int, int)"),
            ("_Z4workv.part.0.cold", "work", "work()"),
            ("sum.constprop.0.isra.0", "sum", "sum"),
            ("one.two", "one.two", "one.two"),
            (
                "_ZN4core3fmt5write17h0123456789abcdefE",
                "core::fmt::write",
                "core::fmt::write",
            ),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo", "mycrate::foo"),
            ("_Znonsense", "_Znonsense", "_Znonsense"),
            ("_Z", "_Z", "_Z"),
            ("", "", ""),
        ] {
            assert_eq!(short_name(linkage), short, "{linkage}");
            assert_eq!(full_name(linkage), full, "{linkage}");
        }
    }

    #[test]
    fn the_librarys_default_arguments_are_left_out() {
        let string =
            "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        for (long, short) in [
            (string.to_string(), "std::string"),
            (format!("{string}::append"), "std::string::append"),
            (
                format!(
                    "std::map<{string}, std::vector<int, std::allocator<int> >, std::less<{string} >, std::allocator<std::pair<{string} const, std::vector<int, std::allocator<int> > > > >::find"
                ),
                "std::map<std::string, std::vector<int>>::find",
            ),
            (
                "std::set<int, std::greater<int>, std::allocator<int> >".to_string(),
                "std::set<int, std::greater<int>>",
            ),
            (
                "f<std::less<int>, std::allocator<int>, int>".to_string(),
                "f<std::less<int>, std::allocator<int>, int>",
            ),
            ("broken<, std::less<".to_string(), "broken<, std::less<"),
        ] {
            assert_eq!(without_defaults(long), short);
        }
    }

    #[test]
    fn a_hostile_name_stays_as_it_is() {
        let deep = format!("_Z1f{}i", "P".repeat(30_000));
        assert!(full_name(&deep).len() <= NAME_BYTES_MAX);
        let wide = format!("_Z1fI{}E", "S_".repeat(20_000));
        assert!(full_name(&wide).len() <= NAME_BYTES_MAX);
        // Each parameter is a pair of the one before.
        let mut doubling = String::from("_Z1f1AIiiE");
        for index in 0..30 {
            let digit = char::from_digit(index, 36)
                .expect("below 36")
                .to_ascii_uppercase();
            doubling += &format!("S_IS{digit}_S{digit}_E");
        }
        assert!(full_name(&doubling).len() <= NAME_BYTES_MAX);
    }
}
