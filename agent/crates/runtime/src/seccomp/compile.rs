//! The compiler: a balanced tree over system call numbers, so that a call costs about ten instructions instead of hundreds,
//! and the kernel's own walk over all numbers when a filter is loaded is short too.

use super::numbers::{ARCHITECTURE, number};
use crate::failure::{Failure, Result};
use hull_sys::seccomp::Instruction;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator as Op,
};
use std::collections::BTreeMap;

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

const KILL_PROCESS: u32 = 0x8000_0000;
const X32_BIT: u32 = 0x4000_0000;

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

/// One way a system call may go on: if all conditions hold, or always if there are none.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    verdict: u32,
    conditions: Vec<LinuxSeccompArg>,
}

/// Compiles a filter for this architecture. Calls by other architectures' entry points kill the process. Names this
/// architecture or this program does not know are left out, as the default action covers them.
///
/// # Errors
/// An action or argument that cannot be expressed, or a program the kernel would not take for its length.
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Filter> {
    let default = verdict(seccomp.default_action(), seccomp.default_errno_ret())?;
    let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    for group in seccomp.syscalls().iter().flatten() {
        let verdict = verdict(group.action(), group.errno_ret())?;
        let conditions = group.args().clone().unwrap_or_default();
        if conditions.iter().any(|c| c.index() > 5) {
            return Err(refused("an argument's index is above 5"));
        }
        for name in group.names() {
            if let Some(number) = number(name) {
                rules.entry(number).or_default().push(Rule { verdict, conditions: conditions.clone() });
            }
        }
    }
    let mut program = prologue();
    tree(&segments(rules, default), default, &mut program);
    if program.len() > 4096 {
        return Err(refused(format!("the filter has {} instructions, the kernel takes 4096", program.len())));
    }
    Ok(Filter { program, flags: flags(seccomp)? })
}

fn refused(reason: impl Into<String>) -> Failure {
    Failure::permanent("reading linux.seccomp", reason)
}

fn verdict(action: Action, errno: Option<u32>) -> Result<u32> {
    let data = |default: u32| errno.unwrap_or(default) & 0xffff;
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => 0,
        Action::ScmpActKillProcess => KILL_PROCESS,
        Action::ScmpActTrap => 0x0003_0000,
        Action::ScmpActErrno => 0x0005_0000 | data(libc::EPERM as u32),
        Action::ScmpActTrace => 0x7ff0_0000 | data(libc::EPERM as u32),
        Action::ScmpActLog => 0x7ffc_0000,
        Action::ScmpActAllow => 0x7fff_0000,
        Action::ScmpActNotify => return Err(refused("SCMP_ACT_NOTIFY is not supported")),
    })
}

fn flags(seccomp: &LinuxSeccomp) -> Result<u32> {
    let mut bits = 0;
    for flag in seccomp.flags().iter().flatten() {
        bits |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => 2,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => 4,
            // There is one thread when the filter is loaded, so there is nothing to keep in step.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(refused("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is not supported"));
            }
        };
    }
    Ok(bits)
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Kills what does not come by this architecture's entry point; leaves the call's number in the accumulator.
fn prologue() -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD_WORD, 4),
        branch(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        plain(RETURN, KILL_PROCESS),
        plain(LOAD_WORD, 0),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([
            branch(JUMP_GREATER_EQUAL, X32_BIT, 0, 1),
            plain(RETURN, 0x0005_0000 | libc::ENOSYS as u32),
        ]);
    }
    program
}

/// A run of numbers, from `first` to the next segment, that all go the same way.
struct Segment {
    first: u32,
    rules: Vec<Rule>,
}

fn segments(rules: BTreeMap<u32, Vec<Rule>>, default: u32) -> Vec<Segment> {
    let nothing = || vec![Rule { verdict: default, conditions: Vec::new() }];
    let mut segments = vec![Segment { first: 0, rules: nothing() }];
    let mut push = |first: u32, rules: Vec<Rule>| match segments.last_mut() {
        Some(last) if last.first == first => last.rules = rules,
        Some(last) if last.rules == rules && rules.iter().all(|r| r.conditions.is_empty()) => {}
        _ => segments.push(Segment { first, rules }),
    };
    let mut next = 0;
    for (number, rules) in rules {
        if number > next {
            push(next, nothing());
        }
        push(number, simplify(rules));
        next = number + 1;
    }
    push(next, nothing());
    segments
}

