//! Decoded forms, and the errors in them.

use crate::backend::{BackendError, Proof, Said};
use app::page::{FieldError, SUGGESTED_REASON, Submission};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use domain::{
    api_key::ApiKeyError,
    application::ChangeError,
    key_material::holds_key_material,
    organization::OrganizationError,
    passkey::PasskeyError,
    people::PeopleError,
    public_key::{PublicKey, PublicKeyError},
    search,
    second_factor::SecondFactorError,
    text::{Reason, TextError, TicketReference, Why},
};
use http_body_util::BodyExt;
use std::time::Duration;

/// Maximum size of a form in bytes: room for a file that was pasted by mistake, so that the response keeps the form's
/// other fields. At most [`MAX_KEPT_BYTES`] of them are held or parsed.
const MAX_FORM_BYTES: usize = 8 * 1024 * 1024;

/// Maximum number of bytes kept of one field, in its percent-encoded form. Every limit on a field's text is below a
/// third of this, so a field that is cut here is rejected as too long.
const MAX_FIELD_BYTES: usize = 32 * 1024;

/// Maximum number of bytes kept of a form, in its percent-encoded form.
const MAX_KEPT_BYTES: usize = 96 * 1024;

/// Maximum number of fields of a form: several times the number of permissions.
const MAX_FIELDS: usize = 128;

/// Error message for a field whose date and time cannot be parsed.
pub const NOT_A_TIME: &str = "Enter a date and a time (UTC), such as 2026-11-23T18:30.";

/// Maximum size in bytes of a field that is shown again: larger than any text that a form accepts.
const MAX_SHOWN_AGAIN: usize = 4 * 1024;

/// The fields that are never shown again.
const SECRETS: [&str; 2] = ["password", "code"];

/// The field for a public key.
const PUBLIC_KEY: &str = "public_key";

/// The field for the signature over the challenge in [`CHALLENGE`].
const PROOF: &str = "proof";

/// The field with the challenge to sign.
const CHALLENGE: &str = "challenge";

/// The field with a deferred form.
const UNSENT: &str = "unsent";

/// The fields that the console fills in itself with values that resemble key material, and the maximum size of each in
/// bytes.
const OWN_FIELDS: [(&str, usize); 4] =
    [(CHALLENGE, 256), ("passkey_challenge", 256), ("enrolment", 512), ("token", 256)];

/// The fields for free text.
const FREE_TEXT: [&str; 10] =
    ["name", "reason", "ticket", "email", "confirm_name", "id", "contact", "note", "owner_name", "owner_email"];

/// The replacement for a key in a free-text field.
const REMOVED: &str = "[key removed]";

/// Error message for a free-text field into which a key was pasted.
const LOOKS_LIKE_A_KEY: &str = "This looks like a key, so it was dropped and is stored nowhere. Enter the text without it. If it is a private key, replace it: it has left your side.";

/// The fields of a decoded form.
#[derive(Clone, Default)]
pub struct Submitted {
    values: Vec<(String, String)>,
    /// The free-text field from which a key was removed.
    removed_from: Option<&'static str>,
    /// Whether the form was too large to be read.
    is_too_large: bool,
}

/// The reason why a form is shown again.
#[derive(Debug)]
pub enum Refused {
    /// These fields have errors.
    Fields(Vec<FieldError>),
    /// The form as a whole cannot be processed, for this reason.
    Form(String),
    /// The use case failed.
    Backend(BackendError),
}

impl<S: Send + Sync> FromRequest<S> for Submitted {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(request.into_body()).await)
    }
}

/// A form's body as it arrives, cut to the limits above before anything is parsed, so that the memory and time needed
/// for a form are bounded.
#[derive(Default)]
struct FormBody {
    kept: Vec<u8>,
    read: usize,
    /// Number of bytes kept of the field that is arriving.
    field: usize,
    fields: usize,
}

impl FormBody {
    /// Adds the next bytes. Returns whether the form is within the limits.
    fn push(&mut self, mut bytes: &[u8]) -> bool {
        self.read += bytes.len();
        loop {
            let end = memchr::memchr(b'&', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let part = &part[..part.len().min(MAX_FIELD_BYTES - self.field)];
            self.kept.extend_from_slice(part);
            self.field += part.len();
            if self.read > MAX_FORM_BYTES || self.kept.len() > MAX_KEPT_BYTES || self.fields >= MAX_FIELDS {
                return false;
            }
            let Some(end) = end else { return true };
            self.kept.push(b'&');
            self.field = 0;
            self.fields += 1;
            bytes = &bytes[end + 1..];
        }
    }
}

impl Submitted {
    /// Reads a form from a request's body.
    pub async fn read(mut body: Body) -> Self {
        let mut form = FormBody::default();
        while let Some(frame) = body.frame().await {
            // The client has closed the connection. An incomplete body is not a form.
            let Ok(frame) = frame else { return Self::default() };
            if frame.data_ref().is_some_and(|data| !form.push(data)) {
                return Self { is_too_large: true, ..Self::default() };
            }
        }
        Self::parse(&form.kept)
    }

