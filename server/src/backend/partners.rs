//! Partner organizations. Nuvera's admins create them, invite their first owner, change their details, suspend and
//! reinstate them. The operator creates them and invites an owner on the command line.

use super::{
    Backend, BackendError,
    emergency::Stopper,
    pending::Pending,
    people::{LinkToken, hash, may_mail_invitation},
};
use crate::{
    random,
    store::{
        StoreError, Transaction, audit, invitations,
        organizations::{self, OrganizationKind},
        users,
    },
};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    application::By,
    id::{InvitationId, OrganizationId, UserId},
    organization::{Organization, OrganizationChange, OrganizationDetails, OrganizationError},
    people::{Invitation, PeopleError},
    text::{EmailAddress, OrganizationName, PersonName, Why},
};
use sqlx::AnyConnection;
use tokio::sync::MutexGuard;

/// The person to invite as a partner's first owner.
#[derive(Clone, Debug)]
pub struct FirstOwner {
    /// The address to which the link is mailed and with which they will sign in.
    pub email: EmailAddress,
    /// Their name.
    pub name: PersonName,
}

/// A partner organization as shown to Nuvera's users.
#[derive(Clone, Debug)]
pub struct PartnerRecord {
    /// The organization.
    pub organization: Organization,
    /// Whether it has a member. Until then an admin can invite its first owner.
    pub has_members: bool,
    /// The open invitations, ordered by name.
    pub invitations: Vec<Invitation>,
}

/// A new organization, and the invitation of its first owner with the token for its link.
pub struct CreatedPartner {
    /// The organization.
    pub organization: Organization,
    /// The invitation, if one was requested.
    pub invitation: Option<(Invitation, LinkToken)>,
}

impl Backend {
    /// A partner organization, for Nuvera's users.
    ///
    /// # Errors
    /// Not allowed; not found; the database fails.
    pub async fn partner(&self, actor: &Actor, id: OrganizationId) -> Result<PartnerRecord, BackendError> {
        if !allows(actor.role, Operation::ViewOrganizationHub) {
            return Err(BackendError::NotFound);
        }
        let mut conn = self.store.read().await?;
        Ok(PartnerRecord {
            organization: organizations::find(&mut conn, id).await?.ok_or(BackendError::NotFound)?,
            has_members: !users::of_organization(&mut conn, id).await?.is_empty(),
            invitations: invitations::open(&mut conn, id, self.clock.now()).await?,
        })
    }

    /// Creates a partner organization, and invites its first owner.
    ///
    /// # Errors
    /// Not allowed; the name is taken; the owner's address already has an account; the database fails.
    pub async fn create_partner(
        &self,
        actor: &Actor,
        details: OrganizationDetails,
        owner: Option<FirstOwner>,
    ) -> Result<CreatedPartner, BackendError> {
        let (_settled, transaction) = self.turn_if(actor, may_manage).await?;
        self.insert_partner(transaction, details, owner, self.by(actor), Some(actor.user_id)).await
    }

    /// As [`Backend::create_partner`], for the operator on the command line.
    ///
    /// # Errors
    /// As [`Backend::create_partner`].
    pub async fn create_partner_as_operator(
        &self,
        uid: u32,
        details: OrganizationDetails,
        owner: Option<FirstOwner>,
    ) -> Result<CreatedPartner, BackendError> {
        let _settled = self.settled().await?;
        let transaction = self.store.write().await?;
        let operator = Stopper::operator(uid).actor();
        self.insert_partner(transaction, details, owner, self.by(&operator), None).await
    }

