//! What registers and the stack hold at one place, and how an instruction changes that.

use std::collections::{BTreeMap, HashMap};

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::super::super::elf::Text;

/// What a register or a word of the stack holds. Where paths meet, the later in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing that matters here.
    #[default]
    Other,
    /// An address on the stack: this far from where the stack was when the function was entered.
    Stack(i64),
    /// An address on the stack, not always the same.
    Somewhere,
    /// One of these addresses of code.
    Code(Set),
}

/// Some of the addresses of code that occur in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set([u64; SET_WORDS]);

const SET_WORDS: usize = 4;

/// Addresses that are told apart in one function; what more there are isn't known.
const ADDRESSES_MAX: usize = SET_WORDS * 64;

impl Set {
    fn one(number: usize) -> Self {
        let mut words = [0; SET_WORDS];
        words[number / 64] = 1 << (number % 64);
        Self(words)
    }

    fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    fn numbers(self) -> impl Iterator<Item = usize> {
        (0..ADDRESSES_MAX).filter(move |number| self.0[number / 64] & 1 << (number % 64) != 0)
    }
}

impl Value {
    fn meet(self, other: Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Other, one) | (one, Self::Other) => one,
            (Self::Code(one), Self::Code(two)) => Self::Code(one.with(two)),
            (Self::Code(code), _) | (_, Self::Code(code)) => Self::Code(code),
            _ => Self::Somewhere,
        }
    }
}

/// What is known at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    registers: [Value; REGISTERS],
    /// Words of the stack that hold addresses of code.
    stack: BTreeMap<i64, Value>,
}

const REGISTERS: usize = 16;

/// What a called function keeps: the System V ABI.
const KEPT: [Register; 7] = [
    Register::RBX,
    Register::RBP,
    Register::RSP,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

impl State {
    /// Whether anything changed.
    pub(super) fn meet(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (value, other) in self.registers.iter_mut().zip(&other.registers) {
            let met = value.meet(*other);
            changed |= met != *value;
            *value = met;
        }
        for (&place, &other) in &other.stack {
            let value = self.stack.entry(place).or_default();
            let met = value.meet(other);
            changed |= met != *value;
            *value = met;
        }
        changed
    }

    pub(super) fn get(&self, register: Register) -> Value {
        self.registers
            .get(register.full_register().number())
            .copied()
            .filter(|_| register.is_gpr())
            .unwrap_or_default()
    }

    pub(super) fn set(&mut self, register: Register, value: Value) {
        if register.is_gpr() {
            self.registers[register.full_register().number()] = value;
        }
    }

    /// What a called function leaves.
    pub(super) fn after_call(&self) -> Self {
        let mut after = Self {
            stack: self.stack.clone(),
            ..Self::default()
        };
        for register in KEPT {
            after.set(register, self.get(register));
        }
        after
    }

    /// What is known behind a block that ends with a comparison of two registers, if they are equal: a compiler that guesses what
    /// a virtual function is compares addresses, and goes on with the one that it did not know.
    pub(super) fn if_equal(&self, block: &[Instruction]) -> Option<Self> {
        let [.., compare, _] = block else {
            return None;
        };
        let is_of_registers =
            compare.op0_kind() == OpKind::Register && compare.op1_kind() == OpKind::Register;
        if compare.mnemonic() != Mnemonic::Cmp || !is_of_registers {
            return None;
        }
        let (one, two) = (compare.op0_register(), compare.op1_register());
        let (known, other) = match (self.get(one), self.get(two)) {
            (known @ Value::Code(_), Value::Other) => (known, two),
            (Value::Other, known @ Value::Code(_)) => (known, one),
            _ => return None,
        };
        let mut equal = self.clone();
        equal.set(other, known);
        Some(equal)
    }

    /// The place on the stack that a memory operand is.
    fn place(&self, instruction: &Instruction) -> Option<i64> {
        if instruction.memory_index() != Register::None {
            return None;
        }
        match self.get(instruction.memory_base()) {
            Value::Stack(base) => {
                Some(base.wrapping_add(instruction.memory_displacement64().cast_signed()))
            }
            _ => None,
        }
    }

    fn load(&self, place: Option<i64>) -> Value {
        let value = place.and_then(|place| self.stack.get(&place));
        value.copied().unwrap_or_default()
    }

    fn store(&mut self, place: i64, value: Value) {
        match value {
            Value::Code(_) => {
                self.stack.insert(place, value);
            }
            Value::Other | Value::Stack(_) | Value::Somewhere => {
                self.stack.remove(&place);
            }
        }
    }

    fn move_stack(&mut self, by: i64) {
        if let Value::Stack(place) = self.get(Register::RSP) {
            self.set(Register::RSP, Value::Stack(place.wrapping_add(by)));
        }
    }

    /// What `instruction` does, calls and jumps aside.
    pub(super) fn follow(&mut self, instruction: &Instruction, known: &mut Known) {
        let op0 = instruction.op0_register();
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Nop | Mnemonic::Bt | Mnemonic::Endbr64 => {}
            Mnemonic::Push => {
                let value = match instruction.op0_kind() {
                    OpKind::Register => self.get(op0),
                    _ => Value::Other,
                };
                self.move_stack(-8);
                if let Value::Stack(place) = self.get(Register::RSP) {
                    self.store(place, value);
                }
            }
            Mnemonic::Pop => {
                let place = match self.get(Register::RSP) {
                    Value::Stack(place) => Some(place),
                    _ => None,
                };
                let value = self.load(place);
                self.move_stack(8);
                self.set(op0, value);
            }
            Mnemonic::Leave => {
                let frame = self.get(Register::RBP);
                self.set(Register::RSP, frame);
                self.set(Register::RBP, Value::Other);
                self.move_stack(8);
            }
            Mnemonic::Add | Mnemonic::Sub
                if op0 == Register::RSP && instruction.op1_kind() != OpKind::Register =>
            {
                let by = instruction.immediate(1).cast_signed();
                let by = match instruction.mnemonic() {
                    Mnemonic::Add => by,
                    _ => by.wrapping_neg(),
                };
                self.move_stack(by);
            }
            Mnemonic::Mov if instruction.op0_kind() == OpKind::Memory => {
                if let Some(place) = self.place(instruction) {
                    let value = self.source(instruction, known);
                    self.store(place, value);
                }
            }
            Mnemonic::Xchg | Mnemonic::Xadd => {
                for index in 0..instruction.op_count() {
                    if instruction.op_kind(index) == OpKind::Register {
                        self.set(instruction.op_register(index), Value::Other);
                    }
                }
            }
            mnemonic => {
                if instruction.is_string_instruction() {
                    for register in [Register::RDI, Register::RSI, Register::RCX, Register::RAX] {
                        self.set(register, Value::Other);
                    }
                    return;
                }
                for register in changed_besides(mnemonic) {
                    self.set(*register, Value::Other);
                }
                if instruction.op0_kind() == OpKind::Register {
                    let value = self.source(instruction, known);
                    self.set(op0, value);
                }
            }
        }
    }

    /// What `instruction` puts into its first operand.
    fn source(&self, instruction: &Instruction, known: &mut Known) -> Value {
        match (instruction.mnemonic(), instruction.op1_kind()) {
            (Mnemonic::Lea, _) if instruction.is_ip_rel_memory_operand() => {
                known.code(instruction.ip_rel_memory_address())
            }
            (Mnemonic::Lea, _) => self.place(instruction).map_or(Value::Other, Value::Stack),
            (
                Mnemonic::Mov,
                OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64,
            ) => known.code(instruction.immediate(1)),
            (Mnemonic::Mov, OpKind::Register) => self.get(instruction.op1_register()),
            (Mnemonic::Mov, OpKind::Memory) if instruction.is_ip_rel_memory_operand() => {
                let slot = instruction.ip_rel_memory_address();
                let pointer = known.text.pointers.get(&slot).copied();
                pointer.map_or(Value::Other, |address| known.code(address))
            }
            (Mnemonic::Mov, OpKind::Memory) => self.load(self.place(instruction)),
            _ => Value::Other,
        }
    }
}

