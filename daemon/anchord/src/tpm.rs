//! The four commands of a TPM 2.0 that a counter takes, and strict parsing of their responses (TCG
//! TPM 2.0 Library, parts 2 and 3).

use core::fmt;
use core::ops::RangeInclusive;

/// The longest response that is read. The four commands have at most 62 octets.
pub const MAX_RESPONSE: usize = 256;

/// The length of a command's and a response's header: tag, size, and command or response code.
pub const HEADER: usize = 10;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const OWNER: u32 = 0x4000_0001;
const SHA256: u16 = 0x000b;

/// TPM_RS_PW with an empty nonce, no attributes and an empty password, and its length before it.
const EMPTY_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];

/// The attributes of the counter: TPM_NT_COUNTER, and OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD
/// and NO_DA. It isn't ORDERLY: such a counter jumps ahead when power fails.
const ATTRIBUTES: u32 = (1 << 4) | (1 << 1) | (1 << 2) | (1 << 17) | (1 << 18) | (1 << 25);
/// The TPM sets this once the counter was raised for the first time.
const WRITTEN: u32 = 1 << 29;

/// The number of octets of a counter.
const SIZE: u16 = 8;

/// A non-volatile index of the range that the TCG leaves to the owner of the TPM (Registry of
/// Reserved TPM 2.0 Handles and Localities, §2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index(u32);

impl Index {
    /// The index that is used if none is named.
    pub const DEFAULT: Self = Self(0x0180_0010);

    const OWNERS: RangeInclusive<u32> = 0x0180_0000..=0x01bf_ffff;

    /// The index with this number, if it is one of the owner's.
    pub fn new(number: u32) -> Option<Self> {
        Self::OWNERS.contains(&number).then_some(Self(number))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// A command about one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// TPM2_NV_ReadPublic: what kind of index is it?
    ReadPublic,
    /// TPM2_NV_DefineSpace.
    Define,
    /// TPM2_NV_Increment.
    Increment,
    /// TPM2_NV_Read.
    Read,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadPublic => "TPM2_NV_ReadPublic",
            Self::Define => "TPM2_NV_DefineSpace",
            Self::Increment => "TPM2_NV_Increment",
            Self::Read => "TPM2_NV_Read",
        })
    }
}

/// An encoded command.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    octets: [u8; 64],
    length: usize,
}

impl Encoded {
    /// The octets for the TPM.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    fn put(&mut self, octets: &[u8]) {
        self.octets[self.length..][..octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }
}

impl Command {
    /// Encodes the command for an index.
    pub fn encode(self, Index(index): Index) -> Encoded {
        let mut command = Encoded {
            octets: [0; 64],
            length: 0,
        };
        let code: u32 = match self {
            Self::ReadPublic => 0x169,
            Self::Define => 0x12a,
            Self::Increment => 0x134,
            Self::Read => 0x14e,
        };
        command.put(&self.tag().to_be_bytes());
        command.put(&[0; 4]);
        command.put(&code.to_be_bytes());
        // The handle of who is authorised, and that of the index.
        match self {
            Self::ReadPublic => command.put(&index.to_be_bytes()),
            Self::Define => command.put(&OWNER.to_be_bytes()),
            Self::Increment | Self::Read => {
                command.put(&index.to_be_bytes());
                command.put(&index.to_be_bytes());
            }
        }
        if self.tag() == SESSIONS {
            command.put(&EMPTY_PASSWORD);
        }
        match self {
            Self::ReadPublic | Self::Increment => {}
            Self::Define => {
                // The index has an empty password, too, and no policy.
                command.put(&[0, 0, 0, 14]);
                command.put(&index.to_be_bytes());
                command.put(&SHA256.to_be_bytes());
                command.put(&ATTRIBUTES.to_be_bytes());
                command.put(&[0, 0]);
                command.put(&SIZE.to_be_bytes());
            }
            Self::Read => {
                command.put(&SIZE.to_be_bytes());
                command.put(&[0, 0]);
            }
        }
        let length = (command.length as u32).to_be_bytes();
        command.octets[2..6].copy_from_slice(&length);
        command
    }

    fn tag(self) -> u16 {
        match self {
            Self::ReadPublic => NO_SESSIONS,
            Self::Define | Self::Increment | Self::Read => SESSIONS,
        }
    }
}

/// A TPM_RC: why a TPM refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseCode(pub u32);

impl ResponseCode {
    /// TPM_RC_HANDLE for the first handle: there is no such index.
    pub const NO_SUCH_INDEX: Self = Self(0x18b);

    /// Whether the TPM wants to see the command again: TPM_RC_YIELDED, TPM_RC_TESTING,
    /// TPM_RC_NV_RATE, TPM_RC_RETRY.
    pub fn asks_for_patience(self) -> bool {
        matches!(self.0, 0x908 | 0x90a | 0x920 | 0x922)
    }

