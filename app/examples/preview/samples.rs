//! What the preview shows.

use app::{
    page::{
        AccountView, ApplicationSummary, ApplicationView, Assets, AuditSubject, BlockedKeyView, FactorEnrolment,
        FieldError, Notice, OrganizationSummary, Page, PageContext, Provider, QrCode, SingleSignOnProblem, StopScope,
        Submission, SupportView, Usage, Viewer, WaysToConfirm,
    },
    paths::{Area, Place},
};
use domain::{
    access::Role,
    actor::{Actor, ActorKind},
    api_key::{ApiKey, NewApiKey, PlainApiKey},
    application::{
        ApiApplication, BlockedKey, By, Change, NewApplication, NewSigningKey, Replacement, RequestedChange,
        SigningKeyReplacement,
    },
    audit::{AuditFilter, RecordedEvent},
    bulk_stop::{Fate, Stoppable},
    cut_over::Traffic,
    health::{Health, Outcomes},
    hygiene::{self, KeyId, LastUse, RotationPolicy, RotationRules},
    id::{
        ApiKeyId, ApplicationId, InvitationId, OrganizationId, PasskeyId, PendingResetId, RequestId, SessionId,
        SigningKeyId, UserId,
    },
    organization::{Organization, OrganizationDetails},
    passkey::{Passkey, Prompt},
    pending_reset::{PendingReset, ResetKind},
    people::{Invitation, Leaver, OWNER_CHANGE_DELAY, OwnerChange, PendingOwnerChange, Person},
    permission::PermissionSet,
    policy::Policy,
    public_key::PublicKey,
    request::{RequestFilter, SeenRefusal, SeenRequest},
    search::{Findings, Found, Hit, Search},
    second_factor::{FactorList, Factors, RecoveryCode, SecondFactor, TotpSecret},
    security_policy::SecurityRules,
    sign_in::{Attempt, Method, Outcome, SignedIn},
    support::Seen,
    text::{
        ApplicationName, Contact, EmailAddress, OrganizationName, PasskeyName, PersonName, Reason, SupportNote,
        TicketReference, Why,
    },
    time::Timestamp,
};
use std::{cell::Cell, collections::HashMap, error::Error, time::Duration};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NOW: i64 = 1_795_404_310_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

const PUBLIC_KEYS: [&str; 4] = [
    include_str!("public-1.pem"),
    include_str!("public-2.pem"),
    include_str!("public-3.pem"),
    include_str!("public-4.pem"),
];

/// Every page, named.
pub fn all() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let mut pages = before_signing_in();
    pages.extend(lists()?);
    pages.extend(hub());
    pages.extend(organizations()?);
    pages.extend(searches()?);
    pages.extend(stops()?);
    pages.extend(creation()?);
    pages.extend(applications()?);
    pages.extend(changes()?);
    pages.extend(people()?);
    pages.extend(policies());
    pages.extend(blocked_keys()?);
    Ok(pages)
}

fn provider(label: &str) -> Provider {
    Provider { id: label.to_lowercase().replace(' ', "-"), label: label.into() }
}

fn confirm(unsent: Option<&str>, password: bool, providers: &[&str]) -> Page {
    let providers = providers.iter().map(|label| provider(label)).collect();
    let ways = WaysToConfirm { password, app: false, passkey: false, prompt: None, providers };
    Page::Confirm { next: "/settings".into(), unsent: unsent.map(ToOwned::to_owned), ways }
}

fn confirm_with_code(prompt: Option<Prompt>) -> Page {
    let passkey = prompt.is_some();
    let ways = WaysToConfirm { password: false, app: !passkey, passkey, prompt, providers: Vec::new() };
    Page::Confirm { next: "/settings".into(), unsent: None, ways }
}

fn single_sign_on_refused(problem: SingleSignOnProblem, is_proof: bool) -> Page {
    Page::SingleSignOnRefused {
        provider: provider("Ledgerline ID"),
        problem,
        next: "/settings".into(),
        is_proof,
        is_signed_in: false,
        unsent: is_proof.then(|| "name=Ledger".into()),
        request_id: "019abf3c-7a10-7c11-8d5e-1f2a3b4c5d6e".into(),
    }
}

fn before_signing_in() -> Vec<(&'static str, PageContext, Page)> {
    let anonymous = || PageContext { viewer: None, ..context() };
    let failed = Submission {
        values: vec![("email".into(), "olivia@ledgerline.example".into())],
        errors: vec![],
        form_error: Some("The email or the password is not right. After five attempts, wait a minute.".into()),
    };
    let customer = viewer("Casey Customer", "Harbour Retail", Role::CustomerUser);
    vec![
        ("sign-in", anonymous(), Page::SignIn { next: Some("/settings".into()), unsent: None }),
        (
            "sign-in-notice",
            PageContext { notice: Some(Notice::SignedOut), ..anonymous() },
            Page::SignIn { next: None, unsent: None },
        ),
        (
            "sign-in-warning",
            PageContext { notice: Some(Notice::SignInEnded), ..anonymous() },
            Page::SignIn { next: None, unsent: None },
        ),
        ("sign-in-hub", PageContext { place: Place::Nuvera, ..anonymous() }, Page::SignIn { next: None, unsent: None }),
        (
            "other-door-partner",
            PageContext { place: Place::Nuvera, ..anonymous() },
            Page::OtherDoor { theirs: Area::Partner, href: Area::Partner.sign_in().into() },
        ),
        ("other-door-hub", anonymous(), Page::OtherDoor { theirs: Area::Hub, href: Area::Hub.sign_in().into() }),
        ("sign-in-error", PageContext { submission: failed, ..anonymous() }, Page::SignIn { next: None, unsent: None }),
        (
            "sign-in-unsent",
            anonymous(),
            Page::SignIn { next: Some("/settings".into()), unsent: Some("name=Ledger".into()) },
        ),
        (
            "sign-in-providers",
            PageContext { providers: vec![provider("Ledgerline ID"), provider("Harbour SSO")], ..anonymous() },
            Page::SignIn { next: None, unsent: None },
        ),
        ("confirm", context(), confirm(None, true, &[])),
        ("confirm-unsent", context(), confirm(Some("name=Ledger"), true, &[])),
        ("confirm-provider", context(), confirm(None, false, &["Ledgerline ID"])),
        ("confirm-provider-unsent", context(), confirm(Some("name=Ledger"), true, &["Ledgerline ID"])),
        (
            "continue-with-provider",
            context(),
            Page::ContinueWith {
                provider: provider("Ledgerline ID"),
                address: "https://login.ledgerline.example/authorize".into(),
            },
        ),
        ("single-sign-on-declined", anonymous(), single_sign_on_refused(SingleSignOnProblem::Declined, false)),
        ("single-sign-on-account-here", anonymous(), single_sign_on_refused(SingleSignOnProblem::AccountHere, false)),
        ("single-sign-on-one-factor", anonymous(), single_sign_on_refused(SingleSignOnProblem::OneFactor, false)),
        ("single-sign-on-somebody-else", context(), single_sign_on_refused(SingleSignOnProblem::SomebodyElse, true)),
        ("single-sign-on-no-auth-time", context(), single_sign_on_refused(SingleSignOnProblem::NoAuthTime, true)),
        ("confirm-code", context(), confirm_with_code(None)),
        ("confirm-passkey", context(), confirm_with_code(Some(prompt()))),
        ("second-factor", anonymous(), Page::SecondFactor { has_app: true, prompt: None }),
        ("second-factor-passkey", anonymous(), Page::SecondFactor { has_app: false, prompt: Some(prompt()) }),
        ("factor-set-up", context(), set_up(false, false)),
        ("factor-demanded", context(), set_up(false, true)),
        ("factor-replace", context(), set_up(true, false)),
        ("factor-remove", context(), Page::RemoveFactor { has_passkeys: false }),
        ("recovery-codes", context(), recovery_codes()),
        ("recovery-codes-make", context(), Page::MakeRecoveryCodes { left: 2 }),
        ("account", context(), account(None, false)),
        ("account-secured", context(), account(Some((40 * DAY, 9)), false)),
        ("account-few-codes", context(), account(Some((DAY, 2)), true)),
        ("passkey-new", context(), Page::NewPasskey { prompt: prompt() }),
        ("passkey-remove", context(), Page::RemovePasskey { passkey: passkey(1, "Laptop") }),
        ("passkey-sign-in", PageContext { viewer: None, ..context() }, passkey_sign_in(Some(prompt()), None)),
        (
            "passkey-sign-in-unsent",
            PageContext { viewer: None, ..context() },
            passkey_sign_in(Some(prompt()), Some("name=Ledger".into())),
        ),
        (
            "passkey-sign-in-nowhere",
            PageContext { viewer: None, uses_passkeys: false, ..context() },
            passkey_sign_in(None, None),
        ),
        ("refused-customer", PageContext { viewer: Some(customer), ..context() }, Page::CustomerRefused),
        ("refused-forbidden", context(), Page::Forbidden),
        (
            "refused-cross-site",
            context(),
            Page::CrossSite { home: "https://console.nuvera.example/settings/platform/api-applications".into() },
        ),
        ("refused-not-found", context(), Page::NotFound),
        (
            "refused-unavailable",
            context(),
            Page::Unavailable { request_id: "01936f0e-3a2b-7c4d-8e5f-6a7b8c9d0e1f".into() },
        ),
    ]
}

