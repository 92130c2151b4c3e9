//! Precompresses files with brotli and gzip, so that the server need not compress at each request.

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// Compresses `data` with brotli. `quality` 11 gives the smallest result and is the slowest.
pub fn brotli(data: &[u8], quality: u32) -> Result<Vec<u8>> {
    /// Window size as a power of two: 4 MB, more than the size of any file.
    const WINDOW: u32 = 22;
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, quality, WINDOW);
    encoder.write_all(data)?;
    Ok(encoder.into_inner())
}

/// Compresses `data` with gzip.
pub fn gzip(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}
