//! Folds records into the head: the only thing that changes it.
//!
//! Decisions depend on the records before this one and on nothing else, neither clock nor
//! configuration; settings come as records.

use std::collections::HashMap;
use std::sync::Arc;

use norn_contract::log::{Offset, Record, RecordKind};
use norn_model::rejection::Refused;
use norn_model::tenant::Tenant;
use norn_wire::record::{RecordError, View};
use norn_wire::settings::{FoldSettings, SettingsError};

use crate::folder::{Account, Folder};
use crate::shared::Shared;
use crate::tenant::TenantState;

/// Memory of a decoded record above this size is not kept for the next one.
const KEEP_DECODED: usize = 32 << 20;

/// A record that can not be folded. The head is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The value can not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The settings can not be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The partition has as many tenants as can be numbered.
    #[error("partition {0} has too many tenants")]
    Tenants(u32),
}

/// The writer of a partition's head. There is one.
pub struct Writer {
    view: View,
    accounts: HashMap<Tenant, Account>,
    folder: Folder,
    next: Offset,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { view: View::new(), accounts: HashMap::new(), folder: Folder::new(shared), next: 0 }
    }

    /// Folds a record; what was refused is added to `refused`. A record below
    /// [`Writer::next_offset`] was folded before and changes nothing.
    pub fn apply(
        &mut self,
        offset: Offset,
        record: &Record,
        refused: &mut Refused,
    ) -> Result<(), ApplyError> {
        if offset < self.next {
            return Ok(());
        }
        match record.kind {
            RecordKind::Write(version) => {
                self.view.decode(version, &record.value)?;
                let account = account(&mut self.accounts, self.folder.shared(), &record.tenant)?;
                self.folder.fold(account, &record.tenant, &self.view, refused);
                if self.view.kept_bytes() > KEEP_DECODED {
                    self.view = View::new();
                }
            }
            RecordKind::Settings => {
                let settings = FoldSettings::decode(&record.value)?;
                account(&mut self.accounts, self.folder.shared(), &record.tenant)?.set(settings);
            }
        }
        self.next = offset + 1;
        Ok(())
    }

    /// As [`Writer::apply`] for a write record that was decoded elsewhere.
    pub fn apply_view(
        &mut self,
        offset: Offset,
        tenant: &Tenant,
        view: &View,
        refused: &mut Refused,
    ) -> Result<(), ApplyError> {
        if offset >= self.next {
            let account = account(&mut self.accounts, self.folder.shared(), tenant)?;
            self.folder.fold(account, tenant, view, refused);
            self.next = offset + 1;
        }
        Ok(())
    }

    /// Offset after the last record folded; 0 before the first.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// A hash of all series and their chunks: equal after equal records, whatever the process.
    pub fn digest(&self) -> u64 {
        crate::digest::of(self.folder.shared())
    }
}

/// The account of a tenant, opened with its first record.
fn account<'a>(
    accounts: &'a mut HashMap<Tenant, Account>,
    shared: &Shared,
    tenant: &Tenant,
) -> Result<&'a mut Account, ApplyError> {
    if !accounts.contains_key(tenant) {
        let number = shared.catalog.write().add_tenant();
        let number = number.ok_or(ApplyError::Tenants(shared.options.partition))?;
        let state = Arc::new(TenantState::new(number));
        shared.tenants.write().insert(tenant.clone(), Arc::clone(&state));
        accounts.insert(tenant.clone(), Account::new(state));
    }
    accounts.get_mut(tenant).ok_or(ApplyError::Tenants(shared.options.partition))
}
