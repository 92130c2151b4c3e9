//! The data that the server passes to the renderer: each page's data, and the context shared by all pages.

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

/// The field of an emergency stop's form that holds a reason suggested for a single click.
pub const SUGGESTED_REASON: &str = "suggested_reason";

/// The context shared by all pages.
#[derive(Clone, Debug)]
pub struct PageContext {
    /// The signed-in user, if any.
    pub viewer: Option<Viewer>,
    /// The area, and in the organization hub the organization that is viewed.
    pub place: Place,
    /// The file names of the scripts and the style sheet.
    pub assets: Assets,
    /// The time at which the page is rendered.
    pub now: Timestamp,
    /// The gateway's public origin, for snippets: `http://127.0.0.1:24500`.
    pub gateway_url: String,
    /// Whether passkeys can be used at the console's origin.
    pub uses_passkeys: bool,
    /// The result of the last request, shown once at the top of the page.
    pub notice: Option<Notice>,
    /// A sign-in of the viewer with a new browser, until they have reviewed it.
    pub new_browser: Option<Attempt>,
    /// Whether the organization of the page is suspended.
    pub is_suspended: bool,
    /// The input to the page's form, with its errors.
    pub submission: Submission,
    /// The identity providers offered by a sign-in page.
    pub providers: Vec<Provider>,
}

/// An identity provider for single sign-on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The identifier in URLs.
    pub id: String,
    /// The display name.
    pub label: String,
}

/// The methods by which a signed-in user can re-authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaysToConfirm {
    /// The password. Not available to users of single sign-on, nor to users with a second factor, for whom it is not
    /// enough.
    pub password: bool,
    /// A code from an authenticator app.
    pub app: bool,
    /// A passkey, or a recovery code in its place.
    pub passkey: bool,
    /// The prompt for a passkey; `None` if none can be used.
    pub prompt: Option<Prompt>,
    /// The providers that know the user.
    pub providers: Vec<Provider>,
}

/// Reason why single sign-on failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingleSignOnProblem {
    /// The response does not belong to any pending request.
    Unasked,
    /// The provider or the user declined.
    Declined,
    /// The provider does not respond.
    Down,
    /// The provider's response is not trusted.
    Untrusted,
    /// The provider did not have the user authenticate again.
    NotFresh,
    /// The provider does not send the time of the authentication. Retrying fails until its configuration is changed.
    NoAuthTime,
    /// No role follows from the provider's claims.
    NoRole,
    /// The user was removed from the organization.
    Removed,
    /// The user's e-mail address belongs to another account of the same organization.
    AccountHere,
    /// A second factor is mandatory, and the provider does not assert one.
    OneFactor,
    /// No account can be created for the user. The reason is not disclosed.
    NotAdmitted,
    /// The asserted e-mail address is not in one of the provider's domains.
    ForeignAddress,
    /// The provider asserts another user than the one who is signed in.
    SomebodyElse,
}

impl PageContext {
    /// Returns the area of the page.
    pub fn area(&self) -> Area {
        self.place.area()
    }
}

/// The signed-in user, as shown in the page header.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The display name.
    pub name: String,
    /// The e-mail address used to sign in.
    pub email: String,
    /// The name of their organization.
    pub organization_name: String,
    /// The role, which determines what the page offers.
    pub role: Role,
}

/// The file names that the build assigned to the browser's files, all below `/assets/`.
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
        /// The result of a request. It is passed to the next page as one of a fixed set of codes in a cookie, never as
        /// text and never in a URL.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // Each notice's text describes it.
        pub enum Notice {
            $($variant,)*
        }

        impl Notice {
            /// Parses the code from a cookie.
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Returns the code that [`Notice::from_code`] parses.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Returns the text for the user.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

impl Notice {
    /// Whether it reports a failure or something that needs attention.
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

/// The input to a form and its errors, so that the form can be shown again as the user left it.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// Field names and values as sent, in order; a name may occur more than once. Never contains a password.
    pub values: Vec<(String, String)>,
    /// Errors of single fields.
    pub errors: Vec<FieldError>,
    /// Error of the request as a whole.
    pub form_error: Option<String>,
}

/// Error of a field, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the form.
    pub field: &'static str,
    /// The message, a whole sentence.
    pub message: String,
}

