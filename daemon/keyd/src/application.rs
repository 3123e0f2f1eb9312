//! Signatures for applications, with the application key.

use softsim_keyd_proto::requests::{ApplicationKey, Sign};
use softsim_keyd_proto::{PublicKeyAnswer, Refusal, SignatureAnswer};

use crate::device::{self, Keys};

/// The prefix that distinguishes an application's signatures from any other that a P-256 key may
/// make.
const LABEL: &[u8] = b"softsim application signature v1\0";

/// The longest context, in octets.
const MAX_CONTEXT: u8 = 64;

pub(crate) fn sign(keys: &Keys, uid: u32, request: Sign<'_>) -> Result<SignatureAnswer, Refusal> {
    let context = request.context.as_bytes();
    let length = u8::try_from(context.len())
        .ok()
        .filter(|length| *length <= MAX_CONTEXT)
        .ok_or_else(|| Refusal::Field {
            name: "context".to_owned(),
            expected: format!("at most {MAX_CONTEXT} octets"),
            got: context.len().to_string(),
        })?;
    let parts = [
        LABEL,
        &uid.to_be_bytes(),
        &[length],
        context,
        request.message,
    ];
    Ok(SignatureAnswer {
        signature: device::signature(&keys.application, &parts),
    })
}

pub(crate) fn application_key(keys: &Keys, _: ApplicationKey) -> Result<PublicKeyAnswer, Refusal> {
    Ok(PublicKeyAnswer {
        spki: device::spki(&keys.application),
    })
}
