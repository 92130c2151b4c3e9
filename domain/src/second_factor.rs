//! Second factors: the codes of an authenticator app (TOTP, RFC 6238), and recovery codes for users who have lost the
//! app.

use crate::{
    access::Role,
    actor::ActorKind,
    application::By,
    audit::{AuditAction, AuditEvent},
    id::PasskeyId,
    passkey::Passkey,
    time::{DAY, Timestamp},
};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::{fmt, time::Duration};
use zeroize::Zeroizing;

/// The time step, during which an app shows the same code.
pub const STEP: Duration = Duration::from_secs(30);

/// Number of digits of a code.
pub const DIGITS: usize = 6;

/// Number of time steps before and after the present one that are accepted as well, because of clock skew and typing
/// time.
const SKEW: i64 = 1;

/// Number of recovery codes that a user is issued at a time.
pub const RECOVERY_CODES: usize = 10;

/// Number of random bytes of a recovery code; the next constant is the number of characters that encode them.
const RECOVERY_BYTES: usize = 10;
const RECOVERY_CHARACTERS: usize = 16;
const RECOVERY_GROUP: usize = 4;

/// The factors that a user has in addition to the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// Whether the user has an authenticator app.
    pub authenticator: bool,
    /// Whether the user has passkeys. Rejected ones count too: their owner must not fall back to a password alone.
    pub passkeys: bool,
}

impl Factors {
    fn described(self) -> String {
        let text = match (self.authenticator, self.passkeys) {
            (_, false) => AUTHENTICATOR,
            (false, true) => "Passkeys",
            (true, true) => "Authenticator app and passkeys",
        };
        text.to_owned()
    }

    /// Whether the user has any of them.
    pub fn any(self) -> bool {
        self.authenticator || self.passkeys
    }
}

/// Whether a second factor is mandatory: for everyone at Nuvera, who can access every partner's applications, and for
/// members of an organization that requires it.
pub fn is_required(role: Role, organization_asks: bool) -> bool {
    role.side() == ActorKind::Nuvera || organization_asks
}

/// The state of a user's authenticator app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// When it was set up.
    pub set_up_at: Timestamp,
    /// Number of unused recovery codes.
    pub recovery_codes: usize,
}

/// Age up to which a factor or a set of recovery codes counts as recent: an attacker may have added it.
pub const RECENT: Duration = Duration::from_secs(30 * DAY.as_secs());

/// All factors of a user in addition to the password, as listed when the password is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactorList {
    /// The authenticator app.
    pub app: Option<SecondFactor>,
    /// The passkeys, the oldest first.
    pub passkeys: Vec<Passkey>,
    /// Number of unused recovery codes.
    pub recovery_codes: usize,
    /// When they were issued, if known.
    pub recovery_codes_made_at: Option<Timestamp>,
}

/// The factors that a password change removes together with the old password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactorRemoval {
    /// Whether the authenticator app is removed.
    pub app: bool,
    /// The passkeys that are removed.
    pub passkeys: Vec<PasskeyId>,
    /// Whether the recovery codes are replaced. They are removed automatically with the last factor.
    pub recovery_codes: bool,
}

/// Whether an entry added at `at` is recent at `now`: see [`RECENT`].
pub fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < RECENT
}

impl FactorList {
    /// Returns the identifiers of all entries, in a form that a page can send back: see [`FactorList::has_unseen`].
    pub fn fingerprint(&self) -> String {
        self.entries().join(" ")
    }

    /// Whether there is an entry that is not in `seen`, the [`FactorList::fingerprint`] of the list that the user saw.
    /// An attacker could add a passkey while the page is open; it must not survive the change.
    pub fn has_unseen(&self, seen: &str) -> bool {
        let seen: Vec<_> = seen.split(' ').collect();
        self.entries().iter().any(|entry| !seen.contains(&entry.as_str()))
    }

    /// Returns the identifier of an authenticator app within a fingerprint.
    pub fn app_entry(app: &SecondFactor) -> String {
        format!("app:{}", app.set_up_at.as_millis())
    }

    /// Returns the identifier of a passkey within a fingerprint.
    pub fn passkey_entry(passkey: &Passkey) -> String {
        format!("passkey:{}", passkey.id)
    }

    /// Returns the identifier of the recovery codes within a fingerprint; `None` if there are none.
    pub fn codes_entry(&self) -> Option<String> {
        let made_at = self.recovery_codes_made_at.map_or(0, Timestamp::as_millis);
        (self.recovery_codes > 0).then(|| format!("codes:{made_at}"))
    }

