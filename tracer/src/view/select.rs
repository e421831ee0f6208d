//! What of a recording is shown: some threads, some functions, some time, some depth.

use globset::{GlobBuilder, GlobMatcher};

use super::names::{NameId, Names};
use super::steps::{Step, StepKind};
use super::story::Lane;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Threads by name (a pattern), tid, or `#` and their number from 1; all if there is none.
    pub threads: Vec<String>,
    /// Functions by patterns: they and what they call; all if there is none.
    pub functions: Vec<GlobMatcher>,
    /// First time shown: CLOCK_MONOTONIC, in nanoseconds.
    pub from_ns: u64,
    /// Behind the last.
    pub to_ns: Option<u64>,
    /// Frames within one another.
    pub depth_max: Option<u32>,
}

/// A thread, as far as it is selected.
#[derive(Default)]
pub struct Selected {
    /// The open frames: name, and whether its begin was shown.
    open: Vec<(NameId, bool)>,
    /// Depth of the selected function that is open.
    inside: Option<u32>,
}

/// What to do with a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Hide,
    /// Show it, so many frames further left; first these calls that began before: name and depth.
    Show(u32, Vec<(NameId, u32)>),
}

impl Selection {
    /// Whether a thread is wanted.
    pub fn has_thread(&self, lane: &Lane) -> bool {
        let is_it = |wanted: &String| match wanted.strip_prefix('#') {
            Some(number) => number.parse() == Ok(lane.index + 1),
            None => {
                wanted.parse() == Ok(lane.tid)
                    || pattern(wanted).is_ok_and(|pattern| pattern.is_match(&lane.name))
            }
        };
        self.threads.is_empty() || self.threads.iter().any(is_it)
    }
}

/// A pattern of names: `*` and `?` stand for anything.
pub fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("`{text}` is no pattern: {error}"))
}

impl Selected {
    /// Judges the thread's next step.
    pub fn judge(&mut self, selection: &Selection, step: &Step, names: &Names) -> Verdict {
        if let StepKind::Begin { name, .. } = step.kind
            && self.inside.is_none()
            && selection
                .functions
                .iter()
                .any(|wanted| wanted.is_match(&*names.get(name).shown))
        {
            self.inside = Some(step.depth);
        }
        let base = match (selection.functions.is_empty(), self.inside) {
            (true, _) => Some(0),
            (false, inside) => inside,
        };
        let is_frame = matches!(step.kind, StepKind::Begin { .. } | StepKind::End { .. });
        let is_deep = |base: u32| {
            let depth = step.depth - base.min(step.depth);
            selection
                .depth_max
                .is_some_and(|depth_max| depth >= depth_max + u32::from(!is_frame))
        };
        let in_time =
            step.ns >= selection.from_ns && selection.to_ns.is_none_or(|to_ns| step.ns < to_ns);
        let shown = base.filter(|base| in_time && !is_deep(*base));
        let mut earlier = Vec::new();
        if let Some(base) = shown {
            // What is open and was not shown, but for this step's own frame, if it ends.
            for (depth, (name, was_shown)) in self.open.iter_mut().enumerate().skip(base as usize) {
                if !*was_shown {
                    earlier.push((*name, depth as u32 - base));
                    *was_shown = true;
                }
            }
        }
        match step.kind {
            StepKind::Begin { name, .. } => self.open.push((name, shown.is_some())),
            StepKind::End { .. } => {
                self.open.pop();
                if self.inside == Some(step.depth) {
                    self.inside = None;
                }
            }
            StepKind::Unseen { .. }
            | StepKind::Mark(_)
            | StepKind::Message(_)
            | StepKind::Lost { .. } => {}
        }
        match shown {
            Some(base) => Verdict::Show(base, earlier),
            None => Verdict::Hide,
        }
    }
}
