//! The `onlyone` command.
fn main() {}
