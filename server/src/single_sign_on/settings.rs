//! The operator's settings of identity providers, read and validated at startup.

use super::{
    ask::{HostAndPort, host_and_port},
    network::{ForbiddenAddress, Network},
};
use domain::{access::Role, actor::ActorKind, text::EmailAddress};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    env, fmt, fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use url::{Host, Url};

/// The settings of an identity provider.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The identifier in URLs.
    pub id: String,
    /// The display name.
    pub label: String,
    /// The issuer URL as written in the file. It identifies the provider in the database.
    pub url: String,
    /// The same URL, parsed.
    pub address: Url,
    /// Further values of `iss`, for a provider whose tokens name another issuer than its URL.
    pub token_issuers: Vec<String>,
    /// The organization to which it is bound, by id or name.
    pub organization: String,
    /// The domains of the e-mail addresses that it may assert, in lower case. Addresses in other domains are rejected.
    pub email_domains: Vec<String>,
    /// The client id of this console.
    pub client_id: String,
    /// The client secret; `None` for a public client.
    pub client_secret: Option<ClientSecret>,
    /// How the secret is sent; `None` to follow the provider's metadata.
    pub client_authentication: Option<ClientAuthentication>,
    /// Audiences that a token may have in addition to this client.
    pub trusted_audiences: Vec<String>,
    /// The requested scopes.
    pub scopes: Vec<String>,
    /// The claim with the e-mail address.
    pub email_claim: String,
    /// Whether an address is accepted that the provider marks as unverified.
    pub accept_unverified_email: bool,
    /// The path of the claim from which the role follows.
    pub role_claim: String,
    /// The separator of the values of that claim if it is a string.
    pub role_separator: Option<RoleSeparator>,
    /// The roles to which its values map.
    pub roles: BTreeMap<String, Role>,
    /// The role of users without a known value; without it they are rejected.
    pub default_role: Option<Role>,
    /// Values of `acr` or `amr` that assert a second factor (OpenID Connect Core 1.0, 2; RFC 8176).
    pub second_factor: Vec<String>,
    /// Whether a token without `auth_time` proves a re-authentication if it was issued after the request for one.
    pub accept_iat_as_auth_time: bool,
    /// The requested values of `acr`.
    pub acr_values: Vec<String>,
    /// Hosts of its endpoints in addition to the issuer's own.
    pub endpoint_hosts: Vec<HostAndPort>,
    /// Whether its endpoints may have private addresses.
    pub allow_private_network: bool,
}

/// The client secret. Opaque in `Debug`.
#[derive(Clone)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// Returns the secret. The caller must send it only to the provider.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// The method of client authentication at the token endpoint (OpenID Connect Core 1.0, 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// Sends the secret in the `Authorization` header.
    ClientSecretBasic,
    /// Sends the secret in the body.
    ClientSecretPost,
}

/// The separator of several values in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleSeparator {
    /// Separates by white space, as in `scope`.
    Space,
    /// Separates by commas.
    Comma,
}

/// Error of the settings file, with its location.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    pub(super) fn new(problem: String) -> Self {
        Self(problem)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuer: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    label: String,
    url: String,
    organization: String,
    #[serde(default)]
    email_domains: Vec<String>,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    client_secret_env: Option<String>,
    client_authentication: Option<ClientAuthentication>,
    #[serde(default)]
    token_issuers: Vec<String>,
    #[serde(default)]
    trusted_audiences: Vec<String>,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    #[serde(default = "usual_email_claim")]
    email_claim: String,
    #[serde(default)]
    accept_unverified_email: bool,
    role_claim: String,
    role_separator: Option<RoleSeparator>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
    default_role: Option<String>,
    #[serde(default)]
    second_factor: Vec<String>,
    #[serde(default)]
    accept_iat_as_auth_time: bool,
    #[serde(default)]
    acr_values: Vec<String>,
    #[serde(default)]
    endpoint_hosts: Vec<String>,
    #[serde(default)]
    allow_private_network: bool,
}

fn usual_scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(ToOwned::to_owned).into()
}

fn usual_email_claim() -> String {
    "email".to_owned()
}

/// Reads the settings file. Relative paths in it are resolved against its directory.
///
/// # Errors
/// The first invalid setting. The message names the issuer.
pub fn read(path: &Path) -> Result<Vec<IssuerSettings>, SettingsError> {
    let text = fs::read_to_string(path).map_err(|error| SettingsError(error.to_string()))?;
    parse(&text, path.parent().unwrap_or(Path::new(".")))
}