    fn entries(&self) -> Vec<String> {
        let app = self.app.as_ref().map(Self::app_entry);
        let passkeys = self.passkeys.iter().map(Self::passkey_entry);
        app.into_iter().chain(passkeys).chain(self.codes_entry()).collect()
    }
}

/// Reason why a change of a second factor is rejected. The messages are shown to the user who requested it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecondFactorError {
    /// The code is not current, was already used, or belongs to another secret.
    #[error(
        "This code is not right, or was used already. Wait for the next one; if that fails too, check that the clock of your device is right."
    )]
    WrongCode,
    /// The page with the secret has expired, or belongs to another user.
    #[error("This page was open for too long, so it shows a new secret now. Add that one to your app.")]
    TooLate,
    /// Too many codes in a row were wrong, in browsers that the user has not signed in with.
    #[error(
        "A hundred codes in a row were wrong, so the app’s codes are only accepted in browsers that you have signed in with before. Use a recovery code or a passkey, or one of those browsers, and change your password: someone else may know it. If you have none of these, ask someone who manages members to reset your password."
    )]
    TooManyWrongCodes,
    /// Too many codes in a row were wrong in this session or browser.
    #[error(
        "Twenty codes in a row were wrong here, so the app’s codes are no longer accepted here. Use a recovery code or a passkey."
    )]
    TooManyWrongCodesHere,
    /// The user has a factor that the page did not list.
    #[error(
        "Your second factors changed after you opened this page, so nothing was changed. Check the list as it is now, then choose the password again."
    )]
    ListChanged,
    /// The user has no second factor.
    #[error("There is no second factor. Reload the page to see how it is now.")]
    None,
    /// A second factor is mandatory for the user.
    #[error("You must have a second factor here. You can replace it with another one, not remove it.")]
    Required,
}

/// The secret shared by an authenticator app and the server. Opaque in `Debug`, wiped from memory on drop.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; Self::BYTES]>);

impl TotpSecret {
    /// Length in bytes: that of the hash (RFC 4226, 4, R6).
    pub const BYTES: usize = 20;

    /// Creates the secret that consists of `bytes`.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Generates a secret. `random` fills a slice with bytes from a cryptographically secure random generator.
    pub fn generate(random: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        random(&mut *bytes);
        Self(bytes)
    }

    /// Returns the bytes. The caller is responsible for not leaking them.
    pub fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// Returns the text that users type into an app (RFC 4648, base32).
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&*self.0)
    }

    /// Returns the URI that an app opens or reads from a QR code; `account` is an e-mail address.
    pub fn uri(&self, account: &str) -> String {
        // All characters except the unreserved ones (RFC 3986, 2.3) are escaped.
        let escaped: String = account
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        format!("otpauth://totp/Nuvera:{escaped}?secret={}&issuer=Nuvera", self.base32())
    }

    /// Returns the code that an app shows at `now`.
    pub fn code(&self, now: Timestamp) -> String {
        self.code_of(step(now))
    }

    /// Returns the time step whose code is `typed`: the present one or a neighbour, and later than `last`, the last
    /// step whose code was accepted. So a code that was observed or intercepted cannot be reused.
    pub fn accepts(&self, typed: &str, last: i64, now: Timestamp) -> Option<i64> {
        let now = step(now);
        (now - SKEW..=now + SKEW).filter(|&step| step > last).find(|&step| self.code_of(step) == typed)
    }

    /// Computes the code of a time step (RFC 4226, 5.3, with the step as the counter: RFC 6238, 4.2).
    fn code_of(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        mac.update(&step.to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let offset = usize::from(tag[19] & 0xf);
        let number = u32::from_be_bytes([tag[offset], tag[offset + 1], tag[offset + 2], tag[offset + 3]]) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

fn step(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(STEP.as_millis() as i64)
}

/// A single-use code for a user who has lost their app: 80 random bits. Opaque in `Debug`, wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Generates a recovery code. `random` fills a slice with bytes from a cryptographically secure random generator.
    pub fn generate(random: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; RECOVERY_BYTES]);
        random(&mut *bytes);
        Self(Zeroizing::new(BASE32_NOPAD.encode(&*bytes).to_ascii_lowercase()))
    }

    /// Returns the normalised text, which is the one that is hashed.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns the text for display, in groups.
    pub fn shown(&self) -> String {
        let groups: Vec<_> =
            (0..self.0.len()).step_by(RECOVERY_GROUP).map(|at| &self.0[at..at + RECOVERY_GROUP]).collect();
        groups.join("-")
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// A second factor as typed by the user.
#[derive(Debug)]
pub enum Typed {
    /// Six digits from an authenticator app.
    Code(Zeroizing<String>),
    /// A recovery code.
    Recovery(RecoveryCode),
}

impl Typed {
    /// Parses user input, with or without spaces and dashes, in upper or lower case, with the digits of any supported
    /// keyboard. `None` if it is neither a code nor a recovery code.
    pub fn read(text: &str) -> Option<Self> {
        let is_separator = |c: char| c.is_whitespace() || c == '-' || ('\u{2010}'..='\u{2015}').contains(&c);
        let text: Zeroizing<String> = Zeroizing::new(
            text.chars().map(ascii).filter(|&c| !is_separator(c)).map(|c| c.to_ascii_lowercase()).collect(),
        );
        let in_base32 = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
        if text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Some(Self::Code(text))
        } else if text.len() == RECOVERY_CHARACTERS && text.bytes().all(in_base32) {
            Some(Self::Recovery(RecoveryCode(text)))
        } else {
            None
        }
    }
}

