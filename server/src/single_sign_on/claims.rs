//! The interpretation of a provider's claims.

use super::{
    id_token::Claims,
    settings::{IssuerSettings, RoleSeparator},
    values::{boolean, mismatch, one_of, present, shown, text, texts},
};
use domain::{access::Role, text::EmailAddress};
use serde_json::Value;
use std::borrow::Cow;

/// Finds the claim at `path`: the claim of exactly this name, which may contain dots (as in a URL), or else the one
/// that the path leads to through nested objects.
pub fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = present(claims, path) {
        return Some(value);
    }
    // A name within the path can contain dots too, such as the id of a client.
    path.match_indices('.').find_map(|(dot, _)| find(claims.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
}

/// Returns the user's role: the most powerful one to which a value of the role claim maps.
pub fn role(claims: &Claims, settings: &IssuerSettings) -> Option<Role> {
    let said = find(claims, &settings.role_claim).map(|claim| values(claim, settings)).unwrap_or_default();
    let means = |role: &Role| said.iter().any(|value| settings.roles.get(&**value) == Some(role));
    // Within each side, roles are ordered from most to least powerful.
    Role::ALL.into_iter().find(means).or(settings.default_role)
}

/// Returns the values of a role claim: a string, a list, or the member names of an object. Zitadel uses objects whose
/// values name the organizations in which the roles apply.
fn values<'a>(claim: &'a Value, settings: &IssuerSettings) -> Vec<Cow<'a, str>> {
    match claim {
        Value::String(text) => {
            let parts: Vec<&str> = match settings.role_separator {
                // A role name can contain spaces and commas: "Former owners" are not owners.
                None => Vec::new(),
                Some(RoleSeparator::Space) => text.split_whitespace().collect(),
                Some(RoleSeparator::Comma) => text.split(',').map(str::trim).collect(),
            };
            [&**text].into_iter().chain(parts).map(Cow::Borrowed).collect()
        }
        Value::Array(values) => values.iter().filter_map(scalar).collect(),
        Value::Object(all) => {
            let counts = |value: &Value| !value.is_null() && boolean(value) != Some(false);
            all.iter().filter(|(_, value)| counts(value)).map(|(name, _)| Cow::Borrowed(&**name)).collect()
        }
        other => scalar(other).into_iter().collect(),
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// Describes the expected and received values of the role claim, for the log.
pub fn role_for_log(claims: &Claims, settings: &IssuerSettings) -> String {
    let received = find(claims, &settings.role_claim);
    let words = mismatch(&settings.role_claim, one_of(settings.roles.keys().map(String::as_str)), received);
    let is_list = received.and_then(Value::as_str).is_some_and(|text| text.contains([' ', ',']));
    // OpenID Connect Core 1.0, 5.6.2; Entra ID leaves groups out in this way.
    let is_elsewhere =
        present(claims, "_claim_names").is_some() || claims.get("hasgroups").and_then(boolean) == Some(true);
    let advice = if is_list && settings.role_separator.is_none() {
        "; if that is a list, set role_separator to \"space\" or \"comma\""
    } else if received.is_none() && is_elsewhere {
        "; the provider leaves it out because it is too long: have it send app roles, or fewer groups"
    } else {
        ""
    };
    words + advice
}

/// Whether required claims are missing: the e-mail address, or the role claim.
pub fn is_thin(claims: &Claims, settings: &IssuerSettings) -> bool {
    text(claims, &settings.email_claim).is_none()
        || !settings.roles.is_empty() && find(claims, &settings.role_claim).is_none()
}

/// Adds the claims from the userinfo endpoint. Claims of the signed token take precedence.
pub fn complete(claims: &mut Claims, more: Claims, settings: &IssuerSettings) {
    // Whether an address is verified must come from the same source as the address.
    if text(claims, &settings.email_claim).is_none() {
        claims.remove("email_verified");
    }
    // Nor does an object that leads to no role stand in the way of one that does.
    if find(claims, &settings.role_claim).is_none() {
        let leads_there = |name: &str| settings.role_claim.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        claims.retain(|name, _| !leads_there(name));
    }
    for (name, value) in more {
        if present(claims, &name).is_none() {
            claims.insert(name, value);
        }
    }
}

/// Returns the user's e-mail address, unless the provider marks it as unverified. If the provider does not say, the
/// operator vouches for it by listing the domains of its addresses.
pub fn email<'a>(claims: &'a Claims, settings: &IssuerSettings) -> Option<&'a str> {
    let is_verified = match present(claims, "email_verified") {
        Some(said) => boolean(said) == Some(true),
        None => true,
    };
    text(claims, &settings.email_claim).filter(|_| is_verified || settings.accept_unverified_email)
}

