//! The brotli and gzip twins of a file, made once here instead of at each request.

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// `data` in brotli; 11 is the smallest and slowest `quality`.
pub fn brotli(data: &[u8], quality: u32) -> Result<Vec<u8>> {
    /// Two to this many bytes are looked back on: 4 MB, more than any of our files has.
    const WINDOW: u32 = 22;
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, quality, WINDOW);
    encoder.write_all(data)?;
    Ok(encoder.into_inner())
}

/// `data` in gzip.
pub fn gzip(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}
