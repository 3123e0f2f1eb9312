//! The encrypted payload: one CBOR map with all the keys 1 to 22, in order.
//!
//! | keys | contents |
//! |---|---|
//! | 1 to 4 | device id, sealing key id, issuer, sequence: as outside |
//! | 5 to 7 | ICCID, IMSI, length of the MNC |
//! | 8 | algorithm: 1 Milenage, 2 TUAK, 3 XOR |
//! | 9 | K: 16 octets, or 32 with TUAK |
//! | 10 | OPc or TOPc; null with XOR, and where 21 stands for it |
//! | 11 | AMF |
//! | 12 to 15 | SQN: floor, length of IND, Δ, L or null |
//! | 16 and 17 | routing indicator, home network public keys: arrays of identifier, scheme and key |
//! | 18 | whether raw CK and IK may leave to a supplicant |
//! | 19 and 20 | validity: not before, not after, or null |
//! | 21 | OP or TOP, for the device to derive 10 from and forget; else null |
//! | 22 | TUAK: an array of the length of RES in bits and the iterations of Keccak; else null |

/// How many fields there are.
pub(crate) const FIELDS: u64 = 22;