/// The addresses of code that occur, by number.
pub(super) struct Known<'a> {
    text: &'a Text,
    addresses: Vec<u64>,
    numbers: HashMap<u64, usize>,
}

impl<'a> Known<'a> {
    pub(super) fn new(text: &'a Text) -> Self {
        Self {
            text,
            addresses: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn code(&mut self, address: u64) -> Value {
        if !self.text.is_code(address) {
            return Value::Other;
        }
        let next = self.addresses.len();
        let number = *self.numbers.entry(address).or_insert(next);
        if number == next {
            self.addresses.push(address);
        }
        match number < ADDRESSES_MAX {
            true => Value::Code(Set::one(number)),
            false => Value::Other,
        }
    }

    pub(super) fn addresses(&self, value: Value) -> Vec<u64> {
        match value {
            Value::Code(set) => set.numbers().map(|number| self.addresses[number]).collect(),
            Value::Other | Value::Stack(_) | Value::Somewhere => Vec::new(),
        }
    }
}

/// Registers that instructions change without naming them.
fn changed_besides(mnemonic: Mnemonic) -> &'static [Register] {
    match mnemonic {
        Mnemonic::Mul | Mnemonic::Div | Mnemonic::Idiv | Mnemonic::Imul => {
            &[Register::RAX, Register::RDX]
        }
        Mnemonic::Cdq | Mnemonic::Cqo | Mnemonic::Cwd => &[Register::RDX],
        Mnemonic::Cdqe | Mnemonic::Cwde | Mnemonic::Cmpxchg => &[Register::RAX],
        Mnemonic::Rdtsc | Mnemonic::Rdtscp | Mnemonic::Xgetbv => {
            &[Register::RAX, Register::RCX, Register::RDX]
        }
        Mnemonic::Cpuid | Mnemonic::Cmpxchg8b | Mnemonic::Cmpxchg16b => {
            &[Register::RAX, Register::RBX, Register::RCX, Register::RDX]
        }
        _ => &[],
    }
}
