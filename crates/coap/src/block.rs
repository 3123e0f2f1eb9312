//! The Block1 and Block2 options, and the assembly of bodies from blocks (RFC 7959).

/// A block size of RFC 7959 §2.2: 16 to 1024 octets, a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 16 octets.
    pub const MIN: BlockSize = BlockSize(0);
    /// 1024 octets.
    pub const MAX: BlockSize = BlockSize(6);

    /// The size with this SZX exponent (0 to 6; 7 is reserved).
    pub const fn from_szx(szx: u8) -> Option<BlockSize> {
        if szx <= 6 { Some(BlockSize(szx)) } else { None }
    }

    /// The size in octets.
    pub const fn octets(self) -> usize {
        1 << (self.0 + 4)
    }
}

/// The value of a Block1 or Block2 option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) number: u32,
    pub(crate) more: bool,
    pub(crate) size: BlockSize,
}

impl Block {
    /// NUM is at most 20 bits.
    const NUMBER_LIMIT: usize = 1 << 20;

    /// The block that begins at `offset`, which must be a multiple of the size.
    pub(crate) fn at(offset: usize, more: bool, size: BlockSize) -> Block {
        Block {
            number: (offset / size.octets()) as u32,
            more,
            size,
        }
    }

    pub(crate) fn decode(value: u32) -> Option<Block> {
        let number = value >> 4;
        let size = BlockSize::from_szx((value & 7) as u8)?;
        ((number as usize) < Self::NUMBER_LIMIT).then_some(Block {
            number,
            more: value & 8 != 0,
            size,
        })
    }

    pub(crate) fn encode(self) -> u32 {
        self.number << 4 | u32::from(self.more) << 3 | u32::from(self.size.0)
    }

    pub(crate) fn offset(self) -> usize {
        self.number as usize * self.size.octets()
    }

    /// Whether a payload of this length may come with this block. It must fill the block if more
    /// blocks follow, and may be shorter otherwise.
    pub(crate) fn fits(self, payload: usize) -> bool {
        payload == self.size.octets() || (!self.more && payload < self.size.octets())
    }
}

/// Why a block can't be added to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// The payload's length contradicts the option.
    Length,
    /// The block doesn't begin where the body ends.
    Gap,
    /// The body would be longer than allowed.
    TooLarge,
}

/// Adds a block to a body that must stay within `limit`; on an error the body is unchanged.
pub(crate) fn append(
    body: &mut Vec<u8>,
    block: Block,
    payload: &[u8],
    limit: usize,
) -> Result<(), AppendError> {
    if !block.fits(payload.len()) {
        return Err(AppendError::Length);
    }
    if block.offset() != body.len() {
        return Err(AppendError::Gap);
    }
    if body.len() + payload.len() > limit {
        return Err(AppendError::TooLarge);
    }
    body.extend_from_slice(payload);
    Ok(())
}

/// The part of `body` from `offset` on, at most `size` long, and whether more follows; none if
/// `offset` is behind the end.
pub(crate) fn slice(body: &[u8], offset: usize, size: BlockSize) -> Option<(&[u8], bool)> {
    let rest = body.get(offset..)?;
    if rest.is_empty() && offset > 0 {
        return None;
    }
    let length = rest.len().min(size.octets());
    Some((&rest[..length], rest.len() > length))
}
