//! Every role attempts every operation over HTTP, and the result matches the domain's access table.

use crate::support::{Answer, Browser, Console, LIST, PEM_A, PEM_B, PEM_C, PEOPLE, routes};
use app::paths::{self, Area, NUVERA_PEOPLE};
use axum::http::StatusCode;
use domain::{
    access::{Access, Operation, PROOF_LIFETIME, Role, access},
    actor::{Actor, ActorKind},
    id::OrganizationId,
    public_key::PublicKey,
};

/// The e-mail address of the user with this role. A customer user cannot sign in: see `sign_in.rs`.
fn email(role: Role) -> Option<&'static str> {
    match role {
        Role::PartnerOwner => Some("owner@alpine.example"),
        Role::PartnerDeveloper => Some("developer@alpine.example"),
        Role::PartnerViewer => Some("viewer@alpine.example"),
        Role::NuveraAdmin => Some("admin@nuvera.example"),
        Role::NuveraAuditor => Some("auditor@nuvera.example"),
        Role::CustomerUser => None,
    }
}

/// Where an operation is attempted: in the user's own area, or in the hub for an organization.
struct Target {
    organization: OrganizationId,
    in_hub: bool,
    /// Whether the user's own organization is Nuvera, which has members but no applications.
    is_nuveras: bool,
    application: String,
    key: String,
    version: String,
}

impl Target {
    fn list(&self) -> String {
        if self.in_hub { format!("/organizations/{}", self.organization) } else { LIST.to_owned() }
    }

    fn application(&self, action: &str) -> String {
        let base = if self.in_hub {
            format!("{}/api-applications/{}", self.list(), self.application)
        } else {
            format!("{LIST}/{}", self.application)
        };
        format!("{base}{action}")
    }

    fn people(&self, action: &str) -> String {
        let base = match (self.in_hub, self.is_nuveras) {
            (true, _) => format!("{}/people", self.list()),
            (false, true) => NUVERA_PEOPLE.to_owned(),
            (false, false) => PEOPLE.to_owned(),
        };
        format!("{base}{action}")
    }
}

