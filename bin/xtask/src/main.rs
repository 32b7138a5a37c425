//! Build, test and bench helper.

fn main() {}
