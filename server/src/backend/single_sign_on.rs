//! Sign-in with an identity provider: users are found by the provider's identifier, created if they are new, and given
//! the role that the provider asserts.

use super::{
    Backend, BackendError, accounts::Entrant, people::take_back_links, support::withdraw_support_of,
    team_events::TeamChange,
};
use crate::{
    random,
    store::{StoreError, audit, identities, organizations, policies, questions, users},
};
use domain::{
    access::{Operation, PROOF_LIFETIME, Role, allows},
    actor::Actor,
    application::By,
    id::{OrganizationId, UserId},
    people::{Followed, joined_by_provider},
    second_factor,
    security_policy::SecurityPolicy,
    text::{EmailAddress, PersonName, Reason, Why},
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::{net::IpAddr, time::Duration};

/// A user's identity as asserted by a provider. The assertion has been verified.
#[derive(Clone, Debug)]
pub struct Asserted<'a> {
    /// The provider's issuer URL.
    pub issuer: &'a str,
    /// The provider's display name.
    pub label: &'a str,
    /// The organization to which the provider is bound.
    pub organization: OrganizationId,
    /// The domains of the e-mail addresses that it may assert.
    pub email_domains: &'a [String],
    /// The provider's identifier of the user.
    pub subject: &'a str,
    /// The e-mail address, unless the provider marks it as unverified.
    pub email: Option<&'a str>,
    /// The display name.
    pub name: Option<&'a str>,
    /// The role, according to the operator's settings.
    pub role: Option<Role>,
    /// When the user last authenticated at the provider, if known.
    pub proven_at: Option<Timestamp>,
    /// Whether they used a second factor, according to the operator's settings.
    pub has_second_factor: bool,
}

/// A user who is admitted on a provider's assertion.
#[derive(Debug)]
pub struct Admitted {
    /// The input for starting the session.
    pub entrant: Entrant,
    /// The user after the sign-in.
    pub actor: Actor,
    /// The resulting change to the organization's members, if any.
    pub change: Option<TeamChange>,
}

/// The methods by which a user can re-authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// Whether the user has a password.
    pub password: bool,
    /// The issuer URLs of the providers that know the user.
    pub issuers: Vec<String>,
}

/// Reason why a user with a valid assertion is rejected.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The provider asserts no role.
    #[error("no role follows from the claims")]
    NoRole,
    /// The user was removed.
    #[error("they were removed")]
    Removed,
    /// The provider asserts no valid e-mail address.
    #[error("there is no e-mail address that can be used")]
    NoEmail,
    /// The e-mail address belongs to an account of the same organization that has a password or another provider.
    #[error("the e-mail address is that of an account of the organization")]
    AccountHere,
    /// The e-mail address or the provider's identifier belongs to another organization, which must not be disclosed.
    #[error("they belong to another organization")]
    Elsewhere,
    /// A second factor is mandatory, and the provider does not assert one.
    #[error("no second factor follows from the claims")]
    OneFactor,
    /// The e-mail address is not in one of the provider's domains. Contains the account whose sign-in history records
    /// the attempt.
    #[error("the e-mail address is outside the provider's domains")]
    ForeignAddress(Option<UserId>),
    /// The use case failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::Backend(error.into())
    }
}