impl Submission {
    /// Whether the form was submitted, so that it is shown again.
    pub fn was_sent(&self) -> bool {
        !self.values.is_empty() || self.form_error.is_some()
    }

    /// Returns the first value of `field`, if it was submitted.
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// Whether `field` was submitted with `value` (a checked box, a selected option).
    pub fn has(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, sent)| name == field && sent == value)
    }

    /// Returns the error of `field`.
    pub fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
}

/// The use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The first accepted request.
    pub first_used_at: Timestamp,
    /// The last accepted request.
    pub last_used_at: Timestamp,
    /// The network address of the last request.
    pub address: String,
    /// The user agent of the last request.
    pub user_agent: String,
    /// Number of accepted requests.
    pub count: i64,
}

/// An application in a list.
#[derive(Clone, Debug)]
pub struct ApplicationSummary {
    /// The application.
    pub application: ApiApplication,
    /// When any of its keys was last used.
    pub last_used_at: Option<Timestamp>,
    /// The hygiene of its live keys.
    pub hygiene: Vec<KeyHygiene>,
}

/// An entry in the list of blocked signing keys.
#[derive(Clone, Debug)]
pub struct BlockedKeyView {
    /// The block with its release, if any.
    pub blocked: BlockedKey,
    /// Number of applications that still have the key as their current one.
    pub waiting: usize,
}

/// A partner organization in the organization hub.
#[derive(Clone, Debug)]
pub struct OrganizationSummary {
    /// The organization's id.
    pub id: OrganizationId,
    /// The organization's name.
    pub name: String,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// Whether it has a member.
    pub has_members: bool,
    /// The health of its API applications.
    pub health: Health,
}

/// The applications that an emergency stop disables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopScope {
    /// All applications of an organization.
    Organization {
        /// The organization's name.
        name: String,
    },
    /// All applications that use a signing key, in any organization.
    SigningKey {
        /// The public key's fingerprint.
        fingerprint: String,
    },
}

/// The subject of an audit history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSubject {
    /// A single application.
    Application {
        /// The application's id.
        id: ApplicationId,
        /// The application's name.
        name: String,
    },
    /// The organization with all of its applications.
    Organization,
    /// All organizations, for Nuvera.
    Everyone,
}

/// Nuvera's changes to an application and their acknowledgement by the partner.
#[derive(Clone, Debug, Default)]
pub struct SupportView {
    /// Changes that the partner has not acknowledged yet, the newest first.
    pub unseen: Vec<RecordedEvent>,
    /// The latest acknowledgement.
    pub seen: Option<Seen>,
}

/// An application with the use of its keys.
#[derive(Clone, Debug)]
pub struct ApplicationView {
    /// The application.
    pub application: ApiApplication,
    /// Use of each API key. Keys that were never used are absent.
    pub api_key_usage: HashMap<ApiKeyId, Usage>,
    /// Use of each signing key. Keys that never verified a request are absent.
    pub signing_key_usage: HashMap<SigningKeyId, Usage>,
    /// Traffic of each API key in the last hour. Keys without recent use may be absent.
    pub api_key_traffic: HashMap<ApiKeyId, Traffic>,
    /// Traffic of each signing key in the last hour. Keys without recent use may be absent.
    pub signing_key_traffic: HashMap<SigningKeyId, Traffic>,
    /// Its latest requests, the newest first; more than the page shows.
    pub latest_requests: Vec<SeenRequest>,
    /// The hygiene of each live key.
    pub hygiene: Vec<KeyHygiene>,
    /// The blocks of its signing keys that are in force.
    pub blocked_keys: Vec<BlockedKey>,
}

impl ApplicationView {
    /// Returns the hygiene of a key; `None` if the key is no longer live.
    pub fn hygiene_of(&self, key: KeyId) -> Option<&KeyHygiene> {
        self.hygiene.iter().find(|hygiene| hygiene.key == key)
    }
}

