//! The machine against a simple model, and the rules of its table one by one.

use proptest::collection::vec;
use proptest::prelude::*;
use umbel_chains::{Chains, Cut, Frame, FrameEnded, Sink};

#[derive(Clone, Copy, Debug)]
enum Input {
    Call(u32),
    Return(u32),
    /// Of the innermost, if any.
    ReturnTop,
    SetJump(u64),
    LongJump(u64),
    Gap,
    Make(u64, u64),
    Swap(u64, u64),
}

/// (function, depth, begin, end, self, outermost, cut); of a frame that went on, begin and self of its last piece
type Ended = (u32, usize, u64, u64, u64, bool, Option<Cut>);

#[derive(Default)]
struct Log {
    ended: Vec<Ended>,
    next_tag: u32,
    open: Vec<u32>,
}

impl Sink<u32> for Log {
    fn began(&mut self, parent: Option<&mut Frame<u32>>, _: u32, _: u64, depth: usize) -> u32 {
        assert_eq!(parent.map(|parent| parent.tag), self.open.last().copied());
        assert_eq!(self.open.len(), depth);
        self.next_tag += 1;
        self.open.push(self.next_tag);
        self.next_tag
    }

    fn ended(&mut self, frame: FrameEnded<u32>, parent: Option<&mut Frame<u32>>) {
        assert_eq!(self.open.pop(), Some(frame.tag), "innermost first");
        assert_eq!(parent.map(|parent| parent.tag), self.open.last().copied());
        assert_eq!(self.open.len(), frame.depth);
        self.ended.push((
            frame.function,
            frame.depth,
            frame.begin,
            frame.end,
            frame.self_ticks,
            frame.outermost,
            frame.cut,
        ));
    }
}

fn run(mut chains: Chains<u32>, inputs: &[(u64, Input)]) -> Vec<Ended> {
    let mut log = Log::default();
    let mut ticks = 0;
    for &(delta, input) in inputs {
        ticks += delta;
        match input {
            Input::Call(function) => chains.call(ticks, function, &mut log),
            Input::Return(function) => chains.ret(ticks, function, &mut log),
            Input::ReturnTop => {
                if let Some(top) = chains.frames().last() {
                    chains.ret(ticks, top.function, &mut log);
                }
            }
            Input::SetJump(buffer) => chains.set_jump(buffer),
            Input::LongJump(buffer) => chains.long_jump(ticks, buffer, &mut log),
            Input::Gap => chains.gap(ticks),
            Input::Make(context, successor) => chains.make_context(context, successor),
            Input::Swap(saved, context) => chains.swap_context(ticks, saved, context, &mut log),
        }
    }
    chains.finish(ticks, &mut log);
    assert!(log.open.is_empty() && chains.frames().is_empty());
    log.ended
}

/// The same with nothing but lists and searches.
#[derive(Default)]
struct Model {
    /// (function, begin, ticks of ended children)
    frames: Vec<(u32, u64, u64)>,
    buffers: Vec<(u64, usize)>,
    /// Frames that began before the last gap, and its time.
    gap: Option<(usize, u64)>,
    first: Option<u64>,
    ended: Vec<Ended>,
}

impl Model {
    fn run(mut self, inputs: &[(u64, Input)]) -> Vec<Ended> {
        let mut ticks = 0;
        for &(delta, input) in inputs {
            ticks += delta;
            match input {
                Input::Call(function) => {
                    self.first.get_or_insert(ticks);
                    self.frames.push((function, ticks, 0));
                }
                Input::ReturnTop => self.end(ticks, None),
                Input::Return(function) => self.ret(ticks, function),
                Input::SetJump(buffer) => {
                    self.buffers.retain(|known| known.0 != buffer);
                    self.buffers.push((buffer, self.frames.len()));
                }
                Input::LongJump(buffer) => {
                    let known = self.buffers.iter().find(|known| known.0 == buffer);
                    if let Some(&(_, depth)) = known {
                        self.cut(depth, ticks, Cut::Jumped);
                    }
                }
                Input::Gap => {
                    self.first.get_or_insert(ticks);
                    self.gap = Some((self.frames.len(), ticks));
                }
                Input::Make(..) | Input::Swap(..) => panic!("the model has one stack"),
            }
        }
        self.cut(0, ticks, Cut::Open);
        self.ended
    }

    fn ret(&mut self, ticks: u64, function: u32) {
        if let Some(place) = self.frames.iter().rposition(|frame| frame.0 == function) {
            self.cut(place + 1, ticks, Cut::Unwound);
            self.end(ticks, None);
            return;
        }
        let begin = match self.gap {
            Some((survivors, begin)) => {
                self.cut(survivors, ticks, Cut::Unwound);
                begin
            }
            None => self.first.unwrap_or(ticks),
        };
        self.first.get_or_insert(ticks);
        let depth = self.frames.len();
        let unseen = Some(Cut::BeganUnseen);
        self.ended
            .push((function, depth, begin, ticks, 0, true, unseen));
    }

