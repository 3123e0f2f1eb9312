//! A file of encrypted records of fixed length, written with pwrite64 and fdatasync only. It knows
//! how records are kept, and nothing of what they hold.
//!
//! Each record has two copies, written in turn ([`record`]), in separate halves of the file
//! ([`layout`]). When the file is opened the newer good copy wins ([`records`]); where both are bad
//! it doesn't open, and is never reset.
//!
//! - [`RecordFile::write`] writes records of which each is whole for itself, with one sync.
//! - [`RecordFile::commit`] writes several records or none. Their new copies go into the journal
//!   first ([`journal`]); once that is synced the commit is made, and a start after a power cut
//!   finishes it.
//!
//! Records are encrypted with a data key, which the header holds sealed with the key-encryption key
//! ([`header`], [`kek`]). The [`ledger`] counts all versions of all records, so that one that was
//! put back is noticed; an [`anchor`] outside of the file holds the ledger's epoch, so that a whole
//! old file is. [`create`] fills a new file.

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
