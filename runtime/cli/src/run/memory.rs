//! Options of `umbel run` about the shared memory, and the variables that tell the nodes.

use clap::{Args, ValueEnum};

/// How the nodes keep shared objects.
#[derive(Args)]
pub struct MemoryOptions {
    /// Most memory that a node keeps for copies of other nodes' objects: bytes, or with K, M, G; 0: no limit.
    /// Beyond it copies are given back and fetched again: slower, with the same result.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    cache: Option<u64>,

    /// Consistency of objects whose declaration says nothing.
    #[arg(long, value_name = "MODEL")]
    consistency: Option<Consistency>,

    /// Protocol of objects whose declaration says nothing.
    #[arg(long, value_name = "NAME")]
    protocol: Option<Protocol>,

    /// How page faults reach the nodes: auto (default), or one of the ways that `umbel doctor` lists. All have the same
    /// results; `umbel doctor` says what each can't do. With device or syscall also system calls that the program makes
    /// without the C library may use shared memory.
    #[arg(long, value_name = "NAME", value_parser = fault_backend)]
    fault_backend: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Consistency {
    /// Stores are seen by others after synchronization: what C11 asks of plain variables (default)
    Weak,
    /// Every store is seen at once by everybody, as for _Atomic and volatile objects
    Sequential,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Protocol {
    /// The runtime watches each object and chooses (default)
    Auto,
    /// A store takes other nodes' copies away
    Invalidate,
    /// The object moves to whoever uses it, reader or writer
    Migratory,
    /// Copies everywhere, until somebody writes
    ReadOnly,
    /// A store is sent to every copy
    Update,
    /// Atomic operations run where the object lives; it does not move
    Remote,
}

impl MemoryOptions {
    /// What is wrong with them together.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_sequential = self.consistency == Some(Consistency::Sequential);
        if is_sequential && self.protocol == Some(Protocol::Update) {
            return Err(
                "--protocol update sends stores at synchronization, which --consistency sequential \
                        does not wait for; leave one of the two out",
            );
        }
        Ok(())
    }

    /// Variables for the nodes.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let cache = self.cache.map(|bytes| bytes.to_string());
        let variables = [
            ("UMBEL_CACHE_BYTES", cache),
            ("UMBEL_CONSISTENCY", name_of(self.consistency)),
            ("UMBEL_PROTOCOL", name_of(self.protocol)),
            ("UMBEL_FAULT_BACKEND", self.fault_backend.clone()),
        ];
        variables
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

fn name_of(value: Option<impl ValueEnum>) -> Option<String> {
    let value = value?.to_possible_value()?;
    Some(value.get_name().to_owned())
}

/// The name of a fault backend that is usable here, or `auto`.
fn fault_backend(text: &str) -> Result<String, String> {
    let known = umbel_fault::probe();
    let names: Vec<&str> = known.iter().map(|backend| backend.name.as_str()).collect();
    match known.iter().find(|backend| backend.name == text) {
        Some(backend) if !backend.usable => Err(format!(
            "not usable here: {}; {}",
            backend.reason,
            backend.fix.as_deref().unwrap_or("see `umbel doctor`")
        )),
        Some(_) => Ok(text.to_owned()),
        None if text == "auto" => Ok(text.to_owned()),
        None => Err(format!("give auto, {}", names.join(", "))),
    }
}

/// A number of bytes: `65536`, `64K`, `1.5G`, `64MiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "give a number of bytes, for instance 64M".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let shift = match unit.strip_suffix("IB").unwrap_or(&unit) {
        "" | "B" => 0,
        "K" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        "T" | "TB" => 40,
        _ => return Err(wrong()),
    };
    let bytes = match digits.parse::<u64>() {
        Ok(count) => count.checked_mul(1 << shift),
        Err(_) => {
            let count: f64 = digits.parse().map_err(|_| wrong())?;
            let bytes = count * f64::from(1 << (shift / 2)) * f64::from(1 << (shift / 2));
            (bytes.is_finite() && (0.0..u64::MAX as f64).contains(&bytes)).then_some(bytes as u64)
        }
    };
    bytes.ok_or_else(|| "that is more memory than there are addresses".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        let cases = [
            ("0", 0),
            ("65536", 65536),
            ("64k", 65536),
            ("64K", 65536),
            ("1.5G", 3 << 29),
            ("2MiB", 2 << 20),
            ("7T", 7 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "64Q", "1e400", "1 M", "nan", "99999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
