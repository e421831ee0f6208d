//! Which function each call of a hook tells of: the address that its first argument holds, followed through registers and the stack.
//!
//! That argument is a constant of the program on every path that is ever taken. So where paths meet, a register that holds an
//! address on one of them is taken to hold it: if that isn't so, the register isn't used for a hook behind. Where it holds different
//! addresses the compiler has let one call serve several functions.

use std::collections::{HashMap, HashSet};

use iced_x86::{Code, FlowControl, Instruction, Mnemonic, Register};

use super::super::elf::{Hook, Text};

mod state;

use state::{Known, State, Value};

/// The functions of each site among `instructions`: those of one function, with its parts that lie elsewhere. `sites`: (index, hook).
pub fn functions_of(
    instructions: &[Instruction],
    sites: &[(usize, Hook)],
    text: &Text,
) -> Vec<Vec<u64>> {
    let mut flow = Flow::new(instructions, text);
    flow.run();
    let mut functions = flow.functions(sites);
    let both = sites.iter().zip(&functions);
    let entered: HashSet<u64> = both
        .filter(|(site, _)| site.1 == Hook::Enter)
        .flat_map(|(_, functions)| functions.iter().copied())
        .collect();
    for (site, functions) in sites.iter().zip(&mut functions) {
        // What is left here was entered here, unless this is the part of a function that its callers have the beginning of.
        if site.1 == Hook::Exit && functions.len() > 1 {
            functions.retain(|function| entered.contains(function));
        }
    }
    functions
}

/// Instructions from a target of jumps, or from behind a jump, to the next.
#[derive(Debug)]
struct Block {
    /// Indexes of its instructions.
    begin: usize,
    end: usize,
    before: Option<State>,
}

struct Flow<'a> {
    instructions: &'a [Instruction],
    known: Known<'a>,
    blocks: Vec<Block>,
    /// By address of its first instruction.
    places: HashMap<u64, usize>,
    waiting: Vec<usize>,
    /// What is known at jumps whose targets aren't: those of switches.
    at_tables: Option<State>,
    /// What is known behind calls: an exception goes on there, at a place that no jump leads to.
    at_calls: Option<State>,
}

impl<'a> Flow<'a> {
    fn new(instructions: &'a [Instruction], text: &'a Text) -> Self {
        let own: HashMap<u64, usize> = instructions
            .iter()
            .enumerate()
            .map(|(index, instruction)| (instruction.ip(), index))
            .collect();
        let mut begins: Vec<usize> = vec![0];
        for (index, instruction) in instructions.iter().enumerate() {
            if is_jump(instruction) {
                begins.extend(own.get(&instruction.near_branch_target()));
            }
            if ends_block(instruction) || next_is_elsewhere(instructions, index) {
                begins.push(index + 1);
            }
        }
        begins.sort_unstable();
        begins.dedup();
        begins.retain(|begin| *begin < instructions.len());
        let ends = begins.iter().skip(1).copied().chain([instructions.len()]);
        let blocks: Vec<Block> = begins
            .iter()
            .zip(ends)
            .map(|(&begin, end)| Block {
                begin,
                end,
                before: None,
            })
            .collect();
        let places = blocks
            .iter()
            .enumerate()
            .map(|(number, block)| (instructions[block.begin].ip(), number))
            .collect();
        Self {
            instructions,
            known: Known::new(text),
            blocks,
            places,
            waiting: Vec::new(),
            at_tables: None,
            at_calls: None,
        }
    }

    fn run(&mut self) {
        let mut entry = State::default();
        entry.set(Register::RSP, Value::Stack(0));
        if self.blocks.is_empty() {
            return;
        }
        self.reach(0, &entry);
        self.work();
        // What no jump leads to is reached by a switch or an exception.
        let led_to: HashSet<usize> = self.led_to();
        for pass in 0..2 {
            for number in 0..self.blocks.len() {
                let is_first = pass == 1 || !led_to.contains(&number);
                let block = &self.blocks[number];
                let is_padding = self.instructions[block.begin..block.end]
                    .iter()
                    .all(|instruction| instruction.mnemonic() == Mnemonic::Nop);
                if block.before.is_some() || !is_first || is_padding {
                    continue;
                }
                let mut state = self.at_tables.clone().unwrap_or_default();
                if let Some(after) = &self.at_calls {
                    state.meet(after);
                }
                self.reach(number, &state);
                self.work();
            }
        }
    }

