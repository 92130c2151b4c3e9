//! People who sign in by an identity provider: found by what it knows them as, made where they are new, and what it says
//! they are.

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

/// Who an identity provider says somebody is. It has been verified that the provider says so.
#[derive(Clone, Debug)]
pub struct Asserted<'a> {
    /// The provider's issuer URL.
    pub issuer: &'a str,
    /// What people call it.
    pub label: &'a str,
    /// The organization that it speaks for.
    pub organization: OrganizationId,
    /// The domains of the e-mail addresses that it may assert.
    pub email_domains: &'a [String],
    /// What it knows them as.
    pub subject: &'a str,
    /// Their e-mail address, unless it says itself that nobody has verified it.
    pub email: Option<&'a str>,
    /// Their name.
    pub name: Option<&'a str>,
    /// What they are, by the operator's reading of its claims.
    pub role: Option<Role>,
    /// When they last proved to it who they are, where it says so.
    pub proven_at: Option<Timestamp>,
    /// Whether they did so with a second factor, by the operator's reading.
    pub has_second_factor: bool,
}

/// A user whom a provider's word lets in.
#[derive(Debug)]
pub struct Admitted {
    /// What begins their session.
    pub entrant: Entrant,
    /// The user as they are now.
    pub actor: Actor,
    /// What the provider's word changed about the members of their organization.
    pub change: Option<TeamChange>,
}

/// How somebody can prove that it is they.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// With a password.
    pub password: bool,
    /// By the issuers that know them.
    pub issuers: Vec<String>,
}

/// Why somebody whom a provider knows does not get in.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The provider gives them no role here.
    #[error("no role follows from the claims")]
    NoRole,
    /// They were removed.
    #[error("they were removed")]
    Removed,
    /// The provider gives no e-mail address that can be used.
    #[error("there is no e-mail address that can be used")]
    NoEmail,
    /// Their e-mail address is that of an account of the same organization, which has a password or another provider.
    #[error("the e-mail address is that of an account of the organization")]
    AccountHere,
    /// Their e-mail address, or what the provider knows them as, belongs to another organization. Nobody is told.
    #[error("they belong to another organization")]
    Elsewhere,
    /// They must show a second factor, and the provider does not say that they did.
    #[error("no second factor follows from the claims")]
    OneFactor,
    /// The e-mail address is in a domain that is not the provider's. Holds the account to whose sign-in history it belongs.
    #[error("the e-mail address is outside the provider's domains")]
    ForeignAddress(Option<UserId>),
    /// The use case did not come about.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::Backend(error.into())
    }
}

impl Backend {
    /// Signs somebody in whom an identity provider knows. Who is new is made; who is known is given the role that the
    /// provider says.
    ///
    /// An e-mail address finds nobody: where it is another account's, they are refused. To let a provider's word stand for
    /// a password would hand an account with a password to whoever can write addresses at the provider.
    ///
    /// # Errors
    /// They do not get in, or the database fails.
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

    /// Whether it is `actor` whom `issuer` knows as `subject`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn is_known_as(&self, actor: &Actor, issuer: &str, subject: &str) -> Result<bool, BackendError> {
        let mut conn = self.store.read().await?;
        let known = identities::find(&mut conn, issuer, subject).await?;
        Ok(known.is_some_and(|known| known.user_id == actor.user_id))
    }

    /// Whether `actor` has to show a provider a second factor.
    ///
    /// # Errors
    /// The database fails.
    pub async fn must_show_provider_a_factor(&self, actor: &Actor) -> Result<bool, BackendError> {
        Ok(must_have_factor(&mut *self.store.read().await?, actor).await?)
    }

    /// How somebody can prove that it is they.
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

    /// Keeps what was asked of a provider, under an id that only the browser which brings the answer can name.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_question(&self, id: &str, data: &str, kept_for: Duration) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        questions::insert(&mut transaction, id, data, self.clock.now().plus(kept_for)).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Returns what is kept under `id`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn question(&self, id: &str) -> Result<Option<String>, BackendError> {
        Ok(questions::find(&mut *self.store.read().await?, id, self.clock.now()).await?)
    }

    /// Replaces what is kept under `id` if it is still `before`, and returns whether it was: an answer counts once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn replace_question(&self, id: &str, before: &str, after: &str) -> Result<bool, BackendError> {
        let mut transaction = self.store.write().await?;
        let is_replaced = questions::replace(&mut transaction, id, before, after).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(is_replaced)
    }

    /// A text that only this server can make of `text`, for `purpose`: a secret that need not be kept anywhere.
    pub fn derive(&self, purpose: &str, text: &str) -> String {
        self.pepper.seal(&format!("{purpose} {text}"))
    }
}

/// Refuses an e-mail address outside the provider's domains: the one that it asserts, and the one that the account of a
/// known user has from earlier.
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

/// What is asked of somebody who has no second factor here, because a provider looks after that: see
/// [`Actor::must_have_factor`].
async fn must_have_factor(conn: &mut AnyConnection, actor: &Actor) -> Result<bool, StoreError> {
    let policy: SecurityPolicy = policies::find(conn, actor.organization_id).await?;
    Ok(second_factor::is_required(actor.role, policy.requires_second_factor()))
}

/// Gives somebody who was here before the role that the provider says. Returns the change, if it is one.
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
        // Of two owners who are demoted at once, in whatever process, the second one must see the first.
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

/// Makes somebody who was not here before. Returns who it is, and their role.
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
    // A name that cannot be shown is none: they are known by their address then.
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

/// What the history says of how it came.
fn why(asserted: &Asserted<'_>) -> Option<Why> {
    Reason::new(&format!("By single sign-on with {}", asserted.label)).ok().map(Why::from)
}