/// Describes the expected and received e-mail address, for the log. Of the address itself only the domain is included.
pub fn email_for_log(claims: &Claims, settings: &IssuerSettings) -> String {
    let name = &settings.email_claim;
    let Some(said) = text(claims, name) else { return mismatch(name, "an e-mail address", claims.get(name)) };
    if email(claims, settings).is_none() {
        let received = claims.get("email_verified");
        return mismatch("email_verified", "true", received)
            + "; if you trust its addresses, set accept_unverified_email";
    }
    match EmailAddress::new(said) {
        Ok(address) => {
            let domains = one_of(settings.email_domains.iter().map(String::as_str));
            format!("{name}: expected an address in {domains}, received one in {:?}", address.domain())
        }
        Err(_) => format!("{name}: expected an e-mail address, received another text"),
    }
}

/// Returns the user's display name.
pub fn name(claims: &Claims) -> Option<String> {
    let whole = || {
        let parts = ["given_name", "family_name"].into_iter().filter_map(|name| text(claims, name));
        Some(parts.collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
    };
    let text = |name: &str| text(claims, name).map(ToOwned::to_owned);
    text("name").or_else(whole).or_else(|| text("preferred_username"))
}

/// Whether the user authenticated with a second factor, according to the operator's settings. The claims must be those
/// of the signed token.
pub fn has_second_factor(claims: &Claims, settings: &IssuerSettings) -> bool {
    let mut said = texts(claims.get("acr")).into_iter().chain(texts(claims.get("amr")));
    said.any(|value| settings.second_factor.iter().any(|means| means == value))
}

/// Describes the expected and received values of `acr` and `amr`, for the log.
pub fn second_factor_for_log(claims: &Claims, settings: &IssuerSettings) -> String {
    let expected = one_of(settings.second_factor.iter().map(String::as_str));
    let (acr, amr) = (shown(claims.get("acr")), shown(claims.get("amr")));
    format!("second_factor: expected {expected} in acr or amr, received acr {acr}, amr {amr}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(default_role: Option<Role>) -> IssuerSettings {
        let roles = [("look", Role::PartnerViewer), ("build", Role::PartnerDeveloper), ("decide", Role::PartnerOwner)];
        IssuerSettings {
            id: "alpine".into(),
            label: "Alpine ID".into(),
            url: "https://login.alpine.example".into(),
            address: "https://login.alpine.example".parse().unwrap(),
            token_issuers: Vec::new(),
            organization: "Alpine Pay".into(),
            email_domains: vec!["alpine.example".into()],
            client_id: "nuvera".into(),
            client_secret: None,
            client_authentication: None,
            trusted_audiences: Vec::new(),
            scopes: Vec::new(),
            email_claim: "email".into(),
            accept_unverified_email: false,
            role_claim: "realm.roles".into(),
            role_separator: None,
            roles: roles.into_iter().map(|(value, role)| (value.to_owned(), role)).collect(),
            default_role,
            second_factor: vec!["mfa".into(), "urn:two".into()],
            accept_iat_as_auth_time: false,
            acr_values: Vec::new(),
            endpoint_hosts: Vec::new(),
            allow_private_network: false,
        }
    }

    fn said(claims: Value, default_role: Option<Role>) -> Option<Role> {
        role(claims.as_object().unwrap(), &settings(default_role))
    }

    #[test]
    fn a_second_factor_follows_from_the_values_that_the_operator_named_alone() {
        let has = |claims: Value| has_second_factor(claims.as_object().unwrap(), &settings(None));
        for yes in [
            json!({ "amr": ["pwd", "mfa"] }),
            json!({ "acr": "urn:two" }),
            json!({ "amr": "mfa" }),
            json!({ "acr": ["urn:two"], "amr": null }),
        ] {
            assert!(has(yes.clone()), "{yes}");
        }
        for no in [
            json!({}),
            json!({ "amr": ["pwd"] }),
            json!({ "amr": "pwd mfa" }),
            json!({ "amr": { "mfa": true }, "acr": null }),
            json!({ "acr": "0" }),
        ] {
            assert!(!has(no.clone()), "{no}");
        }
    }

    #[test]
    fn a_role_follows_from_a_value_or_a_list_wherever_the_claim_stands() {
        assert_eq!(said(json!({ "realm": { "roles": "build" } }), None), Some(Role::PartnerDeveloper));
        assert_eq!(said(json!({ "realm": { "roles": ["look", "decide", "?"] } }), None), Some(Role::PartnerOwner));
        assert_eq!(said(json!({ "realm.roles": ["look"] }), None), Some(Role::PartnerViewer));
        for nothing in [json!({}), json!({ "realm": "build" }), json!({ "realm": { "roles": [7, "none"] } })] {
            assert_eq!(said(nothing.clone(), None), None);
            assert_eq!(said(nothing, Some(Role::PartnerViewer)), Some(Role::PartnerViewer));
        }
    }

    #[test]
    fn a_role_follows_from_whatever_form_a_provider_gives_the_claim() {
        let with = |role_claim: &str, role_separator, claims: Value| {
            let settings = IssuerSettings { role_claim: role_claim.into(), role_separator, ..settings(None) };
            role(claims.as_object().unwrap(), &settings)
        };
        let developer = Some(Role::PartnerDeveloper);
        let project = "urn:zitadel:iam:org:project:roles";
        assert_eq!(with(project, None, json!({ (project): { "build": { "1": "alpine.example" } } })), developer);
        assert_eq!(with("roles", None, json!({ "roles": { "decide": false, "look": null, "build": {} } })), developer);
        let keycloak = json!({ "resource_access": { "my.client": { "roles": ["build"] } } });
        assert_eq!(with("resource_access.my.client.roles", None, keycloak), developer);
        assert_eq!(with("https://a.example/roles", None, json!({ "https://a.example/roles": "build" })), developer);
        for (separator, text, expected) in [
            (Some(RoleSeparator::Space), "hikers build", developer),
            (Some(RoleSeparator::Space), "hikers,build", None),
            (Some(RoleSeparator::Comma), "hikers, build", developer),
            (Some(RoleSeparator::Comma), "to build", None),
            (None, "to build", None),
            (None, "hikers,build", None),
            (None, "build", developer),
        ] {
            assert_eq!(with("roles", separator, json!({ "roles": text })), expected, "{text}");
            assert_eq!(
                with("roles", separator, json!({ "roles": ["to build", "a,build"] })),
                None,
                "a list is not split"
            );
        }
    }

    #[test]
    fn an_address_that_nobody_verified_is_none() {
        let strict = settings(None);
        let email = |claims: Value| email(claims.as_object().unwrap(), &strict).map(ToOwned::to_owned);
        assert_eq!(email(json!({ "email": "a@b.example" })).as_deref(), Some("a@b.example"));
        for yes in [json!(true), json!("true"), json!(1), json!(null)] {
            let claims = json!({ "email": "a@b.example", "email_verified": yes });
            assert_eq!(email(claims).as_deref(), Some("a@b.example"), "{yes}");
        }
        let lenient = IssuerSettings { accept_unverified_email: true, ..settings(None) };
        for no in [json!(false), json!("false"), json!(0), json!("no"), json!([])] {
            let claims = json!({ "email": "a@b.example", "email_verified": no });
            assert_eq!(email(claims.clone()), None, "{no}");
            assert_eq!(super::email(claims.as_object().unwrap(), &lenient), Some("a@b.example"), "{no}");
        }
        let other = IssuerSettings { email_claim: "upn".into(), ..settings(None) };
        let claims = json!({ "email": "x@b.example", "upn": "a@b.example" });
        assert_eq!(super::email(claims.as_object().unwrap(), &other), Some("a@b.example"));
    }

    #[test]
    fn the_userinfo_endpoint_completes_the_token_and_changes_nothing_of_it() {
        let completed = |token: Value, more: Value| {
            let mut claims = token.as_object().unwrap().clone();
            complete(&mut claims, more.as_object().unwrap().clone(), &settings(None));
            Value::Object(claims)
        };
        assert_eq!(
            completed(json!({ "email": "a@b.example", "name": null }), json!({ "email": "c@d.example", "name": "A" })),
            json!({ "email": "a@b.example", "name": "A" })
        );
        let unverified = json!({ "email": "c@d.example", "email_verified": false });
        assert_eq!(completed(json!({ "email": null, "email_verified": true }), unverified.clone()), unverified);
        let roles = json!({ "realm": { "roles": ["look"] } });
        assert_eq!(completed(json!({ "realm": { "roles": null } }), roles.clone()), roles);
        assert_eq!(completed(roles.clone(), json!({ "realm": { "roles": ["decide"] } })), roles);
    }
}
