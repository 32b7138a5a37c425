//! Options of the ingester and of its blocks on local disk.

crate::table::options! {
    /// Series in memory, and the blocks on local disk they become.
    pub struct Tsdb {
        /// Directory of the blocks, a directory below it for each tenant; where it is relative, below -data-dir.
        [Basic] dir: String = "./tsdb/".to_owned(), "blocks_storage.tsdb.dir", "blocks-storage.tsdb.dir";
    }
}

impl Tsdb {
    /// Checks what no option can check alone.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.dir.is_empty() {
            let name = "-blocks-storage.tsdb.dir (YAML blocks_storage.tsdb.dir)";
            return Err(format!("{name} is empty; the default is ./tsdb/"));
        }
        Ok(())
    }
}
