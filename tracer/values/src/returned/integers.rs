//! Instructions on integers.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::machine::{Machine, RSP, Symbol, is_high, is_same, number_of, plus, short};
use crate::{Binary, Op, Unary};

impl Machine<'_> {
    /// Carries one out; `None`: it isn't one of these, and nothing was done.
    pub fn on_integers(&mut self, step: &Instruction) -> Option<()> {
        let is_register = step.op0_kind() == OpKind::Register;
        let to = step.op0_register();
        let is_integer = is_register && number_of(to).is_some() && !is_high(to);
        match step.mnemonic() {
            Mnemonic::Nop | Mnemonic::Endbr64 => {}
            Mnemonic::Cmp | Mnemonic::Test => self.compared(step),
            Mnemonic::Mov | Mnemonic::Movnti => self.moved(step)?,
            Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd => self.extended(step)?,
            Mnemonic::Lea => {
                let address = self.address(step);
                self.set(to, address.map(|ops| narrowed(ops, to.size())));
            }
            Mnemonic::Xor | Mnemonic::Sub if is_integer && is_same(step) => {
                self.set(to, Some(vec![Op::Constant(0)]));
            }
            Mnemonic::Add | Mnemonic::Sub if is_integer && is_immediate(step.op1_kind()) => {
                let amount = match step.mnemonic() {
                    Mnemonic::Add => step.immediate(1),
                    _ => step.immediate(1).wrapping_neg(),
                };
                let sum = self
                    .known(to)
                    .map(|ops| narrowed(plus(ops, amount), to.size()));
                self.set(to, sum.and_then(short));
            }
            // The long multiplication writes two registers, and names neither.
            Mnemonic::Imul if step.op_count() == 1 => return None,
            Mnemonic::Add
            | Mnemonic::Sub
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Xor
            | Mnemonic::Imul
            | Mnemonic::Shl
            | Mnemonic::Shr
            | Mnemonic::Sar
            | Mnemonic::Neg
            | Mnemonic::Not
            | Mnemonic::Inc
            | Mnemonic::Dec
                if is_integer =>
            {
                let value = self.computed(step);
                self.set(
                    to,
                    value.map(|ops| narrowed(ops, to.size())).and_then(short),
                );
            }
            Mnemonic::Cdqe => {
                let value = self.known(Register::EAX).map(|mut ops| {
                    ops.push(Op::Truncate(4, true));
                    ops
                });
                self.set(Register::RAX, value);
            }
            Mnemonic::Push if matches!(step.op0_kind(), OpKind::Register) && to.size() == 8 => {
                let value = self.known(to);
                self.move_stack(8_u64.wrapping_neg());
                let address = self.integer_at(RSP).cloned();
                self.stores.add(address, 8, value);
            }
            Mnemonic::Pop if is_integer && to.size() == 8 => {
                let value = self.loaded(self.integer_at(RSP).cloned(), 8);
                self.move_stack(8);
                self.set(to, value);
            }
            Mnemonic::Leave => {
                let base = self.integer_at(6).cloned();
                let value = self.loaded(base.clone(), 8);
                self.set(Register::RSP, base);
                self.set(Register::RBP, value);
                self.move_stack(8);
            }
            _ if is_integer => {
                let is_so = self.condition(condition_of(step.mnemonic())?);
                match step.op_count() {
                    1 => self.set(to, is_so),
                    _ => {
                        let chosen = self.chosen(step, is_so);
                        self.set(to, chosen);
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn moved(&mut self, step: &Instruction) -> Option<()> {
        let size = match step.op0_kind() {
            OpKind::Memory => step.memory_size().size(),
            _ => step.op0_register().size(),
        };
        let is_integer = |register| number_of(register).is_some() && !is_high(register);
        let value = match step.op1_kind() {
            OpKind::Register if is_integer(step.op1_register()) => {
                let value = self.known(step.op1_register());
                value.map(|ops| narrowed(ops, size))
            }
            OpKind::Memory => self.loaded(self.memory(step), size as u64),
            kind if is_immediate(kind) => {
                let number = step.immediate(1);
                Some(vec![Op::Constant(match size {
                    8 => number,
                    _ => number & ((1 << (8 * size)) - 1),
                })])
            }
            _ => return None,
        };
        match step.op0_kind() {
            OpKind::Register if is_integer(step.op0_register()) => {
                self.set(step.op0_register(), value);
            }
            OpKind::Memory => {
                let address = self.memory(step);
                self.stores.add(address, size as u64, value);
            }
            _ => return None,
        }
        Some(())
    }

    fn extended(&mut self, step: &Instruction) -> Option<()> {
        let is_signed = step.mnemonic() != Mnemonic::Movzx;
        let to = step.op0_register();
        let (value, bytes) = match step.op1_kind() {
            OpKind::Register => (self.known(step.op1_register()), step.op1_register().size()),
            OpKind::Memory => {
                let bytes = step.memory_size().size();
                (self.loaded(self.memory(step), bytes as u64), bytes)
            }
            _ => return None,
        };
        let bytes = u8::try_from(bytes).ok()?;
        let value = value.map(|mut ops| {
            match (ops.last_mut(), is_signed) {
                (Some(Op::Load(loaded)), true) if *loaded == bytes => {
                    ops.pop();
                    ops.push(Op::LoadSigned(bytes));
                }
                (Some(Op::Load(loaded)), false) if *loaded == bytes => {}
                _ => ops.push(Op::Truncate(bytes, is_signed)),
            }
            narrowed(ops, to.size())
        });
        self.set(to, value);
        Some(())
    }

    /// An operand of an instruction on integers, as wide as its first.
    fn operand(&self, step: &Instruction, index: u32) -> Symbol {
        let size = step.op0_register().size();
        match step.op_kind(index) {
            OpKind::Register => self.known(step.op_register(index)),
            OpKind::Memory => self.loaded(self.memory(step), size as u64),
            kind if is_immediate(kind) => Some(vec![Op::Constant(step.immediate(index))]),
            _ => None,
        }
    }

    /// What an operation on integers gives.
    fn computed(&self, step: &Instruction) -> Symbol {
        let bytes = u8::try_from(step.op0_register().size()).ok()?;
        let (first, second) = match step.op_count() {
            3 => (1, Some(2)),
            2 => (0, Some(1)),
            _ => (0, None),
        };
        let mut ops = self.operand(step, first)?;
        let operator = match step.mnemonic() {
            Mnemonic::Neg => {
                ops.push(Op::Unary(Unary::Neg));
                return Some(ops);
            }
            Mnemonic::Not => {
                ops.push(Op::Unary(Unary::Not));
                return Some(ops);
            }
            Mnemonic::Inc => return Some(plus(ops, 1)),
            Mnemonic::Dec => return Some(plus(ops, u64::MAX)),
            Mnemonic::Add => Binary::Plus,
            Mnemonic::Sub => Binary::Minus,
            Mnemonic::And => Binary::And,
            Mnemonic::Or => Binary::Or,
            Mnemonic::Xor => Binary::Xor,
            Mnemonic::Imul => Binary::Mul,
            Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
                // By a number that is known: the processor uses its low bits only.
                if !is_immediate(step.op1_kind()) {
                    return None;
                }
                let mask = if bytes == 8 { 63 } else { 31 };
                if bytes < 8 {
                    ops.push(Op::Truncate(bytes, step.mnemonic() == Mnemonic::Sar));
                }
                ops.push(Op::Constant(step.immediate(1) & mask));
                ops.push(Op::Binary(match step.mnemonic() {
                    Mnemonic::Shl => Binary::Shl,
                    Mnemonic::Shr => Binary::Shr,
                    _ => Binary::Shra,
                }));
                return Some(ops);
            }
            _ => return None,
        };
        ops.extend(self.operand(step, second?)?);
        ops.push(Op::Binary(operator));
        Some(ops)
    }

    fn compared(&mut self, step: &Instruction) {
        self.flags = None;
        let bytes = match step.op0_kind() {
            OpKind::Register => step.op0_register().size(),
            _ => return,
        };
        let Ok(bytes) = u8::try_from(bytes) else {
            return;
        };
        let mut left = self.operand(step, 0);
        let right = match step.mnemonic() {
            Mnemonic::Test => {
                if !is_same(step) {
                    left = left.zip(self.operand(step, 1)).map(|(mut ops, mask)| {
                        ops.extend(mask);
                        ops.push(Op::Binary(Binary::And));
                        ops
                    });
                }
                Some(vec![Op::Constant(0)])
            }
            _ => self.operand(step, 1),
        };
        self.flags = left.zip(right).map(|(left, right)| (left, right, bytes));
    }

    /// Whether what was compared last is so.
    fn condition(&self, (operator, is_signed): (Binary, bool)) -> Symbol {
        let (mut ops, right, bytes) = self.flags.clone()?;
        // Without sign, numbers of 8 bytes have their order with the sign the other way.
        let turned = |ops: &mut Vec<Op>| {
            ops.push(Op::Truncate(bytes, is_signed));
            if bytes == 8 && !is_signed {
                ops.extend([Op::Constant(1 << 63), Op::Binary(Binary::Xor)]);
            }
        };
        turned(&mut ops);
        ops.extend(right);
        turned(&mut ops);
        ops.push(Op::Binary(operator));
        short(ops)
    }

    /// The second operand if something is so, else the first.
    fn chosen(&self, step: &Instruction, is_so: Symbol) -> Symbol {
        let (first, second) = (self.operand(step, 0)?, self.operand(step, 1)?);
        let mut ops = second;
        ops.extend(first.iter().cloned());
        ops.push(Op::Binary(Binary::Xor));
        ops.extend(is_so?);
        ops.extend([Op::Unary(Unary::Neg), Op::Binary(Binary::And)]);
        ops.extend(first);
        ops.push(Op::Binary(Binary::Xor));
        short(narrowed(ops, step.op0_register().size()))
    }

    /// What lea computes.
    pub fn address(&self, step: &Instruction) -> Symbol {
        if step.is_ip_rel_memory_operand() {
            return Some(vec![Op::Static(step.ip_rel_memory_address())]);
        }
        let mut ops = match step.memory_base() {
            Register::None => vec![Op::Constant(0)],
            base => self.known(base).filter(|_| base.size() == 8)?,
        };
        let index = step.memory_index();
        if index != Register::None {
            ops.extend(self.known(index).filter(|_| index.size() == 8)?);
            if step.memory_index_scale() > 1 {
                ops.push(Op::Constant(step.memory_index_scale().into()));
                ops.push(Op::Binary(Binary::Mul));
            }
            ops.push(Op::Binary(Binary::Plus));
        }
        short(plus(ops, step.memory_displacement64()))
    }

    fn move_stack(&mut self, bytes: u64) {
        let place = &mut self.integers[usize::from(RSP)];
        *place = place.take().map(|ops| plus(ops, bytes));
    }
}

/// What `set` and `cmov` of this name ask, and whether with a sign.
fn condition_of(mnemonic: Mnemonic) -> Option<(Binary, bool)> {
    Some(match mnemonic {
        Mnemonic::Sete | Mnemonic::Cmove => (Binary::Eq, true),
        Mnemonic::Setne | Mnemonic::Cmovne => (Binary::Ne, true),
        Mnemonic::Setl | Mnemonic::Cmovl => (Binary::Lt, true),
        Mnemonic::Setle | Mnemonic::Cmovle => (Binary::Le, true),
        Mnemonic::Setg | Mnemonic::Cmovg => (Binary::Gt, true),
        Mnemonic::Setge | Mnemonic::Cmovge => (Binary::Ge, true),
        Mnemonic::Setb | Mnemonic::Cmovb => (Binary::Lt, false),
        Mnemonic::Setbe | Mnemonic::Cmovbe => (Binary::Le, false),
        Mnemonic::Seta | Mnemonic::Cmova => (Binary::Gt, false),
        Mnemonic::Setae | Mnemonic::Cmovae => (Binary::Ge, false),
        _ => return None,
    })
}

/// What 32-bit instructions leave of a number.
fn narrowed(mut ops: Vec<Op>, bytes: usize) -> Vec<Op> {
    let is_narrow = matches!(ops.last(), Some(Op::Load(loaded) | Op::Truncate(loaded, false)) if usize::from(*loaded) <= bytes)
        || matches!(ops.as_slice(), [Op::Constant(0)]);
    if let (false, Ok(bytes @ (1 | 2 | 4))) = (is_narrow, u8::try_from(bytes)) {
        ops.push(Op::Truncate(bytes, false));
    }
    ops
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}
