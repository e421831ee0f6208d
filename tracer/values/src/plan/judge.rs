//! Conditions of triggers, as ops in front of a plan: the hook judges them before it captures anything.

use umbel_trace_ring::plan::{Arithmetic, ENDS_WITH_NUL, IS_NOT, Op, Opcode};

use super::capture::Capture;
use super::program::{Program, combine, op};
use crate::{
    Binary, Comparison, Encoding, Kind, Op as Step, Operand, Operator, Path, TABLE_WORDS_MAX,
    TextPattern, TypeId, Types, Variable,
};

use part::{Found, told};

mod part;

/// What a trigger wants judged at a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What the hook says when all is true.
    pub number: u32,
    /// The thread waits then.
    pub holds: bool,
    /// What must be true.
    pub values: Vec<Comparison>,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Signed,
    Unsigned,
    Float,
}

/// Steps that give a number, and what it is.
struct Number {
    steps: Vec<Step>,
    sort: Sort,
    /// A float of 4 bytes, still as those.
    is_narrow: bool,
    /// The type behind its names.
    of: TypeId,
}

impl Capture<'_> {
    /// The ops that judge `asked`; why it can't be judged here, in words for the user.
    pub fn judge(&self, variables: &[&Variable], asked: &Asked) -> Result<Vec<u64>, String> {
        let mut words = Vec::new();
        for (index, comparison) in asked.values.iter().enumerate() {
            let judged = self.comparison(variables, comparison)?;
            words.extend(judged);
            if index > 0 {
                words.push(combine(Arithmetic::And));
            }
        }
        if asked.values.is_empty() {
            words.extend([op(Opcode::Constant, 0, 0, 0), 1]);
        }
        let number = asked.number.cast_signed();
        words.push(op(Opcode::Trigger, u16::from(asked.holds), 0, number));
        Ok(words)
    }

    fn comparison(
        &self,
        variables: &[&Variable],
        comparison: &Comparison,
    ) -> Result<Vec<u64>, String> {
        if let Operand::Text(pattern) = &comparison.right {
            return self.text(variables, comparison, pattern);
        }
        let left = self.number(variables, &comparison.left)?;
        let mut words = self.ops(&left, &comparison.left)?;
        let mut sort = left.sort;
        let mut operator = comparison.operator;
        match &comparison.right {
            Operand::Path(path) => {
                let right = self.number(variables, path)?;
                if (right.sort == Sort::Float) != (sort == Sort::Float) {
                    return Err(format!(
                        "{comparison}: one side is a whole number, the other isn't"
                    ));
                }
                if right.sort == Sort::Signed {
                    sort = Sort::Signed;
                }
                words.extend(self.ops(&right, path)?);
            }
            Operand::Integer(number) if sort == Sort::Float => {
                constant(&mut words, (*number as f64).to_bits());
            }
            Operand::Integer(number) => {
                let Some(number) = whole(*number, &mut sort) else {
                    return Err(format!(
                        "{comparison}: {} is never so large",
                        comparison.left
                    ));
                };
                constant(&mut words, number);
            }
            Operand::Float(number) if sort == Sort::Float => constant(&mut words, number.to_bits()),
            Operand::Float(number) => {
                // n > 2.5 is n > 2, and n >= 2.5 too.
                operator = match operator {
                    whole if number.fract() == 0.0 => whole,
                    Operator::Greater | Operator::GreaterOrEqual => Operator::Greater,
                    Operator::Less | Operator::LessOrEqual => Operator::LessOrEqual,
                    Operator::Equal | Operator::NotEqual => {
                        return Err(format!(
                            "{comparison}: {} is a whole number",
                            comparison.left
                        ));
                    }
                };
                let Some(number) = whole(number.floor() as i128, &mut sort) else {
                    return Err(format!(
                        "{comparison}: {} is never so large",
                        comparison.left
                    ));
                };
                constant(&mut words, number);
            }
            Operand::Name(name) => {
                let value = enumerator(self.types(), left.of, name).ok_or_else(|| {
                    let names = told(&enumerators(self.types(), left.of));
                    format!(
                        "{comparison}: the type of {} has no enumerator {name}{names}",
                        comparison.left
                    )
                })?;
                constant(&mut words, value as u64);
            }
            Operand::Text(_) => {}
        }
        words.push(combine(arithmetic(operator, sort)));
        Ok(words)
    }

    /// The ops of a text's comparison.
    fn text(
        &self,
        variables: &[&Variable],
        comparison: &Comparison,
        pattern: &TextPattern,
    ) -> Result<Vec<u64>, String> {
        let path = &comparison.left;
        let found = self.part(variables, path)?;
        let (address, count, has_nul) = self.text_of(&found).ok_or_else(|| {
            let name = self.types().name(found.of);
            let where_it_is = match found.is_address {
                true => "",
                false => " in registers",
            };
            format!("{comparison}: {path} is no text: it is of type {name}{where_it_is}; pointers to char, arrays of char, std::string and std::string_view are")
        })?;
        let mut words = self.run(&address, path)?;
        words.extend(self.run(&count, path)?);
        let table_words = u16::try_from(pattern.table.len()).ok();
        let bytes = table_words.filter(|count| usize::from(*count) <= TABLE_WORDS_MAX);
        let is_not = comparison.operator == Operator::NotEqual;
        let flag = |bit: u8, is: bool| if is { bit } else { 0 };
        let op = Op {
            opcode: Opcode::Text,
            register: flag(ENDS_WITH_NUL, has_nul) | flag(IS_NOT, is_not),
            bytes: bytes.ok_or_else(|| format!("{comparison}: the pattern is too large"))?,
            offset: 0,
        };
        words.push(op.pack());
        words.extend(&pattern.table);
        Ok(words)
    }

    fn run(&self, steps: &[Step], path: &Path) -> Result<Vec<u64>, String> {
        let mut program = Program::new(self);
        program
            .run(steps)
            .ok_or_else(|| format!("{path} can't be computed there"))?;
        Ok(program.into_words())
    }

    /// The hook's ops of a number.
    fn ops(&self, number: &Number, path: &Path) -> Result<Vec<u64>, String> {
        let mut words = self.run(&number.steps, path)?;
        if number.is_narrow {
            words.push(combine(Arithmetic::Widen));
        }
        Ok(words)
    }

    /// The number that `path` leads to.
    fn number(&self, variables: &[&Variable], path: &Path) -> Result<Number, String> {
        let Found {
            mut steps,
            is_address,
            of,
            bits,
        } = self.part(variables, path)?;
        let types = self.types();
        let unfit = || {
            let name = types.name(of);
            format!(
                "{path} is no number, character, truth, enumerator or pointer of at most 8 bytes: it is of type {name}"
            )
        };
        let (bare, found) = types.bare(of).ok_or_else(unfit)?;
        let bytes = types
            .size(of)
            .and_then(|size| u8::try_from(size).ok())
            .filter(|size| (1..=8).contains(size))
            .ok_or_else(unfit)?;
        let sort = match &found.kind {
            Kind::Pointer(_) => Sort::Unsigned,
            Kind::Base(encoding) => of_encoding(*encoding).ok_or_else(unfit)?,
            Kind::Enum {
                underlying,
                enumerators,
            } => {
                let below = underlying.and_then(|below| match types.bare(below)?.1.kind {
                    Kind::Base(encoding) => of_encoding(encoding),
                    _ => None,
                });
                let is_signed = enumerators.iter().any(|one| one.value < 0);
                below.unwrap_or(if is_signed {
                    Sort::Signed
                } else {
                    Sort::Unsigned
                })
            }
            _ => return Err(unfit()),
        };
        if sort == Sort::Float && bytes != 4 && bytes != 8 {
            return Err(unfit());
        }
        match (bits, is_address, sort) {
            (Some(bits), ..) => steps
                .extend(bit_field(bits, sort == Sort::Signed).ok_or_else(|| {
                    format!("{path}: a bit field over 9 bytes can't be compared")
                })?),
            (None, true, Sort::Signed) => steps.push(Step::LoadSigned(bytes)),
            (None, true, _) => steps.push(Step::Load(bytes)),
            (None, false, sort) => steps.push(Step::Truncate(bytes, sort == Sort::Signed)),
        }
        Ok(Number {
            steps,
            sort,
            is_narrow: sort == Sort::Float && bytes == 4,
            of: bare,
        })
    }
}

