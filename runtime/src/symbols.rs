//! Names of places in the program's source: texts that the compiler put there, or from its symbol tables.

use std::path::Path;

use object::{Object, ObjectKind, ObjectSymbol, SymbolKind};

use crate::sys::{abi, process};

/// Marks a site that is the address of a text, not of code: above all of the program's addresses.
const TEXT_BIT: u64 = 1 << 47;

/// The site that a text describes.
pub fn text_site(address: u64) -> u64 {
    address | TEXT_BIT
}

/// The site's text; or `function+0x1f` for the address after a call; the address itself if no symbol covers it.
///
/// Reads the file each time: for messages that end a job, and for statistics at its end.
pub fn name(site: u64) -> String {
    if site & TEXT_BIT == 0 {
        return code_name(site);
    }
    let address = (site & !TEXT_BIT) as usize;
    // It may come from another node, whose modules lie where ours do.
    match process::module_of(address) {
        Some(_) => abi::constant_text(address),
        None => format!("{address:#x}"),
    }
}

fn code_name(after_call: u64) -> String {
    let address = (after_call as usize).saturating_sub(1);
    let unknown = || match after_call {
        0 => "an unknown place".into(),
        address => format!("{address:#x}"),
    };
    let Some((file, base)) = process::module_of(address) else {
        return unknown();
    };
    let Some((function, start)) = function_at(&file, address, base) else {
        return unknown();
    };
    format!("{function}+{:#x}", after_call as usize - start)
}

/// The function that holds `address` in the file loaded at `base`, and where it starts.
fn function_at(file: &Path, address: usize, base: usize) -> Option<(String, usize)> {
    let bytes = std::fs::read(file).ok()?;
    let object = object::File::parse(&*bytes).ok()?;
    // Symbols of a program that can't be moved are addresses already.
    let base = if object.kind() == ObjectKind::Executable {
        0
    } else {
        base
    };
    let wanted = (address - base) as u64;
    let symbols = object.symbols().chain(object.dynamic_symbols());
    let symbol = symbols
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() <= wanted)
        .max_by_key(ObjectSymbol::address)?;
    let inside = symbol.size() == 0 || wanted < symbol.address() + symbol.size();
    let name = symbol.name().ok().filter(|_| inside)?;
    // gcc numbers nested functions and clones: `add.0`, `add.constprop.0`.
    let name = name.split('.').next().unwrap_or(name);
    Some((name.into(), symbol.address() as usize + base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_this_program_has_its_functions_name() {
        let address = code_name as fn(u64) -> String as usize;
        let text = name(address as u64 + 4);
        assert!(text.contains("symbols") && text.ends_with("+0x4"), "{text}");
    }

    #[test]
    fn a_text_names_its_site() {
        let text: &'static std::ffi::CStr = c"file.c:12";
        assert_eq!(name(text_site(text.as_ptr() as u64)), "file.c:12");
        assert_eq!(name(text_site(0x10)), "0x10");
    }

    #[test]
    fn an_address_that_is_nowhere_is_shown_as_it_is() {
        assert_eq!(name(0x10), "0x10");
        assert_eq!(name(0), "an unknown place");
    }
}