/// Sends the requests that belong to an operation: its page, and its form if it has one. The match is exhaustive, so a
/// new operation does not compile without its requests.
async fn ask(browser: &mut Browser, target: &Target, operation: Operation) -> Vec<Answer> {
    let version = ("version", &*target.version);
    let because = ("reason", "A test");
    let mut answers = Vec::new();
    let (path, mut fields) = match operation {
        Operation::ViewApplications => {
            // `/events` never ends; it needs the same permission as `/requests`, and `requests.rs` reads it.
            for page in ["", "/audit", "/requests"] {
                answers.push(browser.get(&target.application(page)).await);
            }
            for page in
                ["", "/check-key", "/rotation-policy", "/security-policy", "/audit", "/audit.csv", "/audit.jsonl"]
            {
                answers.push(browser.get(&format!("{}{page}", target.list())).await);
            }
            return answers;
        }
        Operation::ViewPeople => {
            answers.push(browser.get(&target.people("")).await);
            return answers;
        }
        Operation::ViewOrganizationHub => {
            for page in ["/organizations", "/organizations/audit", "/organizations?q=ledger", paths::HUB_SIGNING_KEYS] {
                answers.push(browser.get(page).await);
            }
            answers.push(browser.post("/organizations", &[("q", "ledger")]).await);
            return answers;
        }
        Operation::StopSigningKey => {
            // A key that no application has: the stop only blocks it.
            let fingerprint = PublicKey::from_pem(PEM_C).unwrap().fingerprint();
            (paths::stop_signing_key(&fingerprint), vec![because])
        }
        // The key is not blocked: a user who may release keys gets "not found".
        Operation::ReleaseSigningKey => {
            let path = paths::release_signing_key(&format!("SHA256:{}", "A".repeat(43)));
            let answers = [browser.get(&path).await, browser.post(&path, &[version, because]).await];
            return answers.into();
        }
        // A form without a name: a user who may create organizations gets a validation error.
        Operation::ManageOrganizations => {
            let answers =
                [browser.get(paths::NEW_ORGANIZATION).await, browser.post(paths::NEW_ORGANIZATION, &[]).await];
            return answers.into();
        }
        // Its form is on the page that every role may read.
        Operation::ChangePolicy => {
            let fields = vec![version, ("api_key_age", "90"), ("signing_key_age", "90"), ("idle", "60")];
            let rotation = browser.post(&format!("{}/rotation-policy", target.list()), &fields).await;
            let fields = [version, ("second_factor", "optional"), ("nuvera_changes", "confirmed")];
            return vec![rotation, browser.post(&format!("{}/security-policy", target.list()), &fields).await];
        }
        Operation::CreateApplication => {
            let fields =
                vec![("name", "New"), ("public_key", PEM_B), ("creation_token", "0123456789abcdef0123456789abcdef")];
            (format!("{LIST}/new"), fields)
        }
        Operation::RenameApplication => (target.application("/rename"), vec![version, because, ("name", "Other")]),
        Operation::DisableApplication => {
            let everything = format!("{}/stop-everything", target.list());
            answers.push(browser.get(&everything).await);
            answers.push(browser.post(&everything, &[because]).await);
            (target.application("/disable"), vec![version, because])
        }
        Operation::EnableApplication => (target.application("/enable"), vec![version, because]),
        Operation::ChangePermissions => (target.application("/permissions"), vec![version, because]),
        Operation::RotateApiKeys => (target.application("/replace-api-key"), vec![version, ("grace", "3600")]),
        // It has no page: the button is where the key is shown, and on the application's page.
        Operation::ConfirmApiKeys => {
            let path = target.application(&format!("/api-keys/{}/stored", target.key));
            return vec![browser.post(&path, &[version]).await];
        }
        Operation::RevokeApiKeys => {
            (target.application(&format!("/api-keys/{}/revoke", target.key)), vec![version, because])
        }
        Operation::ReplaceSigningKeys => {
            let fields = vec![version, because, ("public_key", PEM_B), ("overlap", "none")];
            (target.application("/replace-signing-key"), fields)
        }
        Operation::PrepareReplacement => {
            (target.application("/prepare-replacement"), vec![version, because, ("grace", "3600")])
        }
        Operation::WithdrawReplacement => (target.application("/withdraw-replacement"), vec![version, because]),
        Operation::ConfirmProposedChange => (target.application("/confirm-change"), vec![version]),
        Operation::WithdrawProposedChange => (target.application("/withdraw-change"), vec![version, because]),
        // They have no pages: the button is in the notice above the list and on the application's page.
        Operation::AcknowledgeSupport => {
            let of_one = browser.post(&target.application("/seen-support"), &[version]).await;
            return vec![of_one, browser.post(&format!("{}/seen-support", target.list()), &[version]).await];
        }
        Operation::ManagePeople => {
            let fields = vec![("name", "New"), ("email", "new@example.com"), ("role", "partner_viewer")];
            (target.people("/invite"), fields)
        }
    };
    fields.push(("ticket", "SUP-4711"));
    answers.push(browser.get(&path).await);
    answers.push(browser.post(&path, &fields).await);
    answers
}

