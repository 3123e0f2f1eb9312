//! The keys that a 5G core anchors in an authentication (TS 33.501 Annex A), and those for
//! applications (TS 33.535 Annex A).

use crate::kdf::{NetworkName, kdf};
use crate::{ATid, Emsk, KAf, KAkma, KAusf, KSeaf};

/// K_AUSF of an EAP-AKA' authentication: the first 32 octets of EMSK (TS 33.501 §6.1.3.1).
pub fn k_ausf(emsk: &Emsk) -> KAusf {
    let (first, _) = emsk
        .as_bytes()
        .split_first_chunk()
        .expect("EMSK has 64 octets");
    KAusf::new(*first)
}

/// K_SEAF = KDF(K_AUSF, FC = 0x6c, serving network name) (TS 33.501 A.6).
pub fn k_seaf(k_ausf: &KAusf, serving_network: NetworkName<'_>) -> KSeaf {
    KSeaf::new(*kdf(k_ausf.as_bytes(), 0x6c, [serving_network.as_bytes()]))
}

/// K_AKMA = KDF(K_AUSF, FC = 0x80, "AKMA", SUPI) (TS 33.535 A.2).
///
/// `supi` is the IMSI's digits, or the whole NAI if the SUPI is one (TS 33.501 A.7.0).
pub fn k_akma(k_ausf: &KAusf, supi: &[u8]) -> KAkma {
    KAkma::new(*kdf(k_ausf.as_bytes(), 0x80, [b"AKMA", supi]))
}

/// A-TID = KDF(K_AUSF, FC = 0x81, "A-TID", SUPI) (TS 33.535 A.3).
///
/// `supi` is as for [`k_akma`].
pub fn a_tid(k_ausf: &KAusf, supi: &[u8]) -> ATid {
    ATid::new(*kdf(k_ausf.as_bytes(), 0x81, [b"A-TID", supi]))
}

/// K_AF = KDF(K_AKMA, FC = 0x82, AF_ID) (TS 33.535 A.4).
///
/// `af_id` is the application function's FQDN, followed by the five octets of the Ua* security
/// protocol identifier.
pub fn k_af(k_akma: &KAkma, af_id: &[u8]) -> KAf {
    KAf::new(*kdf(k_akma.as_bytes(), 0x82, [af_id]))
}
