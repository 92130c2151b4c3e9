//! The console's addresses, in one place.

use domain::{
    actor::ActorKind,
    audit::AuditFilter,
    id::{ApiKeyId, ApplicationId, OrganizationId, PasskeyId, RequestId, SigningKeyId},
    request::RequestFilter,
};

/// A partner's applications.
pub const APPLICATIONS: &str = "/settings/platform/api-applications";
/// Create API application (GET, POST `creation_token`, `name`, `public_key`, `permissions`…).
pub const NEW_APPLICATION: &str = "/settings/platform/api-applications/new";
/// The people of a partner's organization.
pub const PEOPLE: &str = "/settings/platform/people";
/// The organization hub of Nuvera's people (GET `show`: `attention`, or everybody). Everything of theirs is below it. A
/// search comes as a form (POST `q`): what is pasted may hold a secret, and no address shall. It leads to GET `q`, without
/// the secret.
pub const ORGANIZATION_HUB: &str = "/organizations";
/// Create a partner organization (GET, POST `name`, `contact`, `note`, `owner_name`, `owner_email`).
pub const NEW_ORGANIZATION: &str = "/organizations/new";
/// Nuvera's own people.
pub const NUVERA_PEOPLE: &str = "/organizations/people";
/// The audit history across organizations, for Nuvera's admins.
pub const HUB_AUDIT: &str = "/organizations/audit";
/// The blocked signing keys (GET), for Nuvera. Below it, for Nuvera's admins, `{fingerprint}/stop` (GET, POST `reason`,
/// `seen`…): see [`stop_signing_key`]; and `{fingerprint}/release` (GET, POST `version`, `reason`, `ticket`): see
/// [`release_signing_key`].
pub const HUB_SIGNING_KEYS: &str = "/organizations/signing-keys";
/// Where the build's files are served.
pub const ASSETS: &str = "/assets";

/// The two areas of the console. Each has its own people, who sign in at its own door and have a session of its own, which
/// is worth nothing in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The partners', which is everything but the hub.
    Partner,
    /// Nuvera's: the organization hub, and all that is below its address.
    Hub,
}

impl Area {
    /// The area that a path is in.
    pub fn of(path: &str) -> Self {
        match path.strip_prefix(ORGANIZATION_HUB) {
            Some("") => Self::Hub,
            Some(below) if below.starts_with(['/', '?']) => Self::Hub,
            _ => Self::Partner,
        }
    }

    /// The area of people on `side`.
    pub fn of_side(side: ActorKind) -> Self {
        match side {
            ActorKind::Partner => Self::Partner,
            ActorKind::Nuvera => Self::Hub,
        }
    }

    /// On whose side its people are.
    pub fn side(self) -> ActorKind {
        match self {
            Self::Partner => ActorKind::Partner,
            Self::Hub => ActorKind::Nuvera,
        }
    }

    /// Where the work of its people is.
    pub fn home(self) -> &'static str {
        self.either(APPLICATIONS, ORGANIZATION_HUB)
    }

    /// Its door (GET `next`, POST `email`, `password`, `next`, `unsent`). What is below this address is there before
    /// anybody is signed in.
    pub fn sign_in(self) -> &'static str {
        self.either("/sign-in", "/organizations/sign-in")
    }

    /// The second step of signing in (GET, POST `code`).
    pub fn second_factor(self) -> &'static str {
        self.either("/sign-in/second-factor", "/organizations/sign-in/second-factor")
    }

    /// Sign in with a passkey alone (GET `next`, POST `passkey_challenge`, `passkey`, `next`, `unsent`).
    pub fn passkey_sign_in(self) -> &'static str {
        self.either("/sign-in/passkey", "/organizations/sign-in/passkey")
    }

    /// Sign in by an identity provider (GET `next`): leads there.
    pub fn sign_in_with(self, provider: &str) -> String {
        format!("{}/sso/{provider}", self.sign_in())
    }

    /// Where an identity provider's answer comes to (GET `code`, `state`, `iss`, `error`): its redirect URI. What stands
    /// behind the `?` is not logged.
    pub fn single_sign_on_callback(self, provider: &str) -> String {
        format!("{}/callback", self.sign_in_with(provider))
    }

    /// Prove that it is you by an identity provider (GET `next`: leads there; POST `next`, `unsent`: answers with the way
    /// there).
    pub fn confirm_with(self, provider: &str) -> String {
        format!("{}/sso/{provider}", self.confirm())
    }

    /// Sign out (POST).
    pub fn sign_out(self) -> &'static str {
        self.either("/sign-out", "/organizations/sign-out")
    }

    /// Prove that it is you (GET `next`, POST `code` or `password`, `next`, `unsent`).
    pub fn confirm(self) -> &'static str {
        self.either("/confirm", "/organizations/confirm")
    }

    /// One's own account: how one signs in. Below it, see [`Area::account_action`].
    pub fn account(self) -> &'static str {
        self.either("/settings/account", "/organizations/account")
    }

    /// A page about one's own account; `action` is one of `second-factor` (GET `next`, POST `enrolment`, `code`, `next`),
    /// `second-factor/remove`, `recovery-codes`, `recovery-codes/stored` (POST `next` only), `password` (GET, POST `password`),
    /// `sessions/{session}/end`, `sessions/end-others` (POST only) and `passkeys/new` (POST `name`, `passkey_challenge`,
    /// `passkey`).
    pub fn account_action(self, action: &str) -> String {
        format!("{}/{action}", self.account())
    }

    /// Remove one of one's own passkeys.
    pub fn remove_passkey(self, id: PasskeyId) -> String {
        self.account_action(&format!("passkeys/{id}/remove"))
    }

    /// Accept an invitation (GET `token`, POST `token`, `password`). What stands behind the `?` is not logged.
    pub fn invitation(self) -> &'static str {
        self.either("/invitation", "/organizations/invitation")
    }

    /// Choose a new password (GET `token`, POST `token`, `password`). What stands behind the `?` is not logged.
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

