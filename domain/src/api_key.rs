//! API keys: their format, their stored form and their lifecycle.
//!
//! The format is `nvk_` + public id (8) + `_` + secret (32) + checksum (6). The 32 random base62 characters hold 32 ×
//! log2(62) = 190 bits. The prefix lets a secret scanner find a leaked key. The CRC-32 detects typing errors before any
//! look-up; it has no other security purpose.

use crate::{id::ApiKeyId, text::Why, time::Timestamp};
use std::{fmt, time::Duration};
use zeroize::Zeroize;

/// Maximum number of live keys of an application.
pub const MAX_LIVE_KEYS: usize = 5;

/// Maximum time for which a replaced key keeps working after its rotation.
pub const MAX_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const BRAND: &str = "nvk_";
const PUBLIC_ID_LENGTH: usize = 8;
const SECRET_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 6;
const CHECKSUM_AT: usize = BRAND.len() + PUBLIC_ID_LENGTH + 1 + SECRET_LENGTH;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Length of an API key in bytes.
pub const KEY_LENGTH: usize = CHECKSUM_AT + CHECKSUM_LENGTH;

/// An API key in plain text: shown once, then stored only as a hash. Opaque in `Debug`, wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainApiKey(String);

impl PlainApiKey {
    /// Generates a key. `random` fills a slice with bytes from a cryptographically secure random generator.
    pub fn generate(mut random: impl FnMut(&mut [u8])) -> Self {
        let mut text = String::with_capacity(KEY_LENGTH);
        text.push_str(BRAND);
        push_random(&mut text, PUBLIC_ID_LENGTH, &mut random);
        text.push('_');
        push_random(&mut text, SECRET_LENGTH, &mut random);
        let checksum = checksum(text.as_bytes());
        text.extend(checksum.map(char::from));
        Self(text)
    }

    /// Parses a key, checking its format and checksum. A typing error is detected without a look-up.
    ///
    /// # Errors
    /// The problem with the text, as far as it can be determined without knowing any key.
    pub fn parse(text: &str) -> Result<Self, ApiKeyShapeError> {
        check_shape(text.as_bytes())?;
        Ok(Self(text.to_owned()))
    }

    /// Returns the secret text. The caller is responsible for not leaking it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns `nvk_` and the public id, by which the console identifies the key after its creation.
    pub fn prefix(&self) -> KeyPrefix {
        KeyPrefix(self.0[..BRAND.len() + PUBLIC_ID_LENGTH].to_owned())
    }

    /// Returns the last four characters, which the console shows after the prefix.
    pub fn last_four(&self) -> &str {
        &self.0[KEY_LENGTH - 4..]
    }
}

impl fmt::Debug for PlainApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainApiKey(…)")
    }
}

impl Drop for PlainApiKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Reason why a text is not an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyShapeError {
    /// It starts like a key but is too short: often just the prefix that the console shows.
    #[error("this is only the beginning of a key; send all {KEY_LENGTH} characters")]
    Truncated,
    /// It contains a complete key and other characters.
    #[error(
        "it holds a key and other characters; send the key alone, without quotation marks, spaces, a line break or `Bearer`"
    )]
    Surrounded,
    /// It does not resemble a key.
    #[error("this is not a Nuvera API key; a key starts with {BRAND} and has {KEY_LENGTH} characters")]
    NotAKey,
    /// The format is right but the checksum does not match: a character was changed.
    #[error("the key's checksum does not match; copy the key again, all of it")]
    Checksum,
}

