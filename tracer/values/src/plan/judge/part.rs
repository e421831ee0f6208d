//! Where the variable or part lies that a trigger names.

use crate::plan::capture::Capture;
use crate::{Kind, Offset, Op as Step, Path, Place, RETURN, Step as Part, Type, TypeId, Types};
use crate::{Variable, containers};

/// A variable, or a part of one: steps that give its address, or itself.
#[derive(Clone)]
pub(super) struct Found {
    /// How to get there.
    pub steps: Vec<Step>,
    /// They give its address.
    pub is_address: bool,
    /// Its type.
    pub of: TypeId,
    /// A bit field: bits from the address on, and how many.
    pub bits: Option<(u64, u64)>,
}

/// A member: its offset, its type, and if it is a bit field its bits from the record's begin.
type Member = (u64, TypeId, Option<(u64, u64)>);

/// Names that a message tells.
const NAMES_TOLD_MAX: usize = 8;

impl Capture<'_> {
    /// What `path` leads to; why nothing, in words for the user.
    pub(super) fn part(&self, variables: &[&Variable], path: &Path) -> Result<Found, String> {
        let types = self.types();
        let mut found = self.begin(variables, path)?;
        for part in &path.steps {
            if found.bits.is_some() {
                return Err(format!("{path}: a bit field has no parts"));
            }
            // What is behind a pointer or reference, for all but `*` of the pointer itself.
            if let Some(target) = target(types, found.of) {
                if found.is_address {
                    found.steps.push(Step::Load(8));
                }
                (found.is_address, found.of) = (true, target);
            }
            match part {
                Part::Target => {}
                _ if !found.is_address => {
                    return Err(format!(
                        "{path}: a part of what lies in registers can't be compared"
                    ));
                }
                Part::Member(name) => self.go_to_member(&mut found, path, name)?,
                Part::Index(index) => {
                    let element = match types.bare(found.of).map(|(_, found)| &found.kind) {
                        Some(Kind::Array {
                            element,
                            dimensions,
                            ..
                        }) if dimensions.len() == 1 => *element,
                        // Behind the pointer already.
                        _ => found.of,
                    };
                    let size = types
                        .size(element)
                        .ok_or_else(|| format!("{path}: the size of its elements isn't known"))?;
                    found
                        .steps
                        .push(Step::Plus(index.cast_unsigned().wrapping_mul(size)));
                    found.of = element;
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
        )) = types.bare(found.of)
        {
            if found.is_address {
                found.steps.push(Step::Load(8));
            }
            (found.is_address, found.of) = (true, *target);
        }
        Ok(found)
    }

    fn go_to_member(&self, found: &mut Found, path: &Path, name: &str) -> Result<(), String> {
        let types = self.types();
        let (offset, of, bits) = member(types, found.of, name, 0).ok_or_else(|| {
            let told = told(&member_names(types, found.of));
            format!("{path}: there is no member {name}{told}")
        })?;
        match bits {
            Some((bit, count)) => {
                found.steps.push(Step::Plus(bit / 8));
                found.bits = Some((bit % 8, count));
            }
            None => found.steps.push(Step::Plus(offset)),
        }
        found.of = of;
        Ok(())
    }

    /// The variable that a path begins with; a member of `this` too.
    fn begin(&self, variables: &[&Variable], path: &Path) -> Result<Found, String> {
        let named = |name: &str| {
            let is_named = |variable: &&&Variable| match name {
                RETURN => variable.name.is_empty(),
                name => &*variable.name == name,
            };
            variables.iter().find(is_named)
        };
        if let Some(variable) = named(&path.variable) {
            return started(variable, path);
        }
        if &*path.variable == RETURN {
            return Err("it returns nothing that can be compared".to_owned());
        }
        let inside = named("this")
            .and_then(|this| started(this, path).ok())
            .and_then(|mut this| {
                let of = target(self.types(), this.of)?;
                if this.is_address {
                    this.steps.push(Step::Load(8));
                }
                (this.is_address, this.of) = (true, of);
                self.go_to_member(&mut this, path, &path.variable).ok()?;
                Some(this)
            });
        inside.ok_or_else(|| {
            let names = variables.iter().map(|variable| &*variable.name);
            let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
            format!("it has no variable {} there{}", path.variable, told(&names))
        })
    }

    /// What a text is read from: steps to its address, to the number of its bytes, and whether a 0 ends it. `None`: it is no text.
    pub(super) fn text_of(&self, found: &Found) -> Option<(Vec<Step>, Vec<Step>, bool)> {
        let types = self.types();
        let is_character = |of: TypeId| {
            let is_base = types
                .bare(of)
                .is_some_and(|(_, found)| matches!(found.kind, Kind::Base(_)));
            is_base && types.size(of) == Some(1)
        };
        let most = vec![Step::Constant(u64::MAX)];
        let (bare, kind) = types.bare(found.of).map(|(id, found)| (id, &found.kind))?;
        let mut address = found.steps.clone();
        match kind {
            Kind::Pointer(target) if is_character(*target) && found.bits.is_none() => {
                if found.is_address {
                    address.push(Step::Load(8));
                }
                Some((address, most, true))
            }
            Kind::Array {
                element,
                dimensions,
                ..
            } if found.is_address && is_character(*element) && dimensions.len() == 1 => {
                let count = containers::array_len(types, bare);
                let count = count.map_or(most, |count| vec![Step::Constant(count)]);
                Some((address, count, true))
            }
            Kind::Record { .. } if found.is_address => {
                let containers::Container::Text {
                    pointer,
                    count,
                    unit,
                } = containers::recognize(types, bare).filter(|_| found.is_address)?
                else {
                    return None;
                };
                let loaded = |offset: u64| {
                    let mut steps = found.steps.clone();
                    steps.extend([Step::Plus(offset), Step::Load(8)]);
                    steps
                };
                is_character(unit).then(|| (loaded(pointer), loaded(count), false))
            }
            _ => None,
        }
    }
}

