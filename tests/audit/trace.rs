//! What strace wrote, as calls that begin and end in an order.
//!
//! A call stops in strace when it begins and when it ends, and goes on only when strace has seen it. So what
//! had to happen before something else stands before it in the trace.

use std::collections::HashMap;

/// One system call.
#[derive(Debug, Default, PartialEq)]
pub struct Call {
    pub name: String,
    /// Of the descriptor that is its first argument.
    pub path: String,
    pub descriptor: u64,
    /// The strings among its arguments: names, or what is written.
    pub strings: Vec<Vec<u8>>,
    /// The last argument, where it is a number.
    pub last: u64,
    pub creates: bool,
    /// What it returned; `None` when the process was gone before.
    pub result: Option<i64>,
}

impl Call {
    pub fn name_of(&self, index: usize) -> String {
        String::from_utf8_lossy(&self.strings[index]).into_owned()
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Begin(usize),
    End(usize),
}

#[derive(Debug, Default)]
pub struct Trace {
    pub calls: Vec<Call>,
    pub steps: Vec<Step>,
}

const UNFINISHED: &str = " <unfinished ...>";

impl Trace {
    /// Reads what `strace -f -y -xx` wrote.
    pub fn parse(text: &str) -> Trace {
        let mut trace = Trace::default();
        // Of each thread, the call it is in, and its arguments so far.
        let mut open: HashMap<&str, (usize, String)> = HashMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').expect("each line begins with a thread");
            let rest = rest.trim_start();
            if rest.starts_with("+++") || rest.starts_with("---") {
                continue;
            }
            let (call, arguments) = if let Some(rest) = rest.strip_prefix("<... ") {
                let (call, arguments) = open.remove(thread).expect("resumed is what was begun");
                let (_, rest) = rest.split_once(" resumed>").expect("so strace writes it");
                (call, arguments + rest)
            } else {
                let (name, arguments) = rest.split_once('(').expect("a call");
                let call = trace.calls.len();
                trace.calls.push(Call { name: name.to_string(), ..Call::default() });
                trace.steps.push(Step::Begin(call));
                if let Some(arguments) = arguments.strip_suffix(UNFINISHED) {
                    fill(&mut trace.calls[call], arguments);
                    open.insert(thread, (call, arguments.to_string()));
                    continue;
                }
                (call, arguments.to_string())
            };
            // Cut off: the process ended in it. Then the call has no end, which is the careful reading.
            let Some((arguments, result)) = arguments.rsplit_once(" = ") else { continue };
            let result = result.split([' ', '<']).next().and_then(|word| word.parse().ok());
            fill(&mut trace.calls[call], arguments.trim_end().trim_end_matches(')'));
            // "?": likewise.
            trace.calls[call].result = result;
            if result.is_some() {
                trace.steps.push(Step::End(call));
            }
        }
        trace.drop_echoes();
        trace
    }

    /// While the process is killed, strace may show for a thread the call that another one is in: it reads the
    /// call, fails, and shows what it read last. No two threads are in the same call with the same arguments.
    fn drop_echoes(&mut self) {
        let calls = &self.calls;
        let is_echo =
            |index: usize| calls[index].result.is_none() && calls[..index].contains(&calls[index]);
        self.steps.retain(|step| !matches!(step, Step::Begin(index) if is_echo(*index)));
    }
}

fn fill(call: &mut Call, arguments: &str) {
    let digits = arguments.find(|c: char| !c.is_ascii_digit()).unwrap_or(arguments.len());
    if let Some(path) = arguments[digits..].strip_prefix('<') {
        call.descriptor = arguments[..digits].parse().unwrap_or(u64::MAX);
        let end = path.find('>').unwrap_or(path.len());
        call.path = String::from_utf8_lossy(&decode(&path[..end])).into_owned();
    }
    call.strings = arguments.split('"').skip(1).step_by(2).map(decode).collect();
    call.last = arguments.rsplit(", ").next().and_then(|word| word.parse().ok()).unwrap_or(0);
    call.creates = arguments.contains("O_CREAT");
}

/// All bytes are written as `\x41`; what is not, as strace's own words in a path, is left as it is.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}