fn passkey(number: u128, name: &str) -> Passkey {
    Passkey {
        id: PasskeyId(Uuid::from_u128(number)),
        name: PasskeyName::new(name).expect("a valid name"),
        added_at: ago(30 * DAY),
        used_at: Some(ago(2 * HOUR)),
        suspected_at: None,
    }
}

fn suspected_passkey() -> Passkey {
    Passkey { suspected_at: Some(ago(HOUR)), ..passkey(2, "Key <b>in the safe</b>") }
}

fn passkey_sign_in(prompt: Option<Prompt>, unsent: Option<String>) -> Page {
    Page::PasskeySignIn { next: None, unsent, prompt }
}

fn prompt() -> Prompt {
    Prompt { challenge: "Y2hhbGxlbmdl".into(), options: "{}".into() }
}

/// `factor`: since how many seconds, and how many recovery codes are left.
fn account(factor: Option<(u64, usize)>, must_have_factor: bool) -> Page {
    let second_factor = factor.map(|(since, recovery_codes)| SecondFactor { set_up_at: ago(since), recovery_codes });
    let session = |number: u128, browser: &str, address: [u8; 4], signed_in: u64, used: u64| SignedIn {
        id: SessionId(Uuid::from_u128(number)),
        user_id: UserId(Uuid::nil()),
        side: ActorKind::Partner,
        signed_in_at: ago(signed_in),
        used_at: ago(used),
        proven_at: ago(used),
        method: if number == 3 { Method::Passkey } else { Method::PasswordAndCode },
        address: Some(address.into()),
        browser: browser.into(),
        told_until: ago(0),
    };
    let sessions = vec![
        session(1, "Firefox on Linux", [203, 0, 113, 7], 2 * HOUR, 1),
        session(2, "Chrome on Windows", [198, 51, 100, 23], 300, 240),
        session(3, "Safari on iPhone", [192, 0, 2, 200], 5 * HOUR, 20 * 60),
    ];
    let mut attempts: Vec<_> = sessions.iter().map(attempt_of).collect();
    attempts[1].outcome = Outcome::NewBrowser;
    let refused = |seconds, outcome, browser: &str| Attempt {
        at: ago(seconds),
        outcome,
        method: Method::Password,
        browser: browser.into(),
        session: None,
        ..attempts[0].clone()
    };
    let refused = [
        refused(6 * HOUR, Outcome::Refused, "Unknown browser"),
        refused(3 * DAY, Outcome::OtherDoor, "Unknown browser on Linux"),
    ];
    attempts.extend(refused);
    let here = sessions[0].id;
    let passkeys = if second_factor.is_some() { vec![passkey(1, "Laptop"), suspected_passkey()] } else { Vec::new() };
    let recovery_codes = factor.map_or(0, |(_, codes)| codes);
    let account = AccountView {
        second_factor,
        passkeys,
        has_password: true,
        offers_passkeys: true,
        recovery_codes,
        must_have_factor,
        sessions,
        here,
        pending_resets: Vec::new(),
        attempts,
    };
    Page::Account { account }
}

fn attempt_of(session: &SignedIn) -> Attempt {
    Attempt {
        at: session.signed_in_at,
        outcome: Outcome::Accepted,
        method: session.method,
        address: session.address,
        browser: session.browser.clone(),
        session: Some(session.id),
    }
}

fn set_up(is_replacement: bool, is_demanded: bool) -> Page {
    let path = (0..37 * 37)
        .filter(|at| (at * 7_919 + at / 37 * 104_729) % 97 < 46)
        .map(|at| format!("M{} {}h1v1h-1z", at % 37, at / 37))
        .collect();
    let enrolment = FactorEnrolment {
        secret: TotpSecret::new(*b"12345678901234567890"),
        sealed: "c2VhbGVk".into(),
        qr: QrCode { side: 37, path },
    };
    Page::SetUpFactor { enrolment, is_replacement, is_demanded, next: Some("/settings".into()) }
}

fn recovery_codes() -> Page {
    let code = |number: u8| RecoveryCode::generate(|bytes| bytes.fill(number.wrapping_mul(23)));
    Page::RecoveryCodes { codes: (1..=10).map(code).collect(), next: "/settings".into() }
}

fn lists() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let summary = |application: ApiApplication, last: Option<u64>| ApplicationSummary {
        hygiene: hygiene_of(&application, |_| last.map(|last| used(1, last))),
        application,
        last_used_at: last.map(ago),
    };
    let aging = vec![
        summary(aged("Ledger, production", 171)?, Some(60)),
        summary(aged("Beneficiary sync", 401)?, Some(9 * DAY)),
        summary(rotating()?.0, Some(600)),
        summary(named(LONG_NAME)?, Some(94 * DAY)),
        summary(aged("Forgotten importer", 200)?, None),
        summary(aged("Payouts", 355)?, Some(60)),
        summary(simple("Screening")?, Some(20)),
    ];
    let many = vec![
        summary(simple("Beneficiary sync (staging)")?, None),
        summary(disabled()?, Some(3 * DAY)),
        summary(rotating()?.0, Some(2)),
        summary(every_state()?, Some(40 * DAY)),
        summary(without_live_key()?, Some(90 * DAY)),
        summary(named(LONG_NAME)?, Some(26 * HOUR)),
    ];
    let name = || "Ledgerline GmbH".to_owned();
    let of_organization = Page::Organization { name: name(), items: many.clone(), health: troubled() };
    Ok(vec![
        ("list-empty", context(), Page::Applications { items: vec![], leavers: vec![], unseen_support: vec![] }),
        ("check-key", context(), Page::CheckKey { applications: vec![rotating()?.0] }),
        ("check-key-empty", hub_context(), Page::CheckKey { applications: vec![] }),
        ("hub-organization", hub_context(), of_organization),
        (
            "list-one",
            context(),
            Page::Applications {
                items: vec![summary(rotating()?.0, Some(240))],
                leavers: vec![],
                unseen_support: vec![],
            },
        ),
        (
            "list-hygiene",
            context(),
            Page::Applications { items: aging.clone(), leavers: vec!["Deniz Demir".into()], unseen_support: vec![] },
        ),
        (
            "hub-organization-hygiene",
            hub_context(),
            Page::Organization { name: name(), items: aging, health: Health { overdue: 4, ..troubled() } },
        ),
        (
            "list-support",
            context(),
            Page::Applications {
                items: vec![summary(proposed()?, Some(240)), summary(prepared()?, None)],
                leavers: vec![],
                unseen_support: support(true)?.unseen,
            },
        ),
        ("list-many", context(), Page::Applications { items: many, leavers: vec![], unseen_support: vec![] }),
    ])
}

fn outcomes(counts: &[(&str, u64)]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    counts.iter().for_each(|(code, requests)| outcomes.count(code, *requests));
    outcomes
}