    /// Parses `application/x-www-form-urlencoded`. Any other body has no fields, so that each required field is
    /// reported as missing.
    ///
    /// A key that was pasted into a free-text field is removed here.
    pub fn parse(body: &[u8]) -> Self {
        let mut values: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let mut removed_from = None;
        for (name, value) in &mut values {
            let free_text = FREE_TEXT.into_iter().find(|field| *field == name.as_str());
            if free_text.is_some() && holds_key_material(value) {
                REMOVED.clone_into(value);
                removed_from = removed_from.or(free_text);
            }
        }
        Self { values, removed_from, is_too_large: false }
    }

    /// Reads the public key in the form.
    ///
    /// # Errors
    /// It is missing or invalid; the message says what to paste instead. The input is not shown again.
    pub fn public_key(&self) -> Result<PublicKey, FieldError> {
        PublicKey::from_pem(self.text(PUBLIC_KEY)).map_err(|error| {
            let dropped = match error {
                PublicKeyError::PrivateKey => "",
                _ if self.text(PUBLIC_KEY).trim().is_empty() => "",
                _ => " What you pasted was dropped and is stored nowhere.",
            };
            FieldError { field: PUBLIC_KEY, message: format!("{error}{dropped}") }
        })
    }

    /// The first value of `field`; empty if it was not submitted.
    pub fn text(&self, field: &str) -> &str {
        self.values.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
    }

    /// Every value of `field`.
    pub fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Reads what every form that changes an application contains besides the change: the version that the user saw,
    /// and the justification. A form without a version did not come from the console's pages and is treated as out of
    /// date.
    ///
    /// # Errors
    /// The form could not be read, or the reason is too long or contains characters that cannot be shown.
    pub fn said(&self) -> Result<Said, Refused> {
        Ok(Said { seen_version: Some(self.seen_version()?), reason: self.why()? })
    }

    /// The version on which the form is based; -1 if it is missing.
    ///
    /// # Errors
    /// The form could not be read, or contains a key.
    pub fn seen_version(&self) -> Result<i64, Refused> {
        self.check()?;
        Ok(self.text("version").parse().unwrap_or(-1))
    }

    /// Reads the justification, if given, with its ticket. The domain decides whether one is required.
    ///
    /// # Errors
    /// One of them is too long or contains characters that cannot be shown.
    pub fn why(&self) -> Result<Option<Why>, Refused> {
        let ticket = match self.text("ticket").trim() {
            "" => Ok(None),
            typed => TicketReference::new(typed).map(Some),
        };
        match (Reason::new(self.text("reason")), ticket) {
            (Ok(reason), Ok(ticket)) => Ok(Some(Why { reason, ticket })),
            (Err(TextError::Missing(_)), Ok(_)) => Ok(None),
            (Ok(_) | Err(TextError::Missing(_)), Err(error)) => Err(Refused::field("ticket", error)),
            (Err(error), _) => Err(Refused::field("reason", error)),
        }
    }

    /// Reads the justification of a stop: a suggested reason, a typed one, both or neither. See [`Why::in_emergency`].
    ///
    /// # Errors
    /// The form could not be read. A key in it does not prevent the stop and is removed.
    pub fn why_in_emergency(&self) -> Result<Why, Refused> {
        self.check_size()?;
        let (chosen, typed) = (self.text(SUGGESTED_REASON).trim(), self.text("reason").trim());
        let reason = match (chosen, typed) {
            ("", _) => typed.to_owned(),
            (_, "") => chosen.to_owned(),
            _ => format!("{chosen}: {typed}"),
        };
        Ok(Why::in_emergency(&reason, self.text("ticket")))
    }

    /// Reads a choice of a whole number of seconds.
    ///
    /// # Errors
    /// No valid choice was submitted.
    pub fn seconds(&self, field: &'static str) -> Result<Duration, Refused> {
        let seconds = self.text(field).parse().map_err(|_| Refused::field(field, "Choose one of the times."))?;
        Ok(Duration::from_secs(seconds))
    }

