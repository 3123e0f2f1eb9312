//! The AuC behind hostapd: its `eap_sim_db` socket, one ASCII message a datagram.
//!
//! ```text
//! AKA-REQ-AUTH <IMSI>                 -> AKA-RESP-AUTH <IMSI> <RAND> <AUTN> <IK> <CK> <RES>
//!                                        AKA-RESP-AUTH <IMSI> FAILURE
//! AKA-AUTS <IMSI> <AUTS> <RAND>       -> no answer; hostapd asks for the next vector
//! ```

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use softsim_aka::{Auts, Rand};
use softsim_lab_aka::AuthenticationVector;
use tokio::net::UnixDatagram;

use crate::auc::Auc;

/// The socket, bound.
pub struct EapSimDb {
    socket: UnixDatagram,
    auc: Arc<Mutex<Auc>>,
}

impl EapSimDb {
    /// Binds the socket, and removes one that an earlier run has left.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn bind(path: &Path, auc: Arc<Mutex<Auc>>) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            socket: UnixDatagram::bind(path)?,
            auc,
        })
    }

    /// Answers until the socket fails.
    ///
    /// # Errors
    /// The socket fails. A client that went away is no error.
    pub async fn serve(self) -> io::Result<Infallible> {
        let mut buffer = [0; 1024];
        loop {
            let (length, client) = self.socket.recv_from(&mut buffer).await?;
            let Ok(message) = std::str::from_utf8(&buffer[..length]) else {
                continue;
            };
            let answer = answer(
                &mut self.auc.lock().unwrap_or_else(PoisonError::into_inner),
                message,
            );
            if let (Some(answer), Some(path)) = (answer, client.as_pathname()) {
                // hostapd repeats a request that wasn't answered after a second.
                let _ = self.socket.send_to(answer.as_bytes(), path).await;
            }
        }
    }
}

/// What the AuC answers to one message, if anything.
fn answer(auc: &mut Auc, message: &str) -> Option<String> {
    let fields: Vec<&str> = message.trim_end_matches(['\0', '\n']).split(' ').collect();
    match fields[..] {
        ["AKA-REQ-AUTH", imsi] => Some(match auc.vector(imsi) {
            Ok(AuthenticationVector {
                rand,
                autn,
                xres,
                ck,
                ik,
            }) => {
                let fields = [
                    &rand.as_bytes()[..],
                    autn.as_bytes(),
                    ik.as_bytes(),
                    ck.as_bytes(),
                    xres.as_bytes(),
                ];
                format!("AKA-RESP-AUTH {imsi} {}", fields.map(hex::encode).join(" "))
            }
            Err(_) => format!("AKA-RESP-AUTH {imsi} FAILURE"),
        }),
        ["AKA-AUTS", imsi, auts, rand] => {
            let octets = |field: &str| hex::decode(field).ok();
            let auts = Auts::try_from(octets(auts)?.as_slice()).ok()?;
            let rand = Rand::try_from(octets(rand)?.as_slice()).ok()?;
            // A forged AUTS changes nothing, and the protocol has no answer that could say so.
            let _ = auc.resynchronise(imsi, &rand, &auts);
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use softsim_aka::Autn;
    use softsim_usim::{AuthenticationFailure, SeparationBit};

    use super::*;
    use crate::auc::tests::{IMSI, algorithm, auc, usim};

    #[test]
    fn a_vector_is_given_as_rand_autn_ik_ck_res() {
        let response = answer(&mut auc(0), &format!("AKA-REQ-AUTH {IMSI}")).unwrap();
        let expected = auc(0).vector(IMSI).unwrap();
        let fields: Vec<&str> = response.split(' ').collect();
        assert_eq!(fields[..2], ["AKA-RESP-AUTH", IMSI]);
        assert_eq!(fields[2], hex::encode(expected.rand.as_bytes()));
        assert_eq!(fields[3], hex::encode(expected.autn.as_bytes()));
        assert_eq!(fields[4], hex::encode(expected.ik.as_bytes()));
        assert_eq!(fields[5], hex::encode(expected.ck.as_bytes()));
        assert_eq!(fields[6], hex::encode(expected.xres.as_bytes()));
        assert_eq!(fields.len(), 7);
    }

    #[test]
    fn nobodys_imsi_is_a_failure() {
        assert_eq!(
            answer(&mut auc(0), "AKA-REQ-AUTH 999").unwrap(),
            "AKA-RESP-AUTH 999 FAILURE"
        );
    }

    #[test]
    fn auts_moves_sqn_and_has_no_answer() {
        let (mut auc, usim) = (auc(0), usim(1 << 30));
        let stale = auc.vector(IMSI).unwrap();
        let autn = Autn::new(*stale.autn.as_bytes());
        let failure = usim
            .check(&algorithm(), &stale.rand, &autn, SeparationBit::Required)
            .unwrap_err();
        let AuthenticationFailure::SyncFailure(auts) = failure else {
            unreachable!("a stale SQN passed")
        };
        let message = format!(
            "AKA-AUTS {IMSI} {} {}",
            hex::encode(auts.as_bytes()),
            hex::encode(stale.rand.as_bytes())
        );
        assert_eq!(answer(&mut auc, &message), None);
        assert_eq!(auc.subscriber(IMSI).unwrap().sqn(), usim.sqn_ms());
    }

    #[test]
    fn what_is_no_message_has_no_answer() {
        for message in [
            "",
            "AKA-REQ-AUTH",
            "AKA-REQ-AUTH 1 2",
            "AKA-AUTS 1 zz zz",
            "AKA-AUTS 1 00 00",
            "SIM-REQ-AUTH 1 3",
        ] {
            assert_eq!(answer(&mut auc(0), message), None, "{message}");
        }
    }

    #[tokio::test]
    async fn the_socket_answers_whoever_asks_and_replaces_a_stale_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auc.sock");
        let auc = Arc::new(Mutex::new(auc(0)));
        drop(EapSimDb::bind(&path, auc.clone()).unwrap());
        tokio::spawn(EapSimDb::bind(&path, auc).unwrap().serve());

        let client = UnixDatagram::bind(directory.path().join("client.sock")).unwrap();
        client.send_to(&[0xff, 0xfe], &path).await.unwrap();
        client
            .send_to(format!("AKA-REQ-AUTH {IMSI}").as_bytes(), &path)
            .await
            .unwrap();
        let mut buffer = [0; 512];
        let length = client.recv(&mut buffer).await.unwrap();
        assert!(buffer[..length].starts_with(format!("AKA-RESP-AUTH {IMSI} ").as_bytes()));
    }
}
