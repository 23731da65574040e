//! Why could a store not be opened?

use crate::disk::LockError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a store could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be made, read or written.
    #[error("{}: {what}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried, and what to do if that is not plain.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The store's own file is not to be read.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: dhcp_lease::headers::HeaderError,
    },
    /// There are tables but not the file that says how to read them.
    #[error(
        "{}: the file `store` is missing beside the lease tables; restore it from a backup, or remove the \
         tables to begin anew", directory.display()
    )]
    HeaderMissing {
        /// The state directory.
        directory: PathBuf,
    },
    /// The files do not belong together.
    #[error("{}: {source}", directory.display())]
    Contents {
        /// The state directory.
        directory: PathBuf,
        /// Why.
        source: dhcp_lease::recovery::OpenError,
    },
    /// The kept DUID is not one.
    #[error(
        "{}: not a DUID in hexadecimal digits; restore it, or remove it and let clients see a new server",
        path.display()
    )]
    Duid {
        /// The file.
        path: PathBuf,
    },
}

/// Makes what the system says into an error that says where and what.
pub(super) fn file_error(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| match source.downcast::<LockError>() {
        Ok(in_use) => OpenError::Lock(in_use),
        Err(source) => OpenError::File { path, what, source },
    }
}
