//! `umbel trace report`: a recording in numbers.

use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::{Context, Error, Result, bail};

use umbel_tracer::report::{Profile, Selection, Sort, TextOptions};

use super::Source;

/// Says of each function how often it was called and where the time went.
///
/// TOTAL is the time in which the function was on the stack (a recursion counted once), SELF the part of it in which no traced
/// function that it called was; MIN, AVERAGE, MAX and the percentiles are those of single calls. Narrow terminals leave columns out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  umbel trace report                          functions, those with the most time first
  umbel trace report --sort self --limit 20   where the time was spent
  umbel trace report --tree --at-least 1ms    who called whom, paths of a millisecond and more
  umbel trace report --threads                one line per thread
  umbel trace report --function 'ns::*' --percentiles 50,99.9
  umbel trace report --json | jq '.functions[0]'")]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    shown: Shown,
    /// The call tree with times, merged by path.
    #[arg(long, conflicts_with = "threads")]
    tree: bool,
    /// A line for each thread instead of each function.
    #[arg(long)]
    threads: bool,
    /// Only this thread: tid, name or serial; may be repeated.
    #[arg(long, value_name = "THREAD")]
    thread: Vec<String>,
    /// Only this process: pid; may be repeated.
    #[arg(long, value_name = "PID")]
    process: Vec<u32>,
    /// File and line of each function; reads the program's debug information if the recording has none.
    #[arg(long)]
    places: bool,
}

/// Which functions are shown, and how: the same for reports and differences.
#[derive(clap::Args)]
pub struct Shown {
    /// Order: total, self, calls, min, average, max, name, or a percentile as p99.
    #[arg(long, default_value = "total", value_name = "KEY", value_parser = sort)]
    sort: Sort,
    /// Only functions with this in their name, or of this name or library by a pattern with *; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    function: Vec<String>,
    /// At most so many lines.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only what took (in total) at least this time: 10us, 1.5ms, 2s.
    #[arg(long, value_name = "TIME", value_parser = time_ns, default_value = "0ns")]
    at_least: f64,
    /// Percentiles to show.
    #[arg(long, value_name = "P,P", value_delimiter = ',', value_parser = percent, default_value = "50,90,99")]
    percentiles: Vec<f64>,
    /// For programs: everything as JSON, times in nanoseconds.
    #[arg(long)]
    json: bool,
}

impl Shown {
    /// Machine-readable.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// For the library.
    pub fn to_text(&self) -> TextOptions {
        TextOptions {
            sort: self.sort,
            functions: self.function.clone(),
            limit: self.limit,
            total_min_ns: self.at_least,
            percentiles: self.percentiles.clone(),
            width: width(),
        }
    }
}

/// Shows the report.
pub fn run(options: &Options) -> Result<u8, String> {
    finish(show(options))
}

fn show(options: &Options) -> Result<()> {
    let recording = options.source.open().map_err(Error::msg)?;
    let selection = Selection {
        threads: options.thread.clone(),
        processes: options.process.clone(),
        tree: options.tree,
        places: options.places,
    };
    let profile = Profile::of(&recording, &selection).context("cannot read the events")?;
    if profile.threads.is_empty() && !(options.thread.is_empty() && options.process.is_empty()) {
        bail!("no such thread; `umbel trace report --threads` lists them");
    }
    let text = options.shown.to_text();
    let mut out = BufWriter::new(io::stdout().lock());
    if options.shown.json {
        profile.write_json(&recording, &text, &mut out)?;
        return Ok(out.flush()?);
    }
    profile.write_head(&recording, &mut out)?;
    match (options.tree, options.threads) {
        (true, _) => profile.write_tree(&text, &mut out)?,
        (_, true) => profile.write_threads(&text, &mut out)?,
        _ => profile.write_functions(&text, &mut out)?,
    }
    profile.write_warnings(&mut out)?;
    Ok(out.flush()?)
}

/// The exit status, or what went wrong. A reader that has seen enough (`| head`) is no error.
pub fn finish(result: Result<()>) -> Result<u8, String> {
    match result {
        Ok(()) => Ok(0),
        Err(error) => match error.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            _ => Err(format!("{error:#}")),
        },
    }
}

/// Width of the terminal, if the output is one.
fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    umbel_tracer::report::terminal_width()
}

fn sort(text: &str) -> Result<Sort, String> {
    Ok(match text {
        "total" => Sort::Total,
        "self" => Sort::Own,
        "calls" => Sort::Calls,
        "min" => Sort::Min,
        "average" | "avg" => Sort::Average,
        "max" => Sort::Max,
        "name" => Sort::Name,
        _ => match text.strip_prefix('p') {
            Some(number) => Sort::Percentile(percent(number)?),
            None => {
                return Err("expected total, self, calls, min, average, max, name or p99".into());
            }
        },
    })
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent @ 0.0..=100.0) => Ok(percent),
        _ => Err("expected a number from 0 to 100".into()),
    }
}

/// A time with its unit, in nanoseconds.
fn time_ns(text: &str) -> Result<f64, String> {
    let wrong = || "expected a number with ns, us, ms or s, as in 10us".to_owned();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (number, unit) = text.split_at(digits.ok_or_else(wrong)?);
    let factor = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_their_unit() {
        assert_eq!(time_ns("10us"), Ok(10_000.0));
        assert_eq!(time_ns("1.5ms"), Ok(1_500_000.0));
        for wrong in ["", "10", "us", "1.2.3s", "-1s", "10 parsecs"] {
            assert!(time_ns(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_order_is_a_column_or_a_percentile() {
        assert_eq!(sort("p99.9"), Ok(Sort::Percentile(99.9)));
        assert_eq!(sort("self"), Ok(Sort::Own));
        assert!(sort("p101").is_err() && sort("size").is_err());
    }
}