/// Checks the format and checksum of the bytes of an `x-api-key` header.
///
/// # Errors
/// The problem with the bytes, as far as it can be determined without knowing any key.
pub fn check_shape(key: &[u8]) -> Result<(), ApiKeyShapeError> {
    let branded = key.starts_with(BRAND.as_bytes());
    if branded && key.len() < KEY_LENGTH {
        return Err(ApiKeyShapeError::Truncated);
    }
    let separator_at = BRAND.len() + PUBLIC_ID_LENGTH;
    let formed = branded
        && key.len() == KEY_LENGTH
        && key[separator_at] == b'_'
        && key[BRAND.len()..separator_at].iter().chain(&key[separator_at + 1..]).all(u8::is_ascii_alphanumeric);
    if !formed {
        let windows = key.windows(KEY_LENGTH).filter(|window| window.starts_with(BRAND.as_bytes()));
        let is_surrounded = key.len() > KEY_LENGTH && windows.map(check_shape).any(|shape| shape.is_ok());
        return Err(if is_surrounded { ApiKeyShapeError::Surrounded } else { ApiKeyShapeError::NotAKey });
    }
    let (body, given) = key.split_at(CHECKSUM_AT);
    if checksum(body) == given { Ok(()) } else { Err(ApiKeyShapeError::Checksum) }
}

/// `nvk_` and the public id, by which users identify a key. Not a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Wraps a stored prefix, which came from [`PlainApiKey::prefix`]. It is not checked again.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `HMAC-SHA-256(pepper, key)`: the only stored form of a key's secret. Opaque in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyHash(…)")
    }
}

/// The stored form of a new key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// The key's id, which is not part of its text.
    pub id: ApiKeyId,
    /// The prefix by which users identify it.
    pub prefix: KeyPrefix,
    /// Its last four characters, which the console shows.
    pub last_four: String,
    /// The keyed hash of its text.
    pub hash: ApiKeyHash,
    /// The id of the pepper that the hash was computed with.
    pub pepper_id: String,
}

/// An API key of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id, which is not part of its text.
    pub id: ApiKeyId,
    /// The prefix by which users identify it.
    pub prefix: KeyPrefix,
    /// Its last four characters, which the console shows.
    pub last_four: String,
    /// The keyed hash of its text.
    pub hash: ApiKeyHash,
    /// The id of the pepper that the hash was computed with.
    pub pepper_id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Name of the user who created it.
    pub created_by: String,
    /// When a user confirmed that the key is stored. Until then the key may never have been seen.
    pub stored_at: Option<Timestamp>,
    /// Set once the key was reported as exposed. From then on its lifetime can only be shortened.
    pub exposed: Option<Exposure>,
    /// The stored state. See [`ApiKey::status`] for the state at an instant.
    pub state: ApiKeyState,
}

/// A report that a key was exposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// When it was reported.
    pub at: Timestamp,
    /// The name of the user who reported it.
    pub by: String,
    /// The reason, if one was given.
    pub why: Option<Why>,
}

/// The stored state of a key. Expiry is not stored but determined at use: see [`ApiKey::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyState {
    /// Valid until it is replaced or revoked.
    Active,
    /// Replaced, and valid until its deadline.
    Expiring {
        /// The first instant at which it is no longer valid.
        at: Timestamp,
        /// When it was replaced; the deadline is at most [`MAX_GRACE`] after this.
        replaced_at: Timestamp,
    },
    /// Permanently disabled.
    Revoked {
        /// When it was revoked.
        at: Timestamp,
    },
}

/// The state of a key at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyStatus {
    /// Valid, without a deadline.
    Active,
    /// Valid until `at`.
    Expiring {
        /// The first instant at which it is no longer valid.
        at: Timestamp,
    },
    /// Its deadline has passed.
    Expired {
        /// The deadline.
        at: Timestamp,
    },
    /// Permanently disabled.
    Revoked {
        /// When it was revoked.
        at: Timestamp,
    },
}

impl ApiKeyStatus {
    /// Whether requests with the key are accepted.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Expiring { .. })
    }
}

impl fmt::Display for ApiKeyStatus {
    /// Writes the text for the audit history and for error messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Expiring { at } => write!(f, "expires {at}"),
            Self::Expired { at } => write!(f, "expired {at}"),
            Self::Revoked { at } => write!(f, "revoked {at}"),
        }
    }
}