/// The credentials and sessions of the signed-in user.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// The authenticator app, if there is one.
    pub second_factor: Option<SecondFactor>,
    /// The passkeys, the oldest first.
    pub passkeys: Vec<Passkey>,
    /// Whether the user has a password. Otherwise they sign in with an identity provider.
    pub has_password: bool,
    /// Whether the user can have passkeys.
    pub offers_passkeys: bool,
    /// Number of unused recovery codes.
    pub recovery_codes: usize,
    /// Whether a second factor is mandatory.
    pub must_have_factor: bool,
    /// The user's sessions, the most recently used first.
    pub sessions: Vec<SignedIn>,
    /// The session of this request.
    pub here: SessionId,
    /// Pending resets of the user's password or second factor.
    pub pending_resets: Vec<PendingReset>,
    /// The latest attempts to sign in to the account, the newest first.
    pub attempts: Vec<Attempt>,
}

/// The data for adding a new secret to an authenticator app.
#[derive(Clone, Debug)]
pub struct FactorEnrolment {
    /// The secret to add.
    pub secret: TotpSecret,
    /// The same secret, sealed, in the form's hidden field.
    pub sealed: String,
    /// The URI of the secret as a QR code.
    pub qr: QrCode,
}

/// A QR code. Opaque in `Debug`, because it may contain a secret.
#[derive(Clone)]
pub struct QrCode {
    /// Number of modules per side.
    pub side: usize,
    /// The dark modules, as an SVG path.
    pub path: String,
}

impl fmt::Debug for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QrCode(…)")
    }
}

