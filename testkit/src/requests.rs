//! Requests to keyd: those of an authentication, and a well-formed one of each kind with the answer
//! of a device that was never enrolled.

use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    Call, IdentityRequest, MAX_REQUEST, Method, PROTOCOL_VERSION, PacketFault, Realm, Refusal,
    RequestKind, TransactionFault, decode_answer, encode_request,
};

/// A request, and the expected answer.
pub struct Case {
    /// Its kind.
    pub kind: RequestKind,
    /// The encoded request.
    pub datagram: Vec<u8>,
    /// The expected refusal; `None` if keyd answers.
    refusal: Option<Refusal>,
    decoded: fn(&[u8]) -> Option<Refusal>,
}

impl Case {
    fn of<C: Call>(call: &C, refusal: impl Into<Option<Refusal>>) -> Self {
        let mut buffer = vec![0; MAX_REQUEST];
        Self {
            kind: C::KIND,
            datagram: encode_request(call, &mut buffer).unwrap().to_vec(),
            refusal: refusal.into(),
            decoded: |answer| decode_answer::<C>(answer).unwrap().err(),
        }
    }

    /// Asserts that the answer is the expected one, of this kind of request.
    pub fn is_answered(&self, answer: &[u8]) {
        assert_eq!((self.decoded)(answer), self.refusal, "{}", self.kind);
    }
}

/// One case of each kind. `issuer` is an operator's public key.
pub fn cases(issuer: &[u8]) -> Vec<Case> {
    let (iccid, handle, txid) = ("8988211000000000011", 7, [9; 16]);
    let (packet, identity) = (&[][..], &b"identity"[..]);
    let unknown_handle = || Refusal::UnknownHandle { got: handle };
    let nothing_staged = || Refusal::Transaction(TransactionFault::NothingStaged);
    let version = PROTOCOL_VERSION;
    vec![
        Case::of(&Hello { version }, None),
        Case::of(&Status {}, None),
        Case::of(&Wait { seen: 0 }, None),
        Case::of(&permanent(None), Refusal::NoProfile),
        Case::of(
            &AkaPrimeChallenge {
                iccid: None,
                identity,
                packet,
                forward_secrecy: None,
            },
            Refusal::Packet(PacketFault::Length),
        ),
        Case::of(
            &AkaChallenge {
                iccid: None,
                identity,
                packet,
                refuse_separation_bit: false,
            },
            Refusal::Packet(PacketFault::Length),
        ),
        Case::of(
            &Reauthenticate {
                iccid: None,
                identity,
                packet,
            },
            Refusal::NoProfile,
        ),
        Case::of(
            &IdentityRefused {
                iccid: None,
                counts: true,
            },
            Refusal::NoProfile,
        ),
        Case::of(&EapMac { handle, packet }, unknown_handle()),
        Case::of(&EapVerify { handle, packet }, unknown_handle()),
        Case::of(&CloseSession { handle }, unknown_handle()),
        Case::of(&EncryptCounter { handle }, unknown_handle()),
        Case::of(&Confirm { handle, msk: None }, unknown_handle()),
        Case::of(&DeviceCertificate {}, Refusal::NoDeviceCertificate),
        Case::of(&SignHandshake { transcript: b"" }, Refusal::NoDeviceKey),
        Case::of(
            &PskMasterSecret {
                account: 1,
                session_hash: [9; 32],
            },
            Refusal::UnknownAccount { got: 1 },
        ),
        Case::of(
            &Stage {
                txid,
                package: Some(b""),
            },
            Refusal::NoDeviceKey,
        ),
        Case::of(
            &StageAccounts {
                txid,
                accounts: vec![PskAccount {
                    account: 1,
                    psk: None,
                }],
            },
            Refusal::UnknownAccount { got: 1 },
        ),
        Case::of(&Commit::new(txid), nothing_staged()),
        Case::of(&Abort { txid }, nothing_staged()),
        Case::of(&ListProfiles { from: 0 }, None),
        Case::of(&Enable { iccid }, Refusal::UnknownProfile),
        Case::of(&Disable { iccid }, Refusal::UnknownProfile),
        Case::of(&Delete { iccid }, Refusal::UnknownProfile),
        Case::of(
            &Sign {
                context: "",
                message: b"",
            },
            Refusal::NoDeviceKey,
        ),
        Case::of(&ApplicationKey {}, Refusal::NoDeviceKey),
        Case::of(
            &AkmaKey {
                af: "af.example",
                ua_star: [0; 5],
            },
            Refusal::ApplicationFunction,
        ),
        Case::of(&CertificateRequest {}, Refusal::NoDeviceKey),
        Case::of(
            &SetDeviceCertificate { certificate: b"" },
            Refusal::NoDeviceKey,
        ),
        Case::of(&SealingStatement {}, Refusal::NoDeviceKey),
        Case::of(&AddTrustAnchor { issuer }, None),
        Case::of(&RemoveTrustAnchor { issuer }, None),
        Case::of(&ForgetIdentities { iccid: None }, Refusal::NoProfile),
        // Nothing is kept yet, so there is nothing to set back.
        Case::of(&SetTimeBack { seconds: 0 }, None),
        Case::of(
            &UmtsAuthenticate {
                iccid: None,
                rand: [0; 16],
                autn: [0; 16],
            },
            Refusal::NoProfile,
        ),
        // This is the last case, because the others need a device without keys.
        Case::of(&GenerateDeviceKey {}, None),
    ]
}

/// A request to keyd for EAP-AKA' without forward secrecy, for the enabled profile.
pub fn challenge<'a>(packet: &'a [u8], identity: &'a [u8]) -> AkaPrimeChallenge<'a> {
    AkaPrimeChallenge {
        iccid: None,
        identity,
        packet,
        forward_secrecy: None,
    }
}

/// A request to keyd for EAP-AKA, for the enabled profile.
pub fn old_challenge<'a>(packet: &'a [u8], identity: &'a [u8]) -> AkaChallenge<'a> {
    AkaChallenge {
        iccid: None,
        identity,
        packet,
        refuse_separation_bit: false,
    }
}

/// A request to keyd for a fast re-authentication.
pub fn reauthenticate<'a>(packet: &'a [u8], identity: &'a str) -> Reauthenticate<'a> {
    Reauthenticate {
        iccid: None,
        identity: identity.as_bytes(),
        packet,
    }
}

/// A request to keyd for an identity for EAP-AKA' on WLAN.
pub fn identity(kind: IdentityRequest) -> Identity<'static> {
    Identity {
        iccid: None,
        method: Method::AkaPrime,
        any_method: false,
        kind,
        inside: true,
        realm: Realm::Wlan,
        network_name: "WLAN",
    }
}

/// A request to keyd for the permanent identity.
pub fn permanent(iccid: Option<&str>) -> Identity<'_> {
    Identity {
        iccid,
        ..identity(IdentityRequest::Permanent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_case_for_each_line_of_the_table() {
        let mut kinds: Vec<_> = cases(b"").iter().map(|case| case.kind as u8).collect();
        kinds.sort_unstable();
        let mut table: Vec<_> = RequestKind::ALL.iter().map(|kind| *kind as u8).collect();
        table.sort_unstable();
        assert_eq!(kinds, table);
    }
}