#[tokio::test]
async fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for role in Role::ALL {
        let Some(email) = email(role) else { continue };
        let mut browser = console.signed_in(email).await;
        let actor = console.actor(email).await;
        for (organization, in_hub) in
            [(console.alpine, false), (console.alpine, true), (console.borealis, true), (console.nuvera, true)]
        {
            let (application, _) = owner.create(&format!("{role:?} {in_hub} {organization}"), PEM_A).await;
            // Settings belong to the user's own organization, whichever organization owns the application in the path.
            let organization = if in_hub { organization } else { actor.organization_id };
            for operation in Operation::ALL {
                // Applications are created in a partner's own settings only.
                if in_hub && matches!(operation, Operation::CreateApplication) {
                    continue;
                }
                let is_nuveras = role.side() == ActorKind::Nuvera;
                let is_of_people = matches!(operation, Operation::ViewPeople | Operation::ManagePeople);
                let area = match operation {
                    Operation::ViewOrganizationHub
                    | Operation::StopSigningKey
                    | Operation::ReleaseSigningKey
                    | Operation::ManageOrganizations => Area::Hub,
                    _ if in_hub || is_nuveras && is_of_people => Area::Hub,
                    _ => Area::Partner,
                };
                let found = console.application(&application).await;
                let target = Target {
                    organization,
                    in_hub,
                    is_nuveras,
                    key: found.api_keys[0].id.to_string(),
                    version: found.version.to_string(),
                    application: application.clone(),
                };
                let expected = match operation {
                    // The hub belongs to no organization: Nuvera's members open it from their own.
                    Operation::ViewOrganizationHub if is_nuveras => Access::Allowed,
                    Operation::StopSigningKey | Operation::ManageOrganizations if role == Role::NuveraAdmin => {
                        Access::Allowed
                    }
                    Operation::ReleaseSigningKey if role == Role::NuveraAdmin => Access::Hidden,
                    Operation::StopSigningKey | Operation::ReleaseSigningKey | Operation::ManageOrganizations => {
                        Access::Forbidden
                    }
                    // Nuvera is not one of the organizations that it supports.
                    _ if in_hub && organization == console.nuvera => Access::Hidden,
                    _ => access(&actor, organization, operation),
                };
                for answer in ask(&mut browser, &target, operation).await {
                    // A session of one area is not valid in the other.
                    if area.side() != role.side() {
                        let asked = format!("{role:?} {operation:?} in hub: {in_hub}, {organization}");
                        let door = match answer.status {
                            StatusCode::SEE_OTHER => answer.location().split('?').next() == Some(area.sign_in()),
                            StatusCode::FORBIDDEN => answer.body.contains(&format!("action=\"{}\"", area.sign_in())),
                            _ => false,
                        };
                        assert!(door, "{asked}: {}", answer.status);
                        continue;
                    }
                    let came = match answer.status {
                        StatusCode::FORBIDDEN => Access::Forbidden,
                        // Borealis does not have this application, so an authorized user gets "not found".
                        StatusCode::NOT_FOUND if expected == Access::Allowed && organization == console.borealis => {
                            continue;
                        }
                        StatusCode::NOT_FOUND => Access::Hidden,
                        _ => Access::Allowed,
                    };
                    let asked = format!("{role:?} {operation:?} in hub: {in_hub}, {organization}: {}", answer.status);
                    assert_eq!(came, expected, "{asked}");
                }
            }
        }
    }
}

/// The operation of a route of an application or of members. Panics for a route that is missing here.
fn operation_at(route: &str) -> Operation {
    match route {
        "/" | "/requests" | "/requests/{request}" => Operation::ViewApplications,
        "/rename" => Operation::RenameApplication,
        "/permissions" => Operation::ChangePermissions,
        "/disable" => Operation::DisableApplication,
        "/enable" => Operation::EnableApplication,
        "/prepare-replacement" => Operation::PrepareReplacement,
        "/withdraw-replacement" => Operation::WithdrawReplacement,
        "/confirm-change" => Operation::ConfirmProposedChange,
        "/withdraw-change" => Operation::WithdrawProposedChange,
        "/seen-support" => Operation::AcknowledgeSupport,
        "/replace-api-key"
        | "/replace-exposed-api-key"
        | "/claim-replacement"
        | "/finish-by-itself"
        | "/cancel-finish"
        | "/api-keys/{key}/replace-unseen"
        | "/api-keys/{key}/deadline"
        | "/api-keys/{key}/keep" => Operation::RotateApiKeys,
        "/api-keys/{key}/stored" => Operation::ConfirmApiKeys,
        "/api-keys/{key}/revoke" => Operation::RevokeApiKeys,
        "/replace-signing-key" | "/signing-keys/{key}/restore" | "/signing-keys/{key}/retire" => {
            Operation::ReplaceSigningKeys
        }
        "/invite"
        | "/{person}/role"
        | "/{person}/reset-password"
        | "/{person}/reset-factor"
        | "/{person}/remove"
        | "/{person}/confirm-change"
        | "/{person}/cancel-change"
        | "/invitations/{invitation}/send-again"
        | "/resets/{reset}/confirm"
        | "/resets/{reset}/cancel"
        | "/invitations/{invitation}/withdraw" => Operation::ManagePeople,
        _ => panic!("which operation is {route}?"),
    }
}