/// A path as the value of a query's parameter (RFC 3986, 2.1).
pub fn escaped(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let escape = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(escape).collect()
}

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

/// Stops every application that uses the public key with `fingerprint`. What means something in a path is written as
/// base64url has it (RFC 4648, 5).
pub fn stop_signing_key(fingerprint: &str) -> String {
    signing_key_action(fingerprint, "stop")
}

/// Releases a blocked signing key.
pub fn release_signing_key(fingerprint: &str) -> String {
    signing_key_action(fingerprint, "release")
}

fn signing_key_action(fingerprint: &str, action: &str) -> String {
    let bare = fingerprint.strip_prefix("SHA256:").unwrap_or(fingerprint);
    format!("{HUB_SIGNING_KEYS}/{}/{action}", bare.replace('+', "-").replace('/', "_"))
}

/// Reads the fingerprint that [`stop_signing_key`] wrote.
pub fn fingerprint_in_path(part: &str) -> Option<String> {
    domain::search::fingerprint(&part.replace('-', "+").replace('_', "/"))
}

/// Where somebody is: from where an organization's applications are looked at. The pages are the same; what may be done
/// on them is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By a partner, in their organization's own settings.
    Settings,
    /// By Nuvera's people, in their own organization, which has people and no applications; and across organizations.
    Nuvera,
    /// By Nuvera's people, in one of the organizations that they support.
    Hub {
        /// Which organization's.
        organization: OrganizationId,
        /// What it is called.
        name: String,
    },
}

impl Place {
    /// The place in which a page of `area` is that names no organization.
    pub fn of(area: Area) -> Self {
        match area {
            Area::Partner => Self::Settings,
            Area::Hub => Self::Nuvera,
        }
    }

    /// The area that it is in.
    pub fn area(&self) -> Area {
        match self {
            Self::Settings => Area::Partner,
            Self::Nuvera | Self::Hub { .. } => Area::Hub,
        }
    }

    /// The list of applications; where there are none, that of the organizations which have them.
    pub fn applications(&self) -> String {
        match self {
            Self::Settings => APPLICATIONS.to_owned(),
            Self::Nuvera => ORGANIZATION_HUB.to_owned(),
            Self::Hub { organization, .. } => format!("{ORGANIZATION_HUB}/{organization}"),
        }
    }

    /// The key doctor, which knows all of the organization's signing keys.
    pub fn check_key(&self) -> String {
        format!("{}/check-key", self.applications())
    }

    /// Disable all of the organization's applications (GET, POST `reason`, `seen`: the id of each that was seen running).
    pub fn stop_everything(&self) -> String {
        format!("{}/stop-everything", self.applications())
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

    /// Says that somebody has seen what Nuvera did to the organization's applications (POST only, `version`: up to which
    /// event).
    pub fn seen_support(&self) -> String {
        format!("{}/seen-support", self.applications())
    }

    /// The organization's people; below it `invite` (`email`, `name`, `role`), `{person}/role` (`role`), `{person}/remove`,
    /// `{person}/reset-password`, `{person}/reset-factor` and `invitations/{invitation}/withdraw` (POST only).
    pub fn people(&self) -> String {
        match self {
            Self::Settings => PEOPLE.to_owned(),
            Self::Nuvera => NUVERA_PEOPLE.to_owned(),
            Self::Hub { .. } => format!("{}/people", self.applications()),
        }
    }

    /// A page about one person, or below the organization's people: see [`Place::people`].
    pub fn people_action(&self, action: impl std::fmt::Display) -> String {
        format!("{}/{action}", self.people())
    }

    /// How Nuvera manages a partner organization (GET, POST `version`, `name`, `contact`, `note`). Below it, see
    /// [`Place::manage_action`].
    pub fn manage(&self) -> String {
        format!("{}/manage", self.applications())
    }

    /// A page below [`Place::manage`]; `action` is one of `invite-owner` (POST only, `owner_name`, `owner_email`), `suspend`
    /// and `reinstate` (GET, POST `version`, `reason`, `ticket`).
    pub fn manage_action(&self, action: &str) -> String {
        format!("{}/{action}", self.manage())
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
            Self::Nuvera | Self::Hub { .. } => format!("{}/api-applications/{id}", self.applications()),
        }
    }

    /// A page about one application; `action` is one of `rename` (`name`), `permissions` (`permissions`…), `disable`,
    /// `enable`, `replace-api-key` (`grace`: seconds, or `until` and `deadline`), `replace-exposed-api-key`, `finish-by-itself` (`hold`: seconds), `cancel-finish` (POST only), `prepare-replacement` (`grace`:
    /// seconds or `none`), `withdraw-replacement`, `claim-replacement`, `confirm-change`, `withdraw-change`, `seen-support` (POST only, `version`: up to
    /// which event), `replace-signing-key` (`public_key`, `overlap`:
    /// seconds or `none`), `audit`, `requests` (GET `outcome`, `key`, `before`, `id`) and `events` (server-sent events, one
    /// whenever there is something new to see). Every form sends `version` and may send `reason` and `ticket`
    /// as well.
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
