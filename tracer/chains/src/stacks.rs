//! Which stack a thread is on: by the contexts and buffers that it saved and went on with.

use alloc::collections::BTreeMap;

/// The stacks of one thread. `S` is what is kept of a stack that the thread has left.
#[derive(Clone, Debug)]
pub struct Stacks<S> {
    /// By the address of a context or of setjmp's buffer: what it leads to.
    saved: BTreeMap<u64, Saved>,
    /// Contexts that are saved at most until those of ended frames are looked for.
    saved_max: usize,
    left: BTreeMap<u64, S>,
    /// By stack: the context that goes on when its outermost function returns.
    successors: BTreeMap<u64, u64>,
    current: u64,
    next: u64,
}

/// Where a saved context leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The stack, by its number.
    pub stack: u64,
    /// Frames on it.
    pub depth: usize,
}

/// Saved contexts after which those of ended frames are looked for and forgotten.
const SAVED_KEPT: usize = 64;

impl<S> Default for Stacks<S> {
    fn default() -> Self {
        Self {
            saved: BTreeMap::new(),
            saved_max: SAVED_KEPT,
            left: BTreeMap::new(),
            successors: BTreeMap::new(),
            current: 0,
            next: 1,
        }
    }
}

impl<S> Stacks<S> {
    /// `context` leads here from now on: to `depth` frames on the present stack.
    pub fn save(&mut self, context: u64, depth: usize) {
        if self.saved.len() >= self.saved_max {
            let here = self.current;
            self.saved
                .retain(|_, saved| saved.stack != here || saved.depth <= depth);
            self.saved_max = SAVED_KEPT.max(self.saved.len() * 2);
        }
        let stack = self.current;
        self.saved.insert(context, Saved { stack, depth });
    }

    /// `context` leads to a new stack from now on; when its outermost function returns `successor` goes on, if it is not 0.
    pub fn make(&mut self, context: u64, successor: u64) {
        let stack = self.new_stack();
        self.saved.insert(context, Saved { stack, depth: 0 });
        if successor != 0 {
            self.successors.insert(stack, successor);
        }
    }

    /// Where `context` leads to, if it was saved or made.
    pub fn find(&self, context: u64) -> Option<Saved> {
        self.saved.get(&context).copied()
    }

    /// Where `context` leads to: to a new stack if nothing is known of it.
    pub fn find_or_make(&mut self, context: u64) -> Saved {
        if self.find(context).is_none() {
            self.make(context, 0);
        }
        self.saved[&context]
    }

    /// The present stack's number.
    pub fn current(&self) -> u64 {
        self.current
    }

    /// The context that goes on when the present stack's outermost function returns.
    pub fn successor(&self) -> Option<u64> {
        self.successors.get(&self.current).copied()
    }

    /// The thread leaves the present stack, of which `left` is kept, for `stack`; what was kept of that.
    pub fn go(&mut self, stack: u64, left: Option<S>) -> Option<S> {
        match left {
            Some(left) => self.left.insert(self.current, left),
            None => self.left.remove(&self.current),
        };
        self.current = stack;
        self.left.remove(&stack)
    }

    /// What is kept of the stacks that are left.
    pub fn left_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.left.values_mut()
    }

    /// Some stack that is left.
    pub fn any_left(&self) -> Option<u64> {
        self.left.keys().next().copied()
    }

    fn new_stack(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}
