//! Proving that nothing is lost and nothing is left over.

use crate::engine::Engine;
use crate::remove::remove_dir;
use hull_model::ContainerId;
use hull_ports::{CheckReport, Error, Result};
use std::collections::BTreeSet;

impl Engine {
    /// Looks at every object of the host: images and their layers, files of containers, volumes, processes. With `repair`,
    /// removes what nobody needs; data of volumes is never removed.
    pub async fn check(&self, repair: bool) -> Result<CheckReport> {
        let mut report = self.inner.drivers.images.check(repair).await?;
        let records = self.inner.records.all();
        let ids: BTreeSet<&ContainerId> = records.iter().map(|s| &s.record.id).collect();
        self.check_files(&ids, repair, &mut report)?;
        self.check_volumes(&mut report).await?;
        for process in self.inner.drivers.runtime.list().await? {
            report.checked += 1;
            if !ids.contains(&process.id) {
                report.orphans.push(format!(
                    "process {} of container {}",
                    process.started.pid,
                    process.id.short()
                ));
            }
        }
        for stored in &records {
            report.checked += 1;
            if self.inner.drivers.images.image(&stored.record.image).await?.is_none() {
                let name = &stored.record.spec.name;
                report
                    .damaged
                    .push(format!("container {name}: its image {} is gone", stored.record.image.short()));
            }
        }
        report.repaired = repair;
        Ok(report)
    }

    fn check_files(
        &self,
        ids: &BTreeSet<&ContainerId>,
        repair: bool,
        report: &mut CheckReport,
    ) -> Result<()> {
        let dir = &self.inner.settings.files_dir;
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(Error::retryable(format!("reading {}", dir.display())).because(error));
            }
        };
        for entry in entries.flatten() {
            report.checked += 1;
            let name = entry.file_name();
            if ids.iter().any(|id| name == id.as_str()) {
                continue;
            }
            report.orphans.push(format!("files of container {}", name.to_string_lossy()));
            if repair {
                remove_dir(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Volumes on the disk and in the ledger must be the same.
    async fn check_volumes(&self, report: &mut CheckReport) -> Result<()> {
        let known: BTreeSet<_> = self.volumes().await?.into_iter().map(|v| v.name).collect();
        let there: BTreeSet<_> = self.inner.drivers.volumes.list().await?.into_iter().collect();
        report.checked += there.union(&known).count() as u64;
        report.orphans.extend(there.difference(&known).map(|v| format!("volume {v}: nobody knows of it")));
        report.damaged.extend(known.difference(&there).map(|v| format!("volume {v}: its data is gone")));
        Ok(())
    }
}