/// The zeros of non-ASCII decimal digits that keyboards produce: Arabic-Indic, Persian, Devanagari and Bengali. The
/// other nine digits follow each zero.
const ZEROS: [char; 4] = ['\u{0660}', '\u{06F0}', '\u{0966}', '\u{09E6}'];

/// Returns the ASCII equivalent of a full-width character or a digit of another script; any other character unchanged.
fn ascii(c: char) -> char {
    let (code, full_width) = (u32::from(c), '\u{FF01}'..='\u{FF5E}');
    if full_width.contains(&c) {
        return char::from_u32(code - 0xFEE0).unwrap_or(c);
    }
    let digit = ZEROS.iter().find_map(|&zero| code.checked_sub(u32::from(zero)).filter(|digit| *digit < 10));
    digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
}

/// Returns the event to record when a user sets up an authenticator app; `had_one` if it replaces another one.
pub fn set_up(by: By<'_>, had_one: bool) -> AuditEvent {
    let (action, before) = match had_one {
        true => (AuditAction::SecondFactorReplaced, Some(AUTHENTICATOR)),
        false => (AuditAction::SecondFactorSet, None),
    };
    event(by, action, &by.actor.email, before.map(ToOwned::to_owned), Some(AUTHENTICATOR.to_owned()))
}

/// Returns the event to record when a user removes their own authenticator app.
///
/// # Errors
/// [`SecondFactorError::Required`]: the user must have a second factor and has no other.
pub fn removed(by: By<'_>) -> Result<AuditEvent, SecondFactorError> {
    if by.actor.must_have_factor && !by.actor.factors.passkeys {
        return Err(SecondFactorError::Required);
    }
    Ok(removed_with_password(by))
}

/// Returns the event to record when a user removes their authenticator app together with the old password. It may be
/// the last factor of a user who must have one: they have to set up another one before anything else.
pub fn removed_with_password(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::SecondFactorRemoved, &by.actor.email, Some(AUTHENTICATOR.to_owned()), None)
}

/// Returns the event to record when a user is issued new recovery codes; `before` is the number of unused old ones.
pub fn recovery_codes_made(by: By<'_>, before: usize) -> AuditEvent {
    event(by, AuditAction::RecoveryCodesMade, &by.actor.email, Some(left(before)), Some(left(RECOVERY_CODES)))
}

/// Returns the event to record when a user uses a recovery code; `before` is the number of unused ones before that.
pub fn recovery_code_used(by: By<'_>, before: usize) -> AuditEvent {
    event(by, AuditAction::RecoveryCodeUsed, &by.actor.email, Some(left(before)), Some(left(before.saturating_sub(1))))
}

/// Returns the event to record when a user who manages members removes another member's second factors.
pub(crate) fn reset(by: By<'_>, email: &str, had: Factors) -> AuditEvent {
    event(by, AuditAction::SecondFactorReset, email, Some(had.described()), None)
}

const AUTHENTICATOR: &str = "Authenticator app";

fn left(codes: usize) -> String {
    format!("{codes} recovery codes left")
}

