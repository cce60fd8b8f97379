//! Whether a container that ended is started again.

use crate::backoff::RESTART;
use hull_model::{ContainerRecord, ContainerState, Owner, RestartPolicy};
use jiff::{SignedDuration, Timestamp};

/// A container that ran this long is healthy: its next failure is the first in a row again.
const STABLE: SignedDuration = SignedDuration::from_secs(10);

/// What becomes of a container that is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Stay,
    /// It is started at that time, or now if that has passed.
    At(Timestamp),
}

/// Decides for one container. Running and never started ones stay: the latter are started by whoever made them.
pub fn restart(container: &ContainerRecord, now: Timestamp) -> Verdict {
    let ContainerState::Exited { exit, started, finished } = &container.state else {
        return Verdict::Stay;
    };
    if !container.wanted {
        return Verdict::Stay;
    }
    if exit.interrupted {
        // Going down with the host is a failure too.
        let survives = container.owner == Owner::HostSpec || container.spec.restart != RestartPolicy::No;
        return if survives { Verdict::At(now) } else { Verdict::Stay };
    }
    let in_a_row = failures_in_a_row(container.restarts, *started, *finished);
    let again = match container.spec.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max_retries } => {
            exit.code != 0 && max_retries.is_none_or(|max| in_a_row < max)
        }
    };
    if again { Verdict::At(RESTART.due(in_a_row + 1, *finished, now)) } else { Verdict::Stay }
}

/// How many restarts count against a container: none if it ran long enough the last time.
pub fn failures_in_a_row(restarts: u32, started: Option<Timestamp>, finished: Timestamp) -> u32 {
    match started {
        Some(started) if finished.duration_since(started) >= STABLE => 0,
        _ => restarts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{ContainerId, ContainerSpec, Digest, ExitStatus, Name, Reference};

    fn exited(policy: RestartPolicy, code: i32, restarts: u32, ran_ms: i64) -> ContainerRecord {
        let mut spec = ContainerSpec::new(Name::new("a").unwrap(), Reference::parse("a").unwrap());
        spec.restart = policy;
        let at = |ms| Timestamp::from_millisecond(1_000_000 + ms).unwrap();
        ContainerRecord {
            id: ContainerId::from_random([1; 32]),
            spec,
            image: Digest::from_sha256([0; 32]),
            owner: Owner::Docker,
            created: at(0),
            state: ContainerState::Exited {
                exit: ExitStatus { code, ..ExitStatus::default() },
                started: Some(at(0)),
                finished: at(ran_ms),
            },
            wanted: true,
            restarts,
            addresses: Default::default(),
            published: Vec::new(),
            request: None,
        }
    }

    #[test]
    fn policies_decide_as_docker_does() {
        let now = Timestamp::from_second(2_000).unwrap();
        let bounded = RestartPolicy::OnFailure { max_retries: Some(3) };
        let unbounded = RestartPolicy::OnFailure { max_retries: None };
        let rows = [
            ("no", RestartPolicy::No, 1, 0, false),
            ("always after success", RestartPolicy::Always, 0, 0, true),
            ("unless-stopped", RestartPolicy::UnlessStopped, 0, 99, true),
            ("on-failure after success", unbounded, 0, 0, false),
            ("on-failure after failure", unbounded, 1, 1_000, true),
            ("on-failure:3, third", bounded, 1, 2, true),
            ("on-failure:3, fourth", bounded, 1, 3, false),
        ];
        for (case, policy, code, restarts, again) in rows {
            let verdict = restart(&exited(policy, code, restarts, 5), now);
            assert_eq!(verdict != Verdict::Stay, again, "{case}");
        }
        let mut stopped = exited(RestartPolicy::Always, 0, 0, 5);
        stopped.wanted = false;
        assert_eq!(restart(&stopped, now), Verdict::Stay, "stopped by a person");
    }

    #[test]
    fn waits_grow_and_are_forgotten_after_a_good_run() {
        let now = Timestamp::from_millisecond(1_000_005).unwrap();
        let wait = |restarts, ran| match restart(&exited(RestartPolicy::Always, 1, restarts, ran), now) {
            Verdict::At(at) => at.as_millisecond() - 1_000_000 - ran,
            Verdict::Stay => panic!("stays"),
        };
        assert_eq!(wait(0, 5), 100);
        assert_eq!(wait(3, 5), 800);
        assert_eq!(wait(40, 5), 60_000);
    }

    #[test]
    fn a_host_restart_brings_back_what_the_host_spec_declares() {
        let now = Timestamp::from_second(2_000).unwrap();
        let mut record = exited(RestartPolicy::No, 137, 0, 5);
        if let ContainerState::Exited { exit, .. } = &mut record.state {
            exit.interrupted = true;
        }
        assert_eq!(restart(&record, now), Verdict::Stay);
        record.owner = Owner::HostSpec;
        assert_eq!(restart(&record, now), Verdict::At(now));
    }
}