fn troubled() -> Health {
    Health {
        applications: 12,
        disabled: 1,
        never_used: 2,
        stopping_in_use: 1,
        first_stop: Some(ago(0).plus(Duration::from_secs(DAY))),
        expiring: 3,
        overdue: 2,
        last_hour: outcomes(&[("ok", 1_604), ("invalid_signature", 240), ("uri_mismatch", 12)]),
        last_day: outcomes(&[("ok", 21_604), ("invalid_signature", 260), ("uri_mismatch", 14)]),
    }
}

fn hub() -> Vec<(&'static str, PageContext, Page)> {
    let context = || PageContext { place: Place::Nuvera, ..hub_context() };
    let organization = |name: &str, health| OrganizationSummary {
        id: OrganizationId(Uuid::nil()),
        name: name.into(),
        is_suspended: name.starts_with("Harbour"),
        has_members: !name.starts_with("Quillon"),
        health,
    };
    let quiet = Health { applications: 3, last_hour: outcomes(&[("ok", 412)]), ..Health::default() };
    let organizations = vec![
        organization("Ledgerline GmbH", troubled()),
        organization("Harbourfront Payments Ltd", Health { overdue: 1, ..quiet.clone() }),
        organization("Meridian Clearing", quiet),
        organization("Quillon & <Partners>", Health::default()),
    ];
    let page = |organizations: Vec<OrganizationSummary>, is_filtered| {
        let counts = (organizations.len(), organizations.len() / 2);
        Page::OrganizationHub { organizations, more: 0, counts, is_filtered }
    };
    let too_long = "Use at most 200 characters; this has 10000.";
    vec![
        ("hub", context(), page(organizations, false)),
        ("hub-empty", context(), page(vec![], false)),
        ("hub-calm", context(), page(vec![], true)),
        ("hub-error", PageContext { place: Place::Nuvera, ..mistaken("q", "x", too_long) }, page(vec![], false)),
    ]
}

fn organizations() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let details = OrganizationDetails {
        name: OrganizationName::new("Ledgerline GmbH")?,
        contact: Contact::new("Grace Green, grace@ledgerline.example, +49 30 555 0100").ok(),
        note: SupportNote::new("Integrates by itself; ask before anything is changed.\nInvoices go to finance.").ok(),
    };
    let reason = why("Invoices of March to May are unpaid.", Some("SUP-4711"))?;
    let by = By { actor: &admin(), at: ago(90_000), reason: Some(&reason) };
    let active = Organization::create(OrganizationId(Uuid::nil()), details, by).organization;
    let suspended = active.clone().suspend(by)?.organization;
    let invitation = Invitation {
        id: InvitationId(id()),
        organization_id: active.id,
        email: EmailAddress::new("grace@ledgerline.example")?,
        name: PersonName::new("Grace Green")?,
        role: Role::PartnerOwner,
        invited_by: "Ada Admin".into(),
        expires_at: Timestamp::from_millis(NOW + 259_200_000),
    };
    let manage = |organization: &Organization, has_members, invitations: &[Invitation]| Page::ManageOrganization {
        organization: organization.clone(),
        has_members,
        invitations: invitations.to_vec(),
    };
    let suspended_context = || PageContext { is_suspended: true, ..hub_context() };
    let application = Stoppable {
        application: named("Ledger, production")?,
        organization_name: "Ledgerline GmbH".into(),
        requests: 12_345,
        last_used_at: Some(ago(2)),
    };
    let auditor = viewer("Ana Auditor", "Nuvera", Role::NuveraAuditor);
    let taken = "Another partner organization has this name. Choose a different one.";
    Ok(vec![
        ("organization-new", PageContext { place: Place::Nuvera, ..hub_context() }, Page::NewOrganization),
        (
            "organization-new-taken",
            PageContext { place: Place::Nuvera, ..mistaken("name", "Ledgerline GmbH", taken) },
            Page::NewOrganization,
        ),
        ("organization-manage", hub_context(), manage(&active, true, &[])),
        ("organization-manage-no-owner", hub_context(), manage(&active, false, &[])),
        ("organization-manage-invited", hub_context(), manage(&active, false, &[invitation])),
        ("organization-manage-suspended", suspended_context(), manage(&suspended, true, &[])),
        (
            "organization-manage-auditor",
            PageContext { viewer: Some(auditor), ..suspended_context() },
            manage(&suspended, true, &[]),
        ),
        (
            "organization-suspend",
            hub_context(),
            Page::SuspendOrganization { organization: active.clone(), applications: vec![application] },
        ),
        ("organization-reinstate", suspended_context(), Page::ReinstateOrganization { organization: suspended }),
        (
            "applications-suspended",
            PageContext { is_suspended: true, ..context() },
            Page::Applications { items: Vec::new(), leavers: Vec::new(), unseen_support: Vec::new() },
        ),
    ])
}

fn searches() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let context = || PageContext { place: Place::Nuvera, ..hub_context() };
    let search =
        |typed: &str| -> Result<Search> { Search::read(typed)?.ok_or_else(|| "nothing is searched for".into()) };
    let every = every_state()?;
    let hit = |application: &ApiApplication, what| Hit {
        organization: application.organization_id,
        organization_name: "Ledgerline GmbH".into(),
        application: application.id,
        application_name: application.name.to_string(),
        is_enabled: application.is_enabled(),
        what,
    };
    let stopped = disabled()?;
    let findings = Findings {
        organizations: vec![(OrganizationId(Uuid::nil()), "Ledgerline GmbH".into())],
        hits: vec![
            hit(&stopped, Found::Application),
            hit(&named(LONG_NAME)?, Found::Application),
            hit(&every, Found::ApiKey(every.api_keys[0].clone())),
            hit(&every, Found::Request { id: RequestId(id()), at: ago(60), code: "replay_detected".into() }),
        ],
        has_more: true,
        is_exact: false,
    };
    let fingerprint = every.current_signing_key().public_key.fingerprint();
    let keys = Findings {
        hits: vec![
            hit(&every, Found::SigningKey(every.current_signing_key().clone())),
            hit(&stopped, Found::SigningKey(stopped.current_signing_key().clone())),
        ],
        is_exact: true,
        ..Findings::default()
    };
    let none = Findings::default;
    let whole_key = PageContext { notice: Some(Notice::WholeKey), ..context() };
    Ok(vec![
        ("hub-search", context(), Page::HubSearch { search: search("ledger")?, findings, blocked: None }),
        ("hub-search-key", context(), Page::HubSearch { search: search(&fingerprint)?, findings: keys, blocked: None }),
        ("hub-search-none", context(), Page::HubSearch { search: search("<Lost>")?, findings: none(), blocked: None }),
        (
            "hub-search-prefix",
            whole_key,
            Page::HubSearch { search: search("nvk_AbCd1234")?, findings: none(), blocked: None },
        ),
    ])
}

fn stops() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let stoppable = |application: ApiApplication, requests, last: Option<u64>| Stoppable {
        application,
        organization_name: "Ledgerline GmbH".into(),
        requests,
        last_used_at: last.map(ago),
    };
    let some = vec![
        stoppable(named("Ledger, production")?, 12_345, Some(2)),
        stoppable(named(LONG_NAME)?, 1, Some(3_000)),
        stoppable(disabled()?, 0, None),
    ];
    let many = (1..=20).map(|number| Ok(stoppable(named(&format!("Terminal {number}"))?, number, Some(60))));
    let many = many.collect::<Result<Vec<_>>>()?;
    let fates = [Fate::Stopped, Fate::StoppedUnseen, Fate::WasDisabled];
    let fates = || some.clone().into_iter().zip(fates).collect::<Vec<_>>();
    let everything = || StopScope::Organization { name: "Ledgerline GmbH".into() };
    let fingerprint = some[0].application.current_signing_key().public_key.fingerprint();
    let key = || StopScope::SigningKey { fingerprint: fingerprint.clone() };
    let of_all = || PageContext { place: Place::Nuvera, ..hub_context() };
    let preview = |scope, applications: &[Stoppable]| Page::BulkStop {
        scope,
        applications: applications.to_vec(),
        blocked: None,
    };
    let stopped = |scope, is_unrecorded| Page::BulkStopped { scope, applications: fates(), is_unrecorded };
    Ok(vec![
        ("stop-everything", context(), preview(everything(), &some)),
        ("stop-everything-none", context(), preview(everything(), &some[2..])),
        (
            "stop-everything-hub",
            mistaken("reason", "", "Enter a reason: it is kept in the audit history."),
            preview(everything(), &many),
        ),
        ("stop-key", of_all(), preview(key(), &some)),
        ("stop-key-none", of_all(), preview(key(), &[])),
        ("stopped-everything", context(), stopped(everything(), false)),
        ("stopped-key", of_all(), stopped(key(), true)),
    ])
}

