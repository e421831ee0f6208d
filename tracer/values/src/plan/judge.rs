//! Conditions of triggers, as ops in front of a plan: the hook judges them before it captures anything.

use umbel_trace_ring::plan::{Arithmetic, Opcode};

use super::capture::Capture;
use super::program::{Program, combine, op};
use crate::{
    Comparison, Encoding, Kind, Offset, Op as Step, Operand, Operator, Path, Place, RETURN,
    Step as Part, Type, TypeId, Types, Variable,
};

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
                    Operator::Greater | Operator::GreaterOrEqual => Operator::Greater,
                    Operator::Less | Operator::LessOrEqual => Operator::LessOrEqual,
                    Operator::Equal | Operator::NotEqual if number.fract() != 0.0 => {
                        return Err(format!(
                            "{comparison}: {} is a whole number",
                            comparison.left
                        ));
                    }
                    other => other,
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
                    format!(
                        "{comparison}: the type of {} has no enumerator {name}",
                        comparison.left
                    )
                })?;
                constant(&mut words, value as u64);
            }
        }
        words.push(combine(arithmetic(operator, sort)));
        Ok(words)
    }

    /// The hook's ops of a number.
    fn ops(&self, number: &Number, path: &Path) -> Result<Vec<u64>, String> {
        let mut program = Program::new(self);
        program
            .run(&number.steps)
            .ok_or_else(|| format!("{path} can't be computed there"))?;
        let mut words = program.into_words();
        if number.is_narrow {
            words.push(combine(Arithmetic::Widen));
        }
        Ok(words)
    }

    /// The number that `path` leads to.
    fn number(&self, variables: &[&Variable], path: &Path) -> Result<Number, String> {
        let named = |variable: &&&Variable| match &*path.variable {
            RETURN => variable.name.is_empty(),
            name => &*variable.name == name,
        };
        let variable = variables
            .iter()
            .find(named)
            .ok_or_else(|| match &*path.variable {
                RETURN => "it returns nothing that can be compared".to_owned(),
                name => format!("it has no variable {name} there"),
            })?;
        let missing = || match &*path.variable {
            RETURN => "where its result is can't be told there (it is optimized out)".to_owned(),
            name => format!("{name} is optimized out there"),
        };
        let mut of = variable.of;
        // Either where it lies, or what it is.
        let (mut steps, mut is_address) = match &variable.place {
            Place::Memory(address) => (address.ops.clone(), true),
            Place::Value(address) => (address.ops.clone(), false),
            Place::Register(number) => (vec![Step::Register(*number, 0)], false),
            Place::Constant(bytes) if bytes.len() <= 8 => {
                let mut word = [0; 8];
                word[..bytes.len()].copy_from_slice(bytes);
                (vec![Step::Constant(u64::from_le_bytes(word))], false)
            }
            _ => return Err(missing()),
        };
        let types = self.types();
        for part in &path.steps {
            // What is behind a pointer or reference, for all but `*` of the pointer itself.
            if let Some(target) = target(types, of, part) {
                if is_address {
                    steps.push(Step::Load(8));
                }
                (is_address, of) = (true, target);
            }
            match part {
                Part::Target => {}
                _ if !is_address => {
                    return Err(format!(
                        "{path}: a part of what lies in registers can't be compared"
                    ));
                }
                Part::Member(name) => {
                    let found = member(types, of, name, 0)
                        .ok_or_else(|| format!("{path}: there is no member {name}"))?;
                    steps.push(Step::Plus(found.0));
                    of = found.1;
                }
                Part::Index(index) => {
                    let element = match types.bare(of).map(|(_, found)| &found.kind) {
                        Some(Kind::Array {
                            element,
                            dimensions,
                            ..
                        }) if dimensions.len() == 1 => *element,
                        // Behind the pointer already.
                        _ => of,
                    };
                    let size = types
                        .size(element)
                        .ok_or_else(|| format!("{path}: the size of its elements isn't known"))?;
                    steps.push(Step::Plus(index.cast_unsigned().wrapping_mul(size)));
                    of = element;
                }
            }
        }
        // A reference is compared as what it refers to.
        if let Some((
            _,
            Type {
                kind: Kind::Reference(target),
                ..
            },
        )) = types.bare(of)
        {
            if is_address {
                steps.push(Step::Load(8));
            }
            (is_address, of) = (true, *target);
        }
        self.scalar(path, steps, is_address, of)
    }

    fn scalar(
        &self,
        path: &Path,
        mut steps: Vec<Step>,
        is_address: bool,
        of: TypeId,
    ) -> Result<Number, String> {
        let types = self.types();
        let unfit = || {
            format!(
                "{path} is no number, character, truth, enumerator or pointer of at most 8 bytes"
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
        steps.push(match (is_address, sort) {
            (true, Sort::Signed) => Step::LoadSigned(bytes),
            (true, _) => Step::Load(bytes),
            (false, sort) => Step::Truncate(bytes, sort == Sort::Signed),
        });
        Ok(Number {
            steps,
            sort,
            is_narrow: sort == Sort::Float && bytes == 4,
            of: bare,
        })
    }
}

/// What is behind `of`, if it is a pointer or reference and `part` goes there.
fn target(types: &Types, of: TypeId, part: &Part) -> Option<TypeId> {
    match (&types.bare(of)?.1.kind, part) {
        (Kind::Pointer(target) | Kind::Reference(target), _) => Some(*target),
        _ => None,
    }
}

/// Offset and type of a member, also of an anonymous part or a base. Bit fields are none.
fn member(types: &Types, of: TypeId, name: &str, depth: u32) -> Option<(u64, TypeId)> {
    let Kind::Record { bases, members, .. } = &types.bare(of)?.1.kind else {
        return None;
    };
    let fixed = |offset: &Offset| match offset {
        Offset::Fixed(offset) => Some(*offset),
        Offset::Dynamic(_) => None,
    };
    let own = members
        .iter()
        .find(|member| &*member.name == name && member.bits.is_none());
    if let Some(own) = own {
        return Some((fixed(&own.offset)?, own.of));
    }
    // A struct that has itself inside is damaged.
    if depth > 8 {
        return None;
    }
    let anonymous = members.iter().filter(|member| member.name.is_empty());
    let parts = anonymous.map(|member| (&member.offset, member.of));
    let bases = bases.iter().map(|base| (&base.offset, base.of));
    parts.chain(bases).find_map(|(offset, of)| {
        let (inner, found) = member(types, of, name, depth + 1)?;
        Some((fixed(offset)?.checked_add(inner)?, found))
    })
}

/// Value of an enumerator, by its name without what it belongs to.
fn enumerator(types: &Types, of: TypeId, name: &str) -> Option<i128> {
    let Kind::Enum { enumerators, .. } = &types.get(of)?.kind else {
        return None;
    };
    let found = enumerators
        .iter()
        .find(|one| one.name.rsplit("::").next() == Some(name));
    found.map(|one| one.value)
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
