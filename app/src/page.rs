//! What the server hands over to be rendered: a page's data, and what surrounds every page.

use crate::paths::{Area, Place};
use domain::{
    access::Role,
    actor::ActorKind,
    api_key::{ApiKey, PlainApiKey},
    application::{ApiApplication, BlockedKey},
    audit::{AuditFilter, RecordedEvent},
    bulk_stop::{Fate, Stoppable},
    cut_over::Traffic,
    health::Health,
    hygiene::{KeyHygiene, KeyId, RotationPolicy},
    id::{ApiKeyId, ApplicationId, OrganizationId, RequestId, SessionId, SigningKeyId, UserId},
    organization::Organization,
    passkey::{Passkey, Prompt},
    pending_reset::PendingReset,
    people::{Invitation, Leaver, OwnerChange, PendingOwnerChange, Person},
    request::{RequestFilter, SeenRequest},
    search::{Findings, Search},
    second_factor::{FactorList, RecoveryCode, SecondFactor, TotpSecret},
    security_policy::SecurityPolicy,
    sign_in::{Attempt, SignedIn},
    signing_key::SigningKey,
    support::Seen,
    time::Timestamp,
};
use std::{collections::HashMap, fmt};

/// The field of an emergency stop's form for a reason that one click gives.
pub const SUGGESTED_REASON: &str = "suggested_reason";

/// What surrounds every page.
#[derive(Clone, Debug)]
pub struct PageContext {
    /// Who is signed in.
    pub viewer: Option<Viewer>,
    /// Where they are: from where they look at applications, and in which area.
    pub place: Place,
    /// Where the scripts and the style sheet are.
    pub assets: Assets,
    /// The instant for which the page is rendered.
    pub now: Timestamp,
    /// The gateway's public origin, for snippets: `http://127.0.0.1:24500`.
    pub gateway_url: String,
    /// Whether passkeys can be used at the console's address.
    pub uses_passkeys: bool,
    /// What the last request did, told once at the top of the page.
    pub notice: Option<Notice>,
    /// A browser that was not known before and has signed in as the viewer, until they have looked where that is.
    pub new_browser: Option<Attempt>,
    /// Whether the organization that the page is about is suspended.
    pub is_suspended: bool,
    /// What was typed into the page's form, and what was wrong with it.
    pub submission: Submission,
    /// The identity providers that a sign-in page offers.
    pub providers: Vec<Provider>,
}

/// An identity provider, by which people sign in (single sign-on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Names it in addresses.
    pub id: String,
    /// What people call it.
    pub label: String,
}

/// How somebody can prove that it is they.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaysToConfirm {
    /// With their password: who signs in by a provider has none, and for who has a second factor it is not enough.
    pub password: bool,
    /// With a code of their authenticator app.
    pub app: bool,
    /// With a passkey, or a recovery code in its stead.
    pub passkey: bool,
    /// What a passkey answers to; `None` where none can be asked for.
    pub prompt: Option<Prompt>,
    /// By the providers that know them.
    pub providers: Vec<Provider>,
}

/// Why an identity provider led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingleSignOnProblem {
    /// Nothing was asked that its answer belongs to.
    Unasked,
    /// It says no, or they did.
    Declined,
    /// It does not answer.
    Down,
    /// Its answer is not to be believed.
    Untrusted,
    /// It did not ask anew who they are.
    NotFresh,
    /// It does not say when it asked who they are, and never will until somebody changes a setting.
    NoAuthTime,
    /// It gives them no role here.
    NoRole,
    /// They were removed here.
    Removed,
    /// Their address is that of an account of the same organization.
    AccountHere,
    /// They must show a second factor, and it does not say that they did.
    OneFactor,
    /// No account can be made for them; nobody is told why.
    NotAdmitted,
    /// The address that it asserts is in a domain that is not its own.
    ForeignAddress,
    /// It knows them as somebody else than who is signed in here.
    SomebodyElse,
}

impl PageContext {
    /// The area that the page is in.
    pub fn area(&self) -> Area {
        self.place.area()
    }
}

/// A signed-in person, as the page header shows them.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Their name.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// Their organization's name.
    pub organization_name: String,
    /// Their role.
    pub role: Role,
}

/// The file names that the build gave the browser's files, all below `/assets/`.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    /// The islands' script and WASM: `<app>.js` and `<app>_bg.wasm`.
    pub app: String,
    /// The style sheet.
    pub style: String,
    /// The script of the Web Worker that generates key pairs.
    pub keygen_worker: String,
    /// The script of the Web Worker that examines and encrypts keys.
    pub keydoctor_worker: String,
}