fn parse(text: &str, folder: &Path) -> Result<Vec<IssuerSettings>, SettingsError> {
    // The display form of the error quotes the line, which might contain a secret.
    let unreadable = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        SettingsError(format!("line {line}: {}", error.message()))
    };
    let file: File = toml::from_str(text).map_err(unreadable)?;
    let mut seen = HashSet::new();
    let mut issuers = Vec::new();
    for row in file.issuer {
        let named = format!("issuer {:?}", row.id);
        for (what, value) in [("id", row.id.clone()), ("url", row.url.trim_end_matches('/').to_owned())] {
            if !seen.insert((what, value)) {
                return Err(SettingsError(format!("{named}: {what}: an issuer before it has the same")));
            }
        }
        issuers
            .push(issuer(row, folder).map_err(|(key, problem)| SettingsError(format!("{named}: {key}: {problem}")))?);
    }
    Ok(issuers)
}

type Problem = (&'static str, String);

fn issuer(row: Row, folder: &Path) -> Result<IssuerSettings, Problem> {
    let is_slug = |id: &str| {
        (1..=40).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_slug(&row.id) {
        return Err(("id", "use 1 to 40 of a to z, 0 to 9 and -".to_owned()));
    }
    if row.label.trim().is_empty() || row.label.chars().count() > 60 || row.label.contains(char::is_control) {
        return Err(("label", "say in 1 to 60 characters what people call it".to_owned()));
    }
    let url = Url::parse(&row.url).map_err(|error| ("url", error.to_string()))?;
    if !super::is_secure(&url) || url.query().is_some() || url.fragment().is_some() {
        return Err(("url", "give an https:// address without a query; http:// is for loopback only".to_owned()));
    }
    if url.path().contains("/.well-known/") {
        return Err(("url", "give the issuer alone, without /.well-known/openid-configuration".to_owned()));
    }
    if let Some(problem) = serves_every_tenant(&url) {
        return Err(("url", problem));
    }
    let email_domains = email_domains(&row.email_domains)?;
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) | None => None,
    };
    if !row.allow_private_network
        && let Some(address) = address
        && !Network::Public.contains(address)
        && !super::is_loopback(&url)
    {
        return Err(("url", ForbiddenAddress(address.to_string()).to_string()));
    }
    let endpoint_hosts = row.endpoint_hosts.iter().map(|host| endpoint_host(host)).collect::<Result<Vec<_>, _>>()?;
    if row.client_id.is_empty() {
        return Err(("client_id", "give what the provider knows this console as".to_owned()));
    }
    let role = |key: &'static str, code: &str| {
        let given = |role: &Role| [ActorKind::Partner, ActorKind::Nuvera].iter().any(|&side| role.is_given_on(side));
        Role::from_code(code).filter(given).ok_or_else(|| (key, format!("{code:?} is no role that can be given")))
    };
    let roles = row.roles.iter().map(|(value, code)| Ok((value.clone(), role("roles", code)?)));
    let roles = roles.collect::<Result<BTreeMap<_, _>, Problem>>()?;
    let default_role = row.default_role.as_deref().map(|code| role("default_role", code)).transpose()?;
    if roles.is_empty() && default_role.is_none() {
        return Err(("roles", "say what which value of the claim means, or give a default_role".to_owned()));
    }
    Ok(IssuerSettings {
        client_secret: secret(row.client_secret_file, row.client_secret_env, folder)?,
        id: row.id,
        label: row.label.trim().to_owned(),
        url: row.url,
        address: url,
        token_issuers: row.token_issuers,
        organization: row.organization,
        email_domains,
        client_id: row.client_id,
        client_authentication: row.client_authentication,
        trusted_audiences: row.trusted_audiences,
        scopes: row.scopes,
        email_claim: row.email_claim,
        accept_unverified_email: row.accept_unverified_email,
        role_claim: row.role_claim,
        role_separator: row.role_separator,
        roles,
        default_role,
        second_factor: row.second_factor,
        accept_iat_as_auth_time: row.accept_iat_as_auth_time,
        acr_values: row.acr_values,
        endpoint_hosts,
        allow_private_network: row.allow_private_network,
    })
}

