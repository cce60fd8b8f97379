//! Rules for devices as a program that the kernel asks at every use of a device (`BPF_PROG_TYPE_CGROUP_DEVICE`), or as lines for
//! version 1's devices controller.
//!
//! The program keeps the kinds of access that are not decided yet in a register, and goes through the rules from the last to
//! the first: one that forbids what is undecided ends with no, one that allows takes its kinds away, and when none is left the
//! answer is yes. What no rule decides is forbidden.

use super::{Cgroup, Cgroups, v1, write};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::{DeviceAccess, DeviceRule, MAKE, READ, WRITE};
use hull_sys::bpf::{self, Instruction};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const JUMP_NOT_EQUAL: u8 = 0x55;
/// Jumps if a bit of the operand is set.
const JUMP_SET: u8 = 0x45;
const JUMP: u8 = 0x05;
const EXIT: u8 = 0x95;

/// The answer.
const R0: u8 = 0;
/// `struct bpf_cgroup_dev_ctx`: kind in the low and access in the high half of the first word, then major and minor number.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

fn with(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, immediate }
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: register | CONTEXT << 4, offset, immediate: 0 }
}

/// The last few programs that the kernel has; nearly all containers of a host have the same one. Checking a program takes the
/// kernel ten times as long as attaching it.
#[derive(Debug, Default)]
pub struct Programs(Vec<(Vec<DeviceRule>, OwnedFd)>);

const KEPT: usize = 8;

impl Programs {
    fn get(&mut self, rules: &[DeviceRule]) -> io::Result<BorrowedFd<'_>> {
        if let Some(at) = self.0.iter().position(|(known, _)| known == rules) {
            let entry = self.0.remove(at);
            self.0.push(entry);
        } else {
            let program = bpf::load_device_program(&program(rules))?;
            if self.0.len() == KEPT {
                self.0.remove(0);
            }
            self.0.push((rules.to_vec(), program));
        }
        Ok(self.0[self.0.len() - 1].1.as_fd())
    }
}

/// Makes the kernel keep a container to its rules. Where it cannot, a container with no more than every container has is let go
/// on: its file systems are `nodev`, so that it can open no device but those it is shown.
pub(super) fn restrict(
    cgroups: &Cgroups,
    cgroup: &mut Cgroup,
    id: &str,
    access: &DeviceAccess,
    programs: &mut Programs,
) -> Result<()> {
    let Some(rules) = &access.rules else { return Ok(()) };
    let what = || format!("restricting the devices of {}", cgroup.unified.display());
    let mut attach = || bpf::attach_device_program(cgroup.open()?.as_fd(), programs.get(rules)?);
    let failure = match attach() {
        Ok(()) => return Ok(()),
        Err(error) => Failure::from_io(what(), &error).remedy("the kernel needs CONFIG_CGROUP_BPF"),
    };
    match cgroups {
        Cgroups::Hybrid { root } if root.join("devices/cgroup.procs").exists() => {
            split(root, cgroup, id, rules)
        }
        _ if access.required => Err(failure),
        _ => Ok(()),
    }
}

/// Version 1 of the same.
fn split(root: &Path, cgroup: &mut Cgroup, id: &str, rules: &[DeviceRule]) -> Result<()> {
    let place = v1::place_of(root, cgroup, id);
    let directory = v1::join(root, "devices", &place, cgroup)?;
    for (allow, line) in lines(rules) {
        let file = if allow { "devices.allow" } else { "devices.deny" };
        write::raw(&directory.join(file), &line)
            .doing(|| format!("setting {file} of {} to {line:?}", directory.display()))?;
    }
    Ok(())
}

/// Compiles rules.
pub(super) fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        Instruction { code: MOVE_REGISTER, registers: UNDECIDED | KIND << 4, offset: 0, immediate: 0 },
        with(AND, KIND, 0xffff),
        with(SHIFT_RIGHT, UNDECIDED, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        program.extend(one(rule));
    }
    program.extend([with(MOVE, R0, 0), with(EXIT, 0, 0)]);
    program
}

fn one(rule: &DeviceRule) -> Vec<Instruction> {
    let body = if rule.allow {
        vec![
            with(AND, UNDECIDED, i32::from(!rule.access & (MAKE | READ | WRITE))),
            Instruction { offset: 2, ..with(JUMP_NOT_EQUAL, UNDECIDED, 0) },
            with(MOVE, R0, 1),
            with(EXIT, 0, 0),
        ]
    } else {
        vec![
            Instruction { offset: 1, ..with(JUMP_SET, UNDECIDED, i32::from(rule.access)) },
            Instruction { offset: 2, ..with(JUMP, 0, 0) },
            with(MOVE, R0, 0),
            with(EXIT, 0, 0),
        ]
    };
    let kind = rule.character.map(|character| (KIND, if character { CHARACTER } else { BLOCK }));
    // Numbers of devices have at most 20 bits, so they are never negative as operands.
    let number =
        |register: u8, number: Option<u32>| number.map(|n| (register, n.min(i32::MAX as u32) as i32));
    let conditions: Vec<(u8, i32)> =
        [kind, number(MAJOR, rule.major), number(MINOR, rule.minor)].into_iter().flatten().collect();
    let mut all = Vec::new();
    for (index, (register, value)) in conditions.iter().enumerate() {
        let past = conditions.len() - index - 1 + body.len();
        all.push(Instruction { offset: past as i16, ..with(JUMP_NOT_EQUAL, *register, *value) });
    }
    all.extend(body);
    all
}

