//! Where an export goes: to standard output, or to a file that is there only when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// One file, or standard output.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// The new file's name until it is whole, and its name then.
    file: Option<(PathBuf, PathBuf)>,
    name: String,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::over(Box::new(io::stdout()), None, "standard output".into())
    }

    /// A file, made beside its final place under another name. What is no plain file (a pipe, /dev/stdout) is written as it is.
    pub fn file(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let open = || -> io::Result<Self> {
            let is_special = fs::metadata(path).is_ok_and(|data| !data.is_file());
            if is_special {
                let file = OpenOptions::new().write(true).open(path)?;
                return Ok(Self::over(Box::new(file), None, name.clone()));
            }
            // A link stays a link: its target is what becomes new.
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let file_name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let mut new_name = std::ffi::OsString::from(".");
            new_name.push(file_name);
            new_name.push(format!(".{}.new", std::process::id()));
            let new = path.with_file_name(new_name);
            let file = File::create(&new)?;
            Ok(Self::over(Box::new(file), Some((new, path)), name.clone()))
        };
        open().map_err(|error| super::trouble(&name, &error))
    }

    /// A file, or standard output without one or for `-`.
    pub fn at(path: Option<&Path>) -> Result<Self, String> {
        match path {
            None => Ok(Self::stdout()),
            Some(path) if path == Path::new("-") => Ok(Self::stdout()),
            Some(path) => Self::file(path),
        }
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Where to write.
    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    /// It is whole: now it gets its name.
    pub fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        if let Some((new, path)) = &self.file {
            fs::rename(new, path)?;
        }
        self.file = None;
        Ok(())
    }

    fn over(writer: Box<dyn Write>, file: Option<(PathBuf, PathBuf)>, name: String) -> Self {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
        Self { writer, file, name }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((new, _)) = &self.file {
            // Half a file is worth nothing; if it can't be removed there's no more to be done.
            let _ = fs::remove_file(new);
        }
    }
}