/// What an admin sees of a form with a mistake in it.
fn mistaken(field: &'static str, value: &str, message: &str) -> PageContext {
    let errors = vec![FieldError { field, message: message.into() }];
    let submission = Submission { values: vec![(field.into(), value.into())], errors, form_error: None };
    PageContext { submission, ..hub_context() }
}

fn pending_reset(kind: ResetKind) -> PendingReset {
    PendingReset {
        id: PendingResetId(id()),
        organization_id: OrganizationId(Uuid::nil()),
        user_id: UserId(id()),
        name: "Bea Berg".into(),
        email: "bea.berg@nuvera.example".into(),
        kind,
        requested_by: UserId(id()),
        requested_by_name: "Ada Admin".into(),
        requested_at: ago(3600),
        effective_at: Timestamp::from_millis(NOW + 23 * 3_600_000),
    }
}

fn with_resets(page: Page, resets: Vec<PendingReset>) -> Page {
    match page {
        Page::People { people, invitations, leavers, pending, you, is_managed, .. } => {
            Page::People { people, invitations, pending_resets: resets, leavers, pending, you, is_managed }
        }
        page => page,
    }
}

fn people() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let person = |name: &str, role, last: Option<u64>| Person {
        id: UserId(id()),
        name: name.into(),
        email: format!("{}@ledgerline.example", name.to_lowercase().replace(' ', ".")),
        role,
        signed_in_at: last.map(ago),
        has_password: true,
        factors: Factors { authenticator: role == Role::PartnerOwner, passkeys: false },
    };
    let you = Person { id: actor().user_id, ..person("Olivia Owner", Role::PartnerOwner, Some(60)) };
    let deniz = person("Deniz Demir", Role::PartnerDeveloper, Some(3 * DAY));
    let invitation = Invitation {
        id: InvitationId(id()),
        organization_id: OrganizationId(Uuid::nil()),
        email: EmailAddress::new("grace@ledgerline.example")?,
        name: PersonName::new("Grace Green")?,
        role: Role::PartnerDeveloper,
        invited_by: "Olivia Owner".into(),
        expires_at: Timestamp::from_millis(NOW + 259_200_000),
    };
    let (application, _) = rotating()?;
    let keys = vec![KeyId::Api(application.api_keys[0].id), KeyId::Signing(application.signing_keys[0].id)];
    let leaver =
        Leaver { person: person("Lee Long", Role::PartnerDeveloper, Some(DAY)), keys: vec![(application, keys)] };
    let page = |people: Vec<Person>, invitations, leavers, is_managed| Page::People {
        people,
        invitations,
        pending_resets: Vec::new(),
        leavers,
        pending: vec![],
        you: you.id,
        is_managed,
    };
    let removal = PendingOwnerChange {
        organization_id: invitation.organization_id,
        target: deniz.id,
        target_name: deniz.name.clone(),
        target_email: deniz.email.clone(),
        change: OwnerChange::Remove,
        requested_by: UserId(Uuid::from_u128(77)),
        requester_name: "Lee Long".into(),
        requested_at: ago(3600),
        applies_at: ago(3600).plus(OWNER_CHANGE_DELAY),
    };
    let by_provider = Person { has_password: false, ..person("Vera Vidal", Role::PartnerViewer, None) };
    let many = vec![deniz.clone(), you.clone(), by_provider.clone()];
    let weak = Submission {
        errors: vec![FieldError { field: "password", message: "Use at least 15 characters.".into() }],
        ..Submission::default()
    };
    let joining = || Page::Invitation {
        invitation: invitation.clone(),
        organization: "Ledgerline GmbH".into(),
        token: "4mJ1Yq0c7bXn3kS9rTq2vLw8pZd5hGf6aUeRiOyBxCM".into(),
    };
    let anonymous = || PageContext { viewer: None, ..context() };
    Ok(vec![
        (
            "change-password",
            context(),
            Page::ChangePassword { factors: FactorList::default(), withdraws_invitations: true },
        ),
        (
            "change-password-with-factors",
            context(),
            Page::ChangePassword {
                factors: FactorList {
                    app: Some(SecondFactor { set_up_at: ago(90 * DAY), recovery_codes: 8 }),
                    passkeys: vec![passkey(1, "Laptop"), passkey(2, "Phone")],
                    recovery_codes: 8,
                    recovery_codes_made_at: Some(ago(2 * DAY)),
                },
                withdraws_invitations: false,
            },
        ),
        ("reset-password", context(), Page::ResetPassword { person: you.clone() }),
        (
            "reset-sent",
            context(),
            Page::ResetSent {
                person: you.clone(),
                expires_at: Timestamp::from_millis(NOW + 24 * 3_600_000),
                is_mailed: true,
            },
        ),
        (
            "reset-not-sent",
            context(),
            Page::ResetSent { person: you.clone(), expires_at: Timestamp::from_millis(NOW), is_mailed: false },
        ),
        ("confirm-reset", hub_context(), Page::ConfirmReset { reset: pending_reset(ResetKind::SecondFactor) }),
        (
            "people-with-pending-reset",
            hub_context(),
            with_resets(page(vec![you.clone()], vec![], vec![], true), vec![pending_reset(ResetKind::Password)]),
        ),
        (
            "choose-password",
            PageContext { viewer: None, ..context() },
            Page::ChoosePassword { name: you.name.clone(), email: you.email.clone(), token: "kX3vN0qTt5s8Yw2b".into() },
        ),
        ("reset-gone", PageContext { viewer: None, ..context() }, Page::ResetGone),
        (
            "people-told-of-a-new-browser",
            PageContext {
                new_browser: Some(Attempt {
                    at: ago(300),
                    outcome: Outcome::NewBrowser,
                    method: Method::Password,
                    address: Some([198, 51, 100, 23].into()),
                    browser: "Chrome on Windows".into(),
                    session: None,
                }),
                ..context()
            },
            page(vec![you.clone()], vec![], vec![], true),
        ),
        ("people-one", context(), page(vec![you.clone()], vec![], vec![], true)),
        ("people", context(), page(many.clone(), vec![invitation.clone()], vec![leaver], true)),
        ("people-seen", hub_context(), page(many, vec![invitation.clone()], vec![], false)),
        ("invite", context(), Page::Invite { side: ActorKind::Partner }),
        ("invitation-sent", context(), Page::InvitationSent { invitation: invitation.clone(), is_mailed: true }),
        ("invitation-not-sent", context(), Page::InvitationSent { invitation: invitation.clone(), is_mailed: false }),
        ("change-role", context(), Page::ChangeRole { person: deniz.clone(), waits_until: None }),
        ("change-role-by-provider", context(), Page::ChangeRole { person: by_provider, waits_until: None }),
        ("reset-factor", context(), Page::ResetFactor { person: deniz.clone() }),
        ("remove-person", context(), Page::RemovePerson { person: deniz.clone(), waits_until: None }),
        ("remove-owner", context(), Page::RemovePerson { person: deniz, waits_until: Some(removal.applies_at) }),
        ("confirm-removal", context(), Page::ConfirmOwnerChange { pending: removal.clone() }),
        (
            "people-pending",
            context(),
            Page::People {
                people: vec![you.clone()],
                invitations: vec![],
                pending_resets: Vec::new(),
                leavers: vec![],
                pending: vec![removal],
                you: you.id,
                is_managed: true,
            },
        ),
        ("invitation", anonymous(), joining()),
        ("invitation-error", PageContext { submission: weak, ..anonymous() }, joining()),
        ("invitation-gone", anonymous(), Page::InvitationGone),
    ])
}

