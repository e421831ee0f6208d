//! Recordings in other programs' formats.
//!
//! An exporter gets the steps of all threads ([`crate::view::story`]), nested and named, and writes as they come: nothing
//! but names is kept in memory, except where a format is a sum (folded stacks, flame graphs).

use std::io;
use std::path::PathBuf;

use umbel_values::EventValues;

use crate::view::names::Names;
use crate::view::steps::Step;
use crate::view::story::{Lane, Story};

mod chrome;
mod ctf;
mod folded;
pub mod json;
mod jsonl;
mod output;
mod perfetto;
mod protobuf;
mod tree;

pub(crate) use jsonl::lost_text;
pub use output::Output;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Chrome trace events, JSON: chrome://tracing, Perfetto, Speedscope.
    Chrome,
    /// Perfetto's protobuf: ui.perfetto.dev.
    Perfetto,
    /// Common Trace Format 1.8, a folder: babeltrace2, Trace Compass.
    Ctf,
    /// Folded stacks with their own time in nanoseconds.
    FoldedTime,
    /// Folded stacks with their calls.
    FoldedCalls,
    /// A flame graph as SVG, for browsers.
    Flame,
    /// A line of JSON for each step.
    JsonLines,
    /// Names and nesting, nothing else: for tests.
    Tree,
}

/// How much was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Calls, returns and whatever lies among them.
    pub steps: u64,
    /// Events that are missing, as far as they were counted.
    pub lost: u64,
}

/// Writes one format.
trait Exporter {
    /// The format has a place for values.
    const HAS_VALUES: bool;

    /// A thread, before its first step.
    fn lane(&mut self, lane: &Lane) -> io::Result<()>;

    /// A thread's next step, with the values that it brought along if the format has a place for them.
    fn step(
        &mut self,
        lane: &Lane,
        step: &Step,
        names: &Names,
        values: Option<&EventValues>,
    ) -> io::Result<()>;

    /// No more steps will come.
    fn finish(&mut self, names: &Names) -> io::Result<()>;
}

/// Writes `story` in a format. A closed pipe is no error: whoever read it has enough.
pub fn export(story: &Story, format: Format, output: Output) -> Result<Exported, String> {
    let name = output.name();
    write(story, format, output).or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Exported::default()),
        _ => Err(trouble(&name, &error)),
    })
}

/// Writes `story` as CTF into a new folder.
pub fn export_ctf(story: &Story, folder: PathBuf) -> Result<Exported, String> {
    let name = folder.display().to_string();
    let written =
        ctf::Ctf::create(story, &folder).and_then(|mut exporter| each(story, &mut exporter));
    written.map_err(|error| trouble(&name, &error))
}

fn write(story: &Story, format: Format, mut output: Output) -> io::Result<Exported> {
    let out = output.writer();
    let exported = match format {
        Format::Chrome => each(story, &mut chrome::Chrome::new(story, out)?),
        Format::Perfetto => each(story, &mut perfetto::Perfetto::new(story, out)?),
        Format::Ctf => Err(io::Error::other("CTF is a folder, not a file")),
        Format::FoldedTime => each(
            story,
            &mut folded::Folded::stacks(out, folded::Measure::SelfTime),
        ),
        Format::FoldedCalls => each(
            story,
            &mut folded::Folded::stacks(out, folded::Measure::Calls),
        ),
        Format::Flame => each(story, &mut folded::Folded::flame_graph(story, out)),
        Format::JsonLines => merged(story, &mut jsonl::JsonLines::new(story, out)?),
        Format::Tree => each(story, &mut tree::Tree::new(story, out)),
    }?;
    output.commit()?;
    Ok(exported)
}

/// One thread after the other.
fn each<E: Exporter>(story: &Story, exporter: &mut E) -> io::Result<Exported> {
    let mut names = Names::default();
    let mut exported = Exported::default();
    for lane in story.lanes() {
        exporter.lane(lane)?;
        let mut steps = story.steps(lane);
        while let Some(step) = steps.next(story, &mut names) {
            exported.add(&step);
            let values = E::HAS_VALUES.then(|| story.values(&step)).flatten();
            exporter.step(lane, &step, &names, values.as_ref())?;
        }
    }
    exporter.finish(&names)?;
    Ok(exported)
}

/// All threads by time.
fn merged<E: Exporter>(story: &Story, exporter: &mut E) -> io::Result<Exported> {
    let mut names = Names::default();
    let mut exported = Exported::default();
    let lanes: Vec<&Lane> = story.lanes().iter().collect();
    for lane in &lanes {
        exporter.lane(lane)?;
    }
    let mut result = Ok(());
    story.merged(&lanes, &mut names, |lane, step, names| {
        exported.add(&step);
        let values = E::HAS_VALUES.then(|| story.values(&step)).flatten();
        result = exporter.step(lane, &step, names, values.as_ref());
        result.is_ok()
    });
    result?;
    exporter.finish(&names)?;
    Ok(exported)
}

impl Exported {
    fn add(&mut self, step: &Step) {
        use crate::view::steps::StepKind;
        self.steps += 1;
        if let StepKind::Lost { count, .. } = step.kind {
            self.lost += count;
        }
    }
}

fn trouble(name: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => " (is its folder there?)",
        io::ErrorKind::StorageFull => " (make room, or give a file on another disk)",
        io::ErrorKind::AlreadyExists => " (give another name, or remove it)",
        _ => "",
    };
    format!("cannot write {name}: {error}{advice}")
}
