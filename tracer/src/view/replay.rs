//! A recording's call tree as text.

use std::io::{self, Write};

use super::names::Names;
use super::select::{Selected, Selection, Verdict};
use super::steps::{Step, StepKind};
use super::story::{Lane, Story};
use super::text::{TextOptions, TreeText};

/// Bytes of lines that are written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// Writes what is selected, by time over all threads. Returns how many events are missing among it.
pub fn replay(
    story: &Story,
    selection: &Selection,
    mut options: TextOptions,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let lanes: Vec<&Lane> = story
        .lanes()
        .iter()
        .filter(|lane| selection.has_thread(lane))
        .collect();
    options.threads = lanes.len() > 1;
    let mut text = TreeText::new(options);
    let mut names = Names::default();
    let mut selected: Vec<Selected> = story.lanes().iter().map(|_| Selected::default()).collect();
    let mut lost = 0;
    let mut result = Ok(());
    story.merged(&lanes, &mut names, |lane, step, names| {
        if selection.to_ns.is_some_and(|to_ns| step.ns >= to_ns) {
            return false;
        }
        if let Verdict::Show(base, earlier) = selected[lane.index].judge(selection, &step, names) {
            for (name, depth) in earlier {
                text.began_earlier(lane, step.ns, depth, name, names);
            }
            if let StepKind::Lost { count, .. } = step.kind {
                lost += count;
            }
            let step = Step {
                depth: step.depth.saturating_sub(base),
                ..step
            };
            let values = story.values(&step);
            text.step(lane, &step, values.as_ref(), names, story.symbols());
        }
        if text.bytes() >= WRITE_BYTES {
            result = out.write_all(text.take().as_bytes());
        }
        result.is_ok()
    });
    result?;
    text.open_all(&names, story.symbols());
    out.write_all(text.take().as_bytes())?;
    out.flush()?;
    Ok(lost)
}