macro_rules! notices {
    ($($variant:ident $code:literal $text:literal,)*) => {
        /// What a request did. It travels as a closed code in a cookie that the next page takes, never as text and never in
        /// an address.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // Each notice's text says what it means.
        pub enum Notice {
            $($variant,)*
        }

        impl Notice {
            /// Reads the code of a cookie.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The code that [`Notice::from_code`] reads.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What the person reads.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

impl Notice {
    /// Whether it says that something did not come about, or is to be seen to.
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::DisabledUnrecorded
                | Self::DatabaseUnavailable
                | Self::SigningKeyReplacedTwin
                | Self::CreatedTwin
                | Self::WholeKey
                | Self::SecretDropped
                | Self::SignInTooLate
                | Self::SignInEnded
                | Self::OwnerNotMailed
        )
    }
}

notices! {
    SignedOut "signed-out" "You are signed out.",
    KeyStored "key-stored" "The API key is confirmed as stored.",
    Renamed "renamed" "The application is renamed.",
    PermissionsChanged "permissions-changed" "The permissions are changed. The gateway already applies them.",
    Disabled "disabled" "The application is disabled. The gateway refuses its requests.",
    DisabledUnrecorded "disabled-unrecorded" "The gateway refuses this application's requests. The database could not be written: the stop will be added to the audit history as soon as it can be.",
    DatabaseUnavailable "database-unavailable" "The database is not available at the moment. This page shows what the gateway knows, without figures. A stop takes effect at once all the same.",
    ReplacementPrepared "replacement-prepared" "The replacement key is prepared. A developer or owner at the partner can claim it within 72 hours, on the application's page.",
    ReplacementWithdrawn "replacement-withdrawn" "The prepared replacement key is withdrawn. It can no longer be claimed.",
    Enabled "enabled" "The application is enabled. Requests with its live keys are accepted again.",
    DeadlineMoved "deadline-moved" "The key's deadline is moved.",
    KeyKept "key-kept" "The key is active again and has no deadline.",
    AutoFinishSet "auto-finish-set" "The old keys will be revoked automatically once that has been safe for the time you chose.",
    AutoFinishCancelled "auto-finish-cancelled" "Automatic revocation cancelled. Revoke the old keys when you are ready.",
    KeyRevoked "key-revoked" "The key is revoked. The gateway refuses it.",
    SigningKeyReplaced "signing-key-replaced" "The signing key is replaced. Send a signed test request before you remove the old private key.",
    SigningKeyReplacedTwin "signing-key-replaced-twin" "The signing key is replaced. Another application of your organization uses the same public key: give each its own.",
    CreatedTwin "created-twin" "Another application of your organization uses the same public key: give each its own.",
    SigningKeyRestored "signing-key-restored" "The earlier signing key is current again. Send a signed test request.",
    RoleChanged "role-changed" "The role is changed. It counts from their next request.",
    PersonRemoved "person-removed" "They are removed, and signed out everywhere.",
    OwnerChangeRequested "owner-change-requested" "Requested. It takes effect in 72 hours, unless it is cancelled or another owner confirms it sooner. Everyone who manages members is notified by e-mail.",
    OwnerChangeCancelled "owner-change-cancelled" "Cancelled. Nothing changes.",
    InvitationWithdrawn "invitation-withdrawn" "The invitation is withdrawn: its link is good for nothing now.",
    OrganizationCreated "organization-created" "The organization is created.",
    OwnerInvited "owner-invited" "The first owner is invited. The link was mailed to them and works for 72 hours.",
    OwnerNotMailed "owner-not-mailed" "The invitation could not be mailed. Check the mail server, then invite the owner again.",
    OrganizationChanged "organization-changed" "Saved.",
    OrganizationSuspended "organization-suspended" "The organization is suspended. The gateway refuses its requests.",
    OrganizationReinstated "organization-reinstated" "The organization is reinstated. Its applications work as before the suspension.",
    Joined "joined" "Welcome. You are signed in from now on with the password that you chose.",
    SessionEnded "session-ended" "The session is ended: its next request is refused.",
    SessionsEnded "sessions-ended" "All other sessions are ended: their next request is refused.",
    PasswordChanged "password-changed" "Your password is changed. All other sessions are ended.",
    PasswordChangedInvitationsWithdrawn "password-changed-invitations-withdrawn" "Your password is changed. All other sessions are ended, and invitations you sent that were still open are withdrawn.",
    PasswordChosen "password-chosen" "Your new password is set, and you are signed out everywhere. Sign in with it.",
    WholeKey "whole-key" "You searched for more of an API key than its prefix. Only the prefix was used; the rest was dropped and is kept nowhere. Whoever sent you the key has exposed it: have it replaced.",
    SecretDropped "secret-dropped" "What you searched for looks like a private key or a request token. It was dropped and is kept nowhere. Search by a name, a key’s prefix, a fingerprint or a request id.",
    PasskeyAdded "passkey-added" "The passkey is added. From now on you can sign in with it, without your password.",
    PasskeyRemoved "passkey-removed" "The passkey is removed: it proves nothing here any more. Delete it from your device as well.",
    PolicyChanged "policy-changed" "The rotation policy is changed. It applies to all keys of your organization from now on.",
    ChangeProposed "change-proposed" "The change is proposed. Nothing changes until somebody of the partner’s confirms it, within 72 hours.",
    ChangeConfirmed "change-confirmed" "The proposed change is made. The gateway applies it from now on.",
    ChangeDeclined "change-declined" "The proposed change is declined. Everything stays as it is.",
    ChangeWithdrawn "change-withdrawn" "The proposed change is withdrawn. Nobody can confirm it any more.",
    SupportSeen "support-seen" "Thank you: the audit history says that you have seen it.",
    SecurityPolicyChanged "security-policy-changed" "The security policy is changed. It counts from now on.",
    SignInTooLate "sign-in-too-late" "Signing in took longer than ten minutes. Begin again: nothing that you typed before is lost.",
    SignInEnded "sign-in-ended" "Your sign-ins were all ended while you signed in: because of a new password, for example. Sign in again.",
    FactorRemoved "second-factor-removed" "The second factor is removed. From now on your password is all that you sign in with.",
    AppRemoved "app-removed" "The authenticator app is removed: its codes are good for nothing now. Your passkeys stay.",
    FactorReset "second-factor-reset" "Their second factor is removed, and they are signed out everywhere.",
    ResetRequested "reset-requested" "Reset requested. It takes effect in 24 hours, unless it is cancelled or a second admin confirms it. The member and all admins were notified by mail.",
    ResetConfirmed "reset-confirmed" "Reset confirmed. It could not be carried out yet, and is retried every 30 seconds.",
    ResetCompleted "reset-completed" "Reset confirmed and carried out.",
    ResetCancelled "reset-cancelled" "Reset cancelled.",
    SigningKeyReleased "signing-key-released" "The signing key is released. Applications can register it and be enabled with it again.",
    SigningKeyRetired "signing-key-retired" "The signing key is retired. The gateway no longer accepts its signatures.",
}

/// What a person typed into a form and what was wrong with it, so that the form comes back as they left it.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// Field names and values as sent, in order; a name may come more than once. Never holds a password.
    pub values: Vec<(String, String)>,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// What is wrong with the request as a whole.
    pub form_error: Option<String>,
}