fn policies() -> Vec<(&'static str, PageContext, Page)> {
    let page = || Page::RotationPolicy { policy: RotationPolicy::default() };
    let message = "Enter a whole number of days for API keys from 30 to 1095, or nothing to switch the rule off.";
    let wrong = Submission {
        values: [("api_key_age", "7"), ("signing_key_age", ""), ("idle", "90")]
            .map(|(field, value)| (field.into(), value.into()))
            .into(),
        errors: vec![FieldError { field: "api_key_age", message: message.into() }],
        form_error: None,
    };
    let strict = SecurityRules { second_factor_required: true, nuvera_changes_need_confirmation: true };
    let security = |rules| Page::SecurityPolicy { policy: Policy { rules, version: 1 } };
    vec![
        ("security-policy", context(), security(SecurityRules::default())),
        ("hub-security-policy", hub_context(), security(strict)),
        ("rotation-policy", context(), page()),
        ("rotation-policy-error", PageContext { submission: wrong, ..context() }, page()),
        ("hub-rotation-policy", hub_context(), page()),
    ]
}

fn creation() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let wrong = Submission {
        values: vec![
            ("name".into(), "".into()),
            ("public_key".into(), "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----".into()),
            ("key_source".into(), "paste".into()),
            ("permissions".into(), "CUSTOMERS_READ".into()),
            ("permissions".into(), "PAYMENTS_WRITE".into()),
        ],
        errors: vec![
            FieldError { field: "name", message: "Enter a name for the application.".into() },
            FieldError {
                field: "public_key",
                message:
                    "This is a certificate. Paste the public key in it: openssl x509 -in certificate.pem -pubkey -noout"
                        .into(),
            },
            FieldError {
                field: "permissions",
                message: "PAYMENTS_WRITE needs PAYMENTS_READ as well: select both, or neither.".into(),
            },
        ],
        form_error: None,
    };
    let token = || "01936f0e".to_owned();
    let first = simple("Ledger, production")?;
    let first_key = first.api_keys[0].id;
    let (replaced, key) = (rotating()?.0, plain(9));
    let replaced_key = replaced.api_keys[0].id;
    Ok(vec![
        ("create", context(), Page::NewApplication { creation_token: token(), challenge: CHALLENGE.to_owned() }),
        (
            "create-errors",
            PageContext { submission: wrong, ..context() },
            Page::NewApplication { creation_token: token(), challenge: CHALLENGE.to_owned() },
        ),
        ("key-first", context(), Page::OneTimeKey { application: first, api_key_id: first_key, key: plain(1) }),
        (
            "key-already-created",
            context(),
            Page::KeyAlreadyCreated {
                key: replaced.api_keys[0].clone(),
                application: replaced.clone(),
                is_used: false,
            },
        ),
        (
            "key-already-created-used",
            context(),
            Page::KeyAlreadyCreated { key: replaced.api_keys[0].clone(), application: replaced.clone(), is_used: true },
        ),
        ("key-replacement", context(), Page::OneTimeKey { application: replaced, api_key_id: replaced_key, key }),
    ])
}

fn applications() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let fresh = simple("Ledger, production")?;
    let used = simple("Ledger, production")?;
    let used_view = with_usage(used, &[(0, 128_431, 9)], &[(0, 128_431, 9)]);
    let (rotation, events) = rotating()?;
    let mut waiting = rotation.clone();
    waiting.api_keys[0].stored_at = Some(ago(600));
    let waiting = with_usage(waiting, &[(1, 98_002, 31)], &[(0, 98_002, 31)]);
    let verified = with_usage(rotation, &[(0, 128, 2), (1, 98_002, 240)], &[(0, 98_130, 2)]);
    let states = with_usage(every_state()?, &[(1, 3, 120), (2, 1, 5 * DAY)], &[(0, 7, 60), (1, 1_200_345, 7_200)]);
    let page = |view: ApplicationView, recent: Vec<RecordedEvent>| Page::Application {
        view,
        recent,
        support: SupportView::default(),
    };
    let supported = |application: ApiApplication, support: SupportView| Page::Application {
        view: with_usage(application, &[(0, 12, 900)], &[]),
        recent: vec![],
        support,
    };
    let notice = PageContext { notice: Some(Notice::KeyStored), ..context() };
    let requests_of = every_state()?;
    let requests_page = |requests: Vec<SeenRequest>| Page::Requests {
        application: requests_of.clone(),
        filter: RequestFilter::default(),
        older: requests.last().map(|request| request.id),
        requests,
        is_continued: false,
    };
    let request_page = |index: usize| Page::Request {
        application: requests_of.clone(),
        request: requests(&requests_of)[index].clone(),
    };
    Ok(vec![
        ("application-fresh", notice, page(with_usage(fresh, &[], &[]), recorded(&simple_events()?))),
        ("application-used", context(), page(used_view, recorded(&events))),
        ("application-waiting", context(), page(waiting, recorded(&events))),
        ("application-verified", context(), page(verified, recorded(&events))),
        ("application-states", context(), page(states, recorded(&events))),
        ("application-disabled", context(), page(with_usage(disabled()?, &[(0, 12, 90_000)], &[]), vec![])),
        ("application-no-live-key", context(), page(with_usage(without_live_key()?, &[], &[]), vec![])),
        (
            "application-due",
            context(),
            page(with_usage(aged("Ledger, production", 171)?, &[(0, 12_001, 60)], &[(0, 12_001, 60)]), vec![]),
        ),
        (
            "application-overdue",
            context(),
            page(
                with_usage(aged("Ledger, production", 401)?, &[(0, 12_001, 94 * DAY)], &[(0, 12_001, 94 * DAY)]),
                vec![],
            ),
        ),
        ("application-never-used", context(), page(with_usage(aged("Ledger, production", 140)?, &[], &[]), vec![])),
        ("application-claim", context(), page(with_usage(prepared()?, &[], &[]), vec![])),
        ("hub-application", hub_context(), page(with_usage(prepared()?, &[(0, 12, 900)], &[]), vec![])),
        ("application-proposed", context(), page(with_usage(proposed()?, &[(0, 12, 900)], &[]), vec![])),
        ("application-proposal-outdated", context(), page(with_usage(outdated()?, &[(0, 12, 900)], &[]), vec![])),
        ("hub-application-proposed", hub_context(), supported(proposed()?, support(true)?)),
        ("application-support", context(), supported(named("Payouts")?, support(true)?)),
        ("application-support-seen", context(), supported(named("Payouts")?, support(false)?)),
        ("application-long-name", context(), page(with_usage(named(LONG_NAME)?, &[], &[]), vec![])),
        ("requests", context(), requests_page(requests(&requests_of))),
        ("requests-empty", context(), requests_page(vec![])),
        ("request-accepted", context(), request_page(0)),
        ("request-uri", context(), request_page(1)),
        ("request-signature", context(), request_page(3)),
        ("request-permission", context(), request_page(4)),
        ("request-expired", context(), request_page(6)),
        (
            "audit",
            context(),
            Page::Audit {
                subject: AuditSubject::Organization,
                filter: AuditFilter::default(),
                actors: vec![(UserId(Uuid::nil()), "Olivia Owner".into())],
                events: recorded(&events),
                is_continued: true,
                older: Some(12),
            },
        ),
        (
            "audit-empty",
            context(),
            Page::Audit {
                subject: AuditSubject::Organization,
                filter: AuditFilter::default(),
                actors: vec![(UserId(Uuid::nil()), "Olivia Owner".into())],
                events: vec![],
                is_continued: false,
                older: None,
            },
        ),
    ])
}