    async fn insert_partner(
        &self,
        mut transaction: Transaction,
        details: OrganizationDetails,
        owner: Option<FirstOwner>,
        by: By<'_>,
        made_by: Option<UserId>,
    ) -> Result<CreatedPartner, BackendError> {
        check_name(&mut transaction, &details.name, None).await?;
        let id = OrganizationId(random::uuid(by.at));
        let OrganizationChange { organization, events } = Organization::create(id, details, by);
        let name = organization.details.name.as_str();
        organizations::insert(&mut transaction, id, OrganizationKind::Partner, name, by.at).await?;
        organizations::save(&mut transaction, &organization, organization.version).await?;
        audit::append(&mut transaction, &events).await?;
        let invitation = match owner {
            Some(owner) => Some(insert_invitation(&mut transaction, id, owner, by, made_by).await?),
            None => None,
        };
        transaction.commit().await.map_err(StoreError::from)?;
        self.emergency.name_organization(id, name);
        Ok(CreatedPartner { organization, invitation })
    }

    /// Changes an organization's name, contact and note, if it still has the version that the admin saw.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; unchanged; the name is taken; the database fails.
    pub async fn change_partner(
        &self,
        actor: &Actor,
        id: OrganizationId,
        seen_version: i64,
        details: OrganizationDetails,
    ) -> Result<(), BackendError> {
        let (_settled, mut transaction, found) = self.begin_partner_change(actor, id, seen_version).await?;
        check_name(&mut transaction, &details.name, Some(id)).await?;
        let change = found.change_details(details, self.by(actor))?;
        save(&mut transaction, &change, seen_version).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.emergency.name_organization(id, change.organization.details.name.as_str());
        Ok(())
    }

    /// Suspends an organization: the gateway rejects the requests of its applications. The applications are not
    /// changed.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; already suspended; no reason or ticket; the database fails.
    pub async fn suspend_partner(
        &self,
        actor: &Actor,
        id: OrganizationId,
        seen_version: i64,
        why: Option<&Why>,
    ) -> Result<(), BackendError> {
        self.change_suspension(actor, id, seen_version, why, Organization::suspend).await
    }

    /// Reinstates a suspended organization.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; not suspended; no reason or ticket; the database fails.
    pub async fn reinstate_partner(
        &self,
        actor: &Actor,
        id: OrganizationId,
        seen_version: i64,
        why: Option<&Why>,
    ) -> Result<(), BackendError> {
        self.change_suspension(actor, id, seen_version, why, Organization::reinstate).await
    }

