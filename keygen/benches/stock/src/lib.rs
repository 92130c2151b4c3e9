//! `RsaPrivateKey::new`, for a page that supplies random bytes.

use rand_core::{CryptoRng, Error, RngCore, impls};
use rsa::{RsaPrivateKey, traits::PublicKeyParts};

#[link(wasm_import_module = "page")]
unsafe extern "C" {
    /// Fills `length` bytes of the module's memory from `start` on, with `crypto.getRandomValues`.
    fn fill(start: *mut u8, length: usize);
}

struct Page;

impl RngCore for Page {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // SAFETY: the page writes to these bytes, and to no others.
        unsafe { fill(bytes.as_mut_ptr(), bytes.len()) }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Page {}

/// Generates a key and returns the length of its modulus in bits; zero if generation failed.
#[unsafe(no_mangle)]
pub extern "C" fn generate(bits: usize) -> usize {
    RsaPrivateKey::new(&mut Page, bits).map_or(0, |key| key.n().bits())
}