fn changes() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let rotation = rotating()?.0;
    let expiring = rotation.api_keys[1].clone();
    let one = simple("Ledger, production")?;
    let last = one.api_keys[0].clone();
    let states = every_state()?;
    let error = |field, value: &str, message: &str| PageContext {
        submission: Submission {
            values: vec![(field, value)].into_iter().map(|(f, v): (&str, &str)| (f.into(), v.into())).collect(),
            errors: vec![FieldError { field, message: message.into() }],
            form_error: None,
        },
        ..context()
    };
    let stale = PageContext {
        submission: Submission {
            values: vec![("reason".into(), "Unexpected traffic".into())],
            errors: vec![],
            form_error: Some(
                "Somebody changed this application after you opened the page. Look at it as it is now, and send the form again."
                    .into(),
            ),
        },
        ..context()
    };
    let retiring_view = with_usage(every_state()?, &[], &[(0, 7, 60), (1, 1_200_345, 7_200)]);
    let (usage, traffic) = (retiring_view.signing_key_usage, retiring_view.signing_key_traffic);
    let retiring = states.signing_keys[1].clone();
    let retired = states.signing_keys[2].clone();
    let full = full()?;
    let too_late = error(
        "deadline",
        "2027-05-01T00:00:00",
        "Choose 22 Dec 2026, 03:25:10 UTC or earlier: a replaced key works at most 30 days after its rotation.",
    );
    Ok(vec![
        ("prepare", hub_context(), Page::PrepareReplacement { application: one.clone() }),
        ("confirm-change", context(), Page::ConfirmChange { application: proposed()? }),
        ("confirm-change-lapsed", context(), Page::ConfirmChange { application: one.clone() }),
        ("decline-change", context(), Page::DeclineChange { application: proposed()? }),
        ("withdraw-change", hub_context(), Page::WithdrawChange { application: proposed()? }),
        ("permissions-propose", hub_context(), Page::Permissions { application: one.clone(), waits: true }),
        ("withdraw", hub_context(), Page::WithdrawReplacement { application: prepared()? }),
        ("claim", context(), Page::ClaimReplacement { application: prepared()? }),
        ("claim-lapsed", context(), Page::ClaimReplacement { application: one.clone() }),
        (
            "hub-replace-signing-key",
            hub_context(),
            Page::ReplaceSigningKey {
                application: one.clone(),
                challenge: CHALLENGE.to_owned(),
                waits: false,
                is_blocked: false,
            },
        ),
        ("rename", context(), Page::Rename { application: one.clone() }),
        ("permissions", context(), Page::Permissions { application: one.clone(), waits: false }),
        ("disable", context(), Page::Disable { application: one.clone() }),
        ("disable-stale", stale, Page::Disable { application: one.clone() }),
        ("enable", context(), Page::Enable { application: disabled()?, blocked_keys: vec![], waits: false }),
        ("enable-waits", hub_context(), Page::Enable { application: disabled()?, blocked_keys: vec![], waits: true }),
        ("replace-key", context(), Page::ReplaceApiKey { application: rotation.clone() }),
        ("replace-key-full", context(), Page::ReplaceApiKey { application: full }),
        ("replace-key-none", context(), Page::ReplaceApiKey { application: without_live_key()? }),
        ("replace-exposed", context(), Page::ReplaceExposedApiKey { application: rotation.clone() }),
        ("finish-by-itself", context(), Page::FinishByItself { application: rotation.clone() }),
        ("deadline", context(), Page::ApiKeyDeadline { application: rotation.clone(), key: expiring.clone() }),
        ("deadline-error", too_late, Page::ApiKeyDeadline { application: rotation.clone(), key: expiring.clone() }),
        ("revoke", context(), revoked_in_rotation(&rotation, &expiring, (8, 1_000))),
        ("revoke-in-use", context(), revoked_in_rotation(&rotation, &expiring, (8, 20))),
        ("revoke-no-evidence", context(), revoked_in_rotation(&rotation, &expiring, (800, 1_000))),
        (
            "revoke-other",
            context(),
            Page::RevokeApiKey {
                application: one.clone(),
                key: last.clone(),
                usage: HashMap::from([(last.id, used(128_431, 9))]),
                traffic: HashMap::new(),
            },
        ),
        (
            "revoke-last",
            error("confirm_name", "ledger", "Type the name exactly as it is: Ledger, production."),
            Page::RevokeApiKey { application: one.clone(), key: last, usage: HashMap::new(), traffic: HashMap::new() },
        ),
        (
            "replace-signing-key",
            context(),
            Page::ReplaceSigningKey {
                application: one,
                challenge: CHALLENGE.to_owned(),
                waits: false,
                is_blocked: false,
            },
        ),
        (
            "restore-signing-key",
            context(),
            Page::RestoreSigningKey { application: states.clone(), key: retired, waits: false, is_blocked: false },
        ),
        (
            "retire-signing-key",
            context(),
            Page::RetireSigningKey { application: states, key: retiring, usage, traffic, waits: false },
        ),
    ])
}

const LONG_NAME: &str = "Ledger <b>reconciliation</b> & settlement, production, Donaudampfschifffahrts";

fn context() -> PageContext {
    PageContext {
        viewer: Some(viewer("Olivia Owner", "Ledgerline GmbH", Role::PartnerOwner)),
        place: Place::Settings,
        assets: Assets {
            app: "app".into(),
            style: "main.css".into(),
            keygen_worker: "keygen_worker.js".into(),
            keydoctor_worker: "keydoctor_worker.js".into(),
        },
        now: Timestamp::from_millis(NOW),
        uses_passkeys: true,
        gateway_url: "https://gateway.nuvera.example".into(),
        notice: None,
        new_browser: None,
        is_suspended: false,
        submission: Submission::default(),
        providers: Vec::new(),
    }
}

fn viewer(name: &str, organization: &str, role: Role) -> Viewer {
    let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
    Viewer { name: name.into(), email, organization_name: organization.into(), role }
}

fn hub_context() -> PageContext {
    let admin = viewer("Ada Admin", "Nuvera", Role::NuveraAdmin);
    let place = Place::Hub { organization: OrganizationId(Uuid::nil()), name: "Ledgerline GmbH".into() };
    PageContext { viewer: Some(admin), place, ..context() }
}

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NOW - i64::try_from(seconds * 1_000).unwrap_or_default())
}

fn actor() -> Actor {
    Actor {
        user_id: UserId(Uuid::nil()),
        name: "Olivia Owner".into(),
        email: "olivia@ledgerline.example".into(),
        organization_id: OrganizationId(Uuid::nil()),
        organization_name: "Ledgerline GmbH".into(),
        role: Role::PartnerOwner,
        address: "203.0.113.7".parse().ok(),
        session: None,
        is_proven: true,
        factors: Factors::default(),
        must_have_factor: false,
    }
}

fn admin() -> Actor {
    Actor { name: "Ada Admin".into(), role: Role::NuveraAdmin, address: "2001:db8::17".parse().ok(), ..actor() }
}

thread_local! {
    static IDS: Cell<u128> = const { Cell::new(0x0193_6f0e_3a2b_7c4d_8e5f_6a7b_8c9d_0000) };
}

fn id() -> Uuid {
    IDS.set(IDS.get() + 1);
    Uuid::from_u128(IDS.get())
}

fn plain(seed: u8) -> PlainApiKey {
    let mut next = seed;
    PlainApiKey::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next.rotate_left(3) ^ seed.wrapping_mul(29);
        }
    })
}

fn new_key(seed: u8) -> NewApiKey {
    let plain = plain(seed);
    NewApiKey {
        id: ApiKeyId(id()),
        prefix: plain.prefix(),
        last_four: plain.last_four().to_owned(),
        hash: domain::api_key::ApiKeyHash([seed; 32]),
        pepper_id: "p1".into(),
    }
}

/// As the server makes one.
const CHALLENGE: &str = "nuvera-proof-v1.0199a5a2-7b1c-7000-8000-000000000001.1795404310000.mCF0fV4Gk2yT7c1YhD3b9w.l3Jr0x5sFqQ2m8aUeT4nY7pZbKcWv1RgHdXo6iLtNEs";

fn signing_key(index: usize) -> Result<NewSigningKey> {
    Ok(NewSigningKey { id: SigningKeyId(id()), public_key: PublicKey::from_pem(PUBLIC_KEYS[index])?, is_proven: false })
}

