//! Reads triggers.

use std::time::Duration;

use umbel_values::{Comparison, Operand, Operator, Path, RETURN, Step, TextPattern};

use super::{Action, At, Case, Deferred, FunctionPattern, Limit, Trigger, text};
use crate::filter::{Filter, NamePattern, ThreadPattern};

use scan::{Reader, Word};

mod scan;

/// Bytes of a trigger: more than any user writes.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Brackets in brackets.
const NESTING_MAX: u32 = 32;

/// Ways in which a trigger may fire, once `and` and `or` are taken apart.
const CASES_MAX: usize = 64;

/// Why a text is no trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("trigger `{text}`, column {column}: {message}")]
pub struct ParseError {
    /// What was written.
    pub text: String,
    /// Where in it, in characters from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

type Result<T> = std::result::Result<T, ParseError>;

/// One thing that is true or not, with where it was written.
#[derive(Clone)]
struct Atom {
    at: usize,
    kind: AtomKind,
}

#[derive(Clone)]
enum AtomKind {
    /// An event of a function, and perhaps what is asked of one of its values.
    Event(FunctionPattern, At, Option<Comparison>),
    Limit(Limit),
}

/// Conjunctions, any of which may be true.
type Cases = Vec<Vec<Atom>>;

pub fn trigger(text: &str) -> Result<Trigger> {
    let mut reader = Reader::new(text)?;
    let name = reader.label();
    let begin = reader.at();
    reader.expect(
        "when",
        "a trigger begins with `when`, as in: when f.n > 1000 then snapshot",
    )?;
    let cases = any(&mut reader, false, 0)?;
    reader.expect("then", "expected `and`, `or` or `then`")?;
    let mut actions = vec![deferred(&mut reader)?];
    while reader.take(",") {
        actions.push(deferred(&mut reader)?);
    }
    if !reader.is_at_end() {
        return Err(reader.error("expected `,` before the next action, or the end"));
    }
    let cases = cases
        .into_iter()
        .map(|atoms| case(&reader, atoms))
        .collect::<Result<Vec<_>>>()?;
    Ok(Trigger {
        name: name.map(Into::into),
        text: text[begin..].trim().into(),
        cases,
        actions,
    })
}

/// Terms joined by `or`. With `is_not`, what is read is the contrary of what is written.
fn any(reader: &mut Reader, is_not: bool, depth: u32) -> Result<Cases> {
    let mut cases = all(reader, is_not, depth)?;
    while reader.take("or") {
        let next = all(reader, is_not, depth)?;
        cases = if is_not {
            both(reader, cases, next)?
        } else {
            either(reader, cases, next)?
        };
    }
    Ok(cases)
}

/// Terms joined by `and`.
fn all(reader: &mut Reader, is_not: bool, depth: u32) -> Result<Cases> {
    let mut cases = one(reader, is_not, depth)?;
    while reader.take("and") {
        let next = one(reader, is_not, depth)?;
        cases = if is_not {
            either(reader, cases, next)?
        } else {
            both(reader, cases, next)?
        };
    }
    Ok(cases)
}

fn one(reader: &mut Reader, is_not: bool, depth: u32) -> Result<Cases> {
    if depth > NESTING_MAX {
        return Err(reader.error(&format!("more than {NESTING_MAX} brackets in each other")));
    }
    if reader.take("not") {
        return one(reader, !is_not, depth + 1);
    }
    if reader.take("(") {
        let cases = any(reader, is_not, depth + 1)?;
        reader.expect(")", "expected `)`")?;
        return Ok(cases);
    }
    Ok(vec![vec![atom(reader, is_not)?]])
}

fn either(reader: &Reader, mut left: Cases, right: Cases) -> Result<Cases> {
    left.extend(right);
    bounded(reader, left)
}

fn both(reader: &Reader, left: Cases, right: Cases) -> Result<Cases> {
    let joined = left.iter().flat_map(|left| {
        right
            .iter()
            .map(|right| left.iter().chain(right).cloned().collect())
    });
    bounded(reader, joined.take(CASES_MAX + 1).collect())
}

fn bounded(reader: &Reader, cases: Cases) -> Result<Cases> {
    match cases.len() {
        0..=CASES_MAX => Ok(cases),
        _ => Err(reader.error(&format!(
            "more than {CASES_MAX} ways in which this can be true: write several triggers"
        ))),
    }
}

/// One condition.
fn atom(reader: &mut Reader, is_not: bool) -> Result<Atom> {
    let at = reader.at();
    let limit = |limit| {
        Ok(Atom {
            at,
            kind: AtomKind::Limit(limit),
        })
    };
    // A function may be called `depth`; then it stands in quotes.
    if let Some(word) = reader.take_any(&["depth", "count"]) {
        let operator = turned(reader.operator()?, is_not);
        let number = reader.natural("a number, as in depth < 5")?;
        return limit(match word {
            "depth" => Limit::Depth(operator, number),
            _ => Limit::Count(operator, number),
        });
    }
    if reader.take("duration") {
        let operator = turned(reader.operator()?, is_not);
        return limit(Limit::Duration(operator, reader.time()?));
    }
    if reader.take("thread") {
        let operator_at = reader.at();
        let is = match turned(reader.operator()?, is_not) {
            Operator::Equal => true,
            Operator::NotEqual => false,
            _ => return Err(reader.error_at(operator_at, "threads are compared by == and !=")),
        };
        let at = reader.at();
        let name = reader.text_or_word("a thread's name in quotes, or its number")?;
        let pattern = ThreadPattern::new(&name)
            .map_err(|error| reader.error_at(at, &format!("no pattern: {}", error.kind())))?;
        return limit(Limit::Thread(pattern, is));
    }
    event(reader, at, is_not)
}

/// A function's call or return, or a comparison of a value of it.
fn event(reader: &mut Reader, at: usize, is_not: bool) -> Result<Atom> {
    let function = function(reader)?;
    let kind = if reader.take_dot() {
        let left = path(reader)?;
        let comparison = comparison(reader, &function, left, is_not)?;
        AtomKind::Event(function, At::Call, Some(comparison))
    } else if reader.take("returns") {
        let comparison = match reader.is_at_operator() {
            true => {
                let left = Path {
                    variable: RETURN.into(),
                    steps: Vec::new(),
                };
                Some(comparison(reader, &function, left, is_not)?)
            }
            false => None,
        };
        AtomKind::Event(function, At::Return, comparison)
    } else {
        AtomKind::Event(function, At::Call, None)
    };
    if is_not && matches!(kind, AtomKind::Event(_, _, None)) {
        return Err(reader.error_at(
            at,
            "`not` is for comparisons: which event is meant can't be said by one that it isn't",
        ));
    }
    Ok(Atom { at, kind })
}

fn function(reader: &mut Reader) -> Result<FunctionPattern> {
    let at = reader.at();
    let word = reader.function()?;
    let pattern = match &word {
        Word::Regex { text, ignores_case } => {
            NamePattern::regex(text, *ignores_case).map_err(|error| {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                reader.error_at(at, &format!("no regular expression: {reason}"))
            })?
        }
        Word::Name(name) => NamePattern::new(name)
            .map_err(|error| reader.error_at(at, &format!("no pattern: {}", error.kind())))?,
    };
    let text = match word {
        Word::Name(name) => name,
        Word::Regex { text, ignores_case } => {
            format!("/{text}/{}", if ignores_case { "i" } else { "" })
        }
    };
    Ok(FunctionPattern {
        text: text.into(),
        pattern,
    })
}

fn path(reader: &mut Reader) -> Result<Path> {
    let mut targets = 0;
    while reader.take("*") {
        targets += 1;
    }
    let variable = reader.identifier("a variable of the function, as in f.n")?;
    let mut steps = Vec::new();
    loop {
        if reader.take_dot() || reader.take("->") {
            steps.push(Step::Member(reader.identifier("a member's name")?.into()));
        } else if reader.take("[") {
            steps.push(Step::Index(reader.whole("a number, as in a[3]")?));
            reader.expect("]", "expected `]`")?;
        } else {
            break;
        }
    }
    steps.extend((0..targets).map(|_| Step::Target));
    Ok(Path {
        variable: variable.into(),
        steps,
    })
}

fn comparison(
    reader: &mut Reader,
    function: &FunctionPattern,
    left: Path,
    is_not: bool,
) -> Result<Comparison> {
    let operator_at = reader.at();
    let operator = turned(reader.operator()?, is_not);
    let right = operand(reader, function)?;
    let is_equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    if matches!(right, Operand::Text(_)) && !is_equality {
        return Err(reader.error_at(operator_at, "texts are compared by == and !="));
    }
    Ok(Comparison {
        left,
        operator,
        right,
    })
}

fn operand(reader: &mut Reader, function: &FunctionPattern) -> Result<Operand> {
    if let Some(number) = reader.number()? {
        return Ok(number);
    }
    if let Some(pattern) = text_pattern(reader)? {
        return Ok(Operand::Text(pattern));
    }
    let at = reader.at();
    let expected =
        "a number, character, \"text\", /regex/, true, false, null, enumerator, or f.variable";
    let name = reader.scoped(expected)?;
    if ["then", "and", "or"].contains(&name.as_str()) {
        return Err(reader.error_at(at, &format!("expected {expected}")));
    }
    match name.as_str() {
        "true" => return Ok(Operand::Integer(1)),
        "false" | "null" | "NULL" | "nullptr" => return Ok(Operand::Integer(0)),
        _ => {}
    }
    if !reader.take_dot() {
        return Ok(Operand::Name(name.into()));
    }
    if name != function.text() {
        let function = function.text();
        return Err(reader.error_at(
            at,
            &format!("both sides must be variables of one function: `{function}.` was expected"),
        ));
    }
    Ok(Operand::Path(path(reader)?))
}

/// A text in quotes, or a regular expression, if one comes next.
fn text_pattern(reader: &mut Reader) -> Result<Option<TextPattern>> {
    let at = reader.at();
    let table = if reader.is_at_text() {
        text::quoted(&reader.raw_text("a text in quotes")?)
    } else if reader.is_at_regex() {
        match reader.regex()? {
            Word::Regex { text, ignores_case } => text::regex(&text, ignores_case),
            Word::Name(_) => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(TextPattern {
        text: reader.since(at).into(),
        table: table.map_err(|why| reader.error_at(at, &why))?,
    }))
}

/// The operator that is true when `operator` isn't.
fn turned(operator: Operator, is_not: bool) -> Operator {
    use Operator as O;
    match (is_not, operator) {
        (false, operator) => operator,
        (true, O::Equal) => O::NotEqual,
        (true, O::NotEqual) => O::Equal,
        (true, O::Less) => O::GreaterOrEqual,
        (true, O::LessOrEqual) => O::Greater,
        (true, O::Greater) => O::LessOrEqual,
        (true, O::GreaterOrEqual) => O::Less,
    }
}

/// What is joined by `and`, put together.
fn case(reader: &Reader, atoms: Vec<Atom>) -> Result<Case> {
    let mut found: Option<(FunctionPattern, At)> = None;
    let mut values = Vec::new();
    let mut limits = Vec::new();
    // `f.n > 1 and f returns`: arguments are there when it returns, too.
    let returns = atoms
        .iter()
        .any(|atom| matches!(atom.kind, AtomKind::Event(_, At::Return, _)));
    let mut duration_at = None;
    for atom in atoms {
        match atom.kind {
            AtomKind::Limit(limit) => {
                if matches!(limit, Limit::Duration(..)) {
                    duration_at = Some(atom.at);
                }
                limits.push(limit);
            }
            AtomKind::Event(function, _, comparison) => {
                match &found {
                    Some((known, _)) if *known != function => {
                        let known = known.text();
                        return Err(reader.error_at(
                            atom.at,
                            &format!("one event is of one function, and this is of `{known}` already: join them by `or`, or write two triggers"),
                        ));
                    }
                    Some(_) => {}
                    None => found = Some((function, if returns { At::Return } else { At::Call })),
                }
                values.extend(comparison);
            }
        }
    }
    let Some((function, at)) = found else {
        return Err(reader.error_at(
            reader.condition_at(),
            "of which function? `*` stands for all, as in: when * and depth > 100 then snapshot",
        ));
    };
    if let (Some(place), At::Call) = (duration_at, at) {
        let function = function.text();
        return Err(reader.error_at(
            place,
            &format!("a duration is known at the return only: {function} returns and duration ..."),
        ));
    }
    Ok(Case {
        function,
        at,
        values,
        limits,
    })
}

fn deferred(reader: &mut Reader) -> Result<Deferred> {
    let action = action(reader)?;
    let after = match reader.take("after") {
        true => Duration::from_nanos(reader.time()?),
        false => Duration::ZERO,
    };
    Ok(Deferred { action, after })
}

const ACTIONS: &str = "an action: snapshot, core, enable, disable, start recording, stop recording, stop or mark \"text\"";

fn action(reader: &mut Reader) -> Result<Action> {
    let at = reader.at();
    let verbs = [
        "snapshot", "core", "enable", "disable", "start", "stop", "mark",
    ];
    let Some(verb) = reader.take_any(&verbs) else {
        return Err(reader.error_at(at, &format!("expected {ACTIONS}")));
    };
    match verb {
        "snapshot" => Ok(Action::Snapshot),
        "core" => Ok(Action::Core),
        "start" => {
            reader.expect("recording", "expected `start recording`")?;
            Ok(Action::Start)
        }
        "stop" if reader.take("recording") => Ok(Action::Stop),
        "stop" => Ok(Action::Hold),
        "mark" => Ok(Action::Mark(reader.text("a text in quotes")?.into())),
        verb => {
            let at = reader.at();
            let rule = reader.rule()?;
            let sign = if verb == "enable" { "" } else { "!" };
            let rule = format!("{sign}{rule}");
            Filter::parse(&rule).map_err(|error| reader.error_at(at, &error.message))?;
            Ok(Action::Filter(rule.into()))
        }
    }
}
