//! SHA-256 hashes in hexadecimal.

/// Formats a hash in lower case, as `bodyHash` and the store represent it.
pub fn lower(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Parses the output of [`lower`], in either case.
pub fn parse(text: &str) -> Option<[u8; 32]> {
    let digit = |character: u8| char::from(character).to_digit(16).map(|digit| digit as u8);
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_back_and_nothing_else_is_one() {
        let hash: [u8; 32] = std::array::from_fn(|index| (index * 37) as u8);
        assert_eq!(parse(&lower(&hash)), Some(hash));
        assert_eq!(parse(&lower(&hash).to_uppercase()), Some(hash));
        for wrong in ["", "0", &"g".repeat(64), &"+f".repeat(32), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
