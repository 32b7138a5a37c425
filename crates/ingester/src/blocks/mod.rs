//! Blocks on local disk: `<dir>/<tenant>/<ULID>/`.
//!
//! All are opened once at the start, so that damage is found before anything is answered; later
//! a block is open only while it is asked, so that files and memory follow the queries rather
//! than the number of blocks. A list is replaced whole: who took it reads on undisturbed.
//!
//! Names of tenants are those of directories, so nothing else may lie in `dir` under a name that
//! could be a tenant's.

mod source;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use norn_block::meta::Meta;
use norn_block::ulid::Ulid;
use norn_block::{Block, is_leftover, remove_leftover};
use norn_contract::fs::{FileLock, FileSystem};
use norn_kit::pool::Pool;
use norn_model::Millis;
use norn_model::tenant::Tenant;
use parking_lot::{Mutex, RwLock};

pub use source::TenantBlocks;

/// Held while a process has the directory. `~` is in no tenant's name.
const LOCK: &str = "LOCK~";

/// Local blocks that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// The file system failed, or another process has the directory.
    #[error("blocks in {path}: {reason}")]
    Unavailable {
        /// Where.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// A block can not be read.
    #[error(
        "{reason}; put {path} back as it was, or move it out of the directory of blocks to start without its samples"
    )]
    Broken {
        /// The block's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl BlocksError {
    fn at(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Blocks of a tenant, by id.
type List = Arc<[Arc<LocalBlock>]>;

/// The blocks of all tenants.
pub struct LocalBlocks {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    /// Where blocks are read: that blocks the thread.
    pool: Pool,
    tenants: RwLock<HashMap<Tenant, List>>,
    _lock: Box<dyn FileLock>,
}

/// One block.
pub struct LocalBlock {
    dir: PathBuf,
    meta: Meta,
    size_bytes: u64,
    open: Mutex<Option<Block>>,
    /// Asked since the last round of closing.
    is_used: AtomicBool,
    /// Gone by retention.
    is_removed: AtomicBool,
}

impl LocalBlock {
    fn new(dir: PathBuf, block: &Block) -> Self {
        let meta = block.meta().clone();
        let files = meta.thanos.iter().flat_map(|thanos| &thanos.files);
        let size_bytes = files.map(|file| file.size_bytes).sum::<u64>().max(block.chunks().size_bytes());
        let (open, is_used, is_removed) = Default::default();
        Self { dir, meta, size_bytes, open, is_used, is_removed }
    }

    /// What the block is.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn overlaps(&self, mint: Millis, maxt: Millis) -> bool {
        self.meta.min_time <= maxt && mint < self.meta.max_time
    }

    /// Opens the block if need be; `None` when it was removed meanwhile.
    fn get(&self, fs: &dyn FileSystem) -> Result<Option<Block>, norn_block::Error> {
        let mut open = self.open.lock();
        if self.is_removed.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.is_used.store(true, Ordering::Relaxed);
        match &*open {
            Some(block) => Ok(Some(block.clone())),
            None => Ok(Some(open.insert(Block::open(fs, &self.dir)?).clone())),
        }
    }
}

impl LocalBlocks {
    /// Opens all blocks in `dir`, which is made if need be, and removes what crashes left.
    ///
    /// # Errors
    ///
    /// When another process has the directory, the disk fails, or a block can not be read.
    pub fn open(fs: Arc<dyn FileSystem>, dir: PathBuf, pool: Pool) -> Result<Arc<Self>, BlocksError> {
        fs.create_dir_all(&dir).map_err(|e| BlocksError::at(&dir, e))?;
        let lock = fs.lock(&dir.join(LOCK)).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => BlocksError::at(&dir, "another process has them open"),
            _ => BlocksError::at(&dir.join(LOCK), e),
        })?;
        let mut tenants = HashMap::new();
        for name in fs.list_dirs(&dir).map_err(|e| BlocksError::at(&dir, e))? {
            match Tenant::admit(&name) {
                Ok(tenant) => {
                    let list = open_tenant(&*fs, &dir.join(&name))?;
                    tenants.insert(tenant, list);
                }
                Err(_) => {
                    tracing::warn!(path = %dir.join(&name).display(), "not a tenant's directory: left alone")
                }
            }
        }
        tenants.retain(|_, list: &mut List| !list.is_empty());
        Ok(Arc::new(Self { fs, dir, pool, tenants: RwLock::new(tenants), _lock: lock }))
    }

    /// Where they are.
    pub fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs)
    }

    /// Directory of a tenant's blocks, made durably if need be.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn tenant_dir(&self, tenant: &Tenant) -> std::io::Result<PathBuf> {
        let dir = self.dir.join(tenant.as_str());
        self.fs.create_dir_all(&dir)?;
        self.fs.sync_dir(&self.dir)?;
        Ok(dir)
    }

    /// Makes a block that is whole and durable visible to queries.
    ///
    /// # Errors
    ///
    /// When it can not be read back.
    pub fn publish(&self, tenant: &Tenant, id: Ulid) -> Result<(), norn_block::Error> {
        let dir = self.dir.join(tenant.as_str()).join(id.to_string());
        let added = LocalBlock::new(dir.clone(), &Block::open(&*self.fs, &dir)?);
        let mut tenants = self.tenants.write();
        let list = tenants.entry(tenant.clone()).or_default();
        *list = list.iter().cloned().chain([Arc::new(added)]).collect();
        Ok(())
    }

    /// Every tenant that has blocks.
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut all: Vec<Tenant> = self.tenants.read().keys().cloned().collect();
        all.sort_unstable();
        all
    }

    /// A tenant's blocks now.
    pub fn of(&self, tenant: &Tenant) -> List {
        self.tenants.read().get(tenant).cloned().unwrap_or_default()
    }

    /// Takes the blocks of `tenant` that are `old` away from queries, then from disk. Gives how
    /// many.
    ///
    /// # Errors
    ///
    /// When the disk fails; the blocks stay invisible and are there again after a start.
    pub fn remove(&self, tenant: &Tenant, old: impl Fn(&Meta) -> bool) -> Result<usize, norn_block::Error> {
        let (old, kept): (Vec<_>, Vec<_>) =
            self.of(tenant).iter().cloned().partition(|block| old(&block.meta));
        if old.is_empty() {
            return Ok(0);
        }
        let is_last = kept.is_empty();
        match is_last {
            true => self.tenants.write().remove(tenant),
            false => self.tenants.write().insert(tenant.clone(), kept.into()),
        };
        for block in &old {
            let mut open = block.open.lock();
            block.is_removed.store(true, Ordering::Release);
            *open = None;
            norn_block::remove(&*self.fs, &block.dir)?;
        }
        if is_last {
            // It stays where something else lies in it.
            let _ = self.fs.remove_dir(&self.dir.join(tenant.as_str()));
        }
        Ok(old.len())
    }

    /// Closes blocks that were not asked since the last call.
    pub fn close_idle(&self) {
        let lists: Vec<List> = self.tenants.read().values().cloned().collect();
        for block in lists.iter().flat_map(|list| list.iter()) {
            if !block.is_used.swap(false, Ordering::Relaxed) {
                *block.open.lock() = None;
            }
        }
    }

    /// The source that answers from a tenant's blocks, those of the moment of each question.
    pub fn source(self: &Arc<Self>, tenant: &Tenant) -> TenantBlocks {
        TenantBlocks::new(Arc::clone(self), tenant.clone())
    }
}