/// Reason why a requested change of a key's state is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It is expired or revoked, which is final.
    #[error("This key no longer works ({0}), and nothing brings it back. Create a replacement key instead.")]
    NotLive(ApiKeyStatus),
    /// It has no deadline that could be moved or removed.
    #[error("This key has no deadline: it is active. Create a replacement key to give it one.")]
    NotExpiring,
    /// The deadline is not in the future.
    #[error("Choose a time after now ({now}). To stop the key at once, revoke it.")]
    DeadlinePassed {
        /// The time of the request.
        now: Timestamp,
    },
    /// The deadline is more than 30 days after the rotation.
    #[error("Choose {latest} or earlier: a replaced key works at most 30 days after its rotation.")]
    DeadlineTooLate {
        /// The latest deadline that is allowed.
        latest: Timestamp,
    },
    /// It was reported as exposed, so its lifetime can only be shortened.
    #[error(
        "This key was reported as exposed: it cannot be kept, and its deadline can only be moved earlier. Choose “Replace exposed key”, or revoke it."
    )]
    Exposed,
}

impl ApiKey {
    /// Returns the form shown to users: the prefix and the last four characters.
    pub fn shown(&self) -> String {
        format!("{}…{}", self.prefix, self.last_four)
    }

    /// Creates an active key.
    pub fn new(new: NewApiKey, created_by: &str, now: Timestamp) -> Self {
        let NewApiKey { id, prefix, last_four, hash, pepper_id } = new;
        let state = ApiKeyState::Active;
        Self {
            id,
            prefix,
            last_four,
            hash,
            pepper_id,
            created_at: now,
            created_by: created_by.to_owned(),
            stored_at: None,
            exposed: None,
            state,
        }
    }

    /// Returns the state at `now`. At its deadline the key has expired.
    pub fn status(&self, now: Timestamp) -> ApiKeyStatus {
        match self.state {
            ApiKeyState::Active => ApiKeyStatus::Active,
            ApiKeyState::Expiring { at, .. } if now >= at => ApiKeyStatus::Expired { at },
            ApiKeyState::Expiring { at, .. } => ApiKeyStatus::Expiring { at },
            ApiKeyState::Revoked { at } => ApiKeyStatus::Revoked { at },
        }
    }

    /// Marks the key as replaced: an active key gets the deadline `at`. An expiring key keeps its deadline, earlier or
    /// later.
    pub(crate) fn replaced(self, at: Timestamp, now: Timestamp) -> Self {
        match self.state {
            ApiKeyState::Active => Self { state: ApiKeyState::Expiring { at, replaced_at: now }, ..self },
            ApiKeyState::Expiring { .. } | ApiKeyState::Revoked { .. } => self,
        }
    }

    /// Moves the deadline of an expiring key.
    ///
    /// # Errors
    /// The key is not expiring, or `at` is not after `now`, or more than [`MAX_GRACE`] after the rotation, or the key
    /// was reported as exposed and `at` is not earlier than its current deadline.
    pub fn expire(self, at: Timestamp, now: Timestamp) -> Result<Self, ApiKeyError> {
        let replaced_at = self.replaced_at(now)?;
        if at <= now {
            return Err(ApiKeyError::DeadlinePassed { now });
        }
        if self.exposed.is_some() && matches!(self.state, ApiKeyState::Expiring { at: present, .. } if at >= present) {
            return Err(ApiKeyError::Exposed);
        }
        let latest = replaced_at.plus(MAX_GRACE);
        if at > latest {
            return Err(ApiKeyError::DeadlineTooLate { latest });
        }
        Ok(Self { state: ApiKeyState::Expiring { at, replaced_at }, ..self })
    }

    /// Removes the deadline of an expiring key, to roll back a rotation.
    ///
    /// # Errors
    /// The key is not expiring, or was reported as exposed.
    pub fn keep(self, now: Timestamp) -> Result<Self, ApiKeyError> {
        self.replaced_at(now)?;
        if self.exposed.is_some() {
            return Err(ApiKeyError::Exposed);
        }
        Ok(Self { state: ApiKeyState::Active, ..self })
    }

