//! What a provider's claims mean here.

use super::IssuerSettings;
use domain::{access::Role, time::Timestamp};
use openidconnect::AdditionalClaims;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims that no standard knows: a provider's word for what somebody is, among them.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AllClaims(Map<String, Value>);

impl AdditionalClaims for AllClaims {}

/// The claim at `path`: one of exactly this name (which may have dots, as those that are addresses do), or else the one to
/// which the path leads from object to object.
pub fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// What somebody is: the role that may do most of those that the claim's values mean here.
pub fn role(claims: &Map<String, Value>, settings: &IssuerSettings) -> Option<Role> {
    let said: Vec<&str> = match find(claims, &settings.role_claim) {
        Some(Value::String(value)) => vec![value],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let means = |role: &Role| said.iter().any(|value| settings.roles.get(*value) == Some(role));
    // On either side the roles stand in this order.
    Role::ALL.into_iter().find(means).or(settings.default_role)
}

/// Somebody's e-mail address, unless the provider says itself that nobody has verified it.
pub fn email(claims: &Map<String, Value>) -> Option<String> {
    let is_unverified = match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => !is_verified,
        Some(Value::String(is_verified)) => is_verified != "true",
        _ => false,
    };
    text(claims, "email").filter(|_| !is_unverified)
}

/// Somebody's name.
pub fn name(claims: &Map<String, Value>) -> Option<String> {
    text(claims, "name").or_else(|| text(claims, "preferred_username"))
}

/// Whether they showed a second factor, by the operator's settings. These claims must be the signed token's.
pub fn has_second_factor(claims: &Map<String, Value>, settings: &IssuerSettings) -> bool {
    let methods = claims.get("amr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut said = claims.get("acr").into_iter().chain(methods).filter_map(Value::as_str);
    said.any(|value| settings.second_factor.iter().any(|means| means == value))
}

/// When they last proved to the provider who they are. These claims must be the signed token's.
pub fn proven_at(claims: &Map<String, Value>) -> Option<Timestamp> {
    Some(Timestamp::from_millis(claims.get("auth_time")?.as_i64()?.checked_mul(1000)?))
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    Some(claims.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::{ClientId, IssuerUrl};
    use serde_json::json;

    fn settings(default_role: Option<Role>) -> IssuerSettings {
        let roles = [("look", Role::PartnerViewer), ("build", Role::PartnerDeveloper), ("decide", Role::PartnerOwner)];
        IssuerSettings {
            id: "alpine".into(),
            label: "Alpine ID".into(),
            url: IssuerUrl::new("https://login.alpine.example".into()).unwrap(),
            organization: "Alpine Pay".into(),
            email_domains: vec!["alpine.example".into()],
            client_id: ClientId::new("nuvera".into()),
            client_secret: None,
            scopes: Vec::new(),
            role_claim: "realm.roles".into(),
            roles: roles.into_iter().map(|(value, role)| (value.to_owned(), role)).collect(),
            default_role,
            second_factor: vec!["mfa".into(), "urn:two".into()],
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
        assert!(has(json!({ "amr": ["pwd", "mfa"] })) && has(json!({ "acr": "urn:two" })));
        for no in [
            json!({}),
            json!({ "amr": ["pwd"] }),
            json!({ "amr": "mfa" }),
            json!({ "acr": ["mfa"] }),
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
    fn an_address_that_nobody_verified_is_none() {
        let email = |claims: Value| email(claims.as_object().unwrap());
        assert_eq!(email(json!({ "email": "a@b.example" })).as_deref(), Some("a@b.example"));
        assert_eq!(email(json!({ "email": "a@b.example", "email_verified": true })).as_deref(), Some("a@b.example"));
        for no in [json!(false), json!("false")] {
            assert_eq!(email(json!({ "email": "a@b.example", "email_verified": no })), None);
        }
    }
}