impl Backend {
    /// Signs in a user on a provider's assertion. A new user is created; a known one gets the asserted role.
    ///
    /// Users are never found by e-mail address: if another account has the address, the sign-in is rejected. Otherwise
    /// anyone who can set addresses at the provider could take over an account that has a password.
    ///
    /// # Errors
    /// The user is rejected, or the database fails.
    pub async fn sign_in_by_provider(
        &self,
        asserted: Asserted<'_>,
        address: Option<IpAddr>,
    ) -> Result<Admitted, NotAdmitted> {
        let mut settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let now = self.clock.now();
        let known = identities::find(&mut transaction, asserted.issuer, asserted.subject).await?;
        check_domain(&mut transaction, &asserted, known.as_ref().map(|known| known.user_id)).await?;
        let (user_id, change) = match known {
            Some(known) if known.organization_id != asserted.organization => return Err(NotAdmitted::Elsewhere),
            Some(known) => (known.user_id, follow(&mut transaction, known.user_id, &asserted, address, now).await?),
            None => {
                let (user_id, role) = join(&mut transaction, &asserted, address, now).await?;
                (user_id, Some(TeamChange::Joined(role)))
            }
        };
        let actor = users::find_actor(&mut transaction, user_id, address).await?.ok_or(NotAdmitted::Removed)?;
        if !asserted.has_second_factor && must_have_factor(&mut transaction, &actor).await? {
            return Err(NotAdmitted::OneFactor);
        }
        let sign_ins_ended = users::sign_ins_ended(&mut transaction, user_id).await?;
        let withdrawn = match change {
            Some(TeamChange::RoleChanged { to, .. }) if !allows(to, Operation::PrepareReplacement) => {
                let by = By { actor: &actor, at: now, reason: None };
                withdraw_support_of(&mut transaction, user_id, by).await?
            }
            _ => Vec::new(),
        };
        self.commit_all(transaction, &mut settled, &withdrawn).await?;
        let proven_at = asserted.proven_at.unwrap_or(now.minus(PROOF_LIFETIME));
        let entrant = Entrant { user_id, sign_ins_ended, proven_at: Some(proven_at) };
        Ok(Admitted { entrant, actor, change })
    }

    /// Whether `issuer` knows `actor` as `subject`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn is_known_as(&self, actor: &Actor, issuer: &str, subject: &str) -> Result<bool, BackendError> {
        let mut conn = self.store.read().await?;
        let known = identities::find(&mut conn, issuer, subject).await?;
        Ok(known.is_some_and(|known| known.user_id == actor.user_id))
    }

    /// Whether a provider must assert a second factor for `actor`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn must_show_provider_a_factor(&self, actor: &Actor) -> Result<bool, BackendError> {
        Ok(must_have_factor(&mut *self.store.read().await?, actor).await?)
    }

    /// Returns the methods by which a user can re-authenticate.
    ///
    /// # Errors
    /// The database fails.
    pub async fn proofs(&self, actor: &Actor) -> Result<Proofs, BackendError> {
        let mut conn = self.store.read().await?;
        let account = users::find_account(&mut conn, &actor.email).await?;
        Ok(Proofs {
            password: account.is_some_and(|account| account.password_hash.is_some()),
            issuers: identities::issuers_of(&mut conn, actor.user_id).await?,
        })
    }

    /// Stores an authorization request, under an id that only the browser with the response can present.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_question(&self, id: &str, data: &str, kept_for: Duration) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        questions::insert(&mut transaction, id, data, self.clock.now().plus(kept_for)).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Returns the authorization request stored under `id`, unless it has expired.
    ///
    /// # Errors
    /// The database fails.
    pub async fn question(&self, id: &str) -> Result<Option<String>, BackendError> {
        Ok(questions::find(&mut *self.store.read().await?, id, self.clock.now()).await?)
    }

    /// Replaces what is stored under `id` if it is still `before`, and returns whether it was, so that a response is
    /// accepted only once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn replace_question(&self, id: &str, before: &str, after: &str) -> Result<bool, BackendError> {
        let mut transaction = self.store.write().await?;
        let is_replaced = questions::replace(&mut transaction, id, before, after).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(is_replaced)
    }

    /// Derives a secret from `text` for `purpose`. Only this server can compute it, so it need not be stored.
    pub fn derive(&self, purpose: &str, text: &str) -> String {
        self.pepper.seal(&format!("{purpose} {text}"))
    }
}

/// Rejects an e-mail address outside the provider's domains: the asserted one, and the one stored for a known user.
async fn check_domain(
    conn: &mut AnyConnection,
    asserted: &Asserted<'_>,
    known: Option<UserId>,
) -> Result<(), NotAdmitted> {
    let is_foreign = |email: &str| {
        EmailAddress::new(email)
            .is_ok_and(|email| !asserted.email_domains.iter().any(|domain| domain == email.domain()))
    };
    if let Some(email) = asserted.email.filter(|email| is_foreign(email)) {
        let holder = match known {
            Some(known) => Some(known),
            None => users::find_account(conn, email).await?.map(|account| account.user_id),
        };
        return Err(NotAdmitted::ForeignAddress(holder));
    }
    if let Some(known) = known
        && let Some(found) = users::find(conn, asserted.organization, known).await?
        && is_foreign(&found.email)
    {
        return Err(NotAdmitted::ForeignAddress(Some(known)));
    }
    Ok(())
}