fn create(name: &str, at: Timestamp) -> Result<Change> {
    let permissions: PermissionSet = "CUSTOMERS_READ CUSTOMERS_WRITE PAYMENTS_READ SCREENING_READ".parse()?;
    let new = NewApplication {
        id: ApplicationId(id()),
        name: ApplicationName::new(name)?,
        permissions,
        signing_key: signing_key(0)?,
        api_key: new_key(1),
    };
    Ok(ApiApplication::create(new, By { actor: &actor(), at, reason: None }))
}

fn simple(name: &str) -> Result<ApiApplication> {
    Ok(create(name, ago(20))?.application)
}

fn simple_events() -> Result<Vec<domain::audit::AuditEvent>> {
    Ok(create("Ledger, production", ago(20))?.events)
}

fn named(name: &str) -> Result<ApiApplication> {
    aged(name, 100)
}

fn aged(name: &str, days: u64) -> Result<ApiApplication> {
    let application = create(name, ago(days * DAY))?.application;
    let key = application.api_keys[0].id;
    Ok(application.confirm_stored(key, By { actor: &actor(), at: ago(days * DAY), reason: None })?.application)
}

fn why(reason: &str, ticket: Option<&str>) -> Result<Why> {
    Ok(Why { reason: Reason::new(reason)?, ticket: ticket.map(TicketReference::new).transpose()? })
}

fn disabled() -> Result<ApiApplication> {
    let reason = why("Payments to unknown beneficiaries since 02:50 UTC; stopped until Ledgerline answers.", None)?;
    let by = By { actor: &admin(), at: ago(1_500), reason: Some(&reason) };
    Ok(named("Payouts")?.disable(by)?.application)
}

/// An application that was stopped for its leaked signing key, and the block.
fn blocked() -> Result<(ApiApplication, BlockedKey)> {
    let reason = why("A private key leaked: it is in a public repository.", Some("SUP-4711"))?;
    let by = By { actor: &admin(), at: ago(1_500), reason: Some(&reason) };
    let application = named("Payouts")?;
    let fingerprint = application.current_signing_key().public_key.fingerprint();
    let blocked = BlockedKey::new(&fingerprint, by);
    Ok((application.disable(by)?.application, blocked))
}

/// A block that was released.
fn released() -> Result<BlockedKey> {
    let reason = why("Blocked by mistake: the key in the report was a test key.", Some("SUP-4720"))?;
    let by = By { actor: &admin(), at: ago(600), reason: Some(&reason) };
    Ok(BlockedKey { at: ago(2 * DAY), ..blocked()?.1 }.release(by)?)
}

fn blocked_keys() -> Result<Vec<(&'static str, PageContext, Page)>> {
    let hub = || PageContext { place: Place::Nuvera, ..hub_context() };
    let (application, blocked) = blocked()?;
    let view = |waiting| BlockedKeyView { blocked: blocked.clone(), waiting };
    let page = |keys| Page::BlockedKeys { keys };
    let application_page = || -> Result<Page> {
        let mut view = with_usage(application.clone(), &[(0, 12, 90_000)], &[(0, 12, 90_000)]);
        view.blocked_keys = vec![blocked.clone()];
        Ok(Page::Application { view, recent: vec![], support: SupportView::default() })
    };
    let mut many: Vec<_> = (0..4).map(view).collect();
    many.push(BlockedKeyView { blocked: released()?, waiting: 0 });
    let without_ticket = mistaken(
        "ticket",
        "",
        "Enter the ticket’s reference, such as SUP-4711: the partner finds it beside your reason.",
    );
    let scope = StopScope::SigningKey { fingerprint: blocked.fingerprint.clone() };
    let stop = |blocked| Page::BulkStop { scope: scope.clone(), applications: vec![], blocked };
    Ok(vec![
        ("blocked-keys-none", hub(), page(vec![])),
        ("blocked-keys-one", hub(), page(vec![view(1)])),
        ("blocked-keys-many", hub(), page(many)),
        ("release-key", hub(), Page::ReleaseSigningKey { blocked: blocked.clone() }),
        (
            "release-key-error",
            PageContext { place: Place::Nuvera, ..without_ticket },
            Page::ReleaseSigningKey { blocked: blocked.clone() },
        ),
        ("application-blocked", context(), application_page()?),
        ("application-blocked-hub", hub_context(), application_page()?),
        (
            "enable-blocked",
            context(),
            Page::Enable { application: application.clone(), blocked_keys: vec![blocked.clone()], waits: false },
        ),
        (
            "replace-blocked-key",
            context(),
            Page::ReplaceSigningKey {
                application: application.clone(),
                challenge: CHALLENGE.to_owned(),
                waits: false,
                is_blocked: true,
            },
        ),
        ("stop-key-unused", hub(), stop(None)),
        ("stop-key-blocked", hub(), stop(Some(blocked.clone()))),
    ])
}

fn prepared() -> Result<ApiApplication> {
    let reason = why("The old key was mailed to us.", Some("SUP-4711"))?;
    let by = By { actor: &admin(), at: ago(HOUR), reason: Some(&reason) };
    let grace = Replacement::WithGrace(Duration::from_secs(DAY));
    Ok(named("Payouts")?.prepare_replacement(grace, by)?.application)
}

fn proposed() -> Result<ApiApplication> {
    let reason = why("Their integration moves to customer screening on Monday.", Some("SUP-4711"))?;
    let by = By { actor: &admin(), at: ago(HOUR), reason: Some(&reason) };
    let permissions: PermissionSet = "CUSTOMERS_READ PAYMENTS_READ PAYMENTS_WRITE".parse()?;
    Ok(named("Screening")?.propose(RequestedChange::Permissions(permissions), by)?.application)
}

fn outdated() -> Result<ApiApplication> {
    let by = By { actor: &actor(), at: ago(600), reason: None };
    Ok(proposed()?.rename(ApplicationName::new("Screening, production")?, by)?.application)
}

/// What Nuvera did to an application: seen by the partner, or not yet.
fn support(is_unseen: bool) -> Result<SupportView> {
    let reason = why("Payments to unknown beneficiaries since 02:50 UTC.", Some("SUP-4712"))?;
    let admin = admin();
    let by = |at| By { actor: &admin, at, reason: Some(&reason) };
    let first = named("Payouts")?.change_permissions("PAYMENTS_READ".parse()?, by(ago(HOUR)))?;
    let second = first.application.disable(by(ago(900)))?;
    let mut events = [first.events, second.events].concat();
    events.reverse();
    let seen = Seen { sequence: 2, by: "Deniz Demir".into(), at: ago(60) };
    let unseen = recorded(&events);
    Ok(if is_unseen { SupportView { unseen, seen: None } } else { SupportView { unseen: vec![], seen: Some(seen) } })
}

fn rotating() -> Result<(ApiApplication, Vec<domain::audit::AuditEvent>)> {
    let owner = actor();
    let mut events = Vec::new();
    let mut step = |change: Change| {
        events.extend(change.events);
        change.application
    };
    let application = step(create("Ledger, production", ago(90 * DAY))?);
    let first = application.api_keys[0].id;
    let silently = |at| By { actor: &owner, at, reason: None };
    let application = step(application.confirm_stored(first, silently(ago(90 * DAY - 60)))?);
    let all: PermissionSet = "CUSTOMERS_READ CUSTOMERS_WRITE PAYMENTS_READ PAYMENTS_WRITE".parse()?;
    let (admin, asked) = (admin(), why("Asked for by telephone", Some("SUP-4242"))?);
    let by = By { actor: &admin, at: ago(9 * DAY), reason: Some(&asked) };
    let application = step(application.change_permissions(all, by)?);
    let application = step(application.disable(By { at: ago(5 * HOUR), ..by })?);
    let over = why("Drill over", None)?;
    let application = step(application.enable(By { reason: Some(&over), ..silently(ago(4 * HOUR)) })?);
    let grace = Replacement::WithGrace(Duration::from_secs(DAY));
    let application = step(application.replace_api_key(new_key(2), grace, silently(ago(HOUR)))?);
    let overlap = SigningKeyReplacement::WithOverlap(Duration::from_secs(DAY));
    let change = why("Staff change", None)?;
    let by = By { reason: Some(&change), ..silently(ago(HOUR)) };
    let application = step(application.replace_signing_key(signing_key(1)?, overlap, by)?);
    events.reverse();
    Ok((application, events))
}

