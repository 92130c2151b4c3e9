//! Members of an organization: invitations, joining, role changes and removal.

use super::{
    Backend, BackendError,
    accounts::{self, Entrant},
    authorise,
    cpu_pool::Requester,
    owner_changes::request_owner_change,
    password_hashing,
    pending::{Pending, as_they_are},
    pending_resets, sessions,
    support::withdraw_support_of,
};
use crate::{
    random,
    store::{
        StoreError, Transaction, applications, audit, invitations, organizations, owner_changes, password_resets,
        second_factors, sign_in_failures, users,
    },
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    access::{Operation, Role},
    actor::Actor,
    application::By,
    audit::{AuditAction, AuditFilter, AuditScope},
    id::{InvitationId, OrganizationId, UserId},
    people::{self, Invitation, Leaver, OwnerChange, PendingOwnerChange, PeopleError, Person},
    text::{EmailAddress, PersonName, Reason, Why},
    time::{DAY, Timestamp},
};
use sqlx::AnyConnection;
use std::net::IpAddr;
use tokio::sync::MutexGuard;
use zeroize::Zeroizing;

/// Number of addresses with an existing account that an organization may try to invite within a quarter of an hour. The
/// limit keeps it from finding out who has an account elsewhere.
const MAX_TAKEN_ADDRESSES: i64 = 20;
/// Number of people whom an organization may invite within a day, since the e-mails are sent in Nuvera's name.
const MAX_INVITATIONS_A_DAY: i64 = 100;

/// The secret token of an invitation or password reset link. Its holder can join or choose a password.
pub struct LinkToken(Zeroizing<String>);

impl LinkToken {
    /// Generates a token from 32 random bytes.
    pub fn generate() -> Self {
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>())))
    }

    /// Returns the token's text, which is a secret until the link is used.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

pub(super) fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

/// The members of an organization and those who are joining or leaving it.
#[derive(Debug)]
pub struct People {
    /// The members, ordered by name.
    pub people: Vec<Person>,
    /// The open invitations, ordered by name.
    pub invitations: Vec<Invitation>,
    /// Former members who may have a copy of a key that still works.
    pub leavers: Vec<Leaver>,
    /// Removals and demotions of users who manage members that have not taken effect.
    pub pending: Vec<PendingOwnerChange>,
}

/// An invitation to create.
#[derive(Debug)]
pub struct Invite {
    /// The e-mail address with which they will sign in.
    pub email: EmailAddress,
    /// The name shown to other users.
    pub name: PersonName,
    /// The role that they will have.
    pub role: Role,
}

/// Result of changing a member's role or removing them.
#[derive(Debug)]
pub enum MemberChange {
    /// The change was made. Holds the member as they were before.
    Made(Person),
    /// The change was requested, because the member manages members.
    Requested(PendingOwnerChange),
}

