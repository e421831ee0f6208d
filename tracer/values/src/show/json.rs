//! A value as JSON: for other programs, and to be compared with what a debugger says.
//!
//! | value | JSON |
//! |---|---|
//! | of one word | a string, as it is printed |
//! | not there | `{"absent": "optimized out"}`, `"invalid 0x10"`, `"not captured"`, `"damaged"` |
//! | text | `{"text": "abc", "complete": true}`: a character for each byte |
//! | pointer, reference | `{"ptr": "0x10", "to": .., "symbol": "main", "cycle": true}`; fields that aren't there are left out |
//! | record | an object; base classes as `<Name>`, anonymous members as `<anonymous>`, `<anonymous 2>` |
//! | array, list, holder | an array; if not all elements are in it, the last is `{"more": 3}` |
//! | map | `{"map": [[key, value], ..]}` |

use serde_json::{Map, Value as Json, json as make};

use crate::{Absence, Entry, Shape, Value};

/// Values that repeats are written out as, over all of one value.
const WRITTEN_OUT_MAX: u64 = 1 << 14;

/// `value` as JSON.
pub fn json(value: &Value) -> Json {
    made(value, &mut { WRITTEN_OUT_MAX })
}

fn made(value: &Value, left: &mut u64) -> Json {
    match value {
        Value::Absent(absence) => make!({ "absent": absent(absence) }),
        Value::Scalar(text) => Json::String(text.to_string()),
        Value::Text { bytes, complete } => {
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            make!({ "text": text, "complete": complete })
        }
        Value::Pointer {
            address,
            target,
            symbol,
            is_cycle,
            ..
        } => {
            let mut fields = Map::new();
            if let Some(address) = address {
                fields.insert("ptr".into(), format!("{address:#x}").into());
            }
            if let Some(target) = target {
                fields.insert("to".into(), made(target, left));
            }
            if let Some(symbol) = symbol {
                fields.insert("symbol".into(), symbol.to_string().into());
            }
            if *is_cycle {
                fields.insert("cycle".into(), true.into());
            }
            Json::Object(fields)
        }
        Value::Compound {
            shape: Shape::Record,
            entries,
            ..
        } => record(entries, left),
        Value::Compound {
            shape: Shape::Map,
            entries,
            left_out,
            ..
        } => {
            let pair = |entry: &Entry| {
                let key = entry.key.as_ref();
                let key = key.map_or(Json::Null, |key| made(key, left));
                make!([key, made(&entry.value, left)])
            };
            let mut pairs: Vec<Json> = entries.iter().map(pair).collect();
            more(&mut pairs, *left_out);
            make!({ "map": pairs })
        }
        Value::Compound {
            shape: Shape::List | Shape::Holder,
            entries,
            left_out,
            ..
        } => list(entries, *left_out, left),
    }
}

fn absent(absence: &Absence) -> String {
    match absence {
        Absence::OptimizedOut => "optimized out".into(),
        Absence::Invalid(address) => format!("invalid {address:#x}"),
        Absence::NotCaptured(_) => "not captured".into(),
        Absence::Damaged => "damaged".into(),
    }
}

fn record(entries: &[Entry], left: &mut u64) -> Json {
    let mut fields = Map::new();
    let mut anonymous = 0;
    for entry in entries {
        let mut name = entry.name.to_string();
        if name.is_empty() {
            anonymous += 1;
            name = match anonymous {
                1 => "<anonymous>".into(),
                number => format!("<anonymous {number}>"),
            };
        }
        fields.insert(name, made(&entry.value, left));
    }
    Json::Object(fields)
}

fn list(entries: &[Entry], left_out: u64, left: &mut u64) -> Json {
    let mut elements = Vec::new();
    let mut rest = left_out;
    for entry in entries {
        let element = made(&entry.value, left);
        let times = match entry.times {
            1 => 1,
            times => {
                let size = values_in(&element);
                let times = times.min(*left / size).max(1);
                *left = left.saturating_sub(times * size);
                times
            }
        };
        rest = rest.saturating_add(entry.times - times);
        elements.extend((0..times).map(|_| element.clone()));
    }
    more(&mut elements, rest);
    Json::Array(elements)
}

/// Values in this one, with it.
fn values_in(json: &Json) -> u64 {
    match json {
        Json::Array(parts) => 1 + parts.iter().map(values_in).sum::<u64>(),
        Json::Object(parts) => 1 + parts.values().map(values_in).sum::<u64>(),
        _ => 1,
    }
}

fn more(elements: &mut Vec<Json>, left_out: u64) {
    if left_out > 0 {
        elements.push(make!({ "more": left_out }));
    }
}