fn event(by: By<'_>, action: AuditAction, email: &str, before: Option<String>, after: Option<String>) -> AuditEvent {
    AuditEvent {
        at: by.at,
        actor: by.actor.into(),
        organization_id: by.actor.organization_id,
        application_id: None,
        action,
        target: email.to_owned(),
        before,
        after,
        reason: by.reason.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{START, actor};

    /// RFC 6238, appendix B: the last six of the eight digits, for SHA-1.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn secret() -> TotpSecret {
        TotpSecret::new(*b"12345678901234567890")
    }

    fn list() -> FactorList {
        let passkey = |number| Passkey {
            id: PasskeyId(uuid::Uuid::from_u128(number)),
            name: crate::text::PasskeyName::new("Laptop").unwrap(),
            added_at: START,
            used_at: None,
            suspected_at: None,
        };
        FactorList {
            app: Some(SecondFactor { set_up_at: START, recovery_codes: 3 }),
            passkeys: vec![passkey(1), passkey(2)],
            recovery_codes: 3,
            recovery_codes_made_at: Some(START),
        }
    }

    #[test]
    fn a_list_notices_every_entry_that_was_not_seen() {
        let seen = list().fingerprint();
        assert!(!list().has_unseen(&seen));
        assert!(!FactorList::default().has_unseen(""), "nothing to see");
        let later = START.plus(STEP);
        let mut changed = [list(), list(), list()];
        changed[0].app = Some(SecondFactor { set_up_at: later, recovery_codes: 3 });
        changed[1].passkeys[1].id = PasskeyId(uuid::Uuid::from_u128(3));
        changed[2].recovery_codes_made_at = Some(later);
        for changed in changed {
            assert!(changed.has_unseen(&seen), "{changed:?}");
        }
        // Removed entries and used recovery codes are not new entries.
        assert!(!FactorList { app: None, recovery_codes: 2, ..list() }.has_unseen(&seen));
        assert!(list().has_unseen(""));
        assert!(is_recent(START, START) && !is_recent(START, START.plus(RECENT)));
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in VECTORS {
            assert_eq!(secret().code(Timestamp::from_millis(seconds * 1000)), code, "{seconds}");
        }
        assert_eq!(secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            secret().uri("a+b@c.example"),
            "otpauth://totp/Nuvera:a%2Bb%40c.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Nuvera"
        );
    }

    #[test]
    fn a_code_is_taken_one_step_early_and_one_late_and_only_once() {
        let code = secret().code(START);
        let at = |steps: i64| Timestamp::from_millis(START.as_millis() + steps * 30_000);
        for steps in -1..=1 {
            assert!(secret().accepts(&code, 0, at(steps)).is_some(), "{steps}");
        }
        for steps in [-2, 2, 20] {
            assert_eq!(secret().accepts(&code, 0, at(steps)), None, "{steps}");
        }
        let step = secret().accepts(&code, 0, START).unwrap();
        assert_eq!(secret().accepts(&code, step, START), None, "used");
        let earlier = secret().code(at(-1));
        assert_eq!(secret().accepts(&earlier, step, START), None, "one from before the used one");
        let next = secret().code(at(1));
        assert_eq!(secret().accepts(&next, step, START), Some(step + 1));
        assert_eq!(TotpSecret::new([0; 20]).accepts(&code, 0, START), None, "another secret's");
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed() {
        let code = RecoveryCode::generate(|bytes| bytes.copy_from_slice(b"0123456789"));
        assert_eq!(code.shown(), "gayt-emzu-gu3d-oobz");
        for typed in ["gayt-emzu-gu3d-oobz", " GAYTEMZUGU3DOOBZ\n", "gayt emzu gu3d oobz"] {
            assert!(matches!(Typed::read(typed), Some(Typed::Recovery(read)) if read == code), "{typed}");
        }
        for typed in [" 123 456 ", "１２３４５６", "١٢٣٤٥٦", "۱۲۳ ۴۵۶", "१२३४५६", "123–456"]
        {
            assert!(matches!(Typed::read(typed), Some(Typed::Code(code)) if *code == "123456"), "{typed}");
        }
        assert!(matches!(Typed::read("ＧＡＹＴ‐emzu－gu3d oobz"), Some(Typed::Recovery(read)) if read == code));
        for neither in ["", "12345", "1234567", "gayt-emzu-gu3d-oob", "gayt-emzu-gu3d-oob0", "gayt-emzu-gu3d-oobß"] {
            assert!(Typed::read(neither).is_none(), "{neither}");
        }
        assert_eq!(format!("{code:?} {:?}", secret()), "RecoveryCode(…) TotpSecret(…)");
    }

    #[test]
    fn who_must_have_a_second_factor_replaces_it_and_cannot_remove_it() {
        for role in Role::ALL {
            assert!(is_required(role, true), "{role:?}");
            assert_eq!(is_required(role, false), role.side() == ActorKind::Nuvera, "{role:?}");
        }
        let free = actor();
        let held = crate::actor::Actor { must_have_factor: true, ..actor() };
        let by = |actor| By { actor, at: START, reason: None };
        assert_eq!(removed(by(&free)).unwrap().action, AuditAction::SecondFactorRemoved);
        assert_eq!(removed(by(&held)), Err(SecondFactorError::Required));
        assert_eq!(set_up(by(&held), true).action, AuditAction::SecondFactorReplaced);
    }
}
