//! Source files of functions, as far as they were asked for: line tables are large, and most of them are read for a few functions of headers.
//!
//! As they are kept: the number of files (4 bytes), of each its length (4 bytes) and name; then of each function where it begins (8 bytes)
//! and the number of its file from 1 on, 0 if it is not known (4 bytes).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cache::Content;

/// By where functions begin: their files, if that could be found out.
#[derive(Debug, Default)]
pub struct Sources {
    /// What is known.
    pub files: HashMap<u64, Option<Arc<str>>>,
    /// There are more than were kept.
    pub is_new: bool,
    /// One text for each file.
    names: HashSet<Arc<str>>,
}

impl Sources {
    /// The file of a function is known now.
    pub fn add(&mut self, function: u64, file: Option<Arc<str>>) -> Option<Arc<str>> {
        let file = file.map(|file| match self.names.get(&file) {
            Some(known) => Arc::clone(known),
            None => {
                self.names.insert(Arc::clone(&file));
                file
            }
        });
        self.files.insert(function, file.clone());
        self.is_new = true;
        file
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut names = Vec::new();
        let mut functions = Vec::new();
        for (function, file) in &self.files {
            let number = file.as_deref().map_or(0, |file| {
                let next = numbers.len() as u32 + 1;
                *numbers.entry(file).or_insert_with(|| {
                    names.extend((file.len() as u32).to_le_bytes());
                    names.extend(file.as_bytes());
                    next
                })
            });
            functions.extend(function.to_le_bytes());
            functions.extend(number.to_le_bytes());
        }
        bytes.extend((numbers.len() as u32).to_le_bytes());
        bytes.extend(names);
        bytes.extend(functions);
        bytes
    }

    /// Out of them; `None`: they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut content = Content(bytes);
        let mut names: Vec<Arc<str>> = Vec::new();
        for _ in 0..content.short()? {
            let length = usize::try_from(content.short()?).ok()?;
            names.push(Arc::from(str::from_utf8(content.bytes(length)?).ok()?));
        }
        let mut sources = Self::default();
        while !content.0.is_empty() {
            let function = content.long()?;
            let file = match content.short()?.checked_sub(1) {
                None => None,
                Some(index) => Some(Arc::clone(names.get(usize::try_from(index).ok()?)?)),
            };
            sources.files.insert(function, file);
        }
        sources.names = names.into_iter().collect();
        Some(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_back_as_they_were() {
        let mut sources = Sources::default();
        sources.add(1, Some("a.h".into()));
        sources.add(2, None);
        sources.add(3, Some("b/c.h".into()));
        sources.add(4, Some("a.h".into()));
        let bytes = sources.to_bytes();
        let read = Sources::from_bytes(&bytes).expect("they are sources");
        assert_eq!(read.files, sources.files);
        assert!(sources.is_new && !read.is_new);
        // Names are whole before any function is.
        let functions = bytes.len() - 4 * 12;
        let whole = (0..bytes.len()).filter(|end| Sources::from_bytes(&bytes[..*end]).is_some());
        assert_eq!(
            whole.collect::<Vec<_>>(),
            [functions, functions + 12, functions + 24, functions + 36]
        );
        let mut wrong = bytes;
        wrong[functions + 8] = 9;
        assert!(Sources::from_bytes(&wrong).is_none(), "there are two files");
    }
}