/// Steps from the address of a bit field to its value: the first bit, and how many. No byte is read that has none of them.
fn bit_field((first, count): (u64, u64), is_signed: bool) -> Option<Vec<Step>> {
    let bytes = u8::try_from((first + count).div_ceil(8)).ok()?;
    if !(1..=8).contains(&bytes) || !(1..=64).contains(&count) {
        return None;
    }
    let right = if is_signed { Binary::Shra } else { Binary::Shr };
    Some(vec![
        Step::Load(bytes),
        Step::Constant(64 - first - count),
        Step::Binary(Binary::Shl),
        Step::Constant(64 - count),
        Step::Binary(right),
    ])
}

/// Value of an enumerator, by its name: without what it belongs to, or with as much of that as is said.
fn enumerator(types: &Types, of: TypeId, name: &str) -> Option<i128> {
    let Kind::Enum { enumerators, .. } = &types.get(of)?.kind else {
        return None;
    };
    let (scope, last) = match name.rsplit_once("::") {
        Some((scope, last)) => (Some(scope), last),
        None => (None, name),
    };
    let is_scope = |scope: &str| {
        let of_type = &*types.get(of).map_or("".into(), |found| found.name.clone());
        of_type
            .strip_suffix(scope)
            .is_some_and(|before| before.is_empty() || before.ends_with("::"))
            // Those of a plain enumeration belong to what is around it.
            || of_type
                .rsplit_once("::")
                .is_some_and(|(around, _)| around.ends_with(scope))
    };
    let found = enumerators.iter().find(|one| {
        &*one.name == name
            || one.name.rsplit("::").next() == Some(last) && scope.is_none_or(is_scope)
    });
    found.map(|one| one.value)
}

