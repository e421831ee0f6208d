//! Finds the objects that expressions name.

use umbel_values::evaluate::{self, Bytes, Source};
use umbel_values::{Kind, Place, TypeId, Types, Variable};

use super::elsewhere::{Outside, written};
use super::expression::Expression;
use super::unwind::Registers;
use super::values::{FrameRegisters, View};

mod parts;
mod shown;

/// DWARF's numbers.
const REGISTERS: [&str; 16] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];

/// Something of the program that has a type.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where its bytes are.
    pub source: Source,
    /// Its type.
    pub of: TypeId,
    /// A bit field: bits from the begin of `source`, and how many.
    pub bits: Option<(u64, u64)>,
    /// It is all of what this register has.
    pub register: Option<u16>,
    /// Why nothing may be put there, if it is no memory.
    pub why: &'static str,
    /// Dimensions of its array that have an index already.
    indexed: usize,
}

/// What an expression names.
pub enum Found {
    /// An object.
    Object(Object),
    /// Several.
    List(Vec<Object>),
    /// A number that is nowhere in the program: an address, a register.
    Number(u64),
}

/// A frame, as far as expressions ask.
pub struct Around<'a> {
    /// What the function is called.
    pub function: &'a str,
    /// Its variables, inner ones first.
    pub variables: &'a [Variable],
    /// The types of its file.
    pub types: &'a Types,
    /// Its registers.
    pub registers: &'a FrameRegisters<'a>,
    /// Memory.
    pub view: &'a View<'a>,
    /// Types that expressions cast to, as they are written.
    pub casts: &'a [(String, TypeId)],
    /// Variables outside of functions that expressions name, or why it can't be told which is meant.
    pub outside: &'a [Outside],
}

impl Object {
    /// At an address.
    pub(super) fn at(address: u64, of: TypeId) -> Self {
        Self::in_source(Source::Memory(address), of)
    }

    fn in_source(source: Source, of: TypeId) -> Self {
        Self {
            source,
            of,
            bits: None,
            register: None,
            why: "it is no memory",
            indexed: 0,
        }
    }
}

