//! What criterion measured (benches/benches), as rows of the table.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::table::{Goal, Row};

/// A bench of benches/benches, and what its head comment expects. `beside`: the bench to compare it with.
struct Expected {
    id: &'static str,
    estimate_ns: f64,
    beside: Option<&'static str>,
}

const fn expect(id: &'static str, estimate_ns: f64) -> Expected {
    Expected {
        id,
        estimate_ns,
        beside: None,
    }
}

const fn against(id: &'static str, estimate_ns: f64, beside: &'static str) -> Expected {
    Expected {
        id,
        estimate_ns,
        beside: Some(beside),
    }
}

const EXPECTED: [Expected; 20] = [
    expect("encode_grant/64", 10.0),
    expect("encode_grant/4096", 60.0),
    expect("decode_grant/64", 30.0),
    expect("decode_grant/4096", 130.0),
    expect("local_fault/10", 15.0),
    against("local_fault/1000", 25.0, "local_fault/10"),
    against("local_fault/100000", 70.0, "local_fault/10"),
    against("local_fault/1000000", 250.0, "local_fault/10"),
    expect("remote_get/10", 35.0),
    against("remote_get/1000", 45.0, "remote_get/10"),
    against("remote_get/100000", 90.0, "remote_get/10"),
    against("remote_get/1000000", 300.0, "remote_get/10"),
    expect("invalidate/1_of_10", 100.0),
    against("invalidate/1_of_1000", 120.0, "invalidate/1_of_10"),
    against("invalidate/1_of_100000", 200.0, "invalidate/1_of_10"),
    against("invalidate/1_of_1000000", 500.0, "invalidate/1_of_10"),
    expect("invalidate/10_of_1000", 500.0),
    expect("invalidate/100_of_1000", 5_000.0),
    expect("invalidate/1000_of_1000", 55_000.0),
    against(
        "invalidate/1000_of_100000",
        55_000.0,
        "invalidate/1000_of_1000",
    ),
];

/// One row per bench; `folder` is criterion's, below cargo's target folder.
pub fn rows(folder: &Path) -> Result<Vec<Row>> {
    EXPECTED
        .iter()
        .map(|expected| {
            let measured_ns = median_ns(folder, expected.id)?;
            let beside = expected
                .beside
                .map(|id| Ok::<_, anyhow::Error>((id.to_owned(), median_ns(folder, id)?)));
            let beside = beside.transpose()?;
            Ok(Row {
                what: expected.id.replace('_', " "),
                estimate_ns: expected.estimate_ns,
                measured_ns,
                ratio: beside.as_ref().map(|(_, figure)| measured_ns / figure),
                beside,
                goal: Goal::None,
            })
        })
        .collect()
}

fn median_ns(folder: &Path, id: &str) -> Result<f64> {
    let file = folder.join(id).join("new/estimates.json");
    let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    let estimates: Value =
        serde_json::from_slice(&text).with_context(|| format!("in {}", file.display()))?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .with_context(|| format!("no median in {}", file.display()))
}
