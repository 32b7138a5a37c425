//! The syntax against golden answers, against another parser, and at its limits.

mod differential;
mod golden;
mod limits;