/// What is wrong with a field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the form.
    pub field: &'static str,
    /// The words, a whole sentence.
    pub message: String,
}

impl Submission {
    /// Whether the form was sent (and is shown again).
    pub fn was_sent(&self) -> bool {
        !self.values.is_empty() || self.form_error.is_some()
    }

    /// The first value of `field`, where the form was sent.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Whether `field` was sent with `value` (a checked box, a chosen option).
    pub fn has(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, sent)| name == field && sent == value)
    }

    /// What is wrong with `field`.
    pub fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
}

/// How a key has been used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The first accepted request.
    pub first_used_at: Timestamp,
    /// The last accepted request.
    pub last_used_at: Timestamp,
    /// Where it came from.
    pub address: String,
    /// What the client called itself.
    pub user_agent: String,
    /// How many requests were accepted.
    pub count: i64,
}

/// An application in a list.
#[derive(Clone, Debug)]
pub struct ApplicationSummary {
    /// The application.
    pub application: ApiApplication,
    /// When any of its keys was last used.
    pub last_used_at: Option<Timestamp>,
    /// What is to be known of its keys.
    pub hygiene: Vec<KeyHygiene>,
}

/// A blocked signing key in the list of them.
#[derive(Clone, Debug)]
pub struct BlockedKeyView {
    /// The block.
    pub blocked: BlockedKey,
    /// Number of applications that still have the key as their current one.
    pub waiting: usize,
}

/// A partner organization in the organization hub.
#[derive(Clone, Debug)]
pub struct OrganizationSummary {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// Whether it has a member.
    pub has_members: bool,
    /// How its API applications are doing.
    pub health: Health,
}

/// Which applications are stopped together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopScope {
    /// All of an organization.
    Organization {
        /// What it is called.
        name: String,
    },
    /// All that use a signing key, whichever organization's.
    SigningKey {
        /// The public key's fingerprint.
        fingerprint: String,
    },
}

/// Whose audit history a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSubject {
    /// One application's.
    Application {
        /// Its id.
        id: ApplicationId,
        /// Its name.
        name: String,
    },
    /// That of all applications of the organization.
    Organization,
    /// Everybody's, for Nuvera's admins.
    Everyone,
}

/// What Nuvera did to an application, and whether the partner has seen it.
#[derive(Clone, Debug, Default)]
pub struct SupportView {
    /// What nobody of the partner's has seen yet, the newest first.
    pub unseen: Vec<RecordedEvent>,
    /// Who saw last what there was.
    pub seen: Option<Seen>,
}

/// An application together with how its keys are used.
#[derive(Clone, Debug)]
pub struct ApplicationView {
    /// The application.
    pub application: ApiApplication,
    /// By API key; a key that was never used is absent.
    pub api_key_usage: HashMap<ApiKeyId, Usage>,
    /// By signing key; one that never verified a request is absent.
    pub signing_key_usage: HashMap<SigningKeyId, Usage>,
    /// By API key, of the last hour; a key that was not used lately may be absent.
    pub api_key_traffic: HashMap<ApiKeyId, Traffic>,
    /// By signing key, of the last hour; a key that was not used lately may be absent.
    pub signing_key_traffic: HashMap<SigningKeyId, Traffic>,
    /// Its latest requests, the newest first: more than the page shows.
    pub latest_requests: Vec<SeenRequest>,
    /// What is to be known of each key that works.
    pub hygiene: Vec<KeyHygiene>,
    /// The blocks in force of its signing keys.
    pub blocked_keys: Vec<BlockedKey>,
}