fn enumerators(types: &Types, of: TypeId) -> Vec<&str> {
    match types.get(of).map(|found| &found.kind) {
        Some(Kind::Enum { enumerators, .. }) => enumerators.iter().map(|one| &*one.name).collect(),
        _ => Vec::new(),
    }
}

fn of_encoding(encoding: Encoding) -> Option<Sort> {
    match encoding {
        Encoding::Boolean | Encoding::Unsigned | Encoding::UnsignedChar | Encoding::Utf => {
            Some(Sort::Unsigned)
        }
        Encoding::Signed | Encoding::SignedChar => Some(Sort::Signed),
        Encoding::Float => Some(Sort::Float),
        Encoding::ComplexFloat | Encoding::Other(_) => None,
    }
}

/// A whole number as 64 bits, compared as `sort`: with a negative one as signed.
fn whole(number: i128, sort: &mut Sort) -> Option<u64> {
    if let Ok(number) = i64::try_from(number) {
        if number < 0 {
            *sort = Sort::Signed;
        }
        return Some(number.cast_unsigned());
    }
    u64::try_from(number)
        .ok()
        .filter(|_| *sort == Sort::Unsigned)
}

fn arithmetic(operator: Operator, sort: Sort) -> Arithmetic {
    use Arithmetic as A;
    let (signed, unsigned, float) = match operator {
        Operator::Equal => (A::Eq, A::Eq, A::EqFloat),
        Operator::NotEqual => (A::Ne, A::Ne, A::NeFloat),
        Operator::Less => (A::Lt, A::LtUnsigned, A::LtFloat),
        Operator::LessOrEqual => (A::Le, A::LeUnsigned, A::LeFloat),
        Operator::Greater => (A::Gt, A::GtUnsigned, A::GtFloat),
        Operator::GreaterOrEqual => (A::Ge, A::GeUnsigned, A::GeFloat),
    };
    match sort {
        Sort::Signed => signed,
        Sort::Unsigned => unsigned,
        Sort::Float => float,
    }
}

fn constant(words: &mut Vec<u64>, number: u64) {
    words.extend([op(Opcode::Constant, 0, 0, 0), number]);
}