impl Backend {
    /// The members of an organization and those who are joining or leaving it.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn people(&self, actor: &Actor, organization: OrganizationId) -> Result<People, BackendError> {
        authorise(actor, organization, Operation::ViewPeople)?;
        let mut conn = self.store.read().await?;
        Ok(People {
            people: users::of_organization(&mut conn, organization).await?,
            invitations: invitations::open(&mut conn, organization, self.clock.now()).await?,
            leavers: self.leavers_of(&mut conn, organization).await?,
            pending: owner_changes::of_organization(&mut conn, organization).await?,
        })
    }

    /// The former members of an organization who may have a copy of a key that still works.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn leavers(&self, actor: &Actor, organization: OrganizationId) -> Result<Vec<Leaver>, BackendError> {
        authorise(actor, organization, Operation::ViewPeople)?;
        self.leavers_of(&mut *self.store.read().await?, organization).await
    }

    async fn leavers_of(
        &self,
        conn: &mut AnyConnection,
        organization: OrganizationId,
    ) -> Result<Vec<Leaver>, BackendError> {
        let removed = users::removed_from(conn, organization).await?;
        if removed.is_empty() {
            return Ok(Vec::new());
        }
        let applications = applications::of_organization(conn, organization).await?;
        let mut leavers = Vec::new();
        for person in removed {
            let handled = audit::handled_by(conn, organization, person.id).await?;
            let keys: Vec<_> = applications
                .iter()
                .map(|application| (application, people::keys_in_hand(application, &handled, self.clock.now())))
                .filter(|(_, keys)| !keys.is_empty())
                .map(|(application, keys)| (application.clone(), keys))
                .collect();
            if !keys.is_empty() {
                leavers.push(Leaver { person, keys });
            }
        }
        Ok(leavers)
    }

    /// A member of an organization, for actors who manage its members.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn person(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<Person, BackendError> {
        authorise(actor, organization, Operation::ManagePeople)?;
        let mut conn = self.store.read().await?;
        users::find(&mut conn, organization, id).await?.ok_or(BackendError::NotFound)
    }

    /// Changes a member's role, which applies from their next request. The demotion of a user who manages members is
    /// only requested: see [`PendingOwnerChange`].
    ///
    /// # Errors
    /// Not allowed; not found; the domain rejects the change; the database fails.
    pub async fn change_role(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: UserId,
        role: Role,
    ) -> Result<MemberChange, BackendError> {
        let (mut settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let found = users::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let by = self.by(actor);
        if found.is_delayed(OwnerChange::Demote(role)) {
            let requested = request_owner_change(&mut transaction, &found, OwnerChange::Demote(role), by).await?;
            transaction.commit().await.map_err(StoreError::from)?;
            return Ok(MemberChange::Requested(requested));
        }
        set_role(&mut transaction, organization, &found, role, by).await?;
        let withdrawn = withdraw_support_of(&mut transaction, id, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(id);
        committed?;
        Ok(MemberChange::Made(found))
    }

    /// Removes a member. Once this has returned, none of their requests is accepted, and a change of theirs that was
    /// waiting for the change lock fails. The removal of a user who manages members is only requested: see
    /// [`PendingOwnerChange`].
    ///
    /// # Errors
    /// Not allowed; not found; the actor is the member; the database fails.
    pub async fn remove_person(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<MemberChange, BackendError> {
        let (mut settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let found = users::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let by = self.by(actor);
        if found.is_delayed(OwnerChange::Remove) {
            let requested = request_owner_change(&mut transaction, &found, OwnerChange::Remove, by).await?;
            transaction.commit().await.map_err(StoreError::from)?;
            return Ok(MemberChange::Requested(requested));
        }
        remove(&mut transaction, organization, &found, by).await?;
        let withdrawn = withdraw_support_of(&mut transaction, id, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(id);
        committed?;
        Ok(MemberChange::Made(found))
    }

    /// Whether an invitation made by the actor can still be accepted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn has_open_invitations(&self, actor: &Actor) -> Result<bool, BackendError> {
        let invitations = invitations::made_by(&mut *self.store.read().await?, actor.user_id).await?;
        Ok(invitations.iter().any(|invitation| invitation.is_open(self.clock.now())))
    }

    /// Begins a change by which an organization could lose an owner, or which must not run concurrently with a change
    /// of the actor's credentials. Such changes are serialized: by the change lock within this process, and by the
    /// organization's row lock across processes. The actor is reloaded once the row is locked, because the preceding
    /// change may have removed or demoted them.
    pub(super) async fn begin_people_change(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction), BackendError> {
        let (settled, mut transaction) = self.turn(actor, organization, Operation::ManagePeople).await?;
        organizations::lock(&mut transaction, organization).await.map_err(BackendError::gone)?;
        let actor = as_they_are(&mut transaction, actor).await?;
        authorise(&actor, organization, Operation::ManagePeople)?;
        Ok((settled, transaction))
    }

    /// Makes a user an owner (at Nuvera: an admin) of their organization, which has none. For the operator, on the
    /// command line. The user's credentials are not changed.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if no account has this address; the organization already has an owner or is a
    /// customer's; the database fails.
    pub async fn make_owner(&self, email: &str) -> Result<Actor, BackendError> {
        let _settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let account = users::find_account(&mut transaction, email.trim()).await?.ok_or(BackendError::NotFound)?;
        let (id, organization) = (account.user_id, account.organization_id);
        organizations::lock(&mut transaction, organization).await.map_err(BackendError::gone)?;
        let actor = users::find_actor(&mut transaction, id, None).await?.ok_or(BackendError::NotFound)?;
        let found = users::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let others_decide = users::has_other_manager(&mut transaction, organization, Some(id)).await?;
        let why = Reason::new("On the server’s command line, by whoever runs it").ok().map(Why::from);
        let by = By { actor: &actor, at: self.clock.now(), reason: why.as_ref() };
        let (changed, event) = found.make_owner(others_decide, by)?;
        users::set_role(&mut transaction, id, changed.role, by.at).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(Actor { role: changed.role, ..actor })
    }

    /// Invites a person to the actor's own organization. An earlier invitation of the same address is replaced.
    ///
    /// # Errors
    /// Not allowed; the address already has an account; the organization does not have the role; the database fails.
    pub async fn invite(&self, actor: &Actor, invite: Invite) -> Result<(Invitation, LinkToken), BackendError> {
        let organization = actor.organization_id;
        let (_settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let by = self.by(actor);
        // Counted before the address is looked up, so that the error beyond the limit does not disclose whether it has
        // an account.
        let asked = (format!("addresses that {organization} asked about"), MAX_TAKEN_ADDRESSES);
        accounts::count_attempt(&mut transaction, std::slice::from_ref(&asked), by.at).await?;
        let people = users::of_organization(&mut transaction, organization).await?;
        if let Some(here) = people.into_iter().find(|person| person.email == invite.email.as_str()) {
            return Err(PeopleError::AlreadyHere(here.name).into());
        }
        if users::find_account(&mut transaction, invite.email.as_str()).await?.is_some() {
            transaction.commit().await.map_err(StoreError::from)?;
            return Err(PeopleError::EmailTaken.into());
        }
        sign_in_failures::take_back(&mut transaction, &asked.0).await?;
        may_mail_invitation(&mut transaction, organization, by.at).await?;
        let id = InvitationId(random::uuid(by.at));
        let (invitation, event) = Invitation::new(id, invite.email, invite.name, invite.role, by)?;
        let token = LinkToken::generate();
        invitations::purge(&mut transaction, by.at).await?;
        invitations::insert(&mut transaction, &invitation, Some(actor.user_id), &hash(token.reveal())).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((invitation, token))
    }

    /// Issues a new link for an open invitation, valid for another 72 hours. The earlier link stops working.
    ///
    /// # Errors
    /// Not allowed; not found; it has expired; the organization has sent too many invitations; the database fails.
    pub async fn send_invitation_again(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: InvitationId,
    ) -> Result<(Invitation, LinkToken), BackendError> {
        let (_settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let found = invitations::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let by = self.by(actor);
        may_mail_invitation(&mut transaction, organization, by.at).await?;
        let (invitation, event) = found.send_again(by)?;
        let token = LinkToken::generate();
        let renewed = invitations::renew(&mut transaction, &invitation, actor.user_id, &hash(token.reveal())).await;
        renewed.map_err(BackendError::gone)?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((invitation, token))
    }

    /// Withdraws an invitation, whose link stops working. Returns the invitation.
    ///
    /// # Errors
    /// Not allowed; not found; the database fails.
    pub async fn withdraw_invitation(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: InvitationId,
    ) -> Result<Invitation, BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::ManagePeople).await?;
        let found = invitations::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        invitations::delete(&mut transaction, id).await?;
        audit::append(&mut transaction, &[found.withdrawn(self.by(actor))]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(found)
    }

    /// The invitation whose link carries the token, with the name of its organization, while it can be accepted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn invitation(&self, token: &str) -> Result<Option<(Invitation, String)>, BackendError> {
        let mut conn = self.store.read().await?;
        let found = invitations::find_by_token(&mut conn, &hash(token)).await?;
        Ok(found.filter(|(invitation, _)| invitation.is_open(self.clock.now())))
    }

    /// Creates the account of an invited person, with the password that they chose. An invitation can be accepted once.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if the link is not valid; the password is rejected; the address has an account by
    /// now; the database fails.
    pub async fn accept_invitation(
        &self,
        token: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Entrant, BackendError> {
        let (invitation, organization_name) = self.invitation(token).await?.ok_or(BackendError::NotFound)?;
        let Invitation { id, organization_id, email, name, role, .. } = &invitation;
        let known = [name.as_str(), email.as_str(), &organization_name];
        let cost = self.password_cost.clone();
        let password_hash = password_hashing::check_and_hash(Requester::Account(id.0), password, &known, cost).await?;
        let _settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        // The invitation may have been withdrawn or accepted while the password was hashed.
        invitations::delete(&mut transaction, *id).await.map_err(BackendError::gone)?;
        let taken = |error| match error {
            StoreError::Taken => PeopleError::EmailTaken.into(),
            error => BackendError::from(error),
        };
        let now = self.clock.now();
        let user_id = UserId(random::uuid(now));
        let user = users::NewUser {
            id: user_id,
            organization_id: *organization_id,
            email: email.as_str(),
            name: name.as_str(),
            role: *role,
            password_hash: &password_hash,
        };
        users::insert(&mut transaction, &user, now).await.map_err(taken)?;
        let found = users::find_actor(&mut transaction, user_id, address).await?.ok_or(BackendError::NotFound)?;
        audit::append(&mut transaction, &[invitation.accepted(By { actor: &found, at: now, reason: None })]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(Entrant { user_id, sign_ins_ended: 0, proven_at: None })
    }

    pub(super) fn by<'a>(&self, actor: &'a Actor) -> By<'a> {
        By { actor, at: self.clock.now(), reason: None }
    }
}

/// Rejects an invitation if the organization has sent too many within a day, including those sent again.
pub(super) async fn may_mail_invitation(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(), BackendError> {
    let scope = AuditScope::Organization(organization);
    let mut mailed = 0;
    for action in [AuditAction::PersonInvited, AuditAction::InvitationSentAgain] {
        let filter = AuditFilter { action: Some(action), from: Some(now.minus(DAY)), ..AuditFilter::default() };
        mailed += audit::events(conn, scope, filter, i64::MAX, MAX_INVITATIONS_A_DAY).await?.len() as i64;
    }
    if mailed < MAX_INVITATIONS_A_DAY { Ok(()) } else { Err(PeopleError::TooManyInvitations.into()) }
}

/// Rejects a change, inside its transaction, that leaves an organization without a user who manages its members.
async fn keeps_an_owner(conn: &mut AnyConnection, organization: OrganizationId) -> Result<(), BackendError> {
    match users::has_other_manager(conn, organization, None).await? {
        true => Ok(()),
        false => Err(PeopleError::LastOwner.into()),
    }
}

/// Changes a user's role, in the caller's transaction.
pub(super) async fn set_role(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    found: &Person,
    role: Role,
    by: By<'_>,
) -> Result<(), BackendError> {
    let (changed, event) = found.clone().change_role(role, by)?;
    users::set_role(&mut *conn, found.id, changed.role, by.at).await?;
    keeps_an_owner(&mut *conn, organization).await?;
    audit::append(&mut *conn, &[event]).await?;
    Ok(take_back_links(conn, organization, &changed, by).await?)
}

/// Removes a user, in the caller's transaction.
pub(super) async fn remove(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    found: &Person,
    by: By<'_>,
) -> Result<(), BackendError> {
    let event = found.remove(by)?;
    end_power(&mut *conn, organization, found.id, by).await?;
    pending_resets::cancel_involving(&mut *conn, found.id, by).await?;
    second_factors::delete_all(&mut *conn, found.id).await?;
    users::remove(&mut *conn, found.id, by.at).await?;
    keeps_an_owner(&mut *conn, organization).await?;
    sessions::end_all(&mut *conn, found.id, None).await?;
    Ok(audit::append(conn, &[event]).await?)
}

/// Withdraws the links that a user has issued, if their new role does not allow issuing them.
pub(super) async fn take_back_links(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    person: &Person,
    by: By<'_>,
) -> Result<(), StoreError> {
    if person.role.decides_on_people() { Ok(()) } else { end_power(conn, organization, person.id, by).await }
}

/// Withdraws what a user who no longer manages members has begun, and cancels their own pending removal or demotion.
async fn end_power(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    user: UserId,
    by: By<'_>,
) -> Result<(), StoreError> {
    take_back_all_links(&mut *conn, user, by).await?;
    let ahead = owner_changes::find(&mut *conn, organization, user).await?;
    cancel_owner_changes(conn, ahead, by).await
}

/// Cancels pending removals and demotions, in the caller's transaction.
pub(super) async fn cancel_owner_changes(
    conn: &mut AnyConnection,
    pending: impl IntoIterator<Item = PendingOwnerChange>,
    by: By<'_>,
) -> Result<(), StoreError> {
    let mut events = Vec::new();
    for pending in pending {
        owner_changes::delete(&mut *conn, &pending).await?;
        events.push(pending.cancelled(by));
    }
    audit::append(conn, &events).await
}

/// Withdraws the links that a user has issued, and the resets, removals and demotions that they requested, so that
/// these do not outlive the user's authority. Returns the number of invitations among them that were still open.
async fn take_back_all_links(conn: &mut AnyConnection, made_by: UserId, by: By<'_>) -> Result<usize, StoreError> {
    let mut invitations = invitations::made_by(&mut *conn, made_by).await?;
    for invitation in &invitations {
        invitations::delete(&mut *conn, invitation.id).await?;
    }
    password_resets::delete_made_by(&mut *conn, made_by).await?;
    let requested = owner_changes::requested_by(&mut *conn, made_by).await?;
    cancel_owner_changes(&mut *conn, requested, by).await?;
    invitations.retain(|invitation| invitation.is_open(by.at));
    pending_resets::cancel_requested_by(&mut *conn, made_by, by).await?;
    let withdrawn: Vec<_> = invitations.iter().map(|invitation| invitation.withdrawn(by)).collect();
    audit::append(conn, &withdrawn).await?;
    Ok(invitations.len())
}

/// Withdraws what an account has begun and others can finish, because its credentials change and an attacker may have
/// begun it. Returns the number of open invitations that were withdrawn.
pub(super) async fn withdraw_unfinished(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    user: UserId,
    by: By<'_>,
) -> Result<usize, BackendError> {
    // Locked first: what another process begins meanwhile from a session of the account is either withdrawn here or
    // finds the session ended.
    organizations::lock(&mut *conn, organization).await.map_err(BackendError::gone)?;
    Ok(take_back_all_links(conn, user, by).await?)
}