    fn cut(&mut self, depth: usize, ticks: u64, cut: Cut) {
        while self.frames.len() > depth {
            self.end(ticks, Some(cut));
        }
    }

    fn end(&mut self, ticks: u64, cut: Option<Cut>) {
        let Some((function, begin, children)) = self.frames.pop() else {
            return;
        };
        let depth = self.frames.len();
        if let Some((survivors, _)) = &mut self.gap {
            *survivors = depth.min(*survivors);
        }
        if let Some(parent) = self.frames.last_mut() {
            parent.2 += ticks - begin;
        }
        let outermost = self.frames.iter().all(|frame| frame.0 != function);
        let own = ticks - begin - children;
        self.ended
            .push((function, depth, begin, ticks, own, outermost, cut));
    }
}

fn inputs() -> impl Strategy<Value = Vec<(u64, Input)>> {
    let input = prop_oneof![
        8 => (0_u32..6).prop_map(Input::Call),
        6 => Just(Input::ReturnTop),
        2 => (0_u32..8).prop_map(Input::Return),
        1 => (0_u64..3).prop_map(Input::SetJump),
        1 => (0_u64..3).prop_map(Input::LongJump),
        1 => Just(Input::Gap),
    ];
    vec((0_u64..10, input), 0..200)
}

/// With stacks. Contexts have addresses of their own, but for one.
fn inputs_with_stacks() -> impl Strategy<Value = Vec<(u64, Input)>> {
    let input = prop_oneof![
        8 => (0_u32..6).prop_map(Input::Call),
        6 => Just(Input::ReturnTop),
        2 => (0_u32..8).prop_map(Input::Return),
        1 => (0_u64..3).prop_map(Input::SetJump),
        1 => (0_u64..6).prop_map(Input::LongJump),
        1 => Just(Input::Gap),
        1 => (2_u64..6, 0_u64..6).prop_map(|(context, next)| Input::Make(context, next)),
        2 => (2_u64..6, 2_u64..6).prop_map(|(saved, context)| Input::Swap(saved, context)),
    ];
    vec((0_u64..10, input), 0..200)
}

proptest! {
    #[test]
    fn whatever_the_stacks_frames_nest_and_calls_end_once(inputs in inputs_with_stacks()) {
        let ended = run(Chains::new(), &inputs);
        let calls = inputs.iter().filter(|(_, input)| matches!(input, Input::Call(_))).count();
        let over = ended.iter().filter(|ended| {
            !matches!(ended.6, Some(Cut::BeganUnseen | Cut::Suspended))
        });
        prop_assert_eq!(over.count(), calls);
        let seen = ended.iter().filter(|ended| ended.6 != Some(Cut::BeganUnseen));
        let own: u64 = seen.clone().map(|ended| ended.4).sum();
        let outermost: u64 = seen.filter(|ended| ended.1 == 0).map(|ended| ended.3 - ended.2).sum();
        prop_assert_eq!(own, outermost);
    }

    #[test]
    fn frames_are_those_of_the_model(inputs in inputs()) {
        prop_assert_eq!(run(Chains::new(), &inputs), Model::default().run(&inputs));
    }

    #[test]
    fn frames_are_those_of_the_model_from_the_middle(inputs in inputs()) {
        let model = Model { gap: Some((0, 0)), first: Some(0), ..Model::default() };
        prop_assert_eq!(run(Chains::from_the_middle(0), &inputs), model.run(&inputs));
    }

    /// Every moment with frames belongs to one of them.
    #[test]
    fn own_times_add_up_to_the_outermost_frames(inputs in inputs()) {
        let seen = run(Chains::new(), &inputs);
        let seen = seen.iter().filter(|ended| ended.6 != Some(Cut::BeganUnseen));
        let own: u64 = seen.clone().map(|ended| ended.4).sum();
        let outermost: u64 = seen.filter(|ended| ended.1 == 0).map(|ended| ended.3 - ended.2).sum();
        prop_assert_eq!(own, outermost);
    }
}

const MAIN: u32 = 0;
const PARSE: u32 = 1;
const FAIL: u32 = 2;

#[test]
fn a_recursion_is_outermost_once() {
    let call = (1, Input::Call(PARSE));
    let ret = (1, Input::Return(PARSE));
    let ended = run(Chains::new(), &[call, call, ret, ret]);
    let expected = [
        (PARSE, 1, 2, 3, 1, false, None),
        (PARSE, 0, 1, 4, 2, true, None),
    ];
    assert_eq!(ended, expected);
}