impl Around<'_> {
    /// What `expression` names; why it names nothing.
    pub fn find(&self, expression: &Expression) -> Result<Found, String> {
        match expression {
            Expression::Address(inner) => {
                let object = self.object(inner)?;
                match (object.source.address(), object.bits) {
                    (Some(_), Some(_)) => Err(format!("{inner} is a bit field: it has no address")),
                    (Some(address), None) => Ok(Found::Number(address)),
                    (None, _) => Err(format!("{inner} has no address: {}", object.why)),
                }
            }
            Expression::Register(name) => self.register(name).map(Found::Number),
            Expression::Number(number) => Ok(Found::Number(*number)),
            Expression::Range(inner, begin, end) => {
                let whole = self.object(inner)?;
                let element = |index| self.element(inner, &whole, index);
                (*begin..*end)
                    .map(element)
                    .collect::<Result<_, _>>()
                    .map(Found::List)
            }
            _ => self.object(expression).map(Found::Object),
        }
    }

    /// The object that `expression` names.
    pub fn object(&self, expression: &Expression) -> Result<Object, String> {
        match expression {
            Expression::Variable(name) => self.variable(name),
            Expression::InFile(file, name) => self.variable(&written(Some(file), name)),
            Expression::Cast(of, inner) => self.cast(of, inner),
            Expression::Member(inner, name) => {
                let whole = self.object(inner)?;
                self.member_of(inner, whole, name)
            }
            Expression::Index(inner, index) => {
                let whole = self.object(inner)?;
                self.element(inner, &whole, *index)
            }
            Expression::Target(inner) => {
                let object = self.referred(self.object(inner)?)?;
                self.target(inner, &object)
            }
            Expression::Address(_) | Expression::Register(_) | Expression::Number(_) => Err(
                format!("{expression} is a number, which nothing can be a part of"),
            ),
            Expression::Range(..) => Err(format!("{expression} is several things")),
        }
    }

    fn variable(&self, name: &str) -> Result<Object, String> {
        let named = |variable: &&Variable| &*variable.name == name;
        if let Some(variable) = self.variables.iter().find(named) {
            return self.placed(name, variable);
        }
        // In a method, a member of its object.
        let this = Expression::Variable("this".to_owned());
        if let Ok(object) = self.variables_this(name, &this) {
            return Ok(object);
        }
        let known: Vec<&str> = self.variables.iter().map(|one| &*one.name).collect();
        let outside = self.outside.iter().find(|one| one.name == name);
        let like = match outside.map(|one| &one.found) {
            Some(Ok(variable)) => return self.placed(name, variable),
            Some(Err(why)) => why.as_str(),
            None => "",
        };
        if !(like.is_empty() || like.starts_with(':')) {
            return Err(like.to_owned());
        }
        Err(match known.is_empty() {
            true => format!(
                "{} has no variables there, and none outside of functions is called {name}{like}",
                self.function
            ),
            false => format!(
                "{} has no variable {name} there; it has {}; none outside of functions is called {name}{like}",
                self.function,
                known.join(", ")
            ),
        })
    }

    fn placed(&self, name: &str, variable: &Variable) -> Result<Object, String> {
        let source = evaluate::place(&variable.place, self.registers, self.view)
            .map_err(|absence| format!("{name} is {absence} there"))?;
        let register = match variable.place {
            Place::Register(number) => Some(number),
            _ => None,
        };
        let why = match variable.place {
            Place::Register(_) => "it is in a register",
            Place::Value(_) => {
                "it is in no place of its own, its value is computed from others; compile with -O0 to have it in memory"
            }
            Place::Constant(_) => {
                "the compiler has put its value into the instructions; compile with -O0 to have it in memory"
            }
            Place::Pieces(_) => {
                "its parts are in several places, each on its own; compile with -O0 to have it in memory"
            }
            _ => "it is no memory",
        };
        Ok(Object {
            register,
            why,
            ..Object::in_source(source, variable.of)
        })
    }

    fn variables_this(&self, name: &str, this: &Expression) -> Result<Object, String> {
        match self.variables.iter().any(|one| &*one.name == "this") && name != "this" {
            true => self.member_of(this, self.variable("this")?, name),
            false => Err(String::new()),
        }
    }

    fn register(&self, name: &str) -> Result<u64, String> {
        use umbel_values::Registers as _;
        let number = match name {
            "pc" | "rip" => return Ok(self.registers.registers.pc),
            "sp" => Some(7),
            "fp" => Some(6),
            name => (0..)
                .zip(REGISTERS)
                .find(|one| one.1 == name)
                .map(|one| one.0),
        };
        let number = number.ok_or_else(|| {
            format!(
                "there is no register ${name}; there are $pc, ${}",
                REGISTERS.join(", $")
            )
        })?;
        self.registers
            .register(number)
            .ok_or_else(|| format!("what ${name} was in this frame is lost: a call may change it"))
    }

    /// What `inner` is when it is taken for another type.
    fn cast(&self, of: &str, inner: &Expression) -> Result<Object, String> {
        let wanted = self.casts.iter().find(|(name, _)| name == of);
        let target = wanted.ok_or_else(|| format!("there is no type `{of}`"))?.1;
        let is_number = |of: TypeId| {
            let kind = self.types.bare(of).map(|(_, found)| &found.kind);
            match kind {
                Some(Kind::Base(encoding)) => !matches!(
                    encoding,
                    umbel_values::Encoding::Float | umbel_values::Encoding::ComplexFloat
                ),
                Some(Kind::Pointer(_) | Kind::Enum { .. }) => true,
                _ => false,
            }
        };
        let size = self
            .types
            .size(target)
            .filter(|size| (1..=8).contains(size));
        let Some(size) = size.filter(|_| is_number(target)) else {
            return Err(format!(
                "({of}): what is cast to are pointers, whole numbers and enumerations"
            ));
        };
        let number = match self.find(inner)? {
            Found::Number(number) => number,
            Found::List(_) => return Err(format!("{inner} is several things")),
            Found::Object(object) => {
                let object = self.referred(object)?;
                let kind = self.types.bare(object.of).map(|(_, found)| &found.kind);
                match (kind, object.source.address()) {
                    // An array stands for its address.
                    (Some(Kind::Array { .. }), Some(address)) => address,
                    _ if is_number(object.of) => {
                        let bytes = self.bytes(&object)?;
                        let mut word =
                            match self.is_signed(object.of) && bytes.last() >= Some(&0x80) {
                                true => [0xff; 8],
                                false => [0; 8],
                            };
                        let count = bytes.len().min(8);
                        word[..count].copy_from_slice(&bytes[..count]);
                        u64::from_le_bytes(word)
                    }
                    _ => {
                        return Err(format!(
                            "{inner} is a {}, which is no number and no pointer: &{inner} has one",
                            self.types.name(object.of)
                        ));
                    }
                }
            }
        };
        let bytes = Bytes {
            data: number.to_le_bytes()[..size as usize].to_vec(),
            missing: Vec::new(),
        };
        Ok(Object {
            why: "it is computed",
            ..Object::in_source(Source::Bytes(bytes), target)
        })
    }

    /// What a reference refers to; anything else as it is.
    pub fn referred(&self, object: Object) -> Result<Object, String> {
        match self.types.bare(object.of).map(|(_, found)| &found.kind) {
            Some(Kind::Reference(target)) => self.behind(&object, *target, "the reference"),
            _ => Ok(object),
        }
    }

    /// What a pointer points to.
    fn target(&self, name: &Expression, object: &Object) -> Result<Object, String> {
        match self.types.bare(object.of).map(|(_, found)| &found.kind) {
            Some(Kind::Pointer(target)) => self.behind(object, *target, &name.to_string()),
            Some(Kind::Array { .. }) => self.element(name, object, 0),
            _ => Err(format!(
                "{name} is no pointer: its type is {}",
                self.types.name(object.of)
            )),
        }
    }

    fn behind(&self, object: &Object, target: TypeId, name: &str) -> Result<Object, String> {
        if let Source::Implicit(inner, 0) = &object.source {
            return Ok(Object::in_source((**inner).clone(), target));
        }
        let bytes = object
            .source
            .bytes(0, 8, self.view)
            .map_err(|absence| format!("{name} is {absence}"))?;
        let address = bytes.try_into().map(u64::from_le_bytes).unwrap_or(0);
        match address {
            0 => Err(format!("{name} is null")),
            _ => Ok(Object::at(address, target)),
        }
    }

    /// The bytes of an object, as many as its type has; of a bit field, as its type would have them.
    pub fn bytes(&self, object: &Object) -> Result<Vec<u8>, String> {
        let absent = |absence| format!("it is {absence}");
        let size = self
            .types
            .size(object.of)
            .ok_or_else(|| "how large it is isn't known".to_owned())?;
        let Some((first, count)) = object.bits else {
            return object.source.bytes(0, size, self.view).map_err(absent);
        };
        let mut bytes = object
            .source
            .bits(first, count, self.view)
            .map_err(absent)?;
        bytes.resize(size as usize, 0);
        if self.is_signed(object.of) && (1..64).contains(&count) && size <= 8 {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(&bytes);
            let shift = 64 - count as u32;
            let number = (u64::from_le_bytes(word) << shift).cast_signed() >> shift;
            bytes.copy_from_slice(&number.to_le_bytes()[..size as usize]);
        }
        Ok(bytes)
    }

    /// Whether a number of this type has a sign.
    pub fn is_signed(&self, of: TypeId) -> bool {
        use umbel_values::Encoding;
        match self.types.bare(of).map(|(_, found)| &found.kind) {
            Some(Kind::Base(encoding)) => {
                matches!(encoding, Encoding::Signed | Encoding::SignedChar)
            }
            Some(Kind::Enum {
                underlying,
                enumerators,
            }) => match underlying {
                Some(underlying) => self.is_signed(*underlying),
                None => enumerators.iter().any(|one| one.value < 0),
            },
            _ => false,
        }
    }
}

/// Where a frame's register is kept until the frame goes on.
pub fn saved(registers: &Registers, number: u16) -> Option<u64> {
    *registers.saved.get(usize::from(number))?
}