/// Submits every form, with ids that do not exist: an authorized user gets "not found", and an unauthorized one cannot
/// tell that they do not exist.
#[tokio::test]
async fn every_form_asks_for_the_operation_that_it_is_for_and_for_a_fresh_proof_where_that_needs_one() {
    const NOBODYS: &str = "01900000-0000-7000-8000-000000000000";
    let console = Console::start().await;
    let (application, _) = console.owner().await.create("Ledger", PEM_A).await;
    for role in Role::ALL {
        let Some(email) = email(role) else { continue };
        let mut browser = console.signed_in(email).await;
        let actor = console.actor(email).await;
        for is_proven in [true, false] {
            let actor = Actor { is_proven, ..actor.clone() };
            if !is_proven {
                console.advance(PROOF_LIFETIME);
            }
            let is_nuveras = role.side() == ActorKind::Nuvera;
            let (base, people) = match is_nuveras {
                true => (console.in_hub(&application), format!("/organizations/{}/people", console.alpine)),
                false => (format!("{LIST}/{application}"), PEOPLE.to_owned()),
            };
            let of_application = routes("of_application").into_iter().map(|route| (&*base, route));
            for (base, route) in of_application.chain(routes("of_people").into_iter().map(|route| (&*people, route))) {
                // Never ends; `requests.rs` reads it.
                if route == "/events" {
                    continue;
                }
                let operation =
                    if (base, route) == (&people, "/") { Operation::ViewPeople } else { operation_at(route) };
                let ids = ["{key}", "{request}", "{person}", "{invitation}", "{reset}"];
                let path = ids.iter().fold(route.to_owned(), |path, id| path.replace(id, NOBODYS));
                let path = format!("{base}{}", path.trim_end_matches('/'));
                let is_only_read = matches!(operation, Operation::ViewApplications | Operation::ViewPeople);
                let answer = match is_only_read {
                    true => browser.get(&path).await,
                    false => browser.post(&path, &[]).await,
                };
                let came = match answer.status {
                    StatusCode::FORBIDDEN if answer.body.contains("Confirm that it is you") => Access::NeedsProof,
                    StatusCode::FORBIDDEN => Access::Forbidden,
                    // An invalid form is not kept, so the response redirects to the proof of identity.
                    StatusCode::SEE_OTHER if answer.location().contains("/confirm?next=") => Access::NeedsProof,
                    _ => Access::Allowed,
                };
                let expected = match access(&actor, console.alpine, operation) {
                    Access::Hidden if answer.status == StatusCode::NOT_FOUND => continue,
                    expected => expected,
                };
                assert_eq!(came, expected, "{role:?}, proven: {is_proven}: {path}: {}", answer.status);
            }
        }
    }
    let events = ["application.disabled", "api_key.created", "application.created"];
    assert_eq!(console.events(&application).await, events, "an emergency stop asks for nothing; nothing else was done");
}

#[tokio::test]
async fn what_somebody_may_not_do_is_not_offered_to_them() {
    let console = Console::start().await;
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let actions = ["rename", "permissions", "disable", "replace-api-key", "replace-signing-key", "revoke", "stored"];
    let offered = |page: &Answer| {
        let is_offered = |action: &&&str| page.body.contains(&format!("/{action}\""));
        actions.iter().filter(is_offered).count()
    };
    let mut viewer = console.signed_in("viewer@alpine.example").await;
    let page = viewer.get(&format!("{LIST}/{id}")).await;
    page.says("Ledger").says("Audit history");
    assert_eq!(offered(&page), 0, "{}", page.text());
    assert!(!page.body.contains("test-request"), "who has no key sends no test request");
    assert!(!viewer.get(LIST).await.body.contains("Create API application"));
    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    let page = auditor.get(&console.in_hub(&id)).await;
    page.says("and see without changing anything");
    assert_eq!(offered(&page), 0, "{}", page.text());
    let page = console.owner().await.get(&format!("{LIST}/{id}")).await;
    assert_eq!(offered(&page), actions.len(), "the control");
}