/// Five live keys, and dead ones.
fn every_state() -> Result<ApiApplication> {
    let owner = actor();
    let grace = |days: u64| Replacement::WithGrace(Duration::from_secs(days * DAY));
    let by = |at| By { actor: &owner, at, reason: None };
    let overlap = |days: u64| SigningKeyReplacement::WithOverlap(Duration::from_secs(days * DAY));
    let mut application = create("Screening, every state", ago(200 * DAY))?.application;
    application = application.replace_api_key(new_key(3), grace(1), by(ago(100 * DAY)))?.application;
    application = application.replace_api_key(new_key(4), Replacement::StopNow, by(ago(60 * DAY)))?.application;
    application = application
        .replace_signing_key(signing_key(1)?, SigningKeyReplacement::StopNow, by(ago(50 * DAY)))?
        .application;
    application = application.replace_signing_key(signing_key(2)?, overlap(1), by(ago(HOUR)))?.application;
    for (seed, days) in [(5, 30), (6, 7), (7, 30), (8, 30)] {
        let at = ago(u64::from(20 - seed) * HOUR);
        application = application.replace_api_key(new_key(seed), grace(days), by(at))?.application;
    }
    Ok(application)
}

fn full() -> Result<ApiApplication> {
    every_state()
}

fn without_live_key() -> Result<ApiApplication> {
    let application = named("Old importer")?;
    let key = application.api_keys[0].id;
    Ok(application.revoke_api_key(key, By { actor: &actor(), at: ago(90 * DAY), reason: None })?.application)
}

fn used(count: i64, last: u64) -> Usage {
    Usage {
        first_used_at: ago(last + 300),
        last_used_at: ago(last),
        address: "10.1.2.3".into(),
        user_agent: "Mozilla/5.0 (compatible; LedgerlineSettlement/4.18.2; +node-fetch) undici/6.19".into(),
        count,
    }
}

/// Revoking the old key of a rotation; the new key and the old one were last used so many seconds ago.
fn revoked_in_rotation(application: &ApiApplication, key: &ApiKey, (new, old): (u64, u64)) -> Page {
    let old_key = application.api_keys.iter().position(|other| other.id == key.id).unwrap_or(1);
    let view = with_usage(application.clone(), &[(0, 644, new), (old_key, 9_120, old)], &[]);
    Page::RevokeApiKey {
        application: view.application,
        key: key.clone(),
        usage: view.api_key_usage,
        traffic: view.api_key_traffic,
    }
}

fn hygiene_of(application: &ApiApplication, used: impl Fn(KeyId) -> Option<Usage>) -> Vec<hygiene::KeyHygiene> {
    let last_use = |key| used(key).map(|used| LastUse { at: used.last_used_at, address: used.address });
    hygiene::of_application(application, RotationRules::default(), last_use, Timestamp::from_millis(NOW))
}

fn with_usage(
    application: ApiApplication,
    keys: &[(usize, i64, u64)],
    signing: &[(usize, i64, u64)],
) -> ApplicationView {
    let api_key_usage: HashMap<_, _> =
        keys.iter().map(|&(i, count, last)| (application.api_keys[i].id, used(count, last))).collect();
    let signing_key_usage: HashMap<_, _> =
        signing.iter().map(|&(i, count, last)| (application.signing_keys[i].id, used(count, last))).collect();
    let hygiene = hygiene_of(&application, |key| match key {
        KeyId::Api(id) => api_key_usage.get(&id).cloned(),
        KeyId::Signing(id) => signing_key_usage.get(&id).cloned(),
    });
    // The first key takes over from the others within the hour.
    let minute = Traffic::minute(Timestamp::from_millis(NOW));
    let traffic = |index: usize| {
        let moved = |ago: i64| if ago > 40 { 0 } else { 90 - 2 * ago };
        let count = |ago: i64| if index == 0 { moved(ago) } else { (90 - moved(ago) - 30).max(0) + ago % 7 };
        let minutes = (8..60).rev().map(|ago| (minute - ago, count(ago))).filter(|(_, count)| *count > 0).collect();
        Traffic { minutes, longest_gap: Some(Duration::from_secs(120)) }
    };
    let api_key_traffic = keys.iter().map(|&(i, ..)| (application.api_keys[i].id, traffic(i))).collect();
    let signing_key_traffic = signing.iter().map(|&(i, ..)| (application.signing_keys[i].id, traffic(i))).collect();
    let latest_requests = if keys.is_empty() { vec![] } else { requests(&application) };
    ApplicationView {
        application,
        api_key_usage,
        signing_key_usage,
        api_key_traffic,
        signing_key_traffic,
        latest_requests,
        hygiene,
        blocked_keys: vec![],
    }
}

fn requests(application: &ApiApplication) -> Vec<SeenRequest> {
    let fingerprint = |index: usize| application.signing_keys.get(index).map(|key| key.public_key.fingerprint());
    let refused = |detail: &str, expected: Option<&str>, received: Option<&str>| {
        let owned = |text: &str| text.to_owned();
        Some(SeenRefusal { detail: detail.into(), expected: expected.map(owned), received: received.map(owned) })
    };
    let kinds = [
        ("ok", 200, "GET", "/api/v1/customers", None),
        (
            "uri_mismatch",
            401,
            "GET",
            "/api/v1/customers/01936f0e-3a2b-7c4d-8e5f-6a7b8c9d0e1f/beneficiaries",
            refused(
                "Set the claim `uri` to the path and query string exactly as they are sent: same order, same percent-encoding, no scheme, no host.",
                Some("/api/v1/customers?limit=20&cursor=abc"),
                Some("/api/v1/customers?cursor=abc&limit=20"),
            ),
        ),
        ("ok", 201, "POST", "/api/v1/customers", None),
        (
            "invalid_signature",
            401,
            "POST",
            "/api/v1/customers",
            refused(
                "The signature is by a signing key that this application no longer accepts. Sign with the private key that replaced it, or restore the earlier signing key in the console.",
                fingerprint(0).as_deref(),
                fingerprint(1).as_deref().or(Some("SHA256:unknown")),
            ),
        ),
        (
            "permission_missing",
            403,
            "POST",
            "/api/v1/payments",
            refused(
                "This needs the permission PAYMENTS_WRITE, which the application does not have. Its owner can grant it.",
                Some("PAYMENTS_WRITE"),
                None,
            ),
        ),
        ("abandoned", 0, "GET", "/api/v1/customers", None),
        (
            "token_expired",
            401,
            "GET",
            "/api/v1/customers",
            refused(
                "The token expired at 1795404200; here it is 1795404310. Sign each request right before sending it, and check your clock.",
                None,
                None,
            ),
        ),
    ];
    (1..)
        .zip(kinds)
        .map(|(number, (code, status, method, path, refused))| SeenRequest {
            id: RequestId(Uuid::from_u128(0x0193_6f0e_3a2b_7c4d_8e5f_6a7b_8c9d_0000 + number)),
            at: ago(7 * number as u64),
            method: method.into(),
            path: path.into(),
            status,
            code: code.into(),
            micros: 120 * number as u64 * number as u64,
            address: "10.1.2.3".parse().unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            api_key_id: application.api_keys[0].id,
            signing_key_id: (status < 400).then_some(application.signing_keys[0].id),
            token_age_seconds: Some(number as i64 * 16),
            body_bytes: (method == "POST").then_some(1_024),
            refused,
        })
        .collect()
}

fn recorded(events: &[domain::audit::AuditEvent]) -> Vec<RecordedEvent> {
    let count = i64::try_from(events.len()).unwrap_or_default();
    let recorded = |(index, event): (i64, &domain::audit::AuditEvent)| RecordedEvent {
        sequence: count - index,
        organization_name: "Ledgerline GmbH".into(),
        application_name: event.application_id.and_then(|_| ApplicationName::new("Ledger, production").ok()),
        event: event.clone(),
    };
    (0..).zip(events).map(recorded).collect()
}
