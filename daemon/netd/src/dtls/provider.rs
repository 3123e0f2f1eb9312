//! The engine's cryptography: RustCrypto, except that netd decides which server to trust, and keyd
//! signs.
//!
//! The library takes the parts of a provider as statics, which have no place for a session's own
//! data. Therefore each call into the library runs inside [`within`], which lends the session to
//! the parts.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use dimpl::crypto::{Buf, CryptoProvider, KeyProvider, SignatureVerifier, SigningKey, rust_crypto};
use dimpl::{CryptoError, CryptoOperation, HashAlgorithm, SignatureAlgorithm};

use super::{Error, Signer, Trust};

/// What the parts need of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) trust: Trust,
    pub(super) signer: Arc<dyn Signer>,
    /// Why a part failed. The library's own errors have no room for it.
    fault: Mutex<Option<Error>>,
}

impl Session {
    pub(super) fn new(trust: Trust, signer: Arc<dyn Signer>) -> Arc<Self> {
        Arc::new(Self {
            trust,
            signer,
            fault: Mutex::new(None),
        })
    }

    /// Why the last call failed, if one of the parts knows.
    pub(super) fn take_fault(&self) -> Option<Error> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Verifies a server's certificate, by the time of this moment.
    fn judge(&self, certificate: &[u8]) -> Result<(), CryptoError> {
        let times = self.signer.times().map_err(Error::Time);
        let judged = times.and_then(|times| {
            let judged = self.trust.judge(certificate, &times);
            judged.map_err(Error::Server)
        });
        judged.map_err(|fault| self.fail(fault, CryptoOperation::VerifySignature))
    }

    fn fail(&self, fault: Error, operation: CryptoOperation) -> CryptoError {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        CryptoError::OperationFailed(operation)
    }
}

/// The session that the library works for at this moment on this thread.
#[derive(Clone)]
enum Current {
    Nobody,
    /// The library checks the parts against known answers.
    SelfTest,
    Session(Arc<Session>),
}

thread_local! {
    static CURRENT: RefCell<Current> = const { RefCell::new(Current::Nobody) };
}

/// Runs a call into the library for this session.
pub(super) fn within<T>(session: &Arc<Session>, call: impl FnOnce() -> T) -> T {
    lend(Current::Session(Arc::clone(session)), call)
}

/// Runs the library's check of its parts.
pub(super) fn within_self_test<T>(call: impl FnOnce() -> T) -> T {
    lend(Current::SelfTest, call)
}

fn lend<T>(current: Current, call: impl FnOnce() -> T) -> T {
    /// Takes the session back, even after a panic.
    struct Return(Option<Current>);
    impl Drop for Return {
        fn drop(&mut self) {
            CURRENT.set(self.0.take().unwrap_or(Current::Nobody));
        }
    }
    let _return = Return(Some(CURRENT.replace(current)));
    call()
}

fn current() -> Current {
    CURRENT.with_borrow(Current::clone)
}

/// The parts.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        signature_verification: &TrustVerifier,
        key_provider: &DeviceKey,
        ..rust_crypto::default_provider()
    }
}

/// Verifies the certificate before the library uses its key: in DTLS 1.2, the client signs in the
/// same flight.
#[derive(Debug)]
struct TrustVerifier;

impl SignatureVerifier for TrustVerifier {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        match current() {
            Current::Nobody => return Err(CryptoError::NoPrivateKeyConfigured),
            Current::SelfTest => {}
            Current::Session(session) => session.judge(certificate)?,
        }
        rust_crypto::default_provider()
            .signature_verification
            .verify_signature(certificate, data, signature, hash, algorithm)
    }
}

/// Represents the device key wherever the library needs a private key.
#[derive(Debug)]
struct DeviceKey;

impl KeyProvider for DeviceKey {
    fn load_private_key(&self, _handle: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        match current() {
            Current::Session(session) => Ok(Box::new(RemoteKey(session))),
            Current::Nobody | Current::SelfTest => Err(CryptoError::NoPrivateKeyConfigured),
        }
    }
}

/// Has the holder of the device key sign the whole transcript.
#[derive(Debug)]
struct RemoteKey(Arc<Session>);

impl SigningKey for RemoteKey {
    fn sign(
        &mut self,
        transcript: &[u8],
        hash: HashAlgorithm,
        out: &mut Buf,
    ) -> Result<(), CryptoError> {
        if hash != HashAlgorithm::SHA256 {
            return Err(CryptoError::OperationFailed(CryptoOperation::Sign));
        }
        let signature = self
            .0
            .signer
            .sign(transcript)
            .map_err(|error| self.0.fail(Error::Signature(error), CryptoOperation::Sign))?;
        out.clear();
        out.extend_from_slice(&signature);
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::SHA256
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}