/// Returns the problem with an issuer URL of Microsoft Entra ID that accepts every tenant. The admin of any tenant
/// could sign users in with it, and Microsoft does not verify their addresses. An organization must use its own tenant.
fn serves_every_tenant(url: &Url) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    let is_entra =
        host.starts_with("login.microsoftonline.") || host == "login.windows.net" || host == "sts.windows.net";
    let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    (is_entra && ["common", "organizations", "consumers"].contains(&tenant)).then(|| {
        format!(
            "{tenant:?} stands for every tenant; give the organization's own, such as \
             https://login.microsoftonline.com/<tenant id>/v2.0, and one [[issuer]] for each of several"
        )
    })
}

/// Reads the domains. They are compared with the whole domain of an address, so a subdomain does not match.
fn email_domains(listed: &[String]) -> Result<Vec<String>, Problem> {
    const KEY: &str = "email_domains";
    if listed.is_empty() {
        let example = "list the domains of its users' e-mail addresses, such as [\"alpine.example\"]; it cannot sign in \
                       users with other addresses";
        return Err((KEY, example.to_owned()));
    }
    let read = |domain: &String| match EmailAddress::new(&format!("a@{domain}")) {
        Ok(address) if domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.') => {
            Ok(address.domain().to_owned())
        }
        _ => Err((KEY, format!("{domain:?} is not a domain; write it without @ and without a wildcard"))),
    };
    listed.iter().map(read).collect()
}

/// Parses a host as written in the file: `keys.example.com`, optionally with a port.
fn endpoint_host(host: &str) -> Result<HostAndPort, Problem> {
    let url = Url::parse(&format!("https://{host}"))
        .ok()
        .filter(|url| url.path() == "/" && !host.contains(['/', '@', '?', '#', '\\']));
    let found = url.and_then(|url| host_and_port(&url));
    found.ok_or_else(|| ("endpoint_hosts", format!("{host:?} is not a host; give one such as \"keys.example.com\"")))
}