#[test]
fn a_longjmp_ends_what_is_above_the_setjmp() {
    let inputs = [
        (1, Input::Call(MAIN)),
        (1, Input::SetJump(9)),
        (1, Input::Call(PARSE)),
        (1, Input::Call(FAIL)),
        (1, Input::LongJump(9)),
        (1, Input::Call(PARSE)),
        (1, Input::Return(PARSE)),
        (1, Input::Return(MAIN)),
    ];
    let expected = [
        (FAIL, 2, 4, 5, 1, true, Some(Cut::Jumped)),
        (PARSE, 1, 3, 5, 1, true, Some(Cut::Jumped)),
        (PARSE, 1, 6, 7, 1, true, None),
        (MAIN, 0, 1, 8, 4, true, None),
    ];
    assert_eq!(run(Chains::new(), &inputs), expected);
}

#[test]
fn an_exception_ends_what_is_above_the_function_that_returns() {
    let inputs = [
        (1, Input::Call(MAIN)),
        (1, Input::Call(PARSE)),
        (1, Input::Call(FAIL)),
        (1, Input::Return(MAIN)),
    ];
    let expected = [
        (FAIL, 2, 3, 4, 1, true, Some(Cut::Unwound)),
        (PARSE, 1, 2, 4, 1, true, Some(Cut::Unwound)),
        (MAIN, 0, 1, 4, 1, true, None),
    ];
    assert_eq!(run(Chains::new(), &inputs), expected);
}

#[test]
fn a_return_from_before_the_recording_is_below_all_that_was_called_since() {
    let inputs = [
        (5, Input::Call(PARSE)),
        (1, Input::Return(PARSE)),
        (1, Input::Call(FAIL)),
        (1, Input::Return(MAIN)),
    ];
    let expected = [
        (PARSE, 0, 5, 6, 1, true, None),
        (FAIL, 0, 7, 8, 1, true, Some(Cut::Unwound)),
        (MAIN, 0, 0, 8, 0, true, Some(Cut::BeganUnseen)),
    ];
    assert_eq!(run(Chains::from_the_middle(0), &inputs), expected);
}

#[test]
fn what_was_open_before_a_gap_stays_until_something_below_returns() {
    let inputs = [
        (1, Input::Call(MAIN)),
        (1, Input::Call(PARSE)),
        (1, Input::Gap),
        (1, Input::Return(FAIL)),
        (1, Input::Return(PARSE)),
        (1, Input::Return(MAIN)),
    ];
    let expected = [
        (FAIL, 2, 3, 4, 0, true, Some(Cut::BeganUnseen)),
        (PARSE, 1, 2, 5, 3, true, None),
        (MAIN, 0, 1, 6, 2, true, None),
    ];
    assert_eq!(run(Chains::new(), &inputs), expected);
}

const SCHEDULER: u64 = 7;
const COROUTINE: u64 = 8;

#[test]
fn a_stack_that_was_left_goes_on_where_it_was() {
    let inputs = [
        (1, Input::Call(MAIN)),
        (1, Input::Make(COROUTINE, SCHEDULER)),
        (1, Input::Swap(SCHEDULER, COROUTINE)),
        (1, Input::Call(PARSE)),
        (1, Input::Swap(COROUTINE, SCHEDULER)),
        (1, Input::Call(FAIL)),
        (1, Input::Return(FAIL)),
        (1, Input::Swap(SCHEDULER, COROUTINE)),
        (1, Input::Return(PARSE)),
        // Nobody tells that the successor goes on.
        (1, Input::Call(FAIL)),
        (1, Input::Return(FAIL)),
        (1, Input::Return(MAIN)),
    ];
    let suspended = Some(Cut::Suspended);
    let expected = [
        (MAIN, 0, 1, 3, 2, true, suspended),
        (PARSE, 0, 4, 5, 1, true, suspended),
        (FAIL, 1, 6, 7, 1, true, None),
        (MAIN, 0, 5, 8, 2, true, suspended),
        (PARSE, 0, 8, 9, 1, true, None),
        (FAIL, 1, 10, 11, 1, true, None),
        (MAIN, 0, 10, 12, 1, true, None),
    ];
    assert_eq!(run(Chains::new(), &inputs), expected);
}

#[test]
fn a_stack_that_is_never_gone_on_with_is_open_at_the_end() {
    let inputs = [
        (1, Input::Call(MAIN)),
        (1, Input::Swap(SCHEDULER, COROUTINE)),
        (1, Input::Call(PARSE)),
    ];
    let expected = [
        (MAIN, 0, 1, 2, 1, true, Some(Cut::Suspended)),
        (PARSE, 0, 3, 3, 0, true, Some(Cut::Open)),
        (MAIN, 0, 3, 3, 0, true, Some(Cut::Open)),
    ];
    assert_eq!(run(Chains::new(), &inputs), expected);
}

/// Each unmatched return takes constant time: a stack of a million and as many strange returns end at once.
#[test]
fn a_deep_stack_is_not_searched() {
    let mut inputs = vec![(1, Input::Call(MAIN)); 1_000_000];
    inputs.extend(vec![(1, Input::Return(FAIL)); 1_000_000]);
    assert_eq!(run(Chains::new(), &inputs).len(), 2_000_000);
}