/// Whether the provider must assert a second factor for the user. [`Actor::must_have_factor`] is not set for users
/// without a password, because their factors are the provider's responsibility.
async fn must_have_factor(conn: &mut AnyConnection, actor: &Actor) -> Result<bool, StoreError> {
    let policy: SecurityPolicy = policies::find(conn, actor.organization_id).await?;
    Ok(second_factor::is_required(actor.role, policy.requires_second_factor()))
}

/// Gives a known user the asserted role. Returns the change, if any.
async fn follow(
    conn: &mut AnyConnection,
    id: UserId,
    asserted: &Asserted<'_>,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Option<TeamChange>, NotAdmitted> {
    let role = asserted.role;
    let mut found = users::find(&mut *conn, asserted.organization, id).await?.ok_or(NotAdmitted::Removed)?;
    if role.is_some_and(|role| role != found.role) {
        // If two owners are demoted concurrently, in any process, the second transaction must see the first.
        organizations::lock(&mut *conn, asserted.organization).await?;
        found = users::find(&mut *conn, asserted.organization, id).await?.ok_or(NotAdmitted::Removed)?;
    }
    let actor = users::find_actor(&mut *conn, id, address).await?.ok_or(NotAdmitted::Removed)?;
    let role = role.ok_or(NotAdmitted::NoRole)?;
    let others_decide = users::has_other_manager(&mut *conn, asserted.organization, Some(id)).await?;
    let (why, from) = (why(asserted), found.role);
    match found.follow_provider(role, others_decide, By { actor: &actor, at: now, reason: why.as_ref() }) {
        Followed::Unchanged => Ok(None),
        Followed::Changed(changed) => {
            let (changed, event) = *changed;
            let change = TeamChange::RoleChanged { from, to: changed.role };
            users::set_role(&mut *conn, id, changed.role, now).await?;
            audit::append(&mut *conn, &[event]).await?;
            take_back_links(conn, asserted.organization, &changed, By { actor: &actor, at: now, reason: why.as_ref() })
                .await?;
            Ok(Some(change))
        }
        Followed::Kept => {
            tracing::warn!(user = %id, issuer = asserted.issuer, said = role.code(), "a role was not changed by single sign-on: nobody else of the organization decides on people");
            Ok(None)
        }
    }
}

/// Creates a new user. Returns their id and role.
async fn join(
    conn: &mut AnyConnection,
    asserted: &Asserted<'_>,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<(UserId, Role), NotAdmitted> {
    let role = asserted.role.ok_or(NotAdmitted::NoRole)?;
    let email = asserted.email.and_then(|email| EmailAddress::new(email).ok()).ok_or(NotAdmitted::NoEmail)?;
    match users::find_account(&mut *conn, email.as_str()).await? {
        Some(account) if account.organization_id == asserted.organization => return Err(NotAdmitted::AccountHere),
        Some(_) => return Err(NotAdmitted::Elsewhere),
        None => {}
    }
    // An invalid name is replaced by the e-mail address.
    let name = asserted.name.and_then(|name| PersonName::new(name).ok());
    let id = UserId(random::uuid(now));
    let user = users::NewUser {
        id,
        organization_id: asserted.organization,
        email: email.as_str(),
        name: name.as_ref().map_or(email.as_str(), PersonName::as_str),
        role,
        password_hash: "",
    };
    users::insert(&mut *conn, &user, now).await?;
    identities::insert(&mut *conn, asserted.issuer, asserted.subject, id, now).await?;
    let actor = users::find_actor(&mut *conn, id, address).await?.ok_or(BackendError::NotFound)?;
    let why = why(asserted);
    audit::append(conn, &[joined_by_provider(By { actor: &actor, at: now, reason: why.as_ref() })]).await?;
    Ok((id, role))
}

/// Returns the justification that the audit history shows.
fn why(asserted: &Asserted<'_>) -> Option<Why> {
    Reason::new(&format!("By single sign-on with {}", asserted.label)).ok().map(Why::from)
}