    /// Checks that the form can be processed.
    ///
    /// # Errors
    /// It could not be read, or a key was pasted into a field for free text.
    pub fn check(&self) -> Result<(), Refused> {
        self.check_size()?;
        self.removed_from.map_or(Ok(()), |field| Err(Refused::field(field, LOOKS_LIKE_A_KEY)))
    }

    /// Checks that the form was small enough to be read.
    ///
    /// # Errors
    /// The form was too large.
    pub fn check_size(&self) -> Result<(), Refused> {
        let problem = "This is larger than any form here, so it was not read. Paste the public key only.";
        if self.is_too_large { Err(Refused::Form(problem.to_owned())) } else { Ok(()) }
    }

    /// Returns the values that may be shown again, or kept while another page comes first. A public key field is kept
    /// only if it holds a valid public key, and a proof only if it verifies with that key. Passwords and codes are
    /// dropped, as is any other field that contains key material or a request token, or is longer than any text that a
    /// form accepts. An API key is reduced to its prefix.
    pub fn shown_again(self) -> Vec<(String, String)> {
        let public_key = PublicKey::from_pem(self.text(PUBLIC_KEY)).ok();
        let challenge = self.text(CHALLENGE).to_owned();
        let shown = |(name, value): (String, String)| {
            let value = match name.as_str() {
                name if SECRETS.contains(&name) => return None,
                PUBLIC_KEY => PublicKey::from_pem(&value).ok()?.pem(),
                PROOF => {
                    let proof = Proof { challenge: challenge.clone(), signature: value };
                    public_key.as_ref().filter(|key| proof.is_by(key))?;
                    proof.signature
                }
                UNSENT => Self::without_unsent(&value).waiting(),
                name if is_own(name, &value) => value,
                _ if value == REMOVED || value.len() > MAX_SHOWN_AGAIN => return None,
                _ if holds_key_material(&value) || search::holds_token(&value) => return None,
                _ => search::without_key_secrets(&value).into_owned(),
            };
            Some((name, value))
        };
        self.values.into_iter().filter_map(shown).collect()
    }

    /// Parses a deferred form, without a deferred form nested in it, which would belong to no page.
    fn without_unsent(form: &str) -> Self {
        let mut read = Self::parse(form.as_bytes());
        read.values.retain(|(name, _)| name != UNSENT);
        read
    }

    /// Filters a deferred form that the page before it has submitted again.
    pub fn still_waiting(form: &str) -> String {
        Self::without_unsent(form).waiting()
    }

    /// Serializes the values that may be kept, for a hidden field of a page that has to come first.
    pub fn waiting(self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.shown_again()).finish()
    }

    /// Returns the values that the page shows again, with the errors in them.
    pub fn submission(self, errors: Vec<FieldError>, form_error: Option<String>) -> Submission {
        Submission { values: self.shown_again(), errors, form_error }
    }
}

/// Whether a field plausibly holds a value that the console itself has filled in.
fn is_own(name: &str, value: &str) -> bool {
    let is_code = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte));
    let is_own = OWN_FIELDS.iter().any(|&(own, most)| own == name && value.len() <= most);
    is_own && is_code && (name != CHALLENGE || Proof::is_challenge(value))
}

impl Refused {
    /// Creates an error for a single field.
    pub fn field(field: &'static str, message: impl ToString) -> Self {
        Self::Fields(vec![FieldError { field, message: message.to_string() }])
    }
}

impl<E: Into<BackendError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Backend(error.into())
    }
}