impl ApplicationView {
    /// What is to be known of a key; `None` where it no longer works.
    pub fn hygiene_of(&self, key: KeyId) -> Option<&KeyHygiene> {
        self.hygiene.iter().find(|hygiene| hygiene.key == key)
    }
}

/// What somebody signs in with, for themselves.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// Their authenticator app, where they have one.
    pub second_factor: Option<SecondFactor>,
    /// Their passkeys, the oldest first.
    pub passkeys: Vec<Passkey>,
    /// Whether they have a password here: otherwise an identity provider signs them in.
    pub has_password: bool,
    /// Whether passkeys are for them.
    pub offers_passkeys: bool,
    /// How many recovery codes are left.
    pub recovery_codes: usize,
    /// Whether they must have a second factor.
    pub must_have_factor: bool,
    /// Where they are signed in, the last used first.
    pub sessions: Vec<SignedIn>,
    /// Which of these it is in which they look.
    pub here: SessionId,
    /// Resets of their password or second factor that have not taken effect.
    pub pending_resets: Vec<PendingReset>,
    /// The latest attempts to sign in as them, the newest first.
    pub attempts: Vec<Attempt>,
}

/// A secret that somebody is about to add to their app.
#[derive(Clone, Debug)]
pub struct FactorEnrolment {
    /// The secret.
    pub secret: TotpSecret,
    /// The same, as the form brings it back.
    pub sealed: String,
    /// The secret's link, to be scanned.
    pub qr: QrCode,
}

/// A QR code. Opaque in `Debug`: it may hold a secret.
#[derive(Clone)]
pub struct QrCode {
    /// How many squares it is wide and high.
    pub side: usize,
    /// Its dark squares, as an SVG path.
    pub path: String,
}

impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QrCode(…)")
    }
}

