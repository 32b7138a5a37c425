//! A panic in a process that logs is one line. The test runs itself as that process.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use norn_kit::logging::{Format, Level, init};

#[test]
fn a_panic_is_one_log_line() {
    if std::env::var_os("NORN_TEST_PANICS").is_some() {
        init(Level::default(), Format::Json).unwrap();
        assert!(init(Level::default(), Format::Json).is_err());
        std::thread::Builder::new()
            .name("worker".into())
            .spawn(|| panic!("line one\nline two"))
            .unwrap()
            .join()
            .unwrap_err();
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_is_one_log_line", "--nocapture"])
        .env("NORN_TEST_PANICS", "1")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = log.lines().filter(|l| l.starts_with("{\"ts\"")).collect();
    assert_eq!((log.lines().count(), lines.len()), (1, 1), "{log}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!(line["panic"], "line one\nline two");
    assert_eq!(line["thread"], "worker");
    assert!(line["place"].as_str().unwrap().contains("panic.rs"), "{line}");
}
