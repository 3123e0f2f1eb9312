//! System calls that strace recorded, and the rules of a seccomp filter that allow them.

use std::fs;

use serde_json::Value;

/// The strace command, which writes what [`Call::parse`] reads. The traced program remains the
/// child of the process that starts strace.
pub const STRACE: [&str; 9] = [
    "strace",
    "-D",
    "-f",
    "-qq",
    "-X",
    "raw",
    "-e",
    "raw=all",
    "-esignal=none",
];

/// One system call of a trace: its thread, its name, and its arguments as numbers.
#[derive(Clone, Debug)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    arguments: Vec<u64>,
}

impl Call {
    /// Parses a line `PID name(0x1, 0x2) = …`. It returns `None` for a line that resumes an
    /// unfinished call.
    pub fn parse(line: &str) -> Option<Self> {
        let (thread, call) = line.split_once(' ')?;
        let thread = thread.parse().ok()?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let arguments = rest.split([')', '<']).next()?;
        let number = |text: &str| match text.trim().strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.trim().parse().ok(),
        };
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            .then(|| Self {
                thread,
                name: name.to_owned(),
                arguments: arguments.split(',').map_while(number).collect(),
            })
    }

    /// Whether it is this call and its first arguments are these.
    pub fn is(&self, name: &str, first_arguments: &[u64]) -> bool {
        self.name == name && self.arguments.starts_with(first_arguments)
    }
}

/// The calls after the process has installed its last filter, which applies to all of them.
pub fn confined(calls: &[Call]) -> &[Call] {
    let last = calls
        .iter()
        .rposition(|call| call.name == "seccomp")
        .unwrap();
    &calls[last + 1..]
}

/// An entry of a policy.
#[derive(Debug)]
pub struct Rule {
    /// The call that it allows.
    pub call: String,
    conditions: Vec<Condition>,
}

/// The value that the masked bits of an argument must have, or must not have.
#[derive(Debug)]
struct Condition {
    index: usize,
    mask: u64,
    value: u64,
    must: bool,
}

impl Rule {
    /// The entries of `policies/seccomp/NAME.json` for this architecture.
    pub fn all(policy: &str) -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/seccomp");
        let text = fs::read_to_string(format!("{folder}/{policy}.json")).unwrap();
        let policy: Value = serde_json::from_str(&text).unwrap();
        let entries = policy["allow"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["arch"].is_null() || entry["arch"] == std::env::consts::ARCH)
            .map(|entry| Self {
                call: entry["syscall"].as_str().unwrap().to_owned(),
                conditions: entry["args"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(Condition::read)
                    .collect(),
            })
            .collect()
    }

    /// Whether it allows this call.
    pub fn allows(&self, call: &Call) -> bool {
        let holds = |condition: &Condition| {
            let argument = call.arguments.get(condition.index);
            argument.is_some_and(|argument| {
                (argument & condition.mask == condition.value) == condition.must
            })
        };
        self.call == call.name && self.conditions.iter().all(holds)
    }
}

impl Condition {
    fn read(entry: &Value) -> Self {
        let width = match entry["type"].as_str().unwrap() {
            "dword" => u64::from(u32::MAX),
            "qword" => u64::MAX,
            other => panic!("expected dword or qword, got {other}"),
        };
        let mask = match &entry["op"] {
            Value::String(op) if op == "eq" || op == "ne" => width,
            op => op["masked_eq"].as_u64().unwrap(),
        };
        Self {
            index: entry["index"].as_u64().unwrap().try_into().unwrap(),
            mask,
            must: entry["op"] != "ne",
            value: entry["val"].as_u64().unwrap(),
        }
    }
}

/// The call that a process makes only on a machine whose vDSO doesn't know the time.
pub const CLOCK: &str = "clock_gettime";

/// The unnecessary rules of a filter: those without which the filter would still allow each of the
/// calls. That for the clock isn't one of them.
pub fn spare<'a>(rules: &'a [Rule], calls: &[Call]) -> Vec<&'a Rule> {
    let alone = |place: usize, call: &Call| {
        let mut others = rules
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != place);
        rules[place].allows(call) && !others.any(|(_, other)| other.allows(call))
    };
    let needed = |place| calls.iter().any(|call| alone(place, call));
    (0..rules.len())
        .filter(|place| rules[*place].call != CLOCK && !needed(*place))
        .map(|place| &rules[place])
        .collect()
}