/// A page, and the data it shows.
#[derive(Clone, Debug)]
pub enum Page {
    /// An area's door.
    SignIn {
        /// Where to go afterwards: a path of this console.
        next: Option<String>,
        /// A form that was sent to `next` without a session, and waits there once somebody has signed in.
        unsent: Option<String>,
    },
    /// Prove that it is you, before something that a session alone must not be enough for.
    Confirm {
        /// Where to go afterwards: a path of this console.
        next: String,
        /// A form that was sent to `next`, and waits there afterwards.
        unsent: Option<String>,
        /// How they can.
        ways: WaysToConfirm,
    },
    /// The way on to an identity provider, for somebody whose form waits until they have proven there that it is they.
    ContinueWith {
        /// Which one.
        provider: Provider,
        /// Where it asks them.
        address: String,
    },
    /// An identity provider led nowhere.
    SingleSignOnRefused {
        /// Which one.
        provider: Provider,
        /// Why.
        problem: SingleSignOnProblem,
        /// Where they wanted to go: a path of this console.
        next: String,
        /// Whether they wanted to prove that it is they; to sign in otherwise.
        is_proof: bool,
        /// Whether they are signed in all the same.
        is_signed_in: bool,
        /// A form that waits for that.
        unsent: Option<String>,
        /// The request's id: what happened exactly is in the log, under it.
        request_id: String,
    },
    /// The second step of signing in.
    SecondFactor {
        /// Whether they have an authenticator app.
        has_app: bool,
        /// What one of their passkeys answers to.
        prompt: Option<Prompt>,
    },
    /// Set up a second factor, or replace it.
    SetUpFactor {
        /// What is added to an app.
        enrolment: FactorEnrolment,
        /// Whether there is one, which it takes the place of.
        is_replacement: bool,
        /// Whether nothing else can be done before.
        is_demanded: bool,
        /// Where to go afterwards: a path of this console.
        next: Option<String>,
    },
    /// The response that shows new recovery codes, once.
    RecoveryCodes {
        /// The codes.
        codes: Vec<RecoveryCode>,
        /// Where to go afterwards: a path of this console.
        next: String,
    },
    /// Make recovery codes anew.
    MakeRecoveryCodes {
        /// How many there are, which are good for nothing then.
        left: usize,
    },
    /// Remove one's own authenticator app.
    RemoveFactor {
        /// Whether passkeys are left.
        has_passkeys: bool,
    },
    /// Sign-in and security: one's own account.
    Account {
        /// What it is signed in to with.
        account: AccountView,
    },
    /// Sign in with a passkey alone.
    PasskeySignIn {
        /// Where to go afterwards: a path.
        next: Option<String>,
        /// A form that was sent to `next` without a session, and waits there afterwards.
        unsent: Option<String>,
        /// What the passkey answers to; `None` where none can be used.
        prompt: Option<Prompt>,
    },
    /// Add a passkey to one's own.
    NewPasskey {
        /// What it is made from.
        prompt: Prompt,
    },
    /// Remove one of one's own passkeys.
    RemovePasskey {
        /// Which one.
        passkey: Passkey,
    },
    /// Change one's own password.
    ChangePassword {
        /// Whether invitations that the user sent are still open: they are withdrawn.
        withdraws_invitations: bool,
        /// The user's second factors: those that they do not recognize are removed with the password.
        factors: FactorList,
    },
    /// Reset somebody's password.
    ResetPassword {
        /// Whose.
        person: Person,
    },
    /// Says that a link to choose a password was mailed to a member, or could not be.
    ResetSent {
        /// The member.
        person: Person,
        /// The first instant at which the link no longer works.
        expires_at: Timestamp,
        /// Whether the mail server took it.
        is_mailed: bool,
    },
    /// Confirm a reset that another admin requested.
    ConfirmReset {
        /// The reset.
        reset: PendingReset,
    },
    /// Choose a new password, by a link.
    ChoosePassword {
        /// Whose it is.
        name: String,
        /// What they sign in with.
        email: String,
        /// What the link holds.
        token: String,
    },
    /// 410: a link to choose a password that is good for nothing any more.
    ResetGone,
    /// 403: somebody of a customer platform.
    CustomerRefused,
    /// 403: somebody who signed in at the other area's door.
    OtherDoor {
        /// The area that is theirs.
        theirs: Area,
        /// Its door.
        href: String,
    },
    /// 403: a role that may not see this.
    Forbidden,
    /// 403: the request did not come from one of the console's own pages.
    CrossSite {
        /// Where the console is, as the browser knows it.
        home: String,
    },
    /// 404, and another organization's ids.
    NotFound,
    /// 500 or 503: what happened is in the log, under this id.
    Unavailable {
        /// The request's id.
        request_id: String,
    },
    /// Choose a password, and join an organization.
    Invitation {
        /// The invitation.
        invitation: Invitation,
        /// What the organization is called.
        organization: String,
        /// What the link holds.
        token: String,
    },
    /// 410: a link that is good for nothing any more.
    InvitationGone,
    /// The list of a partner's applications.
    Applications {
        /// By name.
        items: Vec<ApplicationSummary>,
        /// The names of people who have left, while keys work that they may have a copy of.
        leavers: Vec<String>,
        /// What Nuvera did and nobody of the organization has seen yet, the newest first.
        unseen_support: Vec<RecordedEvent>,
    },
    /// A partner organization in the organization hub, with its applications.
    Organization {
        /// What it is called.
        name: String,
        /// Its applications, by name.
        items: Vec<ApplicationSummary>,
        /// How they are doing.
        health: Health,
    },
    /// Disable many applications at once, with a reason: what that would stop.
    BulkStop {
        /// Which.
        scope: StopScope,
        /// They, those included that are disabled already.
        applications: Vec<Stoppable>,
        /// The block of the signing key, where it is blocked already.
        blocked: Option<BlockedKey>,
    },
    /// The response to a stop of many applications: what became of each.
    BulkStopped {
        /// Which.
        scope: StopScope,
        /// They, and what became of each.
        applications: Vec<(Stoppable, Fate)>,
        /// Whether the audit history could not be written yet.
        is_unrecorded: bool,
    },
    /// Create API application.
    NewApplication {
        /// Makes a second submission of the form harmless.
        creation_token: String,
        /// A text to sign, to show that somebody holds the private half of the key.
        challenge: String,
    },
    /// The response that shows a new API key, once.
    OneTimeKey {
        /// The application as it is now.
        application: ApiApplication,
        /// The new key.
        api_key_id: ApiKeyId,
        /// Its text.
        key: PlainApiKey,
    },
    /// 409: a form that creates an API key was sent a second time by the same person. The key was shown in the first answer.
    KeyAlreadyCreated {
        /// The application as it is now.
        application: ApiApplication,
        /// The key.
        key: ApiKey,
        /// Whether a request has used it.
        is_used: bool,
    },
    /// One application.
    Application {
        /// The application.
        view: ApplicationView,
        /// The newest events of its history.
        recent: Vec<RecordedEvent>,
        /// What Nuvera did to it.
        support: SupportView,
    },
    /// The latest requests of an application.
    Requests {
        /// The application.
        application: ApiApplication,
        /// Which of them.
        filter: RequestFilter,
        /// A page of them, the newest first.
        requests: Vec<SeenRequest>,
        /// Whether this is not the newest page.
        is_continued: bool,
        /// The request before which older ones go on (`?before=`).
        older: Option<RequestId>,
    },
    /// One request: what became of it, and why.
    Request {
        /// The application.
        application: ApiApplication,
        /// The request.
        request: SeenRequest,
    },
    /// Rename.
    Rename {
        /// The application.
        application: ApiApplication,
    },
    /// Change permissions.
    Permissions {
        /// The application.
        application: ApiApplication,
        /// Whether it becomes a proposal, for the partner to confirm.
        waits: bool,
    },
    /// Disable, with a reason.
    Disable {
        /// The application.
        application: ApiApplication,
    },
    /// Enable, with a reason.
    Enable {
        /// The application.
        application: ApiApplication,
        /// The blocks in force of its signing keys.
        blocked_keys: Vec<BlockedKey>,
        /// Whether it becomes a proposal, because the partner disabled the application.
        waits: bool,
    },
    /// Create replacement key, with a grace window.
    ReplaceApiKey {
        /// The application.
        application: ApiApplication,
    },
    /// Replace on suspected exposure: every live key stops at once.
    ReplaceExposedApiKey {
        /// The application.
        application: ApiApplication,
    },
    /// Have a rotation finish by itself.
    FinishByItself {
        /// The application.
        application: ApiApplication,
    },
    /// Cut short, extend, or keep an expiring key.
    ApiKeyDeadline {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: ApiKey,
    },
    /// Revoke a key.
    RevokeApiKey {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: ApiKey,
        /// How the application's API keys have been used, as [`ApplicationView`] has it.
        usage: HashMap<ApiKeyId, Usage>,
        /// The same, minute by minute.
        traffic: HashMap<ApiKeyId, Traffic>,
    },
    /// Replace the signing key.
    ReplaceSigningKey {
        /// The application.
        application: ApiApplication,
        /// A text to sign, to show that somebody holds the private half of the new key.
        challenge: String,
        /// Whether it becomes a proposal, for the partner to confirm.
        waits: bool,
        /// Whether the current signing key is blocked, and gets no overlap.
        is_blocked: bool,
    },
    /// The key doctor.
    CheckKey {
        /// All of the organization's applications, by name: their signing keys are what a key is compared with.
        applications: Vec<ApiApplication>,
    },
    /// The people of an organization.
    People {
        /// Those who belong to it, by name.
        people: Vec<Person>,
        /// Those who may join, by name.
        invitations: Vec<Invitation>,
        /// Resets of members' passwords and second factors that have not taken effect, the earliest first.
        pending_resets: Vec<PendingReset>,
        /// Those who have left, while keys work that they may have a copy of.
        leavers: Vec<Leaver>,
        /// The removals and demotions of users who manage members that have not taken effect.
        pending: Vec<PendingOwnerChange>,
        /// Who is looking.
        you: UserId,
        /// Whether whoever is looking decides on them.
        is_managed: bool,
    },
    /// Invite somebody.
    Invite {
        /// On whose side: each has its roles.
        side: ActorKind,
    },
    /// The response that says whether an invitation was mailed.
    InvitationSent {
        /// The invitation.
        invitation: Invitation,
        /// Whether it was.
        is_mailed: bool,
    },
    /// Give somebody another role.
    ChangeRole {
        /// Whom.
        person: Person,
        /// When another role takes effect, where it does not at once.
        waits_until: Option<Timestamp>,
    },
    /// Remove the second factor that somebody has lost.
    ResetFactor {
        /// Whose.
        person: Person,
    },
    /// Remove somebody.
    RemovePerson {
        /// Whom.
        person: Person,
        /// When it takes effect, where it does not at once.
        waits_until: Option<Timestamp>,
    },
    /// Confirm the pending removal or demotion of a user who manages members.
    ConfirmOwnerChange {
        /// The change.
        pending: PendingOwnerChange,
    },
    /// How old the organization lets its keys become.
    RotationPolicy {
        /// The policy.
        policy: RotationPolicy,
    },
    /// What the organization asks of those who act in it.
    SecurityPolicy {
        /// The policy.
        policy: SecurityPolicy,
    },
    /// Make an earlier signing key current again.
    RestoreSigningKey {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: SigningKey,
        /// Whether it becomes a proposal, for the partner to confirm.
        waits: bool,
        /// Whether the current signing key is blocked, and gets no overlap.
        is_blocked: bool,
    },
    /// End a signing key's overlap now.
    RetireSigningKey {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: SigningKey,
        /// How the application's signing keys have been used, as [`ApplicationView`] has it.
        usage: HashMap<SigningKeyId, Usage>,
        /// The same, minute by minute.
        traffic: HashMap<SigningKeyId, Traffic>,
        /// Whether it becomes a proposal, for the partner to confirm.
        waits: bool,
    },
    /// Prepare a replacement key for the partner to claim.
    PrepareReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Take a prepared replacement key back, or decline it.
    WithdrawReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Claim a prepared replacement key.
    ClaimReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Confirm a change that Nuvera proposed.
    ConfirmChange {
        /// The application.
        application: ApiApplication,
    },
    /// Decline one.
    DeclineChange {
        /// The application.
        application: ApiApplication,
    },
    /// Take one back, for Nuvera.
    WithdrawChange {
        /// The application.
        application: ApiApplication,
    },
    /// An audit history, newest first.
    Audit {
        /// Whose.
        subject: AuditSubject,
        /// What of it.
        filter: AuditFilter,
        /// Who acts in it, to choose from.
        actors: Vec<(UserId, String)>,
        /// A page of events.
        events: Vec<RecordedEvent>,
        /// Whether this is not the newest page.
        is_continued: bool,
        /// The sequence number before which older events go on (`?before=`).
        older: Option<i64>,
    },
    /// The organization hub.
    OrganizationHub {
        /// The partner organizations, whoever needs help first; not more than a page.
        organizations: Vec<OrganizationSummary>,
        /// How many more there are.
        more: usize,
        /// How many there are in all, and how many of them need attention.
        counts: (usize, usize),
        /// Whether only those are listed that need attention.
        is_filtered: bool,
    },
    /// Create a partner organization.
    NewOrganization,
    /// A partner organization's name, contact and note, its suspension, and the invitation of its first owner.
    ManageOrganization {
        /// The organization.
        organization: Organization,
        /// Whether anyone belongs to it.
        has_members: bool,
        /// The open invitations, by name.
        invitations: Vec<Invitation>,
    },
    /// Suspend a partner organization.
    SuspendOrganization {
        /// The organization.
        organization: Organization,
        /// Its applications, those that are disabled included.
        applications: Vec<Stoppable>,
    },
    /// End its suspension.
    ReinstateOrganization {
        /// The organization.
        organization: Organization,
    },
    /// What was found across organizations.
    HubSearch {
        /// What was searched for.
        search: Search,
        /// What was found.
        findings: Findings,
        /// The block in force of the signing key with the fingerprint that was searched for.
        blocked: Option<BlockedKey>,
    },
    /// The signing keys that are blocked everywhere.
    BlockedKeys {
        /// Those in force first, the newest first.
        keys: Vec<BlockedKeyView>,
    },
    /// Release a blocked signing key.
    ReleaseSigningKey {
        /// The block.
        blocked: BlockedKey,
    },
}