    /// Marks the key as exposed. An earlier report is kept.
    pub(crate) fn exposed(self, exposure: Exposure) -> Self {
        Self { exposed: self.exposed.or(Some(exposure)), ..self }
    }

    /// Revokes a live key. Revocation is final.
    ///
    /// # Errors
    /// The key is already expired or revoked.
    pub fn revoke(self, now: Timestamp) -> Result<Self, ApiKeyError> {
        let status = self.status(now);
        if !status.is_live() {
            return Err(ApiKeyError::NotLive(status));
        }
        Ok(Self { state: ApiKeyState::Revoked { at: now }, ..self })
    }

    fn replaced_at(&self, now: Timestamp) -> Result<Timestamp, ApiKeyError> {
        match (self.status(now), self.state) {
            (ApiKeyStatus::Expiring { .. }, ApiKeyState::Expiring { replaced_at, .. }) => Ok(replaced_at),
            (ApiKeyStatus::Active, _) => Err(ApiKeyError::NotExpiring),
            (status, _) => Err(ApiKeyError::NotLive(status)),
        }
    }
}

/// Appends `count` characters, uniformly distributed over the alphabet: six random bits select a character. The two of
/// the 64 values that have no character are skipped.
fn push_random(text: &mut String, count: usize, random: &mut impl FnMut(&mut [u8])) {
    let end = text.len() + count;
    let mut bytes = [0; SECRET_LENGTH];
    while text.len() < end {
        random(&mut bytes);
        let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3F)));
        text.extend(characters.take(end - text.len()).map(|&c| char::from(c)));
    }
    bytes.zeroize();
}