fn secret(file: Option<PathBuf>, variable: Option<String>, folder: &Path) -> Result<Option<ClientSecret>, Problem> {
    let (key, text) = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(("client_secret_env", "there is a client_secret_file as well".to_owned())),
        (Some(file), None) => {
            const KEY: &str = "client_secret_file";
            let path = folder.join(file);
            let failed = |error: std::io::Error| (KEY, format!("{}: {error}", path.display()));
            if fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
                return Err((KEY, format!("{}: others can read it; chmod 600 it", path.display())));
            }
            (KEY, fs::read_to_string(&path).map_err(failed)?)
        }
        (None, Some(variable)) => {
            const KEY: &str = "client_secret_env";
            (KEY, env::var(&variable).map_err(|_| (KEY, format!("{variable} is not set")))?)
        }
    };
    match text.trim() {
        "" => Err((key, "there is nothing in it".to_owned())),
        secret => Ok(Some(ClientSecret(secret.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[issuer]]
        id = "alpine"
        label = "Alpine ID"
        url = "https://login.alpine.example"
        organization = "Alpine Pay"
        email_domains = ["Alpine.example"]
        client_id = "nuvera"
        role_claim = "groups"
        roles = { admins = "partner_owner" }
    "#;

    fn problem(text: &str) -> String {
        parse(text, Path::new(".")).unwrap_err().to_string()
    }

    #[test]
    fn an_issuer_is_read_as_it_is_written() {
        let issuers = parse(GOOD, Path::new(".")).unwrap();
        assert_eq!((issuers.len(), &*issuers[0].id, &*issuers[0].url), (1, "alpine", "https://login.alpine.example"));
        assert_eq!(issuers[0].roles["admins"], Role::PartnerOwner);
        assert_eq!(issuers[0].email_domains, ["alpine.example"]);
        assert!(issuers[0].client_secret.is_none() && issuers[0].default_role.is_none());
        assert!(parse("", Path::new(".")).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_and_a_secret_is_not_repeated() {
        for (from, to, expected) in [
            ("\"alpine\"", "\"Alpine ID\"", "issuer \"Alpine ID\": id: "),
            ("\"Alpine ID\"", "\" \"", "issuer \"alpine\": label: "),
            ("https://login", "http://login", "issuer \"alpine\": url: give an https:// address"),
            ("https://login.alpine.example", "login", "issuer \"alpine\": url: "),
            (
                "https://login.alpine.example",
                "https://login.microsoftonline.com/organizations/v2.0",
                "issuer \"alpine\": url: \"organizations\" stands for every tenant; give the organization's own",
            ),
            (
                "https://login.alpine.example",
                "https://login.alpine.example/.well-known/openid-configuration",
                "issuer \"alpine\": url: give the issuer alone",
            ),
            ("role_claim", "role_separator = \"tab\"\nrole_claim", "line 9: unknown variant `tab`"),
            ("role_claim", "client_authentication = \"jwt\"\nrole_claim", "line 9: unknown variant `jwt`"),
            ("partner_owner", "root", "issuer \"alpine\": roles: \"root\" is no role"),
            ("partner_owner", "customer_user", "issuer \"alpine\": roles: "),
            ("{ admins = \"partner_owner\" }", "{}", "issuer \"alpine\": roles: "),
            ("client_id = \"nuvera\"", "client_id = \"\"", "issuer \"alpine\": client_id: "),
            ("email_domains = [\"Alpine.example\"]", "", "issuer \"alpine\": email_domains: list the domains"),
            ("[\"Alpine.example\"]", "[]", "issuer \"alpine\": email_domains: list the domains"),
            ("\"Alpine.example\"", "\"*.alpine.example\"", "email_domains: \"*.alpine.example\" is not a domain"),
            ("\"Alpine.example\"", "\"@alpine.example\"", "email_domains: \"@alpine.example\" is not a domain"),
            ("\"Alpine.example\"", "\"example\"", "email_domains: \"example\" is not a domain"),
            (
                "https://login.alpine.example",
                "https://10.0.0.5",
                "issuer \"alpine\": url: 10.0.0.5 is not a public address",
            ),
            (
                "https://login.alpine.example",
                "https://[::ffff:10.0.0.5]/",
                "issuer \"alpine\": url: ::ffff:10.0.0.5 is not a",
            ),
            (
                "role_claim",
                "endpoint_hosts = [\"https://keys.example\"]\nrole_claim",
                "alpine\": endpoint_hosts: \"https:",
            ),
            (
                "role_claim",
                "endpoint_hosts = [\"keys.example/x\"]\nrole_claim",
                "endpoint_hosts: \"keys.example/x\" is not a",
            ),
            (
                "role_claim",
                "client_secret_env = \"NUVERA_NOT_SET\"\nrole_claim",
                "client_secret_env: NUVERA_NOT_SET is not set",
            ),
            ("role_claim", "client_secret_file = \"nowhere\"\nrole_claim", "client_secret_file: ./nowhere: "),
            ("role_claim", "client_secret = \"canary\"\nrole_claim", "line 9: unknown field `client_secret`"),
        ] {
            let problem = problem(&GOOD.replace(from, to));
            assert!(problem.contains(expected) && !problem.contains("canary"), "{expected}: {problem}");
        }
        let twice = problem(&format!("{GOOD}{GOOD}"));
        assert_eq!(twice, "issuer \"alpine\": id: an issuer before it has the same");
        let with_slash = GOOD
            .replace("\"alpine\"", "\"other\"")
            .replace("alpine.example\"\n        org", "alpine.example/\"\n        org");
        let same_but_slash = problem(&format!("{GOOD}{with_slash}"));
        assert_eq!(same_but_slash, "issuer \"other\": url: an issuer before it has the same");
        let same_url = problem(&format!("{GOOD}{}", GOOD.replace("\"alpine\"", "\"other\"")));
        assert_eq!(same_url, "issuer \"other\": url: an issuer before it has the same");
        let parsed = |from: &str, to: &str| parse(&GOOD.replace(from, to), Path::new("."));
        assert!(parsed("https://login.alpine.example", "http://127.0.0.1:9000").is_ok());
        let private = GOOD.replace("login.alpine.example", "10.0.0.5") + "\n        allow_private_network = true";
        assert!(parse(&private, Path::new(".")).unwrap()[0].allow_private_network);
        let hosts = GOOD.to_owned() + "\n        endpoint_hosts = [\"Keys.Example\", \"token.example:8443\"]";
        let hosts = parse(&hosts, Path::new(".")).unwrap()[0].endpoint_hosts.clone();
        assert_eq!(hosts, [("keys.example".to_owned(), 443), ("token.example".to_owned(), 8443)]);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "hush\n").unwrap();
        let text = GOOD.replace("role_claim", "client_secret_file = \"secret\"\nrole_claim");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let problem = parse(&text, folder.path()).unwrap_err().to_string();
        assert!(problem.contains("others can read it") && !problem.contains("hush"), "{problem}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let secret = parse(&text, folder.path()).unwrap()[0].client_secret.clone();
        assert_eq!(secret.unwrap().reveal(), "hush");
    }
}