/// Lines for `devices.deny` (false) and `devices.allow` (true), in order.
pub(super) fn lines(rules: &[DeviceRule]) -> Vec<(bool, String)> {
    let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let mut lines = vec![(false, "a".to_owned())];
    for rule in rules {
        let access: String = [('r', READ), ('w', WRITE), ('m', MAKE)]
            .iter()
            .filter(|(_, bit)| rule.access & bit != 0)
            .map(|(c, _)| *c)
            .collect();
        let kinds: &[char] = match rule.character {
            Some(true) => &['c'],
            Some(false) => &['b'],
            None => &['b', 'c'],
        };
        // The controller reads "a" as everything whatever follows, so both kinds are named.
        for kind in kinds {
            lines
                .push((rule.allow, format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the kernel does with the program.
    fn run(program: &[Instruction], access: u32, kind: u32, major: u32, minor: u32) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        for _ in 0..10_000 {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            let jump = |holds: bool| if holds { usize::try_from(offset).unwrap() } else { 0 };
            match code {
                LOAD_WORD => registers[to] = u64::from(context[usize::try_from(offset).unwrap() / 4]),
                AND => registers[to] = u64::from(registers[to] as u32 & immediate as u32),
                SHIFT_RIGHT => registers[to] = u64::from(registers[to] as u32 >> immediate),
                MOVE => registers[to] = immediate as u64,
                MOVE_REGISTER => registers[to] = registers[from],
                JUMP_NOT_EQUAL => at += jump(registers[to] != immediate as u64),
                JUMP_SET => at += jump(registers[to] & immediate as u64 != 0),
                JUMP => at += jump(true),
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
        panic!("the program does not end");
    }

    /// What the rules mean: each kind of access is decided by the last rule that fits.
    fn meant(rules: &[DeviceRule], access: u8, character: bool, major: u32, minor: u32) -> bool {
        [MAKE, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let fits = |r: &&DeviceRule| {
                r.access & bit != 0
                    && r.character.is_none_or(|c| c == character)
                    && r.major.is_none_or(|m| m == major)
                    && r.minor.is_none_or(|m| m == minor)
            };
            rules.iter().rev().find(fits).is_some_and(|r| r.allow)
        })
    }

    fn rule() -> impl Strategy<Value = DeviceRule> {
        let number = || proptest::option::of(0u32..3);
        (any::<bool>(), proptest::option::of(any::<bool>()), number(), number(), 1u8..8).prop_map(
            |(allow, character, major, minor, access)| DeviceRule { allow, character, major, minor, access },
        )
    }

    proptest! {
        #[test]
        fn the_program_means_what_the_rules_mean(
            rules in proptest::collection::vec(rule(), 0..8),
            access in 1u8..8, character in any::<bool>(), major in 0u32..3, minor in 0u32..3,
        ) {
            let program = program(&rules);
            let kind = if character { 2 } else { 1 };
            prop_assert_eq!(
                run(&program, u32::from(access), kind, major, minor),
                meant(&rules, access, character, major, minor)
            );
        }
    }

    #[test]
    fn the_kernel_takes_the_program() {
        let deny = DeviceRule { allow: false, character: None, major: None, minor: None, access: 7 };
        let null =
            DeviceRule { allow: true, character: Some(true), major: Some(1), minor: Some(3), access: READ };
        let program = program(&[deny, null]);
        let fd =
            hull_sys::bpf::load_device_program(&program).expect("root and a kernel with CONFIG_CGROUP_BPF");
        drop(fd);
    }

    #[test]
    fn version_1_gets_lines() {
        let deny = DeviceRule { allow: false, character: None, major: None, minor: None, access: 7 };
        let loops = DeviceRule {
            allow: true,
            character: Some(false),
            major: Some(7),
            minor: None,
            access: READ | WRITE,
        };
        let expected = [
            (false, "a".to_owned()),
            (false, "b *:* rwm".to_owned()),
            (false, "c *:* rwm".to_owned()),
            (true, "b 7:* rw".to_owned()),
        ];
        assert_eq!(lines(&[deny, loops]), expected);
    }
}
