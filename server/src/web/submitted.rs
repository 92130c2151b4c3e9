//! What a form sent, and what was wrong with it.

use crate::backend::BackendError;
use app::page::{FieldError, Submission};
use axum::{
    Form,
    extract::{FromRequest, Request, rejection::FormRejection},
};
use domain::{
    api_key::ApiKeyError,
    application::ChangeError,
    text::{Reason, TextError},
};
use std::time::Duration;

/// The fields of a form, as they were sent.
#[derive(Clone, Default)]
pub struct Submitted {
    values: Vec<(String, String)>,
    /// Set where the body could not be read as a form.
    unreadable: Option<String>,
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

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        Ok(match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(values)) => Self { values, unreadable: None },
            Err(rejection) => Self { values: Vec::new(), unreadable: Some(problem(&rejection)) },
        })
    }
}

fn problem(rejection: &FormRejection) -> String {
    match rejection.status().as_u16() {
        413 => "What you sent is larger than any form here (64 kB). Paste the public key only.".to_owned(),
        _ => "What you sent could not be read as a form. Go back, and send it again.".to_owned(),
    }
}

impl Submitted {
    /// The first value of `field`; empty where it was not sent.
    pub fn text(&self, field: &str) -> &str {
        self.values.iter().find(|(name, _)| name == field).map_or("", |(_, value)| value)
    }

    /// Every value of `field`.
    pub fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// The version of the application that the person saw. A form without one was not made by this console's pages: it
    /// counts as out of date.
    pub fn version(&self) -> Option<i64> {
        Some(self.text("version").parse().unwrap_or(-1))
    }

    /// The optional reason.
    ///
    /// # Errors
    /// It is too long, or cannot be shown.
    pub fn reason(&self) -> Result<Option<Reason>, Refused> {
        match Reason::new(self.text("reason")) {
            Ok(reason) => Ok(Some(reason)),
            Err(TextError::Missing(_)) => Ok(None),
            Err(error) => Err(Refused::field("reason", error)),
        }
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
        match &self.unreadable {
            Some(problem) => Err(Refused::Form(problem.clone())),
            None => Ok(()),
        }
    }

    /// What the page shows again: everything but passwords and what looks like a private key.
    pub fn submission(self, errors: Vec<FieldError>, form_error: Option<String>) -> Submission {
        let private = |value: &str| value.to_ascii_uppercase().contains("PRIVATE KEY");
        let values = self.values.into_iter().filter(|(name, value)| name != "password" && !private(value)).collect();
        Submission { values, errors, form_error }
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
        BackendError::Refused(refused) => match refused {
            ChangeError::NameUnchanged => Some("name"),
            ChangeError::PermissionsUnchanged => Some("permissions"),
            ChangeError::SigningKeyIsCurrent | ChangeError::SigningKeyInHistory => Some("public_key"),
            ChangeError::GraceTooLong => Some("grace"),
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
            | ChangeError::SigningKeyRetired
            | ChangeError::SigningKeyNeeded => None,
        },
        BackendError::NotFound
        | BackendError::Forbidden
        | BackendError::Stale
        | BackendError::AlreadyCreated(_)
        | BackendError::WrongPepper
        | BackendError::Session(_)
        | BackendError::Store(_) => None,
    }
}
