//! The operations of `hull_ports::Runtime`, as calls of the supervisor.

use super::connection::CallError;
use super::driver::{Driver, MESSAGES, into_error, unexpected, unreachable_error};
use super::{kept, logs, remote, stats};
use crate::protocol::{Answer, AttachRequest, ExecRequest, Layers, Record, Request, StartRequest};
use async_trait::async_trait;
use hull_model::{ContainerId, ExitStatus};
use hull_ports::{
    AttachIo, AttachSpec, Bundle, ExecIo, ExecSpec, LogOptions, LogStream, ProcessRecord, Result, Runtime,
    RuntimeEvent, Started, Stats,
};
use jiff::Timestamp;
use oci_spec::runtime::LinuxResources;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast;

fn into_record(record: Record) -> ProcessRecord {
    ProcessRecord {
        paused: record.paused,
        id: record.id,
        started: Started { pid: record.pid, at: record.started },
        exit: record.exit.map(|exit| (exit.status, exit.at)),
    }
}

fn done(answer: &Answer) -> Result<()> {
    match answer {
        Answer::Done => Ok(()),
        other => Err(unexpected(other)),
    }
}

#[async_trait]
impl Runtime for Driver {
    async fn start(&self, bundle: &Bundle) -> Result<Started> {
        let request = StartRequest {
            id: bundle.id.clone(),
            spec: bundle.spec.clone(),
            rootfs: Layers {
                lower: bundle.rootfs.lower.clone(),
                upper: bundle.rootfs.upper.clone(),
                work: bundle.rootfs.work.clone(),
            },
            user: bundle.user.clone(),
            groups: bundle.groups.clone(),
            log: remote::resolved(&bundle.log).await?,
            init: bundle.init,
            stdin_open: bundle.stdin_open,
            stdin_once: bundle.stdin_once,
        };
        match self.0.persistent(Request::Start(Box::new(request))).await? {
            Answer::Started(record) => Ok(into_record(record).started),
            other => Err(unexpected(&other)),
        }
    }

    async fn list(&self) -> Result<Vec<ProcessRecord>> {
        match self.0.prompt(Request::List).await? {
            Answer::Records(records) => Ok(records.into_iter().map(into_record).collect()),
            other => Err(unexpected(&other)),
        }
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<()> {
        match self.0.call(Request::Signal(id.clone(), signal)).await? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (answer, _) => done(&answer),
        }
    }

    async fn kill(&self, id: &ContainerId) -> Result<()> {
        done(&self.0.prompt(Request::Kill(id.clone())).await?)
    }

    async fn wait(&self, id: &ContainerId) -> Result<(ExitStatus, Timestamp)> {
        match self.0.persistent(Request::Wait(id.clone())).await? {
            Answer::Exited(exit) => Ok((exit.status, exit.at)),
            other => Err(unexpected(&other)),
        }
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.0.events.subscribe()
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecIo> {
        let request = ExecRequest {
            args: spec.args.clone(),
            env: spec.env.clone(),
            cwd: spec.cwd.clone(),
            user: spec.user.clone(),
            tty: spec.tty,
            size: spec.size,
            stdin: spec.stdin,
            privileged: spec.privileged,
        };
        match self.0.call(Request::Exec(id.clone(), request)).await? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (Answer::Executing { exec, pid, terminal, stdin }, fds) => {
                let mut fds = fds.into_iter();
                let mut next = |wanted: bool| if wanted { fds.next() } else { None };
                let (terminal_fd, stdin_fd) = (next(terminal), next(stdin));
                let (stdout, stderr) = (next(!terminal), next(!terminal));
                Ok(ExecIo { exec, pid, stdin: stdin_fd, stdout, stderr, terminal: terminal_fd })
            }
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn exec_wait(&self, exec: &str) -> Result<ExitStatus> {
        match self.0.call(Request::ExecWait(exec.to_owned())).await? {
            (Answer::ExecExited(status), _) => Ok(status),
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn exec_kill(&self, exec: &str) -> Result<()> {
        done(&self.0.prompt(Request::ExecKill(exec.to_owned())).await?)
    }

    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<AttachIo> {
        let request = AttachRequest { stdin: spec.stdin, stdout: spec.stdout, stderr: spec.stderr };
        match self.0.call(Request::Attach(id.clone(), request)).await? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (Answer::Attached, fds) => {
                let mut fds = fds.into_iter();
                let mut next = |wanted: bool| if wanted { fds.next() } else { None };
                let (stdin, stdout, stderr) = (next(spec.stdin), next(spec.stdout), next(spec.stderr));
                Ok(AttachIo { stdin, stdout, stderr })
            }
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn resize(&self, id: &ContainerId, rows: u16, columns: u16) -> Result<()> {
        done(&self.0.prompt(Request::Resize(id.clone(), rows, columns)).await?)
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        // Not repeated: the second time it would be paused already.
        match self.0.call(Request::Pause(id.clone())).await? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (answer, _) => done(&answer),
        }
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        match self.0.call(Request::Resume(id.clone())).await? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (answer, _) => done(&answer),
        }
    }

    async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        kept::look(&self.0.state_dir, id, |state| state.cgroup.processes()).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        kept::look(&self.0.state_dir, id, |state| stats::read(&state.cgroup, state.pid)).await
    }

    async fn update(&self, id: &ContainerId, resources: &LinuxResources) -> Result<()> {
        done(&self.0.persistent(Request::Update(id.clone(), Box::new(resources.clone()))).await?)
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        logs::open(&self.0.state_dir, id, options)
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        done(&self.0.persistent(Request::Remove(id.clone())).await?)?;
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).retain(|(told, _)| told != id);
        Ok(())
    }

    async fn reset(&self) -> Result<()> {
        let connection = self.0.connected().await?;
        self.0.resting.store(true, Ordering::Release);
        let lost = |error: CallError| unreachable_error(&self.0.run_dir).because(error);
        match connection.call(Request::Reset).await.map_err(lost)? {
            (Answer::Failed(failure), _) => Err(into_error(failure)),
            (answer, _) => {
                let _ = std::fs::remove_file(self.0.run_dir.join(MESSAGES));
                done(&answer)
            }
        }
    }
}