fn open_tenant(fs: &dyn FileSystem, dir: &Path) -> Result<List, BlocksError> {
    let mut blocks = Vec::new();
    for name in fs.list_dirs(dir).map_err(|e| BlocksError::at(dir, e))? {
        let path = dir.join(&name);
        if is_leftover(&name) {
            tracing::info!(path = %path.display(), "removing what is left of an interrupted write or removal");
            remove_leftover(fs, &path).map_err(|e| BlocksError::at(&path, e))?;
        } else if let Ok(id) = name.parse() {
            blocks.push(Arc::new(open_block(fs, path, id)?));
        } else {
            tracing::warn!(path = %path.display(), "not a block: left alone, its samples are not served");
        }
    }
    blocks.sort_by_key(|block| block.meta.ulid);
    Ok(blocks.into())
}

fn open_block(fs: &dyn FileSystem, path: PathBuf, id: Ulid) -> Result<LocalBlock, BlocksError> {
    let broken = |reason: String| BlocksError::Broken { path: path.clone(), reason };
    let block = Block::open(fs, &path).map_err(|e| match e {
        norn_block::Error::Io(e) if e.kind() != ErrorKind::NotFound => BlocksError::at(&path, e),
        other => broken(other.to_string()),
    })?;
    if block.meta().ulid != id {
        return Err(broken(format!("the directory is called {id}, the block in it {}", block.meta().ulid)));
    }
    Ok(LocalBlock::new(path, &block))
}
