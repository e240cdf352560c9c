//! Cryptography that the platform does faster than wasm: asked of the world, never done here. Each is one job with its answer.

use crate::error::Reason;
use std::fmt;

/// One job; parts are raw bytes.
#[derive(Clone, Copy)]
pub enum Job<'a> {
    /// Makes a P-256 key pair: answers the public point (65 bytes, uncompressed: SEC 1 §2.3.3) and behind it the private key as PKCS #8.
    GenerateP256,
    /// ECDSA with SHA-256 (FIPS 186-5) by a private key in PKCS #8: answers `r ‖ s`, 64 bytes.
    SignP256 {
        /// The private key, PKCS #8.
        key: &'a [u8],
        /// What is signed.
        message: &'a [u8],
    },
    /// Verifies the same by the public point: answers one byte, 1 where it is good.
    VerifyP256 {
        /// The public point, 65 bytes, uncompressed.
        key: &'a [u8],
        /// What was signed.
        message: &'a [u8],
        /// `r ‖ s`, 64 bytes.
        signature: &'a [u8],
    },
    /// AES-256-GCM (NIST SP 800-38D): answers the ciphertext with its tag behind it.
    SealAes256Gcm {
        /// 32 bytes.
        key: &'a [u8],
        /// 12 bytes, never twice under one key.
        nonce: &'a [u8],
        /// What belongs to it and is not secret.
        data: &'a [u8],
        /// What is hidden.
        plain: &'a [u8],
    },
    /// The reverse: answers one byte 1 and the plaintext, or one byte 0 where the tag does not fit.
    OpenAes256Gcm {
        /// 32 bytes.
        key: &'a [u8],
        /// 12 bytes.
        nonce: &'a [u8],
        /// What belongs to it and is not secret.
        data: &'a [u8],
        /// Ciphertext and tag.
        sealed: &'a [u8],
    },
}

impl Job<'_> {
    /// The name by which the platform's side knows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GenerateP256 => "generate_p256",
            Self::SignP256 { .. } => "sign_p256",
            Self::VerifyP256 { .. } => "verify_p256",
            Self::SealAes256Gcm { .. } => "seal_aes_256_gcm",
            Self::OpenAes256Gcm { .. } => "open_aes_256_gcm",
        }
    }

    /// The parts, each behind its length in four bytes, big end first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: &[&[u8]] = match self {
            Self::GenerateP256 => &[],
            Self::SignP256 { key, message } => &[key, message],
            Self::VerifyP256 { key, message, signature } => &[key, message, signature],
            Self::SealAes256Gcm { key, nonce, data, plain } => &[key, nonce, data, plain],
            Self::OpenAes256Gcm { key, nonce, data, sealed } => &[key, nonce, data, sealed],
        };
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| 4 + part.len()).sum());
        for part in parts {
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(*part);
        }
        bytes
    }
}

/// Only the name: what a job is made of may be secret.
impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of [`Job::VerifyP256`].
pub fn is_good(answer: &[u8]) -> bool {
    answer == [1]
}

/// What came of [`Job::OpenAes256Gcm`]; a tag that does not fit closes that record, and nothing else.
pub fn opened(answer: &[u8], what: &str) -> Result<Vec<u8>, Reason> {
    match answer {
        [1, plain @ ..] => Ok(plain.to_vec()),
        [0] => Err(Reason::Unreadable(what.to_owned())),
        _ => Err(Reason::Unavailable),
    }
}
