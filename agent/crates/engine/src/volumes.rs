//! Volumes: making, finding, removing.

use crate::engine::Engine;
use crate::ledger::Ledger;
use hull_model::{ContainerRecord, Name, Owner, VolumeRecord, VolumeSpec};
use hull_ports::{Error, Result};
use std::collections::BTreeMap;

impl Engine {
    /// All volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeRecord>> {
        self.ledger(Ledger::volumes).await
    }

    /// Makes a volume. One of the same name is left as it is.
    pub async fn create_volume(&self, spec: &VolumeSpec, owner: Owner) -> Result<()> {
        self.ensure_volume(spec, owner, false).await.map(drop)
    }

    /// A volume for a person. Without a name it gets a random one and goes with the container that uses it.
    pub async fn create_volume_by_hand(
        &self,
        name: Option<Name>,
        labels: BTreeMap<String, String>,
    ) -> Result<VolumeRecord> {
        let anonymous = name.is_none();
        let name = match name {
            Some(name) => name,
            None => self.random_name()?,
        };
        self.ensure_volume(&VolumeSpec { name, labels }, Owner::Docker, anonymous).await
    }

    /// 64 hexadecimal digits.
    pub(crate) fn random_name(&self) -> Result<Name> {
        let digits: String = self.inner.drivers.entropy.bytes().iter().map(|b| format!("{b:02x}")).collect();
        Name::new(digits).map_err(|e| Error::permanent("choosing a name").because(e))
    }

    /// The volume, made if it is not there.
    pub(crate) async fn ensure_volume(
        &self,
        spec: &VolumeSpec,
        owner: Owner,
        anonymous: bool,
    ) -> Result<VolumeRecord> {
        let _turn = self.inner.locks.lock(&format!("volume {}", spec.name)).await;
        if let Some(there) = self.volumes().await?.into_iter().find(|v| v.name == spec.name) {
            return Ok(there);
        }
        let path = self.inner.drivers.volumes.create(spec).await?;
        let record = VolumeRecord {
            name: spec.name.clone(),
            owner,
            path,
            labels: spec.labels.clone(),
            created: self.now(),
            anonymous,
        };
        let row = record.clone();
        self.ledger(move |l| l.put_volume(&row)).await?;
        self.announce_volume("create", &spec.name);
        self.changed();
        Ok(record)
    }

    /// Removes a volume with its data. `Conflict` if a container uses it or the host spec declares it. With `force`, one
    /// that is not there is fine.
    pub async fn remove_volume(&self, name: &Name, force: bool) -> Result<()> {
        let _turn = self.inner.locks.lock(&format!("volume {name}")).await;
        let Some(record) = self.volumes().await?.into_iter().find(|v| v.name == *name) else {
            if force {
                return Ok(());
            }
            return Err(Error::not_found(format!("get {name}: no such volume")));
        };
        let users: Vec<String> = self.users_of(name).iter().map(|c| c.id.to_string()).collect();
        if !users.is_empty() {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        if record.owner == Owner::HostSpec {
            let why = format!("remove {name}: volume is declared in the host spec");
            return Err(Error::conflict(why).remedy("take it out of the host spec first"));
        }
        self.drop_volume(&record).await
    }

    async fn drop_volume(&self, record: &VolumeRecord) -> Result<()> {
        // The ledger's row goes last: a removal that is cut short is found there and done again.
        self.inner.drivers.volumes.remove(&record.name).await?;
        let gone = record.name.clone();
        self.ledger(move |l| l.remove_volume(&gone)).await?;
        self.announce_volume("destroy", &record.name);
        self.changed();
        Ok(())
    }

    /// Removes volumes that no container uses and that `pick` takes: the anonymous ones, or with `all` every one that the
    /// host spec does not declare. Returns their names and the bytes freed.
    pub async fn prune_volumes(
        &self,
        all: bool,
        pick: impl Fn(&VolumeRecord) -> bool,
    ) -> Result<(Vec<Name>, u64)> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for record in self.volumes().await? {
            let wanted = (all || record.anonymous) && record.owner != Owner::HostSpec && pick(&record);
            if !wanted || !self.users_of(&record.name).is_empty() {
                continue;
            }
            let size = self.inner.drivers.volumes.size(&record.name).await?;
            match self.remove_volume(&record.name, true).await {
                Ok(()) => {
                    names.push(record.name);
                    bytes += size;
                }
                // A container came and took it.
                Err(error) if error.class == hull_ports::ErrorClass::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        self.announce("volume", "prune", "", BTreeMap::from([("reclaimed".to_owned(), bytes.to_string())]));
        Ok((names, bytes))
    }

    /// Containers that mount a volume, running or not.
    pub fn users_of(&self, volume: &Name) -> Vec<ContainerRecord> {
        let all = self.inner.records.all().into_iter();
        let users = all.filter(|s| s.record.spec.volumes().any(|v| v == volume));
        users.map(|s| s.record.as_ref().clone()).collect()
    }

    fn announce_volume(&self, action: &str, name: &Name) {
        let driver = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.announce("volume", action, name.as_str(), driver);
    }
}