/// Where a variable is, or what it is.
fn started(variable: &Variable, path: &Path) -> Result<Found, String> {
    let (steps, is_address) = match &variable.place {
        Place::Memory(address) => (address.ops.clone(), true),
        Place::Value(address) => (address.ops.clone(), false),
        Place::Register(number) => (vec![Step::Register(*number, 0)], false),
        Place::Constant(bytes) if bytes.len() <= 8 => {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            (vec![Step::Constant(u64::from_le_bytes(word))], false)
        }
        _ => {
            return Err(match &*path.variable {
                RETURN => "where its result is can't be told there (it is optimized out)".into(),
                name => format!("{name} is optimized out there"),
            });
        }
    };
    Ok(Found {
        steps,
        is_address,
        of: variable.of,
        bits: None,
    })
}

/// What is behind `of`, if it is a pointer or reference.
fn target(types: &Types, of: TypeId) -> Option<TypeId> {
    match types.bare(of)?.1.kind {
        Kind::Pointer(target) | Kind::Reference(target) => Some(target),
        _ => None,
    }
}

/// A member, also of an anonymous part or a base.
fn member(types: &Types, of: TypeId, name: &str, depth: u32) -> Option<Member> {
    let Kind::Record { bases, members, .. } = &types.bare(of)?.1.kind else {
        return None;
    };
    let fixed = |offset: &Offset| match offset {
        Offset::Fixed(offset) => Some(*offset),
        Offset::Dynamic(_) => None,
    };
    let own = members.iter().find(|member| &*member.name == name);
    if let Some(own) = own {
        return match own.bits {
            Some(_) => Some((0, own.of, own.bits)),
            None => Some((fixed(&own.offset)?, own.of, None)),
        };
    }
    // A struct that has itself inside is damaged.
    if depth > 8 {
        return None;
    }
    let anonymous = members.iter().filter(|member| member.name.is_empty());
    let parts = anonymous.map(|member| (&member.offset, member.of));
    let bases = bases.iter().map(|base| (&base.offset, base.of));
    parts.chain(bases).find_map(|(offset, of)| {
        let (inner, found, bits) = member(types, of, name, depth + 1)?;
        let offset = fixed(offset)?;
        let bits = match bits {
            Some((bit, count)) => Some((offset.checked_mul(8)?.checked_add(bit)?, count)),
            None => None,
        };
        Some((offset.checked_add(inner)?, found, bits))
    })
}

fn member_names(types: &Types, of: TypeId) -> Vec<&str> {
    match types.bare(of).map(|(_, found)| &found.kind) {
        Some(Kind::Record { members, .. }) => {
            let names = members.iter().map(|member| &*member.name);
            names.filter(|name| !name.is_empty()).collect()
        }
        _ => Vec::new(),
    }
}

/// `; there are a, b, c`; nothing if there are none.
pub(super) fn told(names: &[&str]) -> String {
    let more = match names.len() > NAMES_TOLD_MAX {
        true => ", ...",
        false => "",
    };
    match names {
        [] => String::new(),
        [only] => format!("; there is {only}"),
        _ => format!(
            "; there are {}{more}",
            names[..names.len().min(NAMES_TOLD_MAX)].join(", ")
        ),
    }
}
