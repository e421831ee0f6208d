//! A profile as JSON, for programs. Times in nanoseconds.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::profile::{Function, Profile};
use super::text::TextOptions;
use crate::recording::Recording;

impl Profile {
    /// Writes everything that was gathered as one object.
    pub fn write_json(
        &self,
        recording: &Recording,
        options: &TextOptions,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let functions: Vec<Value> = self
            .sorted(options)
            .into_iter()
            .map(|function| self.function_json(function, &options.percentiles))
            .collect();
        let threads: Vec<Value> = self
            .threads
            .iter()
            .map(|thread| {
                json!({
                    "serial": thread.info.serial.0,
                    "pid": thread.pid,
                    "tid": thread.info.tid,
                    "name": thread.info.name,
                    "begin_ns": thread.times_ns.map(|times| times.0),
                    "end_ns": thread.times_ns.map(|times| times.1),
                    "events": thread.events,
                    "lost": thread.lost,
                    "depth_max": thread.depth_max,
                })
            })
            .collect();
        let mut report = json!({
            "recording": recording.path().display().to_string(),
            "command": recording.session().command,
            "events": self.events,
            "lost": self.lost,
            "is_finished": recording.is_finished(),
            "warnings": self.warnings,
            "functions": functions,
            "threads": threads,
        });
        if let Some(tree) = &self.tree {
            // Flat, each node with its parent's index: a path may be deeper than JSON readers like.
            let nodes = tree.nodes().iter().enumerate().skip(1);
            let nodes: Vec<Value> = nodes
                .map(|(index, node)| {
                    json!({
                        "node": index,
                        "parent": node.parent,
                        "function": *self.functions[node.function as usize].name,
                        "calls": node.calls,
                        "total_ns": self.ns(node.total),
                        "self_ns": self.ns(node.own),
                    })
                })
                .collect();
            report["tree"] = nodes.into();
        }
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)
    }

    fn function_json(&self, function: &Function, percentiles: &[f64]) -> Value {
        let statistics = &function.statistics;
        let mut value = json!({
            "name": *function.name,
            "module": function.module,
            "calls": statistics.calls,
            "total_ns": self.ns(statistics.total),
            "self_ns": self.ns(statistics.own),
            "min_ns": self.ns(statistics.min),
            "average_ns": statistics.average() * self.ns_per_tick,
            "max_ns": self.ns(statistics.max),
            "left_by_longjmp": statistics.jumped,
            "left_without_return": statistics.unwound,
            "still_open": statistics.open,
            "calls_not_recorded": statistics.unseen,
        });
        for percent in percentiles {
            value[format!("p{percent}_ns")] = self.ns(statistics.percentile(*percent)).into();
        }
        if let Some(place) = &function.place {
            value["file"] = place.file.clone().into();
            value["line"] = place.line.into();
        }
        value
    }
}