/// The field to which an error belongs; `None` if it is about the request as a whole.
pub fn field_of(error: &BackendError) -> Option<&'static str> {
    match error {
        BackendError::NameTaken => Some("name"),
        BackendError::KeyOfAnotherOrganization => Some("public_key"),
        BackendError::Proof(_) => Some("proof"),
        BackendError::Password(_) => Some("password"),
        BackendError::SecondFactor(SecondFactorError::WrongCode) => Some("code"),
        BackendError::People(error) => match error {
            PeopleError::RoleUnchanged(_) | PeopleError::RoleNotGiven => Some("role"),
            PeopleError::AlreadyHere(_) | PeopleError::EmailTaken => Some("email"),
            PeopleError::Yourself
            | PeopleError::OwnPassword
            | PeopleError::OwnFactor
            | PeopleError::NoFactor(_)
            | PeopleError::NoPassword(_)
            | PeopleError::ResetPending(_)
            | PeopleError::SecondAdminNeeded
            | PeopleError::TooNewToConfirm
            | PeopleError::LastOwner
            | PeopleError::ChangePending(..)
            | PeopleError::OwnConfirmation
            | PeopleError::ManagesTooShort(_)
            | PeopleError::HasOwner(_)
            | PeopleError::NotFirstOwner(_)
            | PeopleError::CustomerUser(_)
            | PeopleError::InvitationExpired
            | PeopleError::TooManyInvitations => None,
        },
        BackendError::Organization(error) => match error {
            OrganizationError::NameTaken => Some("name"),
            OrganizationError::ReasonNeeded => Some("reason"),
            OrganizationError::TicketNeeded => Some("ticket"),
            OrganizationError::Unchanged | OrganizationError::AlreadySuspended | OrganizationError::NotSuspended => {
                None
            }
        },
        BackendError::Refused(refused) => match refused {
            ChangeError::NameUnchanged => Some("name"),
            ChangeError::PermissionsUnchanged => Some("permissions"),
            ChangeError::SigningKeyIsCurrent | ChangeError::SigningKeyInHistory | ChangeError::PublicKey(_) => {
                Some("public_key")
            }
            ChangeError::SigningKeyBlocked => Some("public_key"),
            ChangeError::BlockedKeyOverlap => Some("overlap"),
            ChangeError::GraceTooLong | ChangeError::ExposedKeyGrace => Some("grace"),
            ChangeError::HoldTooLong => Some("hold"),
            ChangeError::ReasonNeeded => Some("reason"),
            ChangeError::TicketNeeded => Some("ticket"),
            ChangeError::TooManyVerifyingKeys => Some("overlap"),
            ChangeError::ApiKey(ApiKeyError::DeadlinePassed { .. } | ApiKeyError::DeadlineTooLate { .. }) => {
                Some("deadline")
            }
            ChangeError::AlreadyDisabled
            | ChangeError::AlreadyEnabled
            | ChangeError::DisabledByPartner
            | ChangeError::KeyNotFound
            | ChangeError::ApiKey(ApiKeyError::NotLive(_) | ApiKeyError::NotExpiring | ApiKeyError::Exposed)
            | ChangeError::AlreadyStored
            | ChangeError::TooManyLiveKeys
            | ChangeError::AlreadyPrepared
            | ChangeError::NothingPrepared
            | ChangeError::AlreadyProposed
            | ChangeError::NothingProposed
            | ChangeError::ProposalOutdated
            | ChangeError::ProposerGone
            | ChangeError::PreparerGone
            | ChangeError::ProposalIsNuveras
            | ChangeError::NothingToFinish
            | ChangeError::NoAutoFinish
            | ChangeError::ReplaceBlockedKeyFirst(_)
            | ChangeError::SigningKeyNotBlocked
            | ChangeError::SigningKeyRetired
            | ChangeError::SigningKeyNeeded => None,
        },
        BackendError::Passkey(PasskeyError::NameTaken) => Some("name"),
        BackendError::Passkey(_)
        | BackendError::Webauthn(_)
        | BackendError::MailFailed
        | BackendError::NotFound
        | BackendError::Forbidden
        | BackendError::ProofNeeded
        | BackendError::Throttled(_)
        | BackendError::Stale(_)
        | BackendError::StaleByYou(_)
        | BackendError::StalePolicy(..)
        | BackendError::StaleOrganization
        | BackendError::PolicyUnchanged(_)
        | BackendError::AlreadyCreated(_)
        | BackendError::KeyInUse
        | BackendError::SecondFactor(_)
        | BackendError::WrongPepper
        | BackendError::Session(_)
        | BackendError::Store(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(form: &str) -> Submitted {
        Submitted::read(Body::from(form.to_owned())).await
    }

    #[tokio::test]
    async fn what_is_kept_of_a_form_does_not_grow_with_what_was_sent() {
        let sent = read(&format!("name=Ledger&public_key={}&reason=audit", "A".repeat(4 * 1024 * 1024))).await;
        assert_eq!((sent.text("name"), sent.text("reason")), ("Ledger", "audit"));
        assert!(sent.text("public_key").len() <= MAX_FIELD_BYTES);
        assert!(sent.public_key().is_err_and(|error| error.message.contains("longer than any public key")));
        let many_fields = "a=b&".repeat(MAX_FIELDS + 1);
        let long_fields = format!("a={}&", "x".repeat(MAX_FIELD_BYTES)).repeat(4);
        let long_form = "a".repeat(MAX_FORM_BYTES + 1);
        for hostile in [many_fields, long_fields, long_form] {
            let sent = read(&hostile).await;
            assert!(sent.is_too_large && sent.values.is_empty());
            assert!(matches!(sent.check(), Err(Refused::Form(_))));
        }
        assert!(
            !read(&"a=b&".repeat(MAX_FIELDS - 1)).await.is_too_large,
            "the control: a form within the limits is read"
        );
    }
}
