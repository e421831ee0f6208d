//! Where an installed Umbel has its parts, all under one folder:
//!
//! | path | what |
//! |---|---|
//! | bin/umbel | the command |
//! | lib/umbel/libumbel.so | the runtime |
//! | lib/umbel/libumbel_trace.so | preloaded into programs that `umbel trace` runs |
//! | lib/umbel/umbel_crt.o | registers a module's tables |
//! | lib/umbel/umbel_gcc12.so | the plugin for gcc 12; one for each gcc |
//! | include/umbel/umbel.h | the C interface; includes umbel_abi.h |
//! | share/man/man1/umbel.1 | the manual page |

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The parts of one installation.
pub struct Layout {
    prefix: PathBuf,
}

impl Layout {
    /// The one this command belongs to, or the one that `UMBEL_PREFIX` names.
    pub fn find() -> Result<Self> {
        let layout = Self::named()?;
        if !layout.runtime().is_file() {
            bail!(
                "no libumbel.so in {}; install with `cargo xtask install --prefix DIR` and use \
                 DIR/bin/umbel, or set UMBEL_PREFIX=DIR",
                layout.libraries().display()
            );
        }
        Ok(layout)
    }

    /// The same, whether or not the runtime is there: `umbel trace` needs its own library only.
    pub fn named() -> Result<Self> {
        let prefix = match env::var_os("UMBEL_PREFIX").filter(|value| !value.is_empty()) {
            Some(prefix) => PathBuf::from(prefix),
            None => {
                let command = env::current_exe().context("cannot find this command's own file")?;
                let prefix = command.parent().and_then(|bin| bin.parent());
                prefix.context("this command has no folder")?.to_owned()
            }
        };
        Ok(Self { prefix })
    }

    pub fn prefix(&self) -> &PathBuf {
        &self.prefix
    }

    pub fn libraries(&self) -> PathBuf {
        self.prefix.join("lib/umbel")
    }

    pub fn runtime(&self) -> PathBuf {
        self.libraries().join("libumbel.so")
    }

    pub fn trace_library(&self) -> PathBuf {
        self.libraries().join("libumbel_trace.so")
    }

    pub fn crt(&self) -> PathBuf {
        self.libraries().join("umbel_crt.o")
    }

    pub fn headers(&self) -> PathBuf {
        self.prefix.join("include/umbel")
    }

    pub fn header(&self) -> PathBuf {
        self.headers().join("umbel.h")
    }

    /// Plugin for this major version of gcc; its options begin with its base name.
    pub fn plugin(&self, gcc_major: u32) -> PathBuf {
        self.libraries()
            .join(format!("{}.so", plugin_name(gcc_major)))
    }

    /// Versions of gcc that there are plugins for.
    pub fn plugin_majors(&self) -> Vec<u32> {
        let entries = std::fs::read_dir(self.libraries()).into_iter().flatten();
        let major = |name: String| {
            name.strip_prefix("umbel_gcc")?
                .strip_suffix(".so")?
                .parse()
                .ok()
        };
        let mut majors: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| major(entry.file_name().into_string().ok()?))
            .collect();
        majors.sort_unstable();
        majors
    }
}

/// File name of a plugin without its ending; no hyphen, because gcc takes a plugin's name in
/// `-fplugin-arg-NAME-...` to end at the first.
pub fn plugin_name(gcc_major: u32) -> String {
    format!("umbel_gcc{gcc_major}")
}
