//! System calls of a process as `strace` tells them, in the order they happened.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A call begins or ends.
#[derive(Clone, Debug)]
pub struct Event {
    /// The call's name.
    pub call: String,
    /// Its arguments as far as they are known at this moment, with paths of files.
    pub args: String,
    /// What it gave back, at its end.
    pub result: Option<i64>,
}

/// A command that traces these `calls` of what follows it into `file`, and is no parent of it.
pub fn wrapper(calls: &str, file: &Path) -> Vec<String> {
    // A request's headers and the frames' headers must fit into what is shown of a buffer.
    let fixed = ["strace", "-D", "-f", "--seccomp-bpf", "-y", "-s", "300"];
    let own = ["-e".to_owned(), format!("trace={calls}"), "-o".to_owned(), file.display().to_string()];
    fixed.map(str::to_owned).into_iter().chain(own).collect()
}

/// The events in `file`, once process `pid` has ended.
pub fn read(file: &Path, pid: u32) -> Result<Vec<Event>> {
    let (start, pid) = (Instant::now(), pid.to_string());
    let is_end = |line: &str| {
        line.split_once(' ').is_some_and(|(p, rest)| p == pid && rest.trim_start().starts_with("+++"))
    };
    let text = loop {
        let text = String::from_utf8_lossy(&std::fs::read(file)?).into_owned();
        if text.lines().any(is_end) {
            break text;
        }
        if start.elapsed() > Duration::from_secs(20) {
            bail!("the trace of process {pid} has no end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut begun = HashMap::new();
    let mut events = Vec::new();
    for line in text.lines() {
        one(line, &mut begun, &mut events).with_context(|| line.to_owned())?;
    }
    Ok(events)
}

/// Adds the events of a line. `begun` holds the calls that have not ended, by thread.
fn one<'a>(line: &'a str, begun: &mut HashMap<&'a str, String>, events: &mut Vec<Event>) -> Result<()> {
    let (thread, rest) = line.split_once(' ').context("no thread")?;
    let rest = rest.trim_start();
    if rest.starts_with("+++") || rest.starts_with("---") {
        return Ok(());
    }
    let mut event = |call: &str, args: &str, result| {
        events.push(Event { call: call.to_owned(), args: args.to_owned(), result });
    };
    if let Some(rest) = rest.strip_prefix("<... ") {
        let (call, rest) = rest.split_once(" resumed>").context("no name")?;
        let before = begun.remove(thread).context("nothing to resume")?;
        let (args, result) = ended(rest)?;
        event(call, &format!("{before}{args}"), Some(result));
        return Ok(());
    }
    let (call, rest) = rest.split_once('(').context("no name")?;
    if let Some(args) = rest.strip_suffix("<unfinished ...>") {
        begun.insert(thread, args.to_owned());
        event(call, args, None);
        return Ok(());
    }
    let (args, result) = ended(rest)?;
    event(call, args, None);
    event(call, args, Some(result));
    Ok(())
}

fn ended(rest: &str) -> Result<(&str, i64)> {
    let (args, result) = rest.rsplit_once(" = ").context("no result")?;
    let number = result.split(' ').next().unwrap_or_default();
    // A process that ends has no result.
    Ok((args, if number == "?" { 0 } else { number.parse()? }))
}

/// The texts in quotes among arguments, as bytes.
pub fn buffers(args: &str) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = args.bytes().peekable();
    while let Some(b) = bytes.next() {
        if b != b'"' {
            continue;
        }
        let mut buffer = Vec::new();
        while let Some(b) = bytes.next() {
            match b {
                b'"' => break,
                b'\\' => buffer.extend(escaped(&mut bytes)),
                other => buffer.push(other),
            }
        }
        out.push(buffer);
    }
    out
}

fn escaped(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<u8> {
    let plain = |b| match b {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 0x0b,
        b'f' => 0x0c,
        other => other,
    };
    let first = bytes.next()?;
    if !(b'0'..=b'7').contains(&first) {
        return Some(plain(first));
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        match bytes.next_if(|b| (b'0'..=b'7').contains(b)) {
            Some(digit) => value = value * 8 + u32::from(digit - b'0'),
            None => break,
        }
    }
    Some(value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_overlap_are_put_together() -> Result<()> {
        let (mut begun, mut events) = (HashMap::new(), Vec::new());
        for line in [
            "7 fdatasync(3</a.log> <unfinished ...>",
            "8  sendto(4<socket:[1]>, \"a\\n\\1\\0012\\\"\", 2, 0) = 2",
            "7 <... fdatasync resumed>) = -1 EIO (Input/output error)",
        ] {
            one(line, &mut begun, &mut events)?;
        }
        let results: Vec<_> = events.iter().map(|e| (e.call.as_str(), e.result)).collect();
        let want = [("fdatasync", None), ("sendto", None), ("sendto", Some(2)), ("fdatasync", Some(-1))];
        assert_eq!(results, want);
        assert_eq!(buffers(&events[1].args), [b"a\n\x01\x012\"".to_vec()]);
        Ok(())
    }
}
