//! What a form sent, and what was wrong with it.

use crate::backend::{BackendError, Said};
use app::page::{FieldError, SUGGESTED_REASON, Submission};
use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
};
use domain::{
    api_key::ApiKeyError,
    application::ChangeError,
    passkey::PasskeyError,
    people::PeopleError,
    search,
    second_factor::SecondFactorError,
    text::{Reason, TextError, TicketReference, Why},
};
use std::time::Duration;

/// The most bytes that a form may have: room for a file that was pasted by mistake, so that it is refused with what
/// stands in the form's other fields kept.
const MAX_FORM_BYTES: usize = 8 * 1024 * 1024;

/// What is told at a field whose date and time cannot be read.
pub const NOT_A_TIME: &str = "Enter a date and a time (UTC), such as 2026-11-23T18:30.";

/// The most characters of a field that are shown again: ten times what any field takes.
const MAX_SHOWN_AGAIN: usize = 64 * 1024;

/// The fields that are never shown again.
const SECRETS: [&str; 2] = ["password", "code"];

/// The fields of a form, as they were sent.
#[derive(Clone, Default)]
pub struct Submitted {
    values: Vec<(String, String)>,
    /// Set where the form was too large to be read.
    is_too_large: bool,
}

/// Why a form is shown again.
#[derive(Debug)]
pub enum Refused {
    /// These fields need attention.
    Fields(Vec<FieldError>),
    /// The form as a whole cannot be used, for this reason.
    Form(String),
    /// The use case did not come about.
    Backend(BackendError),
}

impl<S: Send + Sync> FromRequest<S> for Submitted {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        Ok(match to_bytes(request.into_body(), MAX_FORM_BYTES).await {
            Ok(body) => Self::parse(&body),
            Err(_) => Self { values: Vec::new(), is_too_large: true },
        })
    }
}

impl Submitted {
    /// Reads `application/x-www-form-urlencoded`. Whatever is none has no fields, and each that is needed is then missed
    /// by its name.
    pub fn parse(body: &[u8]) -> Self {
        Self { values: form_urlencoded::parse(body).into_owned().collect(), is_too_large: false }
    }

    /// The first value of `field`; empty where it was not sent.
    pub fn text(&self, field: &str) -> &str {
        self.values.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
    }

    /// Every value of `field`.
    pub fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// What every form that changes an application says besides the change itself: the version that the person saw, and
    /// why. A form without a version was not made by this console's pages: it counts as out of date.
    ///
    /// # Errors
    /// The form could not be read, or the reason is too long, or cannot be shown.
    pub fn said(&self) -> Result<Said, Refused> {
        Ok(Said { seen_version: Some(self.seen_version()?), reason: self.why()? })
    }

    /// The version of what the form changes, as the person saw it.
    ///
    /// # Errors
    /// The form could not be read.
    pub fn seen_version(&self) -> Result<i64, Refused> {
        self.check()?;
        Ok(self.text("version").parse().unwrap_or(-1))
    }

    /// Why, where they said so, and the ticket that they named. Who has to, the domain knows.
    ///
    /// # Errors
    /// One of them is too long, or cannot be shown.
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

    /// Why something is stopped, chosen or typed or neither: see [`Why::in_emergency`].
    ///
    /// # Errors
    /// The form could not be read.
    pub fn why_in_emergency(&self) -> Result<Why, Refused> {
        self.check()?;
        let (chosen, typed) = (self.text(SUGGESTED_REASON).trim(), self.text("reason").trim());
        let reason = match (chosen, typed) {
            ("", _) => typed.to_owned(),
            (_, "") => chosen.to_owned(),
            _ => format!("{chosen}: {typed}"),
        };
        Ok(Why::in_emergency(&reason, self.text("ticket")))
    }

    /// A choice of a whole number of seconds.
    ///
    /// # Errors
    /// Nothing was chosen.
    pub fn seconds(&self, field: &'static str) -> Result<Duration, Refused> {
        let seconds = self.text(field).parse().map_err(|_| Refused::field(field, "Choose one of the times."))?;
        Ok(Duration::from_secs(seconds))
    }