impl Page {
    /// What the page is called: its heading, and the first part of the document's title.
    pub fn title(&self) -> String {
        match self {
            Self::SignIn { .. } => "Sign in",
            Self::Confirm { .. } => "Confirm that it is you",
            Self::Account { .. } => "Sign-in and security",
            Self::ChangePassword { .. } => "Change password",
            Self::ResetPassword { .. } => "Reset password",
            Self::ResetSent { is_mailed: true, .. } => "Reset link sent",
            Self::ResetSent { is_mailed: false, .. } => "Reset link not sent",
            Self::ConfirmReset { .. } => "Confirm reset",
            Self::ChoosePassword { .. } => "Choose a new password",
            Self::ResetGone => "This link is no longer good",
            Self::ContinueWith { .. } => "Confirm that it is you",
            Self::SingleSignOnRefused { is_proof: true, .. } => "You have not confirmed that it is you",
            Self::SingleSignOnRefused { is_signed_in: true, .. } => "You are still signed in as before",
            Self::SingleSignOnRefused { is_signed_in: false, .. } => "You are not signed in",
            Self::SecondFactor { prompt: None, .. } => "Enter a code",
            Self::SecondFactor { prompt: Some(_), .. } => "Show that it is you",
            Self::SetUpFactor { is_replacement: false, .. } => "Set up a second factor",
            Self::SetUpFactor { is_replacement: true, .. } => "Replace the second factor",
            Self::RecoveryCodes { .. } => "Store your recovery codes now",
            Self::MakeRecoveryCodes { .. } => "Make new recovery codes",
            Self::RemoveFactor { .. } => "Remove the second factor",
            Self::PasskeySignIn { .. } => "Sign in with a passkey",
            Self::NewPasskey { .. } => "Add a passkey",
            Self::RemovePasskey { .. } => "Remove passkey",
            Self::CustomerRefused => "API applications are for partner organizations",
            Self::OtherDoor { theirs: Area::Partner, .. } => "This is where Nuvera’s people sign in",
            Self::OtherDoor { theirs: Area::Hub, .. } => "This is where partners sign in",
            Self::Forbidden => "You cannot open this page",
            Self::CrossSite { .. } => "This request was refused",
            Self::NotFound => "Page not found",
            Self::Unavailable { .. } => "Something went wrong on our side",
            Self::Invitation { organization, .. } => return format!("Join {organization}"),
            Self::InvitationGone => "This link is no longer good",
            Self::Applications { .. } => "API applications",
            Self::Organization { name, .. } => return name.clone(),
            Self::NewApplication { .. } => "Create API application",
            Self::OneTimeKey { .. } => "Store your API key now",
            Self::KeyAlreadyCreated { .. } => "You already created this key",
            Self::Application { view, .. } => return view.application.name.to_string(),
            Self::Requests { .. } => "Recent requests",
            Self::Request { .. } => "Request",
            Self::Rename { .. } => "Rename application",
            Self::Permissions { .. } => "Change permissions",
            Self::Disable { .. } => "Disable application",
            Self::Enable { .. } => "Enable application",
            Self::ReplaceApiKey { .. } => "Create replacement key",
            Self::ReplaceExposedApiKey { .. } => "Replace exposed key",
            Self::FinishByItself { .. } => "Revoke automatically",
            Self::ApiKeyDeadline { .. } => "Change deadline",
            Self::RevokeApiKey { .. } => "Revoke API key",
            Self::ReplaceSigningKey { .. } => "Replace signing key",
            Self::CheckKey { .. } => "Check a key",
            Self::People { .. } => "People",
            Self::Invite { .. } => "Invite somebody",
            Self::InvitationSent { is_mailed: true, .. } => "Invitation sent",
            Self::InvitationSent { is_mailed: false, .. } => "Invitation not sent",
            Self::ChangeRole { .. } => "Change role",
            Self::ResetFactor { .. } => "Reset second factor",
            Self::RemovePerson { .. } => "Remove somebody",
            Self::ConfirmOwnerChange { pending: PendingOwnerChange { change: OwnerChange::Remove, .. } } => {
                "Confirm removal"
            }
            Self::ConfirmOwnerChange { .. } => "Confirm change of role",
            Self::RotationPolicy { .. } => "Rotation policy",
            Self::SecurityPolicy { .. } => "Security policy",
            Self::RestoreSigningKey { .. } => "Restore signing key",
            Self::RetireSigningKey { .. } => "Retire signing key",
            Self::PrepareReplacement { .. } => "Prepare replacement key",
            Self::WithdrawReplacement { .. } => "Withdraw replacement key",
            Self::ClaimReplacement { .. } => "Claim replacement key",
            Self::ConfirmChange { .. } => "Confirm proposed change",
            Self::DeclineChange { .. } => "Decline proposed change",
            Self::WithdrawChange { .. } => "Withdraw proposed change",
            Self::Audit { .. } => "Audit history",
            Self::OrganizationHub { .. } => "Organization hub",
            Self::NewOrganization => "Create partner organization",
            Self::ManageOrganization { .. } => "Manage organization",
            Self::SuspendOrganization { .. } => "Suspend organization",
            Self::ReinstateOrganization { .. } => "Reinstate organization",
            Self::HubSearch { .. } => "Search across organizations",
            Self::BulkStop { scope: StopScope::Organization { .. }, .. } => "Disable all applications",
            Self::BulkStop { scope: StopScope::SigningKey { .. }, .. } => "Stop this key everywhere",
            Self::BulkStopped { .. } => "Emergency stop",
            Self::BlockedKeys { .. } => "Blocked signing keys",
            Self::ReleaseSigningKey { .. } => "Release signing key",
        }
        .to_owned()
    }

