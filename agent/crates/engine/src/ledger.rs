//! The ledger: what was decided and must survive a crash of the agent and a power cut.
//!
//! One SQLite database in WAL mode. A change that promises something to a person or names data on disk is synced before it
//! returns; a change of a container's state is not (the runtime's own record is the truth there), so a start costs no fsync
//! here. Every row carries its value as JSON: an agent that is older than the row ignores what it does not know.

use hull_model::{ContainerId, ContainerRecord, HostSpec, Name, NetworkRecord, VolumeRecord};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Schema this agent writes.
const VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, boot TEXT NOT NULL, record TEXT NOT NULL);
    CREATE TABLE networks (name TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE host_specs (generation INTEGER PRIMARY KEY, accepted TEXT NOT NULL, spec TEXT NOT NULL);
";
/// How many generations of the HostSpec are kept.
const KEPT_GENERATIONS: u32 = 16;

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database could not be opened.
    #[error("opening the ledger {}", path.display())]
    Open {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It was written by an agent whose schema this one does not know.
    #[error("the ledger {} has schema {found}, this agent knows up to {VERSION}; start a newer agent", path.display())]
    TooNew {
        /// Its file.
        path: PathBuf,
        /// The schema found.
        found: i64,
    },
    /// Its pages contradict each other.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// It is damaged, and could not be put aside.
    #[error("putting the damaged ledger {} aside", path.display())]
    Replace {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A statement failed.
    #[error("{doing} in the ledger")]
    Statement {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// A row's value is not what it should be.
    #[error("{doing} in the ledger: a row cannot be understood")]
    Value {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

type Result<T> = std::result::Result<T, LedgerError>;

impl LedgerError {
    /// Whether the file itself is bad, and would be so the next time.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Open { source, .. } | Self::Statement { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
                    // A table that is not there, in a file that says it has our schema.
                    || source.to_string().contains("no such table")
            }
            Self::Damaged(_) | Self::Value { .. } => true,
            Self::TooNew { .. } | Self::Replace { .. } => false,
        }
    }
}

/// Whether a change must be on the disk before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It must.
    Synced,
    /// A power cut may take it back; a crash of the agent may not.
    Relaxed,
}

impl Durability {
    /// Of a container's end. One that goes with its process does so again after a power cut.
    pub(crate) fn of_removal(record: &ContainerRecord) -> Self {
        if record.spec.auto_remove { Self::Relaxed } else { Self::Synced }
    }
}

/// The open ledger. Calls block for as long as the disk does.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
}

fn statement(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> LedgerError {
    move |source| LedgerError::Statement { doing, source }
}

fn encode<T: Serialize>(doing: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|source| LedgerError::Value { doing, source })
}

fn decode<T: DeserializeOwned>(doing: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| LedgerError::Value { doing, source })
}

