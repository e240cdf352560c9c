//! What the platform's cryptography answers, by RustCrypto instead: the same jobs, natively. Keys are made by a counter.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use claviger::{crypto::job::Job, error::Reason};
use p256::{
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier as _},
    },
    elliptic_curve::sec1::ToSec1Point as _,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
};
use std::cell::Cell;

thread_local! {
    static MADE: Cell<u8> = const { Cell::new(0) };
}

/// Does one job; what is no key is no answer.
pub fn work(job: Job<'_>) -> Result<Vec<u8>, Reason> {
    answer(job).ok_or(Reason::Unavailable)
}

fn answer(job: Job<'_>) -> Option<Vec<u8>> {
    match job {
        Job::GenerateP256 => {
            // Not the last few: they are larger than the curve's order.
            MADE.set(MADE.get() % 250 + 1);
            let key = SigningKey::from_slice(&[MADE.get(); 32]).ok()?;
            let public = key.verifying_key().as_affine().to_sec1_point(false);
            Some([public.as_bytes(), key.to_pkcs8_der().ok()?.as_bytes()].concat())
        }
        Job::SignP256 { key, message } => {
            let signature: Signature = SigningKey::from_pkcs8_der(key).ok()?.sign(message);
            Some(signature.to_bytes().to_vec())
        }
        Job::VerifyP256 { key, message, signature } => {
            let key = VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature = Signature::from_slice(signature);
            Some(vec![u8::from(signature.is_ok_and(|signature| key.verify(message, &signature).is_ok()))])
        }
        Job::SealAes256Gcm { key, nonce, data, plain } => {
            let nonce = Nonce::try_from(nonce).ok()?;
            Aes256Gcm::new_from_slice(key).ok()?.encrypt(&nonce, Payload { msg: plain, aad: data }).ok()
        }
        Job::OpenAes256Gcm { key, nonce, data, sealed } => {
            let nonce = Nonce::try_from(nonce).ok()?;
            let plain = Aes256Gcm::new_from_slice(key).ok()?.decrypt(&nonce, Payload { msg: sealed, aad: data });
            Some(plain.map_or(vec![0], |plain| [&[1], plain.as_slice()].concat()))
        }
    }
}