    /// Whether the page holds an island. Only then does it load the WASM, and only then need the content security
    /// policy allow `'wasm-unsafe-eval'` and workers.
    pub fn runs_wasm(&self) -> bool {
        match self {
            Self::Confirm { ways: WaysToConfirm { prompt, .. }, .. } | Self::SecondFactor { prompt, .. } => {
                prompt.is_some()
            }
            Self::SignIn { .. }
            | Self::Account { .. }
            | Self::ChangePassword { .. }
            | Self::ResetPassword { .. }
            | Self::ResetSent { .. }
            | Self::ConfirmReset { .. }
            | Self::ChoosePassword { .. }
            | Self::ResetGone
            | Self::ContinueWith { .. }
            | Self::SingleSignOnRefused { .. }
            | Self::MakeRecoveryCodes { .. }
            | Self::RemoveFactor { .. }
            | Self::ResetFactor { .. }
            | Self::CustomerRefused
            | Self::OtherDoor { .. }
            | Self::Forbidden
            | Self::CrossSite { .. }
            | Self::NotFound
            | Self::Unavailable { .. }
            | Self::Rename { .. }
            | Self::Disable { .. }
            | Self::Enable { .. }
            | Self::FinishByItself { .. }
            | Self::KeyAlreadyCreated { .. }
            | Self::PrepareReplacement { .. }
            | Self::WithdrawReplacement { .. }
            | Self::ClaimReplacement { .. }
            | Self::ConfirmChange { .. }
            | Self::DeclineChange { .. }
            | Self::WithdrawChange { .. }
            | Self::Audit { .. }
            | Self::Invitation { .. }
            | Self::InvitationGone
            | Self::Invite { .. }
            | Self::InvitationSent { .. }
            | Self::ChangeRole { .. }
            | Self::RemovePerson { .. }
            | Self::ConfirmOwnerChange { .. }
            | Self::RemovePasskey { .. }
            | Self::RotationPolicy { .. }
            | Self::SecurityPolicy { .. }
            | Self::OrganizationHub { .. }
            | Self::NewOrganization
            | Self::ManageOrganization { .. }
            | Self::SuspendOrganization { .. }
            | Self::ReinstateOrganization { .. }
            | Self::HubSearch { .. }
            | Self::BulkStop { .. }
            | Self::BulkStopped { .. }
            | Self::BlockedKeys { .. }
            | Self::ReleaseSigningKey { .. } => false,
            Self::Applications { .. }
            | Self::Organization { .. }
            | Self::NewApplication { .. }
            | Self::OneTimeKey { .. }
            | Self::SetUpFactor { .. }
            | Self::RecoveryCodes { .. }
            | Self::Application { .. }
            | Self::Requests { .. }
            | Self::Request { .. }
            | Self::Permissions { .. }
            | Self::ReplaceApiKey { .. }
            | Self::ReplaceExposedApiKey { .. }
            | Self::ApiKeyDeadline { .. }
            | Self::RevokeApiKey { .. }
            | Self::ReplaceSigningKey { .. }
            | Self::CheckKey { .. }
            | Self::People { .. }
            | Self::RestoreSigningKey { .. }
            | Self::RetireSigningKey { .. }
            | Self::PasskeySignIn { .. }
            | Self::NewPasskey { .. } => true,
        }
    }
}