impl Ledger {
    /// Opens the ledger in a file, making it if there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |source| LedgerError::Open { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(fail)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "full").map_err(fail)?;
        let found: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
        if found > VERSION {
            return Err(LedgerError::TooNew { path: path.to_owned(), found });
        }
        if found == 0 {
            let create = format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;");
            connection.execute_batch(&create).map_err(fail)?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Opens the ledger, and puts a damaged one aside for a new one: a host without memory of its containers makes them
    /// again, a host without an agent cannot be reached. Returns also where the damaged one was put, and what was wrong.
    /// One that cannot be read for another reason, or is of a newer agent, is an error.
    pub fn open_or_replace(
        path: &Path,
        now: jiff::Timestamp,
    ) -> Result<(Self, Option<(PathBuf, LedgerError)>)> {
        let error = match Self::open(path).and_then(|ledger| ledger.check().map(|()| ledger)) {
            Ok(ledger) => return Ok((ledger, None)),
            Err(error) if error.is_damage() || path.is_dir() => error,
            Err(error) => return Err(error),
        };
        let aside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let damaged = aside(&format!(".damaged-{}", now.as_second()));
        for suffix in ["-wal", "-shm", ""] {
            let mut target = damaged.clone().into_os_string();
            target.push(suffix);
            match std::fs::rename(aside(suffix), target) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(LedgerError::Replace { path: path.to_owned(), source });
                }
                _ => {}
            }
        }
        Ok((Self::open(path)?, Some((damaged, error))))
    }

    /// Reads everything once.
    fn check(&self) -> Result<()> {
        const DOING: &str = "checking pages";
        let verdict: String = self.with(Durability::Relaxed, |connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(statement(DOING))
        })?;
        if verdict != "ok" {
            return Err(LedgerError::Damaged(verdict));
        }
        self.containers()?;
        self.networks()?;
        self.volumes()?;
        self.host_spec().map(drop)
    }

    /// Runs statements with the given durability. A panic of another caller cannot have left half a change: SQLite
    /// rolls back what was not committed, so a poisoned lock is as good as any.
    fn with<T>(&self, durability: Durability, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let level = match durability {
            Durability::Synced => "full",
            Durability::Relaxed => "normal",
        };
        connection.pragma_update(None, "synchronous", level).map_err(statement("choosing durability"))?;
        work(&connection)
    }

    fn records<T: DeserializeOwned>(&self, doing: &'static str, query: &str) -> Result<Vec<T>> {
        self.with(Durability::Relaxed, |connection| {
            let mut prepared = connection.prepare_cached(query).map_err(statement(doing))?;
            let rows = prepared.query_map([], |row| row.get::<_, String>(0)).map_err(statement(doing))?;
            rows.map(|row| decode(doing, &row.map_err(statement(doing))?)).collect()
        })
    }

    /// Every container, with the boot in which its state was written.
    pub(crate) fn containers(&self) -> Result<Vec<(ContainerRecord, String)>> {
        const DOING: &str = "listing containers";
        self.with(Durability::Relaxed, |connection| {
            let query = "SELECT record, boot FROM containers ORDER BY rowid";
            let mut prepared = connection.prepare_cached(query).map_err(statement(DOING))?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
            let rows = prepared.query_map([], row).map_err(statement(DOING))?;
            rows.map(|row| {
                let (record, boot) = row.map_err(statement(DOING))?;
                Ok((decode(DOING, &record)?, boot))
            })
            .collect()
        })
    }

    /// Writes a container, new or changed.
    pub(crate) fn put_container(
        &self,
        record: &ContainerRecord,
        boot: &str,
        durability: Durability,
    ) -> Result<()> {
        const DOING: &str = "writing a container";
        let text = encode(DOING, record)?;
        self.with(durability, |connection| {
            let query = "INSERT INTO containers (id, name, boot, record) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (id) DO UPDATE SET name = ?2, boot = ?3, record = ?4";
            let mut prepared = connection.prepare_cached(query).map_err(statement(DOING))?;
            prepared
                .execute(params![record.id.as_str(), record.spec.name.as_str(), boot, text])
                .map_err(statement(DOING))?;
            Ok(())
        })
    }

    /// Forgets a container.
    pub(crate) fn remove_container(&self, id: &ContainerId, durability: Durability) -> Result<()> {
        let query = "DELETE FROM containers WHERE id = ?1";
        self.delete("removing a container", query, id.as_str(), durability)
    }

    /// Every network.
    pub(crate) fn networks(&self) -> Result<Vec<NetworkRecord>> {
        self.records("listing networks", "SELECT record FROM networks ORDER BY name")
    }

    /// Writes a network.
    pub(crate) fn put_network(&self, record: &NetworkRecord) -> Result<()> {
        let query = "INSERT OR REPLACE INTO networks (name, record) VALUES (?1, ?2)";
        self.put("writing a network", query, &record.name, record)
    }

    /// Forgets a network.
    pub(crate) fn remove_network(&self, name: &Name) -> Result<()> {
        self.delete(
            "removing a network",
            "DELETE FROM networks WHERE name = ?1",
            name.as_str(),
            Durability::Synced,
        )
    }

    /// Every volume.
    pub(crate) fn volumes(&self) -> Result<Vec<VolumeRecord>> {
        self.records("listing volumes", "SELECT record FROM volumes ORDER BY name")
    }

    /// Writes a volume.
    pub(crate) fn put_volume(&self, record: &VolumeRecord) -> Result<()> {
        let query = "INSERT OR REPLACE INTO volumes (name, record) VALUES (?1, ?2)";
        self.put("writing a volume", query, &record.name, record)
    }

    /// Forgets a volume.
    pub(crate) fn remove_volume(&self, name: &Name) -> Result<()> {
        self.delete(
            "removing a volume",
            "DELETE FROM volumes WHERE name = ?1",
            name.as_str(),
            Durability::Synced,
        )
    }

    fn put<T: Serialize>(&self, doing: &'static str, query: &str, name: &Name, record: &T) -> Result<()> {
        let text = encode(doing, record)?;
        self.with(Durability::Synced, |connection| {
            connection.execute(query, params![name.as_str(), text]).map_err(statement(doing))?;
            Ok(())
        })
    }

    fn delete(&self, doing: &'static str, query: &str, key: &str, durability: Durability) -> Result<()> {
        self.with(durability, |connection| {
            let mut prepared = connection.prepare_cached(query).map_err(statement(doing))?;
            prepared.execute([key]).map_err(statement(doing))?;
            Ok(())
        })
    }

    /// The last accepted HostSpec.
    pub fn host_spec(&self) -> Result<Option<HostSpec>> {
        const DOING: &str = "reading the host spec";
        self.with(Durability::Relaxed, |connection| {
            let query = "SELECT spec FROM host_specs ORDER BY generation DESC LIMIT 1";
            let text: Option<String> =
                connection.query_row(query, [], |row| row.get(0)).optional().map_err(statement(DOING))?;
            text.map(|text| decode(DOING, &text)).transpose()
        })
    }

    /// Accepts a HostSpec; older generations beyond the last few are forgotten.
    pub fn put_host_spec(&self, spec: &HostSpec, now: jiff::Timestamp) -> Result<()> {
        const DOING: &str = "writing the host spec";
        let text = encode(DOING, spec)?;
        self.with(Durability::Synced, |connection| {
            let transaction = connection.unchecked_transaction().map_err(statement(DOING))?;
            let generation = spec.generation.0.cast_signed();
            let insert = "INSERT OR REPLACE INTO host_specs (generation, accepted, spec) VALUES (?1, ?2, ?3)";
            transaction
                .execute(insert, params![generation, now.to_string(), text])
                .map_err(statement(DOING))?;
            let forget = "DELETE FROM host_specs WHERE generation <= ?1";
            let oldest = generation - i64::from(KEPT_GENERATIONS);
            transaction.execute(forget, [oldest]).map_err(statement(DOING))?;
            transaction.commit().map_err(statement(DOING))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::Generation;

    #[test]
    fn accepted_specs_survive_and_old_ones_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        for generation in 1..=40 {
            let ledger = Ledger::open(&path).unwrap();
            let spec = HostSpec { generation: Generation(generation), ..HostSpec::default() };
            ledger.put_host_spec(&spec, jiff::Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(ledger.host_spec().unwrap(), Some(spec));
        }
        let ledger = Ledger::open(&path).unwrap();
        let count: i64 = ledger
            .with(Durability::Relaxed, |c| {
                c.query_row("SELECT count(*) FROM host_specs", [], |r| r.get(0))
                    .map_err(statement("counting"))
            })
            .unwrap();
        assert_eq!(count, i64::from(KEPT_GENERATIONS));
    }

    /// What befell a file, and how.
    type Damage = (&'static str, fn(&Path));

    #[test]
    fn a_damaged_ledger_is_put_aside_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let damages: [Damage; 5] = [
            ("garbage", |p| std::fs::write(p, b"this is no database at all".repeat(500)).unwrap()),
            ("cut short", |p| std::fs::File::options().write(true).open(p).unwrap().set_len(5000).unwrap()),
            ("a row of nonsense", |p| {
                let insert = "INSERT INTO networks VALUES ('x', '{')";
                Connection::open(p).unwrap().execute_batch(insert).unwrap();
            }),
            ("a table less", |p| Connection::open(p).unwrap().execute_batch("DROP TABLE volumes").unwrap()),
            ("a directory", |p| {
                std::fs::remove_file(p).unwrap();
                std::fs::create_dir(p).unwrap();
            }),
        ];
        for (second, (case, damage)) in damages.into_iter().enumerate() {
            let now = jiff::Timestamp::from_second(second as i64).unwrap();
            let (ledger, aside) = Ledger::open_or_replace(&path, now).unwrap();
            assert!(aside.is_none(), "{case}: a good one is kept");
            ledger.put_host_spec(&HostSpec::default(), now).unwrap();
            drop(ledger);
            damage(&path);
            let (ledger, aside) = Ledger::open_or_replace(&path, now).unwrap();
            assert_eq!(ledger.host_spec().unwrap(), None, "{case}");
            assert!(aside.expect(case).0.exists(), "{case}: nothing is thrown away");
        }
    }

    #[test]
    fn a_ledger_of_a_newer_agent_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        drop(Ledger::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::TooNew { found: 99, .. })));
        let replaced = Ledger::open_or_replace(&path, jiff::Timestamp::UNIX_EPOCH);
        assert!(matches!(replaced, Err(LedgerError::TooNew { .. })));
    }
}