/// Conditional rules first; of the unconditional ones the first ends the list.
fn simplify(rules: Vec<Rule>) -> Vec<Rule> {
    let (always, mut result): (Vec<_>, Vec<_>) = rules.into_iter().partition(|r| r.conditions.is_empty());
    if let Some(always) = always.into_iter().next() {
        result.retain(|rule| rule.verdict != always.verdict);
        result.push(always);
    }
    result
}

fn tree(segments: &[Segment], default: u32, program: &mut Vec<Instruction>) {
    if let [only] = segments {
        leaf(&only.rules, default, program);
        return;
    }
    let (low, high) = segments.split_at(segments.len() / 2);
    program.push(branch(JUMP_GREATER_EQUAL, high[0].first, 0, 1));
    let jump = program.len();
    program.push(plain(JUMP, 0));
    tree(low, default, program);
    program[jump].k = (program.len() - jump - 1) as u32;
    tree(high, default, program);
}

fn leaf(rules: &[Rule], default: u32, program: &mut Vec<Instruction>) {
    for rule in rules {
        let body: Vec<Vec<Instruction>> = rule.conditions.iter().map(condition).collect();
        let mut left: usize = body.iter().map(Vec::len).sum();
        for part in body {
            left -= part.len();
            let length = part.len();
            for (index, mut instruction) in part.into_iter().enumerate() {
                // Targets are written as MATCH or MISS and become distances here: to the end of this condition, or past
                // the rule's return.
                let rest = length - index - 1;
                for target in [&mut instruction.jt, &mut instruction.jf] {
                    match *target {
                        MATCH => *target = rest as u8,
                        MISS => *target = (rest + left + 1) as u8,
                        _ => {}
                    }
                }
                program.push(instruction);
            }
        }
        program.push(plain(RETURN, rule.verdict));
        if rule.conditions.is_empty() {
            return;
        }
    }
    program.push(plain(RETURN, default));
}

const MATCH: u8 = 254;
const MISS: u8 = 255;

/// Compares a 64-bit argument in two halves, high word first. Both architectures are little-endian.
fn condition(argument: &LinuxSeccompArg) -> Vec<Instruction> {
    let low = plain(LOAD_WORD, 16 + 8 * argument.index() as u32);
    let high = plain(LOAD_WORD, low.k + 4);
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let (value_high, value_low) = halves(argument.value());
    let ordered = |code: u16, yes: u8, no: u8, above: u8, below: u8| {
        vec![
            high,
            branch(JUMP_GREATER, value_high, above, 0),
            branch(JUMP_EQUAL, value_high, 0, below),
            low,
            branch(code, value_low, yes, no),
        ]
    };
    match argument.op() {
        Op::ScmpCmpEq => {
            vec![
                high,
                branch(JUMP_EQUAL, value_high, 0, MISS),
                low,
                branch(JUMP_EQUAL, value_low, MATCH, MISS),
            ]
        }
        Op::ScmpCmpNe => {
            vec![
                high,
                branch(JUMP_EQUAL, value_high, 0, MATCH),
                low,
                branch(JUMP_EQUAL, value_low, MISS, MATCH),
            ]
        }
        Op::ScmpCmpGt => ordered(JUMP_GREATER, MATCH, MISS, MATCH, MISS),
        Op::ScmpCmpGe => ordered(JUMP_GREATER_EQUAL, MATCH, MISS, MATCH, MISS),
        Op::ScmpCmpLt => ordered(JUMP_GREATER_EQUAL, MISS, MATCH, MISS, MATCH),
        Op::ScmpCmpLe => ordered(JUMP_GREATER, MISS, MATCH, MISS, MATCH),
        Op::ScmpCmpMaskedEq => {
            let (wanted_high, wanted_low) = halves(argument.value_two().unwrap_or(0));
            vec![
                high,
                plain(AND, value_high),
                branch(JUMP_EQUAL, wanted_high, 0, MISS),
                low,
                plain(AND, value_low),
                branch(JUMP_EQUAL, wanted_low, MATCH, MISS),
            ]
        }
    }
}
