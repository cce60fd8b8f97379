//! `ps` for containers: read from /proc for the container's own processes. No program is run, in the container or outside.

mod column;
mod options;
mod process;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use column::Column;
use process::{Host, Process};
use serde_json::json;
use std::path::Path as FilePath;

/// What is shown without a word about it.
const USUAL: &str = "-ef";

/// `GET /containers/{id}/top`
pub(crate) async fn top(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let text = query.text("ps_args").unwrap_or(USUAL);
    let columns = options::columns(text).map_err(ApiError::internal)?;
    if !columns.iter().any(|(title, _)| title == "PID") {
        return Err(ApiError::internal("Couldn't find PID field in ps output"));
    }
    let record = state.engine.find(&id).await?;
    if !record.state.is_running() {
        return Err(ApiError::conflict(format!("container {} is not running", record.id)));
    }
    if state.engine.will_restart(&record) {
        return Err(ApiError::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            record.id
        )));
    }
    let pids = state.engine.processes_of(&record.id).await?;
    let now = state.engine.drivers().clock.now();
    let read = move || table(FilePath::new("/proc"), FilePath::new("/etc/passwd"), &pids, &columns, now);
    let (titles, rows) =
        tokio::task::spawn_blocking(read).await.map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(Json(json!({ "Processes": rows, "Titles": titles })).into_response())
}

/// Titles and one row for each process that is still there.
fn table(
    proc: &FilePath,
    passwd: &FilePath,
    pids: &[i32],
    columns: &[(String, Column)],
    now: jiff::Timestamp,
) -> (Vec<String>, Vec<Vec<String>>) {
    let host = Host::read(proc, passwd, now);
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    let processes = pids.iter().filter_map(|pid| Process::read(proc, *pid));
    let row = |process: Process| columns.iter().map(|(_, column)| column.show(&process, &host)).collect();
    (columns.iter().map(|(title, _)| title.clone()).collect(), processes.map(row).collect())
}

/// Whether ps knows such options.
#[cfg(fuzzing)]
pub(crate) fn columns(text: &str) -> bool {
    options::columns(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_shown() {
        let columns = options::columns("-eo pid,ppid,user,comm,args,stat,nlwp,pcpu,etime,rss").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let now = jiff::Timestamp::now();
        let (titles, rows) =
            table(FilePath::new("/proc"), FilePath::new("/etc/passwd"), &[pid, i32::MAX], &columns, now);
        assert_eq!(titles[..4], ["PID", "PPID", "USER", "COMMAND"]);
        assert_eq!(rows.len(), 1, "a process that is gone has no row");
        assert_eq!(rows[0][0], pid.to_string());
        assert!(rows[0].iter().all(|cell| !cell.is_empty()), "{rows:?}");
    }
}
