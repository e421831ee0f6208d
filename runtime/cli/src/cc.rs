//! stub
use clap::Args;
use std::ffi::OsString;
#[derive(Args)]
pub struct Options {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}
pub fn run(_: &Options) -> u8 {
    1
}
