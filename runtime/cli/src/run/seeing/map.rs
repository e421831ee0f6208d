//! The report's heat maps: a line for each node, for each variable.

use std::rc::Rc;

use super::super::stats_table::bytes;
use super::findings::time;
use super::heat::Row;
use super::html::{breakable, grouped};
use super::page::NODES_SHOWN_MAX;
use super::scale::Scale;
use super::slices::Variable;
use super::tally::{Lane, Tally};

/// Lanes of the heat map: what fits a few screens.
const LANES_MAX: usize = 96;

/// Variables of the heat map, if nodes are few.
const HEAT_VARIABLES_MAX: usize = 16;

pub fn heat(out: &mut String, tally: &mut Tally) {
    let ranks: Vec<u16> = (0..tally.nodes.len().min(NODES_SHOWN_MAX) as u16).collect();
    let mut chosen: Vec<(Rc<Variable>, u64)> = tally
        .variables
        .iter()
        .map(|(variable, activity)| {
            let weight = activity.waited_ns() + activity.bytes();
            (variable.clone(), weight)
        })
        .filter(|(_, weight)| *weight > 0)
        .collect();
    if chosen.is_empty() {
        return;
    }
    chosen.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let count = (LANES_MAX / ranks.len().max(1)).clamp(3, HEAT_VARIABLES_MAX);
    let rest = chosen.len().saturating_sub(count);
    chosen.truncate(count);
    *out += "<section class=\"heat\"><h2>Which node used what, when</h2>\n";
    *out += "<p class=\"note\">Each line is one node; time goes to the right. Two lines with strong \
             colours at the same time: the variable went back and forth between these nodes.</p>";
    *out += "<input type=\"radio\" name=\"heat\" id=\"by-faults\" checked><label for=\"by-faults\">faults</label>";
    *out += "<input type=\"radio\" name=\"heat\" id=\"by-bytes\"><label for=\"by-bytes\">bytes received</label>";
    heat_map(out, tally, &chosen, &ranks, &FAULTS);
    heat_map(out, tally, &chosen, &ranks, &BYTES);
    if rest > 0 {
        *out +=
            &format!("<p class=\"note\">{rest} more variables had less traffic than these.</p>");
    }
    *out += "</section>\n";
}

/// What a heat map shows.
struct Measure {
    class: &'static str,
    unit: &'static str,
    row: fn(&mut Lane) -> &mut Row,
    text: fn(u64) -> String,
}

const FAULTS: Measure = Measure {
    class: "faults",
    unit: "faults",
    row: |lane| &mut lane.faults_over_time,
    text: grouped,
};

const BYTES: Measure = Measure {
    class: "bytes",
    unit: "received",
    row: |lane| &mut lane.bytes_over_time,
    text: bytes,
};

fn heat_map(
    out: &mut String,
    tally: &mut Tally,
    chosen: &[(Rc<Variable>, u64)],
    ranks: &[u16],
    measure: &Measure,
) {
    let end_ns = tally.end_ns;
    tally.axis.column(end_ns.saturating_sub(1));
    let axis = tally.axis;
    let used = axis.used(end_ns);
    let mut largest = 1;
    for (variable, _) in chosen {
        let lanes = tally
            .variables
            .get_mut(variable)
            .map(|activity| &mut activity.lanes);
        for lane in lanes.into_iter().flat_map(|lanes| lanes.values_mut()) {
            let cells = (measure.row)(lane).cells(&axis);
            largest = cells.iter().copied().fold(largest, u64::max);
        }
    }
    let scale = Scale::new(largest);
    *out += &format!("<div class=\"map {}\">", measure.class);
    *out += &scale.legend(measure.unit, measure.text, &time(axis.width_ns));
    for (variable, _) in chosen {
        *out += &format!(
            "<div class=\"name\"><code>{}</code><small>{}, home {}</small></div>",
            breakable(&variable.name),
            bytes(variable.size_bytes),
            variable.home
        );
        *out += "<div class=\"ranks\">";
        for rank in ranks {
            *out += &format!("<span>node {rank}</span>");
        }
        *out += "</div>";
        *out += &format!(
            "<svg viewBox=\"0 0 {used} {}\" preserveAspectRatio=\"none\" style=\"height:{}px\">",
            ranks.len(),
            ranks.len() * LANE_PX
        );
        for (line, rank) in ranks.iter().enumerate() {
            *out += &format!(
                "<rect class=\"c0\" x=\"0\" y=\"{line}.06\" width=\"{used}\" height=\".88\"/>"
            );
            let lane = tally
                .variables
                .get_mut(variable)
                .and_then(|activity| activity.lanes.get_mut(rank));
            let Some(lane) = lane else { continue };
            let cells = (measure.row)(lane).cells(&axis);
            for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell > 0) {
                let from = time(column as u64 * axis.width_ns);
                let to = time((column as u64 + 1) * axis.width_ns);
                *out += &format!(
                    "<rect class=\"c{}\" x=\"{column}\" y=\"{line}.06\" width=\"1\" height=\".88\"><title>node {rank}, {from} to {to}: {} {}</title></rect>",
                    scale.step(*cell),
                    (measure.text)(*cell),
                    measure.unit
                );
            }
        }
        *out += "</svg>";
    }
    *out += "<div></div><div></div><div class=\"axis\">";
    let end_ns = used as u64 * axis.width_ns;
    for part in 0..=4 {
        *out += &format!("<span>{}</span>", time(end_ns * part / 4));
    }
    *out += "</div></div>";
}

/// Height of a lane.
const LANE_PX: usize = 15;
