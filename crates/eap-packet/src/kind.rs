//! The numbers of attributes (RFC 4187 §11, RFC 9048 §8.2, RFC 9678 §8), and where each may occur.

use core::fmt;

/// The type of an attribute. It prints its name in the RFC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// Where a list of attributes is (RFC 4187 §10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the message itself.
    Open,
    /// In the plaintext of AT_ENCR_DATA.
    Encrypted,
}

macro_rules! kinds {
    ($($name:ident = $number:literal, $place:ident;)*) => {
        impl Kind {
            $(
                #[doc = concat!("AT_", stringify!($name), ".")]
                pub const $name: Kind = Kind($number);
            )*

            /// The attribute's name; `None` if it is unknown.
            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(concat!("AT_", stringify!($name))),)*
                    _ => None,
                }
            }

            /// The only place where a known attribute may occur.
            pub(crate) fn place(self) -> Option<Place> {
                match self.0 {
                    $($number => Some(Place::$place),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    RAND = 1, Open;
    AUTN = 2, Open;
    RES = 3, Open;
    AUTS = 4, Open;
    PADDING = 6, Encrypted;
    PERMANENT_ID_REQ = 10, Open;
    MAC = 11, Open;
    NOTIFICATION = 12, Open;
    ANY_ID_REQ = 13, Open;
    IDENTITY = 14, Open;
    FULLAUTH_ID_REQ = 17, Open;
    COUNTER = 19, Encrypted;
    COUNTER_TOO_SMALL = 20, Encrypted;
    NONCE_S = 21, Encrypted;
    CLIENT_ERROR_CODE = 22, Open;
    KDF_INPUT = 23, Open;
    KDF = 24, Open;
    IV = 129, Open;
    ENCR_DATA = 130, Open;
    NEXT_PSEUDONYM = 132, Encrypted;
    NEXT_REAUTH_ID = 133, Encrypted;
    CHECKCODE = 134, Open;
    RESULT_IND = 135, Open;
    BIDDING = 136, Open;
    PUB_ECDHE = 152, Open;
    KDF_FS = 153, Open;
}

impl Kind {
    /// Whether a receiver that doesn't know the attribute skips it (RFC 4187 §8.1).
    pub fn skippable(self) -> bool {
        self.0 >= 128
    }

    /// Whether it is an entry of a negotiated list, which may occur more than once.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Kind::KDF | Kind::KDF_FS)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