    /// Blocks that a jump, or what lies before, leads to.
    fn led_to(&self) -> HashSet<usize> {
        let mut led_to = HashSet::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let last = &self.instructions[block.end - 1];
            if is_jump(last) {
                led_to.extend(self.places.get(&last.near_branch_target()));
            }
            if self.falls_through(block) {
                led_to.insert(number + 1);
            }
        }
        led_to
    }

    fn falls_through(&self, block: &Block) -> bool {
        let last = &self.instructions[block.end - 1];
        let goes_on = matches!(
            last.flow_control(),
            FlowControl::Next
                | FlowControl::ConditionalBranch
                | FlowControl::Call
                | FlowControl::IndirectCall
        );
        goes_on
            && block.end < self.instructions.len()
            && !next_is_elsewhere(self.instructions, block.end - 1)
    }

    fn reach(&mut self, number: usize, state: &State) {
        let changed = match &mut self.blocks[number].before {
            Some(before) => before.meet(state),
            before @ None => {
                *before = Some(state.clone());
                true
            }
        };
        if changed {
            self.waiting.push(number);
        }
    }

    fn work(&mut self) {
        while let Some(number) = self.waiting.pop() {
            let block = &self.blocks[number];
            let (begin, end) = (block.begin, block.end);
            let Some(mut state) = block.before.clone() else {
                continue;
            };
            for instruction in &self.instructions[begin..end] {
                match instruction.flow_control() {
                    FlowControl::Call | FlowControl::IndirectCall => {
                        state = state.after_call();
                        meet_into(&mut self.at_calls, &state);
                    }
                    FlowControl::Next => state.follow(instruction, &mut self.known),
                    _ => {}
                }
            }
            let last = &self.instructions[end - 1];
            if last.flow_control() == FlowControl::IndirectBranch {
                meet_into(&mut self.at_tables, &state);
            }
            let equal = state.if_equal(&self.instructions[begin..end]);
            if is_jump(last)
                && let Some(&target) = self.places.get(&last.near_branch_target())
            {
                let state = match last.mnemonic() {
                    Mnemonic::Je => equal.as_ref(),
                    _ => None,
                }
                .unwrap_or(&state);
                self.reach(target, state);
            }
            if self.falls_through(&self.blocks[number]) {
                let state = match last.mnemonic() {
                    Mnemonic::Jne => equal.as_ref(),
                    _ => None,
                }
                .unwrap_or(&state);
                self.reach(number + 1, state);
            }
        }
    }

    /// What the first argument may be at each of the sites.
    fn functions(&mut self, sites: &[(usize, Hook)]) -> Vec<Vec<u64>> {
        let value = |&(site, _): &(usize, Hook)| {
            let number = self.blocks.partition_point(|block| block.begin <= site) - 1;
            let block = &self.blocks[number];
            let Some(mut state) = block.before.clone() else {
                return Vec::new();
            };
            for instruction in &self.instructions[block.begin..site] {
                match instruction.flow_control() {
                    FlowControl::Call | FlowControl::IndirectCall => state = state.after_call(),
                    _ => state.follow(instruction, &mut self.known),
                }
            }
            self.known.addresses(state.get(Register::RDI))
        };
        sites.iter().map(value).collect()
    }
}

fn meet_into(all: &mut Option<State>, state: &State) {
    match all {
        Some(all) => {
            all.meet(state);
        }
        None => *all = Some(state.clone()),
    }
}

/// Whether it jumps to a place that it names.
fn is_jump(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    ) && instruction.code() != Code::Jmp_rm64
}

fn ends_block(instruction: &Instruction) -> bool {
    !matches!(
        instruction.flow_control(),
        FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall
    )
}

/// Whether what follows in the row does not follow in memory: another part of the function.
fn next_is_elsewhere(instructions: &[Instruction], index: usize) -> bool {
    let next = instructions.get(index + 1);
    next.is_some_and(|next| next.ip() != instructions[index].next_ip())
}
