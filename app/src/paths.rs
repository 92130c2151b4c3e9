//! URLs of the console.

use domain::{
    actor::ActorKind,
    audit::AuditFilter,
    id::{ApiKeyId, ApplicationId, OrganizationId, PasskeyId, RequestId, SigningKeyId},
    request::RequestFilter,
};

/// API applications of the signed-in user's partner organization.
pub const APPLICATIONS: &str = "/settings/platform/api-applications";
/// Create an API application (GET, POST `creation_token`, `name`, `public_key`, `permissions`…).
pub const NEW_APPLICATION: &str = "/settings/platform/api-applications/new";
/// Members of the signed-in user's partner organization.
pub const PEOPLE: &str = "/settings/platform/people";
/// Nuvera's organization hub (GET `show`: `attention`, or all). All pages for Nuvera's users are below this path.
/// Searches are sent with POST (`q`), because the search term may be a pasted secret, which must not appear in a URL;
/// the response redirects to GET `q` without the secret.
pub const ORGANIZATION_HUB: &str = "/organizations";
/// Create a partner organization (GET, POST `name`, `contact`, `note`, `owner_name`, `owner_email`).
pub const NEW_ORGANIZATION: &str = "/organizations/new";
/// Members of Nuvera's own organization.
pub const NUVERA_PEOPLE: &str = "/organizations/people";
/// Audit history across all organizations, for Nuvera's admins.
pub const HUB_AUDIT: &str = "/organizations/audit";
/// Blocked signing keys (GET), for Nuvera. Below it, for Nuvera's admins, `{fingerprint}/stop` (GET, POST `reason`,
/// `seen`…), see [`stop_signing_key`], and `{fingerprint}/release` (GET, POST `version`, `reason`, `ticket`), see
/// [`release_signing_key`].
pub const HUB_SIGNING_KEYS: &str = "/organizations/signing-keys";
/// Static files of the build.
pub const ASSETS: &str = "/assets";

/// Area of the console. Each has its own users, its own sign-in page and its own sessions; a session of one area is not
/// valid in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Area of partners: everything but the organization hub.
    Partner,
    /// Area of Nuvera: the organization hub and everything below its path.
    Hub,
}

impl Area {
    /// Returns the area that a path belongs to.
    pub fn of(path: &str) -> Self {
        match path.strip_prefix(ORGANIZATION_HUB) {
            Some("") => Self::Hub,
            Some(below) if below.starts_with(['/', '?']) => Self::Hub,
            _ => Self::Partner,
        }
    }

    /// Returns the area whose users are of kind `side`.
    pub fn of_side(side: ActorKind) -> Self {
        match side {
            ActorKind::Partner => Self::Partner,
            ActorKind::Nuvera => Self::Hub,
        }
    }

    /// Returns the kind of the area's users.
    pub fn side(self) -> ActorKind {
        match self {
            Self::Partner => ActorKind::Partner,
            Self::Hub => ActorKind::Nuvera,
        }
    }

    /// Start page after signing in.
    pub fn home(self) -> &'static str {
        self.either(APPLICATIONS, ORGANIZATION_HUB)
    }

    /// Sign-in page (GET `next`, POST `email`, `password`, `next`, `unsent`). Paths below it are accessible without a
    /// session.
    pub fn sign_in(self) -> &'static str {
        self.either("/sign-in", "/organizations/sign-in")
    }

    /// Second step of signing in (GET, POST `code`).
    pub fn second_factor(self) -> &'static str {
        self.either("/sign-in/second-factor", "/organizations/sign-in/second-factor")
    }

    /// Sign in with a passkey (GET `next`, POST `passkey_challenge`, `passkey`, `next`, `unsent`).
    pub fn passkey_sign_in(self) -> &'static str {
        self.either("/sign-in/passkey", "/organizations/sign-in/passkey")
    }

    /// Sign in with an identity provider (GET `next`): redirects to the provider.
    pub fn sign_in_with(self, provider: &str) -> String {
        format!("{}/sso/{provider}", self.sign_in())
    }

    /// Redirect URI for an identity provider's response (GET `code`, `state`, `iss`, `error`). Its query string is not
    /// logged.
    pub fn single_sign_on_callback(self, provider: &str) -> String {
        format!("{}/callback", self.sign_in_with(provider))
    }

    /// Step-up authentication with an identity provider (GET `next` redirects to the provider; POST `next`, `unsent`
    /// responds with a page that links to it).
    pub fn confirm_with(self, provider: &str) -> String {
        format!("{}/sso/{provider}", self.confirm())
    }

    /// Sign out (POST).
    pub fn sign_out(self) -> &'static str {
        self.either("/sign-out", "/organizations/sign-out")
    }

    /// Step-up authentication (GET `next`, POST `code` or `password`, `next`, `unsent`).
    pub fn confirm(self) -> &'static str {
        self.either("/confirm", "/organizations/confirm")
    }

    /// Account page of the signed-in user: sign-in and security. For the pages below it, see [`Area::account_action`].
    pub fn account(self) -> &'static str {
        self.either("/settings/account", "/organizations/account")
    }

    /// A page below the account page. `action` is one of `second-factor` (GET `next`, POST `enrolment`, `code`,
    /// `next`), `second-factor/remove`, `recovery-codes`, `recovery-codes/stored` (POST `next` only), `password` (GET,
    /// POST `password`), `sessions/{session}/end`, `sessions/end-others` (POST only) and `passkeys/new` (POST `name`,
    /// `passkey_challenge`, `passkey`).
    pub fn account_action(self, action: &str) -> String {
        format!("{}/{action}", self.account())
    }

    /// Remove one of the signed-in user's passkeys.
    pub fn remove_passkey(self, id: PasskeyId) -> String {
        self.account_action(&format!("passkeys/{id}/remove"))
    }

    /// Accept an invitation (GET `token`, POST `token`, `password`). The query string is not logged.
    pub fn invitation(self) -> &'static str {
        self.either("/invitation", "/organizations/invitation")
    }

    /// Choose a new password (GET `token`, POST `token`, `password`). The query string is not logged.
    pub fn reset(self) -> &'static str {
        self.either("/reset-password", "/organizations/reset-password")
    }

    fn either(self, partner: &'static str, hub: &'static str) -> &'static str {
        match self {
            Self::Partner => partner,
            Self::Hub => hub,
        }
    }
}