    /// What the codes mean that an administrator meets.
    fn meaning(self) -> Option<&'static str> {
        Some(match self.0 {
            0x100 => "it isn't started: TPM_RC_INITIALIZE",
            0x120 => "it is switched off: TPM_RC_DISABLED",
            0x149 => "the index permits it to others: TPM_RC_NV_AUTHORIZATION",
            0x14a => "the counter has no value: TPM_RC_NV_UNINITIALIZED",
            0x14b => "there is no room for an index: TPM_RC_NV_SPACE",
            0x14c => "the index exists: TPM_RC_NV_DEFINED",
            0x185 => "the owner's hierarchy is switched off: TPM_RC_HIERARCHY",
            0x18b => "there is no such index: TPM_RC_HANDLE",
            0x908 => "it was interrupted: TPM_RC_YIELDED",
            0x90a => "it is testing itself: TPM_RC_TESTING",
            0x920 => "it spares its memory: TPM_RC_NV_RATE",
            0x921 => "it is locked after wrong passwords: TPM_RC_LOCKOUT",
            0x922 => "it is busy: TPM_RC_RETRY",
            0x923 => "its memory is unavailable: TPM_RC_NV_UNAVAILABLE",
            0x98e | 0x9a2 => "the owner has a password, so define the index by hand",
            _ => return None,
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => write!(f, "{:#05x} ({meaning})", self.0),
            None => write!(f, "{:#05x}", self.0),
        }
    }
}

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The TPM refused the command.
    #[error("the TPM refused: {0}")]
    Refused(ResponseCode),
    /// The response ends before this field.
    #[error("expected a response with {0}, got one that ends before")]
    Short(&'static str),
    /// A field has another value than the only right one.
    #[error("{field}: expected {expected:#x}, got {got:#x}")]
    Field {
        /// Which one.
        field: &'static str,
        /// The right value.
        expected: u64,
        /// The TPM's.
        got: u64,
    },
    /// Octets follow after the last field.
    #[error("expected the end of the response, got {0} more octets")]
    Long(usize),
}

/// The rest of a response.
struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ResponseError> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(ResponseError::Short(field))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, ResponseError> {
        self.take(field).map(u16::from_be_bytes)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, ResponseError> {
        self.take(field).map(u32::from_be_bytes)
    }

    /// Takes so many octets.
    fn octets(&mut self, count: usize, field: &'static str) -> Result<Reader<'r>, ResponseError> {
        let (taken, rest) = (self.0.split_at_checked(count)).ok_or(ResponseError::Short(field))?;
        self.0 = rest;
        Ok(Reader(taken))
    }

    fn end(self) -> Result<(), ResponseError> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(ResponseError::Long(more)),
        }
    }
}

fn expect(
    field: &'static str,
    expected: impl Into<u64>,
    got: impl Into<u64>,
) -> Result<(), ResponseError> {
    let (expected, got) = (expected.into(), got.into());
    match expected == got {
        true => Ok(()),
        false => Err(ResponseError::Field {
            field,
            expected,
            got,
        }),
    }
}

/// The number of octets of a response, which its first [`HEADER`] octets say.
pub fn size_of(header: &[u8; HEADER]) -> usize {
    let [_, _, size @ .., _, _, _, _] = header;
    u32::from_be_bytes(*size) as usize
}

impl Command {
    /// The parameters of a response to this command.
    fn parameters(self, response: &[u8]) -> Result<Reader<'_>, ResponseError> {
        let mut reader = Reader(response);
        let tag = reader.u16("a tag")?;
        let size = reader.u32("a size")?;
        let code = reader.u32("a response code")?;
        expect("the response's size", size, response.len() as u64)?;
        if code != 0 {
            expect("the refusal's tag", NO_SESSIONS, tag)?;
            reader.end()?;
            return Err(ResponseError::Refused(ResponseCode(code)));
        }
        expect("the response's tag", self.tag(), tag)?;
        if tag == NO_SESSIONS {
            return Ok(reader);
        }
        let size = reader.u32("the parameters' size")?;
        let parameters = reader.octets(size as usize, "its parameters")?;
        // The session of a password has no nonce and no HMAC. Bit 0 of its attributes is
        // continueSession, which means nothing here.
        expect("the nonce's size", 0u16, reader.u16("a nonce")?)?;
        let [attributes] = reader.take("attributes of the session")?;
        expect("the session's attributes", 0u8, attributes & !1)?;
        expect("the HMAC's size", 0u16, reader.u16("an HMAC")?)?;
        reader.end()?;
        Ok(parameters)
    }
}

/// Reads the response to [`Command::Define`] or [`Command::Increment`], which says nothing else.
///
/// # Errors
/// The TPM refused, or the response is malformed.
pub fn done(command: Command, response: &[u8]) -> Result<(), ResponseError> {
    command.parameters(response)?.end()
}

/// Reads the response to [`Command::Read`]: the counter's value.
///
/// # Errors
/// The TPM refused, or the response is malformed.
pub fn value(response: &[u8]) -> Result<u64, ResponseError> {
    let mut parameters = Command::Read.parameters(response)?;
    expect("the counter's size", SIZE, parameters.u16("a counter")?)?;
    let value = parameters.take("a counter")?;
    parameters.end()?;
    Ok(u64::from_be_bytes(value))
}

/// Reads the response to [`Command::ReadPublic`]: whether the counter has a value, which it has
/// from the first time on that it was raised.
///
/// # Errors
/// The TPM refused, the response is malformed, or the index is any other than the counter that
/// [`Command::Define`] defines. An ordinary index could be written, and so set back.
pub fn has_value(Index(index): Index, response: &[u8]) -> Result<bool, ResponseError> {
    let mut parameters = Command::ReadPublic.parameters(response)?;
    expect("the public area's size", 14u16, parameters.u16("a size")?)?;
    expect("the index", index, parameters.u32("an index")?)?;
    expect("the index's hash", SHA256, parameters.u16("a hash")?)?;
    let attributes = parameters.u32("attributes")?;
    expect("the index's attributes", ATTRIBUTES, attributes & !WRITTEN)?;
    expect("the policy's size", 0u16, parameters.u16("a policy")?)?;
    expect("the index's size", SIZE, parameters.u16("a size")?)?;
    let name = parameters.u16("a name")?;
    parameters.octets(name.into(), "a name")?;
    parameters.end()?;
    Ok(attributes & WRITTEN != 0)
}

#[cfg(test)]
mod tests;
