//! The console's addresses, in one place.

use domain::{
    audit::AuditFilter,
    id::{ApiKeyId, ApplicationId, OrganizationId, RequestId, SigningKeyId},
    request::RequestFilter,
};

/// Sign in (GET, POST `email`, `password`, `next`, `unsent`).
pub const SIGN_IN: &str = "/sign-in";
/// Prove that it is you (GET `next`, POST `password`, `next`, `unsent`).
pub const CONFIRM: &str = "/confirm";
/// Sign out (POST).
pub const SIGN_OUT: &str = "/sign-out";
/// A partner's applications.
pub const APPLICATIONS: &str = "/settings/platform/api-applications";
/// Create API application (GET, POST `creation_token`, `name`, `public_key`, `permissions`…).
pub const NEW_APPLICATION: &str = "/settings/platform/api-applications/new";
/// The people of one's own organization.
pub const PEOPLE: &str = "/settings/platform/people";
/// Accept an invitation (GET `token`, POST `token`, `password`). What stands behind the `?` is not logged.
pub const INVITATION: &str = "/invitation";
/// The organization hub of Nuvera's people (GET `q`).
pub const ORGANIZATION_HUB: &str = "/organizations";
/// The audit history across organizations, for Nuvera's admins.
pub const HUB_AUDIT: &str = "/organizations/audit";
/// Where the build's files are served.
pub const ASSETS: &str = "/assets";

/// The query that asks a history for what `filter` lets through; empty where that is everything.
pub fn audit_query(filter: &AuditFilter) -> String {
    // Codes, ids and times need no escaping (RFC 3986, 3.4).
    let parts = [
        filter.action.map(|action| format!("action={}", action.code())),
        filter.actor.map(|actor| format!("actor={actor}")),
        filter.kind.map(|kind| format!("kind={}", kind.code())),
        filter.from.map(|from| format!("from={}", from.input_value())),
        filter.until.map(|until| format!("until={}", until.input_value())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// The query that asks for the requests that `filter` lets through; empty where those are all.
pub fn requests_query(filter: &RequestFilter) -> String {
    let parts = [
        filter.outcome.map(|outcome| format!("outcome={}", outcome.code())),
        filter.api_key.map(|key| format!("key={key}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// From where an organization's applications are looked at. The pages are the same; what may be done on them is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By a partner, in their organization's own settings.
    Settings,
    /// By a Nuvera admin, in the organization hub.
    Hub {
        /// Which organization's.
        organization: OrganizationId,
        /// What it is called.
        name: String,
    },
}

impl Place {
    /// The list of applications.
    pub fn applications(&self) -> String {
        match self {
            Self::Settings => APPLICATIONS.to_owned(),
            Self::Hub { organization, .. } => format!("{ORGANIZATION_HUB}/{organization}"),
        }
    }

    /// The key doctor, which knows all of the organization's signing keys.
    pub fn check_key(&self) -> String {
        format!("{}/check-key", self.applications())
    }

    /// The organization's rotation policy (GET, POST `version`, `api_key_age`, `signing_key_age`, `idle`: days, or nothing).
    pub fn rotation_policy(&self) -> String {
        format!("{}/rotation-policy", self.applications())
    }

    /// The organization's security policy (GET, POST `version`, `second_factor`: `required` or `optional`,
    /// `nuvera_changes`: `confirmed` or `at_once`).
    pub fn security_policy(&self) -> String {
        format!("{}/security-policy", self.applications())
    }

    /// The organization's people; below it `invite` (`email`, `name`, `role`), `{person}/role` (`role`), `{person}/remove`
    /// and `invitations/{invitation}/withdraw` (POST only).
    pub fn people(&self) -> String {
        match self {
            Self::Settings => PEOPLE.to_owned(),
            Self::Hub { .. } => format!("{}/people", self.applications()),
        }
    }

    /// A page about one person, or below the organization's people: see [`Place::people`].
    pub fn people_action(&self, action: impl std::fmt::Display) -> String {
        format!("{}/{action}", self.people())
    }

    /// The organization's audit history. Every history takes GET `action`, `actor`, `kind`, `from`, `until` and
    /// `before`, and can be had as a file: with `.csv` and with `.jsonl` behind its address.
    pub fn audit(&self) -> String {
        format!("{}/audit", self.applications())
    }

    /// One application.
    pub fn application(&self, id: ApplicationId) -> String {
        match self {
            Self::Settings => format!("{APPLICATIONS}/{id}"),
            Self::Hub { .. } => format!("{}/api-applications/{id}", self.applications()),
        }
    }

    /// A page about one application; `action` is one of `rename` (`name`), `permissions` (`permissions`…), `disable`,
    /// `enable`, `replace-api-key` (`grace`: seconds, or `until` and `deadline`), `replace-exposed-api-key`, `finish-by-itself` (`hold`: seconds), `cancel-finish` (POST only), `prepare-replacement` (`grace`:
    /// seconds or `none`), `withdraw-replacement`, `claim-replacement`, `replace-signing-key` (`public_key`, `overlap`:
    /// seconds or `none`), `audit`, `requests` (GET `outcome`, `key`, `before`, `id`) and `events` (server-sent events, one
    /// whenever there is something new to see). Every form sends `version` and may send `reason` as well.
    pub fn action(&self, id: ApplicationId, action: &str) -> String {
        format!("{}/{action}", self.application(id))
    }

    /// What became of one request to the gateway.
    pub fn request(&self, id: ApplicationId, request: RequestId) -> String {
        format!("{}/requests/{request}", self.application(id))
    }

    /// A page about one API key; `action` is one of `stored` and `replace-unseen` (POST only), `deadline` (`deadline`: UTC), `keep` (POST
    /// only) and `revoke` (`confirm_name` for the last live key). Every form sends `version` as well.
    pub fn api_key_action(&self, id: ApplicationId, key: ApiKeyId, action: &str) -> String {
        format!("{}/api-keys/{key}/{action}", self.application(id))
    }

    /// A page about one signing key; `action` is one of `restore` (`overlap`) and `retire`. Every form sends `version`
    /// as well.
    pub fn signing_key_action(&self, id: ApplicationId, key: SigningKeyId, action: &str) -> String {
        format!("{}/signing-keys/{key}/{action}", self.application(id))
    }
}
