//! The organization hub: the health of all partners, and the search across organizations.

use super::{ApplicationUsage, Backend, BackendError, authorise, requests, used_applications};
use crate::store::{health, organizations, policies, search};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    health::Health,
    hygiene::{KeyHygiene, RotationRules},
    id::OrganizationId,
    search::{Findings, Search},
};
use std::cmp::Reverse;

/// Maximum number of organizations, and of other results, in a search.
const MOST_FOUND: usize = 50;

/// A partner organization with the health of its applications.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// Whether it has a member.
    pub has_members: bool,
    /// The health of its applications.
    pub health: Health,
}

impl Backend {
    /// The partner organizations for Nuvera's admins: those that most need attention first, then by name.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn partners(&self, actor: &Actor) -> Result<Vec<Partner>, BackendError> {
        may_look(actor)?;
        self.bring_usage_up_to_date().await;
        self.bring_requests_up_to_date().await;
        let now = self.clock.now();
        let mut conn = self.store.read().await?;
        let mut health = health::of_everyone(&mut conn, now).await?;
        let mut partners = Vec::new();
        for organization in organizations::partners(&mut conn).await? {
            let mut health = health.remove(&organization.id).unwrap_or_default();
            // By the stored times alone, some key expires while in use. The traffic may show that the key is no longer
            // used.
            if health.stopping_in_use > 0 {
                let rules = policies::find::<RotationRules>(&mut conn, organization.id).await?.rules;
                let mut keys = Vec::new();
                for used in used_applications(&mut conn, organization.id).await? {
                    keys.extend(requests::hygiene(&mut conn, &used, rules, now).await?);
                }
                health.recount_keys(keys.iter().map(|key| key.rotation));
            }
            let organizations::Partner { id, name, is_suspended, has_members } = organization;
            partners.push(Partner { id, name, is_suspended, has_members, health });
        }
        partners.sort_by_cached_key(|partner| (partner.health.order(), partner.name.to_lowercase()));
        Ok(partners)
    }

    /// The health of an organization, from its `applications` and their keys as assessed by [`Backend::hygiene`].
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn health(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        applications: &[(ApplicationUsage, Vec<KeyHygiene>)],
    ) -> Result<Health, BackendError> {
        authorise(actor, organization, Operation::ViewApplications)?;
        self.bring_requests_up_to_date().await;
        let now = self.clock.now();
        let mut conn = self.store.read().await?;
        let (last_hour, last_day) = health::outcomes(&mut conn, organization, now).await?;
        let mut health = Health { last_hour, last_day, ..Health::default() };
        for (used, hygiene) in applications {
            let application = &used.application;
            let is_used = used.last_used_at().is_some();
            health.count_application(application.is_enabled(), application.created_at, is_used, now);
            hygiene.iter().for_each(|key| health.count_key(key.rotation));
        }
        Ok(health)
    }

    /// Searches all partner organizations and returns exact matches first.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn search(&self, actor: &Actor, wanted: &Search) -> Result<Findings, BackendError> {
        may_look(actor)?;
        if wanted.id.is_some() {
            self.bring_requests_up_to_date().await;
        }
        let mut conn = self.store.read().await?;
        let limit = MOST_FOUND as i64 + 1;
        let text = wanted.text.as_str();
        let mut hits = Vec::new();
        if let Some(id) = wanted.id {
            hits.extend(search::request(&mut conn, id).await?);
            hits.extend(search::application(&mut conn, id).await?);
        }
        if let Some(prefix) = &wanted.prefix {
            hits.extend(search::with_prefix(&mut conn, prefix.as_str()).await?);
        }
        if let Some(fingerprint) = &wanted.fingerprint {
            hits.extend(search::with_fingerprint(&mut conn, fingerprint, limit).await?);
        }
        hits.extend(search::named(&mut conn, text, limit).await?);
        let exact_hits = hits.len();
        hits.extend(search::named_in_part(&mut conn, text, limit).await?);

        let name = text.to_lowercase();
        let mut organizations: Vec<_> = organizations::partners(&mut conn)
            .await?
            .into_iter()
            .filter_map(|partner| {
                let partner_name = partner.name.to_lowercase();
                let is_exact = partner_name == name || wanted.id == Some(partner.id.0);
                let is_found = is_exact || partner_name.contains(&name);
                is_found.then_some((Reverse(is_exact), (partner.id, partner.name)))
            })
            .collect();
        organizations.sort_by_key(|(is_exact, _)| *is_exact);
        let exact_organizations = organizations.iter().filter(|(is_exact, _)| is_exact.0).count();
        let has_more = hits.len() > MOST_FOUND || organizations.len() > MOST_FOUND;
        hits.truncate(MOST_FOUND);
        organizations.truncate(MOST_FOUND);
        let is_exact = exact_hits + exact_organizations > 0;
        let organizations = organizations.into_iter().map(|(_, found)| found).collect();
        Ok(Findings { organizations, hits, has_more, is_exact })
    }
}

fn may_look(actor: &Actor) -> Result<(), BackendError> {
    if allows(actor.role, Operation::ViewOrganizationHub) { Ok(()) } else { Err(BackendError::Forbidden) }
}
