//! Which file system a file is on, and whether it writes over the old octets of a file.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::sys;

/// What becomes of the old octets of a file when others are written over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrites {
    /// They are gone: the file keeps its blocks, and with them the room that it has taken.
    InPlace,
    /// They stay on the medium until their blocks are used for something else, and the new ones
    /// need room of their own: the file system copies on write, keeps a log, or compresses.
    Elsewhere,
    /// That is up to the file system in the upper layer, which isn't visible.
    UpToTheLayerBelow,
}

/// The file system of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name; if it isn't one of `KNOWN`, what it does.
    pub name: &'static str,
    /// What becomes of old octets.
    pub overwrites: Overwrites,
}

/// The file systems that don't write over old octets, or may not, by their f_type (statfs(2)).
/// Those that libc doesn't name are from their own headers: super.h of UBIFS (ubifs.h), and ZFS'
/// zfs_vfsops.h.
const KNOWN: &[(u32, FileSystem)] = &[
    (0x9123_683e, elsewhere("btrfs")),
    (0xca45_1a4e, elsewhere("bcachefs")),
    (0x2fc1_2fc1, elsewhere("zfs")),
    (0xf2f5_2010, elsewhere("f2fs")),
    (0x0000_3434, elsewhere("nilfs2")),
    (0x0000_72b6, elsewhere("jffs2")),
    (0x2405_1905, elsewhere("ubifs")),
    (
        0x794c_7630,
        FileSystem {
            name: "overlay",
            overwrites: Overwrites::UpToTheLayerBelow,
        },
    ),
];

/// The file's octets are stored compressed (FS_COMPR_FL of linux/fs.h).
const COMPRESSED: u32 = 0x0000_0004;
/// The file's octets are written over: `chattr +C` on btrfs, a pinned file of f2fs (FS_NOCOW_FL).
const IN_PLACE: u32 = 0x0080_0000;

const fn elsewhere(name: &'static str) -> FileSystem {
    FileSystem {
        name,
        overwrites: Overwrites::Elsewhere,
    }
}

/// Asks for the file system of an open file. It takes fstatfs(2) and ioctl(2), which no filter of a
/// daemon at work allows.
///
/// # Errors
/// The kernel's. A file system without flags isn't an error.
pub fn of(file: &impl AsFd) -> io::Result<FileSystem> {
    let kind = kind(file)?;
    Ok(judge(kind, flags(file)))
}

/// Judges a file by its file system and its flags.
fn judge(kind: u32, flags: u32) -> FileSystem {
    let known = KNOWN.iter().find(|(of, _)| *of == kind);
    let in_place = FileSystem {
        name: known.map_or("one that compresses", |(_, known)| known.name),
        overwrites: Overwrites::InPlace,
    };
    match known {
        _ if flags & COMPRESSED != 0 => FileSystem {
            overwrites: Overwrites::Elsewhere,
            ..in_place
        },
        Some((_, known)) if known.overwrites == Overwrites::Elsewhere && flags & IN_PLACE != 0 => {
            in_place
        }
        Some((_, known)) => *known,
        None => in_place,
    }
}

/// Which file system it is.
fn kind(file: &impl AsFd) -> io::Result<u32> {
    // SAFETY: the structure consists of numbers, for which all zeros are a value.
    let mut about: libc::statfs = unsafe { core::mem::zeroed() };
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one statfs to `about`, which outlives the call.
    sys::check(unsafe { libc::fstatfs(fd, &raw mut about) })?;
    // Every f_type has 32 bits; where the field is longer, a C library may extend the sign.
    Ok(about.f_type as u32)
}

/// The flags of chattr(1); none where the file system has no such flags.
fn flags(file: &impl AsFd) -> u32 {
    let mut flags: libc::c_long = 0;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: in spite of its number, the kernel writes an int to `flags`, which is at least as
    // long and outlives the call.
    let asked = sys::check(unsafe { libc::ioctl(fd, libc::FS_IOC_GETFLAGS, &raw mut flags) });
    asked.map_or(0, |_| low_half(flags))
}

/// The int that the kernel wrote at the start of a long.
fn low_half(flags: libc::c_long) -> u32 {
    let octets = flags.to_ne_bytes();
    octets
        .first_chunk()
        .map_or(0, |int| u32::from_ne_bytes(*int))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_file_systems_that_write_over_old_octets_are_in_place() {
        use Overwrites::{Elsewhere, InPlace, UpToTheLayerBelow};
        const EXT4: u32 = libc::EXT4_SUPER_MAGIC as u32;
        const XFS: u32 = libc::XFS_SUPER_MAGIC as u32;
        const TMPFS: u32 = libc::TMPFS_MAGIC as u32;
        const BTRFS: u32 = libc::BTRFS_SUPER_MAGIC as u32;
        const BCACHEFS: u32 = libc::BCACHEFS_SUPER_MAGIC as u32;
        const F2FS: u32 = libc::F2FS_SUPER_MAGIC as u32;
        const NILFS2: u32 = libc::NILFS_SUPER_MAGIC as u32;
        const JFFS2: u32 = libc::JFFS2_SUPER_MAGIC as u32;
        const UBIFS: u32 = 0x2405_1905;
        const ZFS: u32 = 0x2fc1_2fc1;
        const OVERLAY: u32 = libc::OVERLAYFS_SUPER_MAGIC as u32;
        /// FS_EXTENT_FL, which every file of ext4 has.
        const EXTENTS: u32 = 0x0008_0000;
        for (kind, flags, overwrites, name) in [
            (EXT4, EXTENTS, InPlace, "one that compresses"),
            (XFS, 0, InPlace, "one that compresses"),
            (TMPFS, 0, InPlace, "one that compresses"),
            (EXT4, COMPRESSED, Elsewhere, "one that compresses"),
            (BTRFS, 0, Elsewhere, "btrfs"),
            (BTRFS, IN_PLACE, InPlace, "btrfs"),
            (BTRFS, COMPRESSED, Elsewhere, "btrfs"),
            (BTRFS, COMPRESSED | IN_PLACE, Elsewhere, "btrfs"),
            (BCACHEFS, 0, Elsewhere, "bcachefs"),
            (ZFS, 0, Elsewhere, "zfs"),
            (F2FS, 0, Elsewhere, "f2fs"),
            (F2FS, IN_PLACE, InPlace, "f2fs"),
            (NILFS2, 0, Elsewhere, "nilfs2"),
            (JFFS2, 0, Elsewhere, "jffs2"),
            (UBIFS, COMPRESSED, Elsewhere, "ubifs"),
            (OVERLAY, 0, UpToTheLayerBelow, "overlay"),
            (OVERLAY, IN_PLACE, UpToTheLayerBelow, "overlay"),
            (OVERLAY, COMPRESSED, Elsewhere, "overlay"),
        ] {
            let got = judge(kind, flags);
            let expected = FileSystem { name, overwrites };
            assert_eq!(got, expected, "{kind:#x} with {flags:#x}");
        }
    }

    #[test]
    fn a_file_in_memory_is_written_in_place() {
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        assert_eq!(kind(&file).unwrap(), libc::TMPFS_MAGIC as u32);
        assert_eq!(of(&file).unwrap().overwrites, Overwrites::InPlace);
    }
}