    async fn change_suspension(
        &self,
        actor: &Actor,
        id: OrganizationId,
        seen_version: i64,
        why: Option<&Why>,
        transition: impl FnOnce(Organization, By<'_>) -> Result<OrganizationChange, OrganizationError>,
    ) -> Result<(), BackendError> {
        let (mut settled, mut transaction, found) = self.begin_partner_change(actor, id, seen_version).await?;
        let change = transition(found, By { actor, at: self.clock.now(), reason: why })?;
        save(&mut transaction, &change, seen_version).await?;
        settled.doubt_suspensions(true);
        transaction.commit().await.map_err(StoreError::from)?;
        settled.doubt_suspensions(false);
        self.gateway.snapshot().suspend(id, change.organization.suspension.is_some());
        Ok(())
    }

    /// Invites the first owner of an organization without members, and withdraws all of its open invitations.
    ///
    /// # Errors
    /// Not allowed; not found; the organization has members; the address already has an account; the database fails.
    pub async fn invite_first_owner(
        &self,
        actor: &Actor,
        id: OrganizationId,
        owner: FirstOwner,
    ) -> Result<(Invitation, LinkToken), BackendError> {
        let (_settled, mut transaction) = self.turn_if(actor, may_manage).await?;
        organizations::lock(&mut transaction, id).await.map_err(BackendError::gone)?;
        let found = organizations::find(&mut transaction, id).await?.ok_or(BackendError::NotFound)?;
        if !users::of_organization(&mut transaction, id).await?.is_empty() {
            return Err(PeopleError::NotFirstOwner(found.details.name.to_string()).into());
        }
        let by = self.by(actor);
        may_mail_invitation(&mut transaction, id, by.at).await?;
        let invited = insert_invitation(&mut transaction, id, owner, by, Some(actor.user_id)).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(invited)
    }

    /// Invites an owner of the partner organization with this id or name, which must have none. For the operator, on
    /// the command line. Returns the organization's name as well.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] unless exactly one partner has this id or name; it has an owner; the address already
    /// has an account; the database fails.
    pub async fn invite_owner_as_operator(
        &self,
        uid: u32,
        id_or_name: &str,
        owner: FirstOwner,
    ) -> Result<(String, Invitation, LinkToken), BackendError> {
        let _settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let mut named = organizations::named(&mut transaction, id_or_name).await?;
        named.retain(|(_, kind)| *kind == OrganizationKind::Partner);
        let &[(id, _)] = &*named else { return Err(BackendError::NotFound) };
        organizations::lock(&mut transaction, id).await.map_err(BackendError::gone)?;
        let name = organizations::find_partner(&mut transaction, id).await?.ok_or(BackendError::NotFound)?;
        if users::has_other_manager(&mut transaction, id, None).await? {
            return Err(PeopleError::HasOwner(name).into());
        }
        let operator = Stopper::operator(uid).actor();
        let (invitation, token) = insert_invitation(&mut transaction, id, owner, self.by(&operator), None).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((name, invitation, token))
    }

    async fn begin_partner_change(
        &self,
        actor: &Actor,
        id: OrganizationId,
        seen_version: i64,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction, Organization), BackendError> {
        let (settled, mut transaction) = self.turn_if(actor, may_manage).await?;
        organizations::lock(&mut transaction, id).await.map_err(BackendError::gone)?;
        let found = organizations::find(&mut transaction, id).await?.ok_or(BackendError::NotFound)?;
        if found.version != seen_version {
            return Err(BackendError::StaleOrganization);
        }
        Ok((settled, transaction, found))
    }
}

fn may_manage(actor: &Actor) -> Result<(), BackendError> {
    match allows(actor.role, Operation::ManageOrganizations) {
        false => Err(BackendError::Forbidden),
        true if !actor.is_proven => Err(BackendError::ProofNeeded),
        true => Ok(()),
    }
}

async fn save(conn: &mut AnyConnection, change: &OrganizationChange, seen_version: i64) -> Result<(), BackendError> {
    organizations::save(&mut *conn, &change.organization, seen_version).await?;
    Ok(audit::append(conn, &change.events).await?)
}

/// Rejects the name of another partner organization, regardless of case, so that two partners cannot be mistaken for
/// each other.
async fn check_name(
    conn: &mut AnyConnection,
    name: &OrganizationName,
    except: Option<OrganizationId>,
) -> Result<(), BackendError> {
    let wanted = name.as_str().to_lowercase();
    let partners = organizations::partners(conn).await?;
    let is_taken = partners.iter().any(|known| Some(known.id) != except && known.name.to_lowercase() == wanted);
    if is_taken { Err(OrganizationError::NameTaken.into()) } else { Ok(()) }
}

/// Inserts the invitation of an owner and withdraws the open ones, so that only one link at a time grants ownership.
async fn insert_invitation(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    owner: FirstOwner,
    by: By<'_>,
    made_by: Option<UserId>,
) -> Result<(Invitation, LinkToken), BackendError> {
    if users::find_account(&mut *conn, owner.email.as_str()).await?.is_some() {
        return Err(PeopleError::EmailTaken.into());
    }
    let mut events = Vec::new();
    for earlier in invitations::open(&mut *conn, organization, by.at).await? {
        invitations::delete(&mut *conn, earlier.id).await?;
        events.push(earlier.withdrawn(by));
    }
    let id = InvitationId(random::uuid(by.at));
    let (invitation, event) = Invitation::of_first_owner(organization, id, owner.email, owner.name, by);
    events.push(event);
    let token = LinkToken::generate();
    invitations::insert(&mut *conn, &invitation, made_by, &hash(token.reveal())).await?;
    audit::append(conn, &events).await?;
    Ok((invitation, token))
}