/// CRC-32 (ISO-HDLC) of `body` in base62, most significant digit first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32fast::hash(body) as usize;
    let mut digits = [0; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_404_310_000);

    fn plain(seed: u8) -> PlainApiKey {
        let mut next = seed;
        PlainApiKey::generate(|bytes| {
            for byte in bytes {
                next = next.wrapping_mul(37).wrapping_add(11);
                *byte = next;
            }
        })
    }

    fn key() -> ApiKey {
        let plain = plain(1);
        let new = NewApiKey {
            id: ApiKeyId(uuid::Uuid::nil()),
            prefix: plain.prefix(),
            last_four: plain.last_four().to_owned(),
            hash: ApiKeyHash([0; 32]),
            pepper_id: "p1".to_owned(),
        };
        ApiKey::new(new, "Olivia", NOW)
    }

    #[test]
    fn a_key_has_the_form_that_secret_scanners_know() {
        let key = plain(7);
        let text = key.reveal();
        assert_eq!(text.len(), 51);
        assert!(text.starts_with("nvk_"));
        assert_eq!(key.prefix().as_str(), &text[..12]);
        assert_eq!(key.last_four(), &text[47..]);
        assert_eq!(PlainApiKey::parse(text), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "PlainApiKey(…)");
    }

    #[test]
    fn all_62_characters_are_drawn_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        for _ in 0..2000 {
            let key = PlainApiKey::generate(|bytes| {
                for byte in bytes {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    *byte = (state >> 56) as u8;
                }
            });
            for c in key.reveal()[13..45].chars() {
                *counts.entry(c).or_insert(0_u32) += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        let (least, most) = (counts.values().min(), counts.values().max());
        assert!(most <= least.map(|l| l + l / 2).as_ref(), "{counts:?}");
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_by_its_kind_of_mistake() {
        let key = plain(3);
        let text = key.reveal();
        assert_eq!(PlainApiKey::parse(&text[..12]), Err(ApiKeyShapeError::Truncated));
        assert_eq!(PlainApiKey::parse(&text[47..]), Err(ApiKeyShapeError::NotAKey));
        assert_eq!(PlainApiKey::parse(&text.to_uppercase()), Err(ApiKeyShapeError::NotAKey));
        for surrounded in [format!("{text} "), format!("\"{text}\""), format!("Bearer {text}"), format!("KEY={text}\r")]
        {
            assert_eq!(PlainApiKey::parse(&surrounded), Err(ApiKeyShapeError::Surrounded), "{surrounded:?}");
        }
        assert_eq!(PlainApiKey::parse(""), Err(ApiKeyShapeError::NotAKey));
    }

    proptest! {
        #[test]
        fn changing_any_one_character_is_noticed(seed: u8, at in 13_usize..51, to in 0_usize..62) {
            let key = plain(seed);
            let mut bytes = key.reveal().as_bytes().to_vec();
            prop_assume!(bytes[at] != ALPHABET[to]);
            bytes[at] = ALPHABET[to];
            prop_assert_eq!(check_shape(&bytes), Err(ApiKeyShapeError::Checksum));
        }

        #[test]
        fn any_bytes_at_all_are_judged_without_a_panic(bytes: Vec<u8>) {
            prop_assert!(check_shape(&bytes).is_err());
        }

        #[test]
        fn a_key_is_read_as_it_was_written_and_no_part_of_it_is_a_key(seed: u8, end in 0_usize..51, more: u8) {
            let key = plain(seed);
            let text = key.reveal();
            prop_assert_eq!(PlainApiKey::parse(text), Ok(key.clone()));
            prop_assert!(check_shape(&text.as_bytes()[..end]).is_err());
            prop_assert!(end == 0 || check_shape(&text.as_bytes()[end..]).is_err());
            prop_assert_eq!(check_shape(&[text.as_bytes(), &[more]].concat()), Err(ApiKeyShapeError::Surrounded));
        }

        #[test]
        fn any_bytes_behind_the_brand_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 47)) {
            let text = [BRAND.as_bytes(), &bytes].concat();
            if check_shape(&text).is_ok() {
                prop_assert!(text.is_ascii());
            }
        }
    }

    #[test]
    fn an_expiring_key_works_until_its_deadline_and_not_at_it() {
        let at = NOW.plus(Duration::from_secs(3600));
        let key = key().replaced(at, NOW);
        let last = Timestamp::from_millis(at.as_millis() - 1);
        assert_eq!(key.status(last), ApiKeyStatus::Expiring { at });
        assert_eq!(key.status(at), ApiKeyStatus::Expired { at });
        assert!(key.clone().keep(last).is_ok());
        assert_eq!(key.keep(at), Err(ApiKeyError::NotLive(ApiKeyStatus::Expired { at })));
    }

    #[test]
    fn a_deadline_moves_only_between_now_and_thirty_days_after_the_rotation() {
        let key = key().replaced(NOW.plus(Duration::from_secs(60)), NOW);
        let later = NOW.plus(Duration::from_secs(30));
        let latest = NOW.plus(MAX_GRACE);
        assert_eq!(key.clone().expire(later, later), Err(ApiKeyError::DeadlinePassed { now: later }));
        assert!(key.clone().expire(latest, later).is_ok());
        assert_eq!(
            key.clone().expire(Timestamp::from_millis(latest.as_millis() + 1), later),
            Err(ApiKeyError::DeadlineTooLate { latest })
        );
        assert_eq!(key.keep(later).unwrap().expire(latest, later), Err(ApiKeyError::NotExpiring));
    }

    #[test]
    fn a_revoked_key_stays_revoked() {
        let key = key().revoke(NOW).unwrap();
        let status = ApiKeyStatus::Revoked { at: NOW };
        assert_eq!(key.clone().revoke(NOW), Err(ApiKeyError::NotLive(status)));
        assert_eq!(key.clone().keep(NOW), Err(ApiKeyError::NotLive(status)));
        assert_eq!(key.clone().replaced(NOW.plus(MAX_GRACE), NOW), key);
    }
}
