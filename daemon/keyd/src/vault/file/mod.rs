//! A file of encrypted records of fixed length, written with pwrite64 and fdatasync only. This
//! module knows how records are stored, but not what they hold.
//!
//! Each record has two copies (`record`), in separate halves of the file (`layout`). One bad copy
//! never stops a start, and never brings back an older state (`copies`, `opening`). If both are bad
//! and the journal doesn't have the record, the file doesn't open; it is never reset.
//!
//! - [`RecordFile::commit`] writes several records or none, both copies of each. It writes them
//!   into the journal first (`journal`). Once the journal is synced, the commit stands, and the
//!   next start finishes it after a power failure.
//! - [`RecordFile::write`] writes records that are consistent one by one, one copy of each in turn,
//!   with one sync.
//!
//! Records are encrypted with keys from the file's data key. The header holds that data key,
//! encrypted with the key-encryption key (`header`, `kek`). The `ledger` counts the versions of all
//! records, so that an old copy of one record is noticed. An `anchor` outside of the file holds the
//! ledger's epoch, so that an old copy of the whole file is noticed, too. `create` fills a new
//! file.

mod anchor;
mod codec;
mod copies;
mod create;
mod error;
mod header;
mod journal;
mod kek;
mod layout;
mod ledger;
mod medium;
mod opening;
mod record;
mod records;
mod table;

pub use anchor::{Accepted, Anchor, AnchorFile};
pub(crate) use codec::fields;
pub use codec::{Contents, Field, Reader, Record, Writer};
pub use copies::Other;
pub use create::fill;
pub use error::{CopyFault, Damage, Malformed, OpenError};
pub use journal::{ENTRY, START};
pub use kek::{Kek, KekError, KekInput};
pub use layout::Layout;
pub use medium::{FileStorage, Storage};
pub use record::OVERHEAD;
pub use records::{FIRST, RecordFile};
pub use table::{Copies, Kind, Place, Records, Table};