    /// Whether the form could be read.
    ///
    /// # Errors
    /// It could not.
    pub fn check(&self) -> Result<(), Refused> {
        let problem = "What you sent is larger than any form here (8 MB). Paste the public key only.";
        if self.is_too_large { Err(Refused::Form(problem.to_owned())) } else { Ok(()) }
    }

    /// What may be shown again: everything but passwords and codes, what looks like a private key or a request token, and
    /// what is far too long. Of an API key, its prefix stays.
    pub fn shown_again(self) -> Vec<(String, String)> {
        let private = |value: &str| value.to_ascii_uppercase().contains("PRIVATE KEY") || search::holds_token(value);
        let harmless = |(name, value): &(String, String)| {
            !SECRETS.contains(&name.as_str()) && value.len() <= MAX_SHOWN_AGAIN && !private(value)
        };
        let freed = |(name, value): (String, String)| {
            let value = search::without_key_secrets(&value).into_owned();
            (name, value)
        };
        self.values.into_iter().filter(harmless).map(freed).collect()
    }

    /// What may be shown again, as one hidden field of a page that has to come first.
    pub fn waiting(self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.shown_again()).finish()
    }

    /// What the page shows again, and what was wrong with it.
    pub fn submission(self, errors: Vec<FieldError>, form_error: Option<String>) -> Submission {
        Submission { values: self.shown_again(), errors, form_error }
    }
}

impl Refused {
    /// One field needs attention.
    pub fn field(field: &'static str, message: impl ToString) -> Self {
        Self::Fields(vec![FieldError { field, message: message.to_string() }])
    }
}

impl<E: Into<BackendError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Backend(error.into())
    }
}

/// The field that a refusal is about; `None` where it is about the request as a whole.
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
            | PeopleError::LastOwner
            | PeopleError::HasOwner(_)
            | PeopleError::CustomerUser(_)
            | PeopleError::TooManyInvitations => None,
        },
        BackendError::Refused(refused) => match refused {
            ChangeError::NameUnchanged => Some("name"),
            ChangeError::PermissionsUnchanged => Some("permissions"),
            ChangeError::SigningKeyIsCurrent | ChangeError::SigningKeyInHistory => Some("public_key"),
            ChangeError::GraceTooLong => Some("grace"),
            ChangeError::HoldTooLong => Some("hold"),
            ChangeError::ReasonNeeded => Some("reason"),
            ChangeError::TicketNeeded => Some("ticket"),
            ChangeError::TooManyVerifyingKeys => Some("overlap"),
            ChangeError::ApiKey(ApiKeyError::DeadlinePassed { .. } | ApiKeyError::DeadlineTooLate { .. }) => {
                Some("deadline")
            }
            ChangeError::AlreadyDisabled
            | ChangeError::AlreadyEnabled
            | ChangeError::KeyNotFound
            | ChangeError::ApiKey(ApiKeyError::NotLive(_) | ApiKeyError::NotExpiring)
            | ChangeError::AlreadyStored
            | ChangeError::TooManyLiveKeys
            | ChangeError::AlreadyPrepared
            | ChangeError::NothingPrepared
            | ChangeError::AlreadyProposed
            | ChangeError::NothingProposed
            | ChangeError::ProposalOutdated
            | ChangeError::ProposerGone
            | ChangeError::ProposalIsNuveras
            | ChangeError::NothingToFinish
            | ChangeError::NoAutoFinish
            | ChangeError::SigningKeyRetired
            | ChangeError::SigningKeyNeeded => None,
        },
        BackendError::Passkey(PasskeyError::NameTaken) => Some("name"),
        BackendError::Passkey(_)
        | BackendError::Webauthn(_)
        | BackendError::NotFound
        | BackendError::Forbidden
        | BackendError::ProofNeeded
        | BackendError::Throttled(_)
        | BackendError::Stale(_)
        | BackendError::StaleByYou(_)
        | BackendError::StalePolicy(..)
        | BackendError::PolicyUnchanged(_)
        | BackendError::AlreadyCreated(_)
        | BackendError::KeyInUse
        | BackendError::SecondFactor(_)
        | BackendError::WrongPepper
        | BackendError::Session(_)
        | BackendError::Store(_) => None,
    }
}
