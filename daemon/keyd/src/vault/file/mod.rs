//! A file of encrypted records of fixed length, written with pwrite64 and fdatasync only. This
//! module knows how records are stored, but not what they hold.
//!
//! Each record has two copies, which are written in turn (`record`), in separate halves of the
//! file (`layout`). When the file is opened, the newer good copy wins (`records`). If both are
//! bad, the file doesn't open; it is never reset.
//!
//! - [`RecordFile::write`] writes records that are consistent one by one, with one sync.
//! - [`RecordFile::commit`] writes several records or none. It writes their new copies into the
//!   journal first (`journal`). Once the journal is synced, the commit stands, and the next start
//!   finishes it after a power failure.
//!
//! Records are encrypted with a data key. The header holds that data key, encrypted with the
//! key-encryption key (`header`, `kek`). The `ledger` counts the versions of all records, so
//! that an old copy of one record is noticed. An `anchor` outside of the file holds the ledger's
//! epoch, so that an old copy of the whole file is noticed, too. `create` fills a new file.

mod anchor;
mod codec;
mod create;
mod error;
mod header;
mod journal;
mod kek;
mod layout;
mod ledger;
mod medium;
mod record;
mod records;
mod table;

pub use anchor::{Anchor, AnchorFile};
pub(crate) use codec::fields;
pub use codec::{Contents, Field, Reader, Record, Writer};
pub use create::fill;
pub use error::{CopyFault, Damage, Malformed, OpenError};
pub use kek::{Kek, KekError, KekInput};
pub use layout::Layout;
pub use medium::{FileStorage, Storage};
pub use record::OVERHEAD;
pub use records::RecordFile;
pub use table::{Kind, Place, Records, Table};
