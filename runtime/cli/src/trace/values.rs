//! What is captured of variables: options of all commands that run a program.

use clap::{Args, ValueEnum};
use umbel_tracer::record::{Method, Wishes};

/// Options of values.
#[derive(Args)]
pub struct ValueOptions {
    /// Values that are captured with each call, for what was built with -g.
    #[arg(long, value_name = "WHAT", default_value = "args")]
    values: Values,

    /// Follow pointers N times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    follow: u8,

    /// Elements of an array or container.
    #[arg(long, value_name = "N", default_value_t = 16)]
    elements: u16,

    /// Bytes of a text.
    #[arg(long, value_name = "N", default_value_t = 64)]
    text: u16,

    /// Bytes of all values of a function's call together.
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = clap::value_parser!(u16).range(64..=16384))]
    value_bytes: u16,

    /// How the program reads what pointers lead to, which may be nothing.
    #[arg(long, value_name = "HOW", default_value = "guarded")]
    probe: Probe,
}

#[derive(Clone, Copy, ValueEnum)]
enum Probe {
    /// The thread itself, while it can take SIGSEGV and SIGBUS; else the kernel
    Guarded,
    /// The kernel (process_vm_readv): slower, whatever the program does with signals
    Kernel,
    /// A thread that dies of it if need be: slowest
    Victim,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Values {
    /// None
    None,
    /// Arguments and the returned value
    Args,
    /// The function's variables too, when it returns
    Locals,
    /// Its caller's variables too, when it is called
    All,
}

impl ValueOptions {
    /// How the program reads what may not be there.
    pub fn probe(&self) -> Method {
        match self.probe {
            Probe::Guarded => Method::Guarded,
            Probe::Kernel => Method::Kernel,
            Probe::Victim => Method::Victim,
        }
    }

    /// What is captured; `None`: nothing.
    pub fn wishes(&self) -> Option<Wishes> {
        (self.values != Values::None).then_some(Wishes {
            arguments: true,
            locals: matches!(self.values, Values::Locals | Values::All),
            caller: self.values == Values::All,
            depth: self.follow,
            elements: self.elements,
            text_bytes: self.text,
            payload_bytes: self.value_bytes,
        })
    }
}