/// Percent-encodes `path` for use as the value of a query parameter (RFC 3986, 2.1).
pub fn escaped(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let escape = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(escape).collect()
}

/// Returns the query string that selects the events matching `filter`; empty if there is no filter.
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

/// Returns the query string that selects the requests matching `filter`; empty if there is no filter.
pub fn requests_query(filter: &RequestFilter) -> String {
    let parts = [
        filter.outcome.map(|outcome| format!("outcome={}", outcome.code())),
        filter.api_key.map(|key| format!("key={key}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// Stop all applications that use the public key with `fingerprint`. In the path, the fingerprint uses the base64url
/// alphabet (RFC 4648, 5), because `+` and `/` have a meaning in URLs.
pub fn stop_signing_key(fingerprint: &str) -> String {
    signing_key_action(fingerprint, "stop")
}

/// Release a blocked signing key.
pub fn release_signing_key(fingerprint: &str) -> String {
    signing_key_action(fingerprint, "release")
}

fn signing_key_action(fingerprint: &str, action: &str) -> String {
    let bare = fingerprint.strip_prefix("SHA256:").unwrap_or(fingerprint);
    format!("{HUB_SIGNING_KEYS}/{}/{action}", bare.replace('+', "-").replace('/', "_"))
}

/// Parses a fingerprint as written by [`stop_signing_key`].
pub fn fingerprint_in_path(part: &str) -> Option<String> {
    domain::search::fingerprint(&part.replace('-', "+").replace('_', "/"))
}

/// From where the viewer looks at an organization's applications. The pages are the same, but the permitted operations
/// differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A partner's user, in their organization's own settings.
    Settings,
    /// A Nuvera user, in Nuvera's own organization, which has members but no applications, or across organizations.
    Nuvera,
    /// A Nuvera user, in a partner organization that they support.
    Hub {
        /// Id of the partner organization.
        organization: OrganizationId,
        /// Name of the partner organization.
        name: String,
    },
}

impl Place {
    /// Returns the place for pages of `area` that do not belong to a particular organization.
    pub fn of(area: Area) -> Self {
        match area {
            Area::Partner => Self::Settings,
            Area::Hub => Self::Nuvera,
        }
    }

    /// Returns the area that the place belongs to.
    pub fn area(&self) -> Area {
        match self {
            Self::Settings => Area::Partner,
            Self::Nuvera | Self::Hub { .. } => Area::Hub,
        }
    }

    /// List of the organization's applications; for Nuvera, the list of organizations.
    pub fn applications(&self) -> String {
        match self {
            Self::Settings => APPLICATIONS.to_owned(),
            Self::Nuvera => ORGANIZATION_HUB.to_owned(),
            Self::Hub { organization, .. } => format!("{ORGANIZATION_HUB}/{organization}"),
        }
    }

    /// Key doctor, with all signing keys of the organization.
    pub fn check_key(&self) -> String {
        format!("{}/check-key", self.applications())
    }

    /// Disable all applications of the organization (GET, POST `reason`, `seen`: the id of each application that the
    /// page showed as enabled).
    pub fn stop_everything(&self) -> String {
        format!("{}/stop-everything", self.applications())
    }

    /// Rotation policy of the organization (GET, POST `version`, `api_key_age`, `signing_key_age`, `idle`: days, or
    /// empty).
    pub fn rotation_policy(&self) -> String {
        format!("{}/rotation-policy", self.applications())
    }

    /// Security policy of the organization (GET, POST `version`, `second_factor`: `required` or `optional`,
    /// `nuvera_changes`: `confirmed` or `at_once`).
    pub fn security_policy(&self) -> String {
        format!("{}/security-policy", self.applications())
    }

    /// Acknowledge Nuvera's changes to the organization's applications (POST only, `version`: sequence number of the
    /// newest acknowledged event).
    pub fn seen_support(&self) -> String {
        format!("{}/seen-support", self.applications())
    }

    /// Members of the organization. Below it, `invite` (`email`, `name`, `role`), `{person}/role` (`role`),
    /// `{person}/remove`, `{person}/reset-password`, `{person}/reset-factor` and `invitations/{invitation}/withdraw`
    /// (POST only).
    pub fn people(&self) -> String {
        match self {
            Self::Settings => PEOPLE.to_owned(),
            Self::Nuvera => NUVERA_PEOPLE.to_owned(),
            Self::Hub { .. } => format!("{}/people", self.applications()),
        }
    }

    /// A page about a member, or another page below [`Place::people`], which lists the actions.
    pub fn people_action(&self, action: impl std::fmt::Display) -> String {
        format!("{}/{action}", self.people())
    }

    /// Manage a partner organization, for Nuvera (GET, POST `version`, `name`, `contact`, `note`). For the pages below
    /// it, see [`Place::manage_action`].
    pub fn manage(&self) -> String {
        format!("{}/manage", self.applications())
    }

    /// A page below [`Place::manage`]. `action` is one of `invite-owner` (POST only, `owner_name`, `owner_email`),
    /// `suspend` and `reinstate` (GET, POST `version`, `reason`, `ticket`).
    pub fn manage_action(&self, action: &str) -> String {
        format!("{}/{action}", self.manage())
    }

    /// Audit history of the organization. Every history accepts GET `action`, `actor`, `kind`, `from`, `until` and
    /// `before`, and can be downloaded by appending `.csv` or `.jsonl` to its path.
    pub fn audit(&self) -> String {
        format!("{}/audit", self.applications())
    }

    /// Details of an application.
    pub fn application(&self, id: ApplicationId) -> String {
        match self {
            Self::Settings => format!("{APPLICATIONS}/{id}"),
            Self::Nuvera | Self::Hub { .. } => format!("{}/api-applications/{id}", self.applications()),
        }
    }

    /// A page about an application. `action` is one of:
    ///
    /// - `rename` (`name`), `permissions` (`permissions`…), `disable`, `enable`
    /// - `replace-api-key` (`grace`: seconds, or `until` and `deadline`), `replace-exposed-api-key`
    /// - `finish-by-itself` (`hold`: seconds), `cancel-finish` (POST only)
    /// - `prepare-replacement` (`grace`: seconds or `none`), `withdraw-replacement`, `claim-replacement`
    /// - `confirm-change`, `withdraw-change`
    /// - `seen-support` (POST only, `version`: sequence number of the newest acknowledged event)
    /// - `replace-signing-key` (`public_key`, `overlap`: seconds or `none`)
    /// - `audit`, `requests` (GET `outcome`, `key`, `before`, `id`)
    /// - `events` (server-sent events, one whenever there is something new to show)
    ///
    /// Every form sends `version`, and may send `reason` and `ticket`.
    pub fn action(&self, id: ApplicationId, action: &str) -> String {
        format!("{}/{action}", self.application(id))
    }

    /// Details of a logged request to the gateway.
    pub fn request(&self, id: ApplicationId, request: RequestId) -> String {
        format!("{}/requests/{request}", self.application(id))
    }

    /// A page about an API key. `action` is one of `stored` and `replace-unseen` (POST only), `deadline` (`deadline`:
    /// UTC), `keep` (POST only) and `revoke` (`confirm_name` for the last live key). Every form sends `version` as
    /// well.
    pub fn api_key_action(&self, id: ApplicationId, key: ApiKeyId, action: &str) -> String {
        format!("{}/api-keys/{key}/{action}", self.application(id))
    }

    /// A page about a signing key. `action` is one of `restore` (`overlap`) and `retire`. Every form sends `version` as
    /// well.
    pub fn signing_key_action(&self, id: ApplicationId, key: SigningKeyId, action: &str) -> String {
        format!("{}/signing-keys/{key}/{action}", self.application(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_in_its_own_area() {
        for area in [Area::Partner, Area::Hub] {
            let addresses = [
                area.home(),
                area.sign_in(),
                area.sign_out(),
                area.confirm(),
                area.account(),
                area.invitation(),
                area.reset(),
            ];
            for address in addresses {
                assert_eq!(Area::of(address), area, "{address}");
                assert_eq!(Area::of(&format!("{address}?next=%2F")), area, "{address}");
            }
            assert_eq!((Area::of_side(area.side()), Place::of(area).area()), (area, area));
            assert_eq!(Area::of(&Place::of(area).people()), area);
        }
        for path in ["/", "", "/organizations-of-mine", "//organizations", "/settings/organizations", "/Organizations"]
        {
            assert_eq!(Area::of(path), Area::Partner, "{path}");
        }
    }
}