/// A page with its data.
#[derive(Clone, Debug)]
pub enum Page {
    /// The sign-in page of an area.
    SignIn {
        /// The page to open afterwards: a path of this console.
        next: Option<String>,
        /// A form that was sent to `next` without a session, and is shown there again after the sign-in.
        unsent: Option<String>,
    },
    /// Re-authentication before an operation for which a session alone is not enough.
    Confirm {
        /// The page to open afterwards: a path of this console.
        next: String,
        /// A form that was sent to `next`, and is shown there again afterwards.
        unsent: Option<String>,
        /// The methods available to the user.
        ways: WaysToConfirm,
    },
    /// A link to an identity provider, for a user whose submitted form is kept until they have re-authenticated there.
    ContinueWith {
        /// The identity provider.
        provider: Provider,
        /// The URL of the provider's authorization endpoint.
        address: String,
    },
    /// A failed single sign-on.
    SingleSignOnRefused {
        /// The identity provider.
        provider: Provider,
        /// The reason.
        problem: SingleSignOnProblem,
        /// The page that the user wanted to open: a path of this console.
        next: String,
        /// Whether the user wanted to re-authenticate rather than to sign in.
        is_proof: bool,
        /// Whether the user is signed in nevertheless.
        is_signed_in: bool,
        /// A form that is kept until the re-authentication.
        unsent: Option<String>,
        /// The request id, under which the log has the details.
        request_id: String,
    },
    /// The second step of signing in.
    SecondFactor {
        /// Whether the user has an authenticator app.
        has_app: bool,
        /// The prompt for one of the user's passkeys.
        prompt: Option<Prompt>,
    },
    /// Set-up or replacement of an authenticator app.
    SetUpFactor {
        /// The secret for the app.
        enrolment: FactorEnrolment,
        /// Whether it replaces an existing app.
        is_replacement: bool,
        /// Whether the user must set it up before doing anything else.
        is_demanded: bool,
        /// The page to open afterwards: a path of this console.
        next: Option<String>,
    },
    /// The response that shows new recovery codes, once.
    RecoveryCodes {
        /// The codes, which are not stored in plain text.
        codes: Vec<RecoveryCode>,
        /// The page to open afterwards: a path of this console.
        next: String,
    },
    /// Creation of new recovery codes.
    MakeRecoveryCodes {
        /// Number of unused codes, which become invalid.
        left: usize,
    },
    /// Removal of the user's own authenticator app.
    RemoveFactor {
        /// Whether the user still has passkeys.
        has_passkeys: bool,
    },
    /// Sign-in and security settings of the user's own account.
    Account {
        /// The credentials and sessions.
        account: AccountView,
    },
    /// Sign-in with a passkey alone.
    PasskeySignIn {
        /// The page to open afterwards: a path of this console.
        next: Option<String>,
        /// A form that was sent to `next` without a session, and is shown there again afterwards.
        unsent: Option<String>,
        /// The prompt for the passkey; `None` if none can be used.
        prompt: Option<Prompt>,
    },
    /// Registration of a passkey.
    NewPasskey {
        /// The prompt to create it.
        prompt: Prompt,
    },
    /// Removal of one of the user's own passkeys.
    RemovePasskey {
        /// The passkey to remove.
        passkey: Passkey,
    },
    /// Change of the user's own password.
    ChangePassword {
        /// Whether the user has open invitations, which are withdrawn with the change.
        withdraws_invitations: bool,
        /// The user's second factors. Those that they do not recognize are removed with the old password.
        factors: FactorList,
    },
    /// Reset of a member's password.
    ResetPassword {
        /// The member whose password is reset.
        person: Person,
    },
    /// Confirmation that a link to choose a password was mailed to a member, or that this failed.
    ResetSent {
        /// The member who receives the link.
        person: Person,
        /// The first instant at which the link no longer works.
        expires_at: Timestamp,
        /// Whether the mail server accepted it.
        is_mailed: bool,
    },
    /// Confirmation of a reset that another admin requested.
    ConfirmReset {
        /// The pending reset.
        reset: PendingReset,
    },
    /// Choice of a new password with a reset link.
    ChoosePassword {
        /// The user's display name.
        name: String,
        /// The e-mail address used to sign in.
        email: String,
        /// The token in the link.
        token: String,
    },
    /// 410: a reset link that is no longer valid.
    ResetGone,
    /// 403: a user of a customer platform, who has no access.
    CustomerRefused,
    /// 403: a user who signed in at the other area's sign-in page.
    OtherDoor {
        /// The user's area.
        theirs: Area,
        /// The sign-in page of that area.
        href: String,
    },
    /// 403: the user's role does not permit this page.
    Forbidden,
    /// 403: the request did not come from one of the console's own pages.
    CrossSite {
        /// The console's home page, at its public origin.
        home: String,
    },
    /// 404, also for ids of other organizations.
    NotFound,
    /// 500 or 503: the log has the details under this request id.
    Unavailable {
        /// The request id, as logged.
        request_id: String,
    },
    /// Acceptance of an invitation, with the choice of a password.
    Invitation {
        /// The invitation to accept.
        invitation: Invitation,
        /// The organization's name.
        organization: String,
        /// The token in the link.
        token: String,
    },
    /// 410: an invitation link that is no longer valid.
    InvitationGone,
    /// The list of a partner's applications.
    Applications {
        /// The applications, by name.
        items: Vec<ApplicationSummary>,
        /// Names of removed members who may have copies of keys that are still live.
        leavers: Vec<String>,
        /// Nuvera's changes that the organization has not acknowledged yet, the newest first.
        unseen_support: Vec<RecordedEvent>,
    },
    /// A partner organization in the organization hub, with its applications.
    Organization {
        /// The organization's name.
        name: String,
        /// Its applications, by name.
        items: Vec<ApplicationSummary>,
        /// The health of the applications.
        health: Health,
    },
    /// Preview of disabling many applications at once, with a field for the reason.
    BulkStop {
        /// The applications to disable.
        scope: StopScope,
        /// The applications, including those that are already disabled.
        applications: Vec<Stoppable>,
        /// The block of the signing key, if it is already blocked.
        blocked: Option<BlockedKey>,
    },
    /// The result of disabling many applications, for each of them.
    BulkStopped {
        /// The applications that were to be disabled.
        scope: StopScope,
        /// The applications with their outcomes.
        applications: Vec<(Stoppable, Fate)>,
        /// Whether the audit events could not be recorded yet.
        is_unrecorded: bool,
    },
    /// Creation of an API application.
    NewApplication {
        /// Token that makes a second submission of the form harmless.
        creation_token: String,
        /// Text to sign as proof of possession of the private key.
        challenge: String,
    },
    /// The response that shows a new API key, once.
    OneTimeKey {
        /// The application after the change.
        application: ApiApplication,
        /// The id of the new key.
        api_key_id: ApiKeyId,
        /// The key in plain text.
        key: PlainApiKey,
    },
    /// 409: the same user submitted a form that creates an API key a second time. The first response showed the key.
    KeyAlreadyCreated {
        /// The application in its present state.
        application: ApiApplication,
        /// The key that was created.
        key: ApiKey,
        /// Whether a request has already used it.
        is_used: bool,
    },
    /// The page of an application.
    Application {
        /// The application and the use of its keys.
        view: ApplicationView,
        /// The newest events of its audit history.
        recent: Vec<RecordedEvent>,
        /// Nuvera's changes to it.
        support: SupportView,
    },
    /// The latest requests of an application.
    Requests {
        /// The application.
        application: ApiApplication,
        /// The filter that selects them.
        filter: RequestFilter,
        /// A page of requests, the newest first.
        requests: Vec<SeenRequest>,
        /// Whether this is not the first page.
        is_continued: bool,
        /// The value of `?before=` for the next page, if there are older requests.
        older: Option<RequestId>,
    },
    /// A single request, with its outcome and the reason.
    Request {
        /// The application that received it.
        application: ApiApplication,
        /// The logged request.
        request: SeenRequest,
    },
    /// Renaming of an application.
    Rename {
        /// The application.
        application: ApiApplication,
    },
    /// Change of an application's permissions.
    Permissions {
        /// The application.
        application: ApiApplication,
        /// Whether the change is proposed, because it needs the partner's confirmation.
        waits: bool,
    },
    /// Disabling of an application, with a reason.
    Disable {
        /// The application.
        application: ApiApplication,
    },
    /// Enabling of an application, with a reason.
    Enable {
        /// The application.
        application: ApiApplication,
        /// The blocks of its signing keys that are in force.
        blocked_keys: Vec<BlockedKey>,
        /// Whether the change is proposed, because the partner disabled the application.
        waits: bool,
    },
    /// Creation of a replacement key with a grace window.
    ReplaceApiKey {
        /// The application.
        application: ApiApplication,
    },
    /// Rotation after a suspected exposure, which revokes every live key at once.
    ReplaceExposedApiKey {
        /// The application.
        application: ApiApplication,
    },
    /// Setting that revokes the old keys of a rotation automatically.
    FinishByItself {
        /// The application.
        application: ApiApplication,
    },
    /// Change of the deadline of an expiring key: earlier, later, or removed.
    ApiKeyDeadline {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: ApiKey,
    },
    /// Revocation of a key.
    RevokeApiKey {
        /// The application.
        application: ApiApplication,
        /// The key.
        key: ApiKey,
        /// The use of the application's API keys, as in [`ApplicationView`].
        usage: HashMap<ApiKeyId, Usage>,
        /// Their traffic per minute.
        traffic: HashMap<ApiKeyId, Traffic>,
    },
    /// Replacement of the signing key.
    ReplaceSigningKey {
        /// The application.
        application: ApiApplication,
        /// Text to sign as proof of possession of the new private key.
        challenge: String,
        /// Whether the change is proposed, because it needs the partner's confirmation.
        waits: bool,
        /// Whether the current signing key is blocked, so that there can be no overlap.
        is_blocked: bool,
    },
    /// The key doctor, which inspects a key locally in the browser.
    CheckKey {
        /// The organization's applications, by name. A key is compared with their signing keys.
        applications: Vec<ApiApplication>,
    },
    /// The members of an organization.
    People {
        /// The members, by name.
        people: Vec<Person>,
        /// The open invitations, by name.
        invitations: Vec<Invitation>,
        /// Pending resets of members' passwords and second factors, the earliest first.
        pending_resets: Vec<PendingReset>,
        /// Removed members who may have copies of keys that are still live.
        leavers: Vec<Leaver>,
        /// Pending removals and demotions of users who manage members.
        pending: Vec<PendingOwnerChange>,
        /// The viewer's id.
        you: UserId,
        /// Whether the viewer manages the members.
        is_managed: bool,
    },
    /// Invitation of a member.
    Invite {
        /// The side of the organization, on which the roles depend.
        side: ActorKind,
    },
    /// Confirmation that an invitation was mailed, or that this failed.
    InvitationSent {
        /// The invitation that was created.
        invitation: Invitation,
        /// Whether the mail server accepted it.
        is_mailed: bool,
    },
    /// Change of a member's role.
    ChangeRole {
        /// The member whose role is changed.
        person: Person,
        /// When the change takes effect, if not at once.
        waits_until: Option<Timestamp>,
    },
    /// Reset of a second factor that a member has lost.
    ResetFactor {
        /// The member whose second factor is reset.
        person: Person,
    },
    /// Removal of a member.
    RemovePerson {
        /// The member to remove.
        person: Person,
        /// When it takes effect, if not at once.
        waits_until: Option<Timestamp>,
    },
    /// Confirmation of the pending removal or demotion of a user who manages members.
    ConfirmOwnerChange {
        /// The pending change.
        pending: PendingOwnerChange,
    },
    /// The organization's rotation policy.
    RotationPolicy {
        /// The policy in force.
        policy: RotationPolicy,
    },
    /// The organization's security policy.
    SecurityPolicy {
        /// The policy in force.
        policy: SecurityPolicy,
    },
    /// Restoration of an earlier signing key.
    RestoreSigningKey {
        /// The application.
        application: ApiApplication,
        /// The key to restore.
        key: SigningKey,
        /// Whether the change is proposed, because it needs the partner's confirmation.
        waits: bool,
        /// Whether the current signing key is blocked, so that there can be no overlap.
        is_blocked: bool,
    },
    /// Early end of a signing key's overlap.
    RetireSigningKey {
        /// The application.
        application: ApiApplication,
        /// The key to retire.
        key: SigningKey,
        /// The use of the application's signing keys, as in [`ApplicationView`].
        usage: HashMap<SigningKeyId, Usage>,
        /// Their traffic per minute.
        traffic: HashMap<SigningKeyId, Traffic>,
        /// Whether the change is proposed, because it needs the partner's confirmation.
        waits: bool,
    },
    /// Preparation of a replacement key for the partner to claim.
    PrepareReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Withdrawal of a prepared replacement key, or its rejection by the partner.
    WithdrawReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Claim of a prepared replacement key.
    ClaimReplacement {
        /// The application.
        application: ApiApplication,
    },
    /// Confirmation of a change that Nuvera proposed.
    ConfirmChange {
        /// The application.
        application: ApiApplication,
    },
    /// Rejection of a proposed change by the partner.
    DeclineChange {
        /// The application.
        application: ApiApplication,
    },
    /// Withdrawal of a proposed change by Nuvera.
    WithdrawChange {
        /// The application.
        application: ApiApplication,
    },
    /// An audit history, the newest events first.
    Audit {
        /// The subject of the history.
        subject: AuditSubject,
        /// The filter that selects the events.
        filter: AuditFilter,
        /// The actors that the filter offers, with their names.
        actors: Vec<(UserId, String)>,
        /// A page of events.
        events: Vec<RecordedEvent>,
        /// Whether this is not the first page.
        is_continued: bool,
        /// The value of `?before=` for the next page, if there are older events.
        older: Option<i64>,
    },
    /// The organization hub.
    OrganizationHub {
        /// A page of partner organizations, those that need attention first.
        organizations: Vec<OrganizationSummary>,
        /// Number of further organizations.
        more: usize,
        /// Number of organizations in total, and of those that need attention.
        counts: (usize, usize),
        /// Whether only organizations that need attention are listed.
        is_filtered: bool,
    },
    /// Creation of a partner organization.
    NewOrganization,
    /// A partner organization's name, contact and note, its suspension, and the invitation of its first owner.
    ManageOrganization {
        /// The organization.
        organization: Organization,
        /// Whether it has any members.
        has_members: bool,
        /// The open invitations, by name.
        invitations: Vec<Invitation>,
    },
    /// Suspension of a partner organization.
    SuspendOrganization {
        /// The organization.
        organization: Organization,
        /// Its applications, including disabled ones.
        applications: Vec<Stoppable>,
    },
    /// End of an organization's suspension.
    ReinstateOrganization {
        /// The organization.
        organization: Organization,
    },
    /// Results of a search across organizations.
    HubSearch {
        /// The search text and its interpretations.
        search: Search,
        /// The results.
        findings: Findings,
        /// The block, if in force, of the signing key whose fingerprint was searched for.
        blocked: Option<BlockedKey>,
    },
    /// The blocked signing keys.
    BlockedKeys {
        /// The keys, those still blocked first, then the newest first.
        keys: Vec<BlockedKeyView>,
    },
    /// Release of a blocked signing key.
    ReleaseSigningKey {
        /// The block.
        blocked: BlockedKey,
    },
}

impl Page {
    /// Returns the page's heading, which is also the first part of the document's title.
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

    /// Whether the page contains an island. Only such pages load the WASM, and only for them does the content security
    /// policy have to allow `'wasm-unsafe-eval'` and workers.
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
