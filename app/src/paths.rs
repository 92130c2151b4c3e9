//! The console's addresses, in one place.

use domain::id::{ApiKeyId, ApplicationId, SigningKeyId};

/// Sign in (GET, POST `email`, `password`, `next`).
pub const SIGN_IN: &str = "/sign-in";
/// Sign out (POST).
pub const SIGN_OUT: &str = "/sign-out";
/// A partner's applications.
pub const APPLICATIONS: &str = "/settings/platform/api-applications";
/// Create API application (GET, POST `creation_token`, `name`, `public_key`, `permissions`…).
pub const NEW_APPLICATION: &str = "/settings/platform/api-applications/new";
/// The organization hub of Nuvera's admins.
pub const ORGANIZATION_HUB: &str = "/organizations";
/// Where the build's files are served.
pub const ASSETS: &str = "/assets";

/// One application.
pub fn application(id: ApplicationId) -> String {
    format!("{APPLICATIONS}/{id}")
}

/// A page about one application; `action` is one of `rename` (`name`), `permissions` (`permissions`…), `disable`
/// (`reason`), `enable` (`reason`), `replace-api-key` (`grace`: seconds), `replace-exposed-api-key` (`reason`),
/// `replace-signing-key` (`public_key`, `overlap`: seconds or `none`, `reason`) and `audit` (GET `before`). Every form
/// sends `version` as well.
pub fn application_action(id: ApplicationId, action: &str) -> String {
    format!("{APPLICATIONS}/{id}/{action}")
}

/// A page about one API key; `action` is one of `stored` (POST only), `deadline` (`deadline`: UTC), `keep` (POST only)
/// and `revoke` (`reason`; `confirm_name` for the last live key). Every form sends `version` as well.
pub fn api_key_action(id: ApplicationId, key: ApiKeyId, action: &str) -> String {
    format!("{APPLICATIONS}/{id}/api-keys/{key}/{action}")
}

/// A page about one signing key; `action` is one of `restore` (`overlap`, `reason`) and `retire`. Every form sends
/// `version` as well.
pub fn signing_key_action(id: ApplicationId, key: SigningKeyId, action: &str) -> String {
    format!("{APPLICATIONS}/{id}/signing-keys/{key}/{action}")
}
