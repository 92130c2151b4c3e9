//! Access control: which role may perform which operation, and in which organization. What the table does not allow is
//! denied.

use crate::{actor::Actor, actor::ActorKind, id::OrganizationId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a re-authentication stays valid: see [`Operation::needs_proof`].
pub const PROOF_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The role of a user within their organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Manages a partner organization: its members, its policies and its applications.
    PartnerOwner,
    /// Creates and changes a partner's API applications and keys.
    PartnerDeveloper,
    /// Has read-only access to a partner's applications.
    PartnerViewer,
    /// Supports partners on Nuvera's behalf.
    NuveraAdmin,
    /// Has read-only access to everything that a Nuvera admin sees.
    NuveraAuditor,
    /// Uses a customer platform and has no access to this console.
    CustomerUser,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::PartnerOwner,
        Self::PartnerDeveloper,
        Self::PartnerViewer,
        Self::NuveraAdmin,
        Self::NuveraAuditor,
        Self::CustomerUser,
    ];

    /// Returns the code under which the role is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::PartnerOwner => "partner_owner",
            Self::PartnerDeveloper => "partner_developer",
            Self::PartnerViewer => "partner_viewer",
            Self::NuveraAdmin => "nuvera_admin",
            Self::NuveraAuditor => "nuvera_auditor",
            Self::CustomerUser => "customer_user",
        }
    }

    /// Parses [`Role::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// Returns the display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::PartnerOwner => "Owner",
            Self::PartnerDeveloper => "Developer",
            Self::PartnerViewer => "Viewer",
            Self::NuveraAdmin => "Nuvera admin",
            Self::NuveraAuditor => "Nuvera auditor",
            Self::CustomerUser => "Customer user",
        }
    }

    /// Describes the role to the user who assigns it.
    pub fn means(self) -> &'static str {
        match self {
            Self::PartnerOwner => "Does everything, and decides on people and the rotation policy.",
            Self::PartnerDeveloper => "Creates API applications and changes them and their keys.",
            Self::PartnerViewer => "Sees applications, requests and histories; changes nothing.",
            Self::NuveraAdmin => "Supports partners, stops their applications, and decides on Nuvera’s people.",
            Self::NuveraAuditor => "Sees what admins see; changes nothing.",
            Self::CustomerUser => "Has no business here.",
        }
    }

    /// Returns the side on which users with this role act.
    pub fn side(self) -> ActorKind {
        match self {
            Self::NuveraAdmin | Self::NuveraAuditor => ActorKind::Nuvera,
            Self::PartnerOwner | Self::PartnerDeveloper | Self::PartnerViewer | Self::CustomerUser => {
                ActorKind::Partner
            }
        }
    }

    /// Whether an organization on `side` can assign the role to its members.
    pub fn is_given_on(self, side: ActorKind) -> bool {
        self != Self::CustomerUser && self.side() == side
    }

    /// Whether the role manages members. Every organization needs at least one member with such a role.
    pub fn decides_on_people(self) -> bool {
        allows(self, Operation::ManagePeople)
    }
}

/// An operation that a user can request from the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// View an organization's API applications and their audit history.
    ViewApplications,
    /// Create an API application.
    CreateApplication,
    /// Rename an API application.
    RenameApplication,
    /// Disable an API application, in an emergency too.
    DisableApplication,
    /// Enable a disabled API application again.
    EnableApplication,
    /// Change the permissions of an API application.
    ChangePermissions,
    /// Create replacement keys and set deadlines for old ones.
    RotateApiKeys,
    /// Confirm that a new API key has been stored.
    ConfirmApiKeys,
    /// Revoke API keys.
    RevokeApiKeys,
    /// Replace, restore and retire signing keys.
    ReplaceSigningKeys,
    /// Prepare a replacement key for the partner to claim.
    PrepareReplacement,
    /// Withdraw or decline a prepared replacement key.
    WithdrawReplacement,
    /// Confirm a change that Nuvera proposed. The confirmation makes the change.
    ConfirmProposedChange,
    /// Withdraw or decline a proposed change.
    WithdrawProposedChange,
    /// Acknowledge what Nuvera's support changed.
    AcknowledgeSupport,
    /// Change an organization's policies: the maximum age of its keys and its security requirements.
    ChangePolicy,
    /// View an organization's members and invitations.
    ViewPeople,
    /// Invite members to one's own organization, change their roles and remove them.
    ManagePeople,
    /// Search across organizations, view their health, and read the audit history of all of them.
    ViewOrganizationHub,
    /// Disable every application that uses a signing key, in any organization. An emergency operation.
    StopSigningKey,
    /// Release a blocked signing key.
    ReleaseSigningKey,
    /// Create a partner organization, invite its first owner, change its name and details, suspend and reinstate it.
    ManageOrganizations,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 22] = [
        Self::ViewApplications,
        Self::CreateApplication,
        Self::RenameApplication,
        Self::DisableApplication,
        Self::EnableApplication,
        Self::ChangePermissions,
        Self::RotateApiKeys,
        Self::ConfirmApiKeys,
        Self::RevokeApiKeys,
        Self::ReplaceSigningKeys,
        Self::PrepareReplacement,
        Self::WithdrawReplacement,
        Self::ConfirmProposedChange,
        Self::WithdrawProposedChange,
        Self::AcknowledgeSupport,
        Self::ChangePolicy,
        Self::ViewPeople,
        Self::ManagePeople,
        Self::ViewOrganizationHub,
        Self::StopSigningKey,
        Self::ReleaseSigningKey,
        Self::ManageOrganizations,
    ];

    /// Whether it requires re-authentication within [`PROOF_LIFETIME`]: an unattended or stolen session must not be
    /// enough to obtain or revoke a key. Emergency operations never require it.
    pub fn needs_proof(self) -> bool {
        match self {
            Self::CreateApplication
            | Self::EnableApplication
            | Self::ChangePermissions
            | Self::RotateApiKeys
            | Self::RevokeApiKeys
            | Self::ReplaceSigningKeys
            | Self::PrepareReplacement
            | Self::ConfirmProposedChange
            | Self::ChangePolicy
            | Self::ManagePeople
            | Self::ReleaseSigningKey
            | Self::ManageOrganizations => true,
            Self::ViewApplications
            | Self::RenameApplication
            | Self::DisableApplication
            | Self::ConfirmApiKeys
            | Self::WithdrawReplacement
            | Self::WithdrawProposedChange
            | Self::AcknowledgeSupport
            | Self::ViewPeople
            | Self::ViewOrganizationHub
            | Self::StopSigningKey => false,
        }
    }
}

/// Whether `role` may perform `operation` in an organization that it can access at all: see [`access`].
pub fn allows(role: Role, operation: Operation) -> bool {
    use Operation as Op;
    match role {
        Role::PartnerOwner => !matches!(
            operation,
            Op::PrepareReplacement
                | Op::ViewOrganizationHub
                | Op::StopSigningKey
                | Op::ReleaseSigningKey
                | Op::ManageOrganizations
        ),
        Role::PartnerDeveloper => match operation {
            Op::ViewApplications
            | Op::CreateApplication
            | Op::RenameApplication
            | Op::DisableApplication
            | Op::EnableApplication
            | Op::ChangePermissions
            | Op::RotateApiKeys
            | Op::ConfirmApiKeys
            | Op::RevokeApiKeys
            | Op::ReplaceSigningKeys
            | Op::WithdrawReplacement
            | Op::ConfirmProposedChange
            | Op::WithdrawProposedChange
            | Op::AcknowledgeSupport
            | Op::ViewPeople => true,
            // Policies and membership affect the whole organization, so only its owners manage them.
            Op::ChangePolicy
            | Op::ManagePeople
            | Op::PrepareReplacement
            | Op::ViewOrganizationHub
            | Op::StopSigningKey
            | Op::ReleaseSigningKey
            | Op::ManageOrganizations => false,
        },
        Role::PartnerViewer => matches!(operation, Op::ViewApplications | Op::ViewPeople),
        // Support never sees a raw API key and does not name a partner's applications.
        Role::NuveraAdmin => match operation {
            Op::ViewApplications
            | Op::DisableApplication
            | Op::EnableApplication
            | Op::ChangePermissions
            | Op::RevokeApiKeys
            | Op::ReplaceSigningKeys
            | Op::PrepareReplacement
            | Op::WithdrawReplacement
            | Op::WithdrawProposedChange
            | Op::ViewPeople
            | Op::ManagePeople
            | Op::ViewOrganizationHub
            | Op::StopSigningKey
            | Op::ReleaseSigningKey
            | Op::ManageOrganizations => true,
            Op::CreateApplication
            | Op::RenameApplication
            | Op::RotateApiKeys
            | Op::ConfirmApiKeys
            | Op::ConfirmProposedChange
            | Op::AcknowledgeSupport
            | Op::ChangePolicy => false,
        },
        Role::NuveraAuditor => {
            matches!(operation, Op::ViewApplications | Op::ViewPeople | Op::ViewOrganizationHub)
        }
        Role::CustomerUser => false,
    }
}

/// The result of an access check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The operation is permitted.
    Allowed,
    /// The operation is permitted after re-authentication.
    NeedsProof,
    /// The operation is denied. The actor may know that the resource exists.
    Forbidden,
    /// The operation is denied, and the response must not reveal that the resource exists.
    Hidden,
}

/// Decides whether `actor` may perform `operation` in `organization`. A partner's users can access their own
/// organization only; all others are hidden from them. Nuvera's users can access every partner organization, but can
/// manage members only in their own, which has members and no API applications.
pub fn access(actor: &Actor, organization: OrganizationId, operation: Operation) -> Access {
    let is_own = actor.organization_id == organization;
    let is_allowed = match (actor.kind(), operation) {
        (ActorKind::Partner, _) if !is_own => return Access::Hidden,
        (ActorKind::Nuvera, Operation::ManagePeople) if !is_own => false,
        (ActorKind::Nuvera, Operation::ViewPeople | Operation::ManagePeople) => allows(actor.role, operation),
        (ActorKind::Nuvera, _) if is_own => false,
        _ => allows(actor.role, operation),
    };
    match is_allowed {
        false => Access::Forbidden,
        true if operation.needs_proof() && !actor.is_proven => Access::NeedsProof,
        true => Access::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::UserId, second_factor::Factors};
    use uuid::Uuid;

    const HOME: OrganizationId = OrganizationId(Uuid::from_u128(1));
    const ELSEWHERE: OrganizationId = OrganizationId(Uuid::from_u128(2));

    fn asks(role: Role, organization: OrganizationId, operation: Operation) -> Access {
        access(&actor(role, true), organization, operation)
    }

    fn actor(role: Role, is_proven: bool) -> Actor {
        Actor {
            user_id: UserId(Uuid::nil()),
            name: String::new(),
            email: String::new(),
            organization_id: HOME,
            organization_name: String::new(),
            role,
            address: None,
            session: None,
            is_proven,
            factors: Factors::default(),
            must_have_factor: false,
        }
    }

    #[test]
    fn a_session_alone_sees_and_stops_and_does_nothing_else() {
        use Operation as Op;
        for role in Role::ALL {
            for organization in [HOME, ELSEWHERE] {
                for operation in Op::ALL {
                    let proven = asks(role, organization, operation);
                    let expected = match proven {
                        Access::Allowed if operation.needs_proof() => Access::NeedsProof,
                        otherwise => otherwise,
                    };
                    assert_eq!(
                        access(&actor(role, false), organization, operation),
                        expected,
                        "{role:?} {operation:?}"
                    );
                }
            }
        }
        let owner = actor(Role::PartnerOwner, false);
        let open: Vec<_> = Op::ALL.into_iter().filter(|&op| access(&owner, HOME, op) == Access::Allowed).collect();
        assert_eq!(
            open,
            [
                Op::ViewApplications,
                Op::RenameApplication,
                Op::DisableApplication,
                Op::ConfirmApiKeys,
                Op::WithdrawReplacement,
                Op::WithdrawProposedChange,
                Op::AcknowledgeSupport,
                Op::ViewPeople
            ]
        );
    }

    #[test]
    fn a_customer_platform_user_may_do_nothing_here() {
        for operation in Operation::ALL {
            assert_eq!(asks(Role::CustomerUser, HOME, operation), Access::Forbidden);
            assert_eq!(asks(Role::CustomerUser, ELSEWHERE, operation), Access::Hidden);
        }
    }

    #[test]
    fn to_a_partner_another_organization_does_not_exist() {
        for role in [Role::PartnerOwner, Role::PartnerDeveloper, Role::PartnerViewer] {
            for operation in Operation::ALL {
                assert_eq!(asks(role, ELSEWHERE, operation), Access::Hidden);
            }
            let rotates = if role == Role::PartnerViewer { Access::Forbidden } else { Access::Allowed };
            assert_eq!(asks(role, HOME, Operation::RotateApiKeys), rotates);
            assert_eq!(asks(role, HOME, Operation::PrepareReplacement), Access::Forbidden);
            assert_eq!(asks(role, HOME, Operation::ViewOrganizationHub), Access::Forbidden);
            assert_eq!(asks(role, HOME, Operation::StopSigningKey), Access::Forbidden);
        }
    }

    #[test]
    fn an_owner_alone_decides_on_the_rotation_policy() {
        let may_change = |role| asks(role, HOME, Operation::ChangePolicy) == Access::Allowed;
        assert_eq!(Role::ALL.into_iter().filter(|&role| may_change(role)).collect::<Vec<_>>(), [Role::PartnerOwner]);
        assert_eq!(asks(Role::NuveraAdmin, ELSEWHERE, Operation::ChangePolicy), Access::Forbidden);
        assert_eq!(asks(Role::PartnerDeveloper, HOME, Operation::ViewApplications), Access::Allowed);
    }

    #[test]
    fn whoever_confirms_a_proposed_change_may_make_it_themselves_and_is_not_nuveras() {
        use Operation as Op;
        let confirms: Vec<_> = Role::ALL.into_iter().filter(|&role| allows(role, Op::ConfirmProposedChange)).collect();
        assert_eq!(confirms, [Role::PartnerOwner, Role::PartnerDeveloper]);
        for role in confirms {
            assert!(allows(role, Op::ChangePermissions) && allows(role, Op::ReplaceSigningKeys), "{role:?}");
        }
    }

    #[test]
    fn an_admin_supports_partners_and_never_gets_to_see_a_key() {
        let admin = |operation| asks(Role::NuveraAdmin, ELSEWHERE, operation);
        assert_eq!(admin(Operation::DisableApplication), Access::Allowed);
        assert_eq!(admin(Operation::EnableApplication), Access::Allowed);
        assert_eq!(admin(Operation::PrepareReplacement), Access::Allowed);
        assert_eq!(admin(Operation::StopSigningKey), Access::Allowed);
        assert_eq!(admin(Operation::RotateApiKeys), Access::Forbidden);
        assert_eq!(admin(Operation::CreateApplication), Access::Forbidden);
        assert_eq!(asks(Role::NuveraAdmin, HOME, Operation::ViewApplications), Access::Forbidden);
    }

    #[test]
    fn viewers_and_auditors_see_and_change_nothing() {
        use Operation as Op;
        let sees = [Op::ViewApplications, Op::ViewPeople];
        for operation in Op::ALL {
            let viewer = asks(Role::PartnerViewer, HOME, operation) == Access::Allowed;
            assert_eq!(viewer, sees.contains(&operation), "{operation:?}");
            let auditor = asks(Role::NuveraAuditor, ELSEWHERE, operation) == Access::Allowed;
            assert_eq!(auditor, sees.contains(&operation) || operation == Op::ViewOrganizationHub, "{operation:?}");
        }
    }

    #[test]
    fn people_are_decided_on_at_home_only() {
        let manages = |role, organization| asks(role, organization, Operation::ManagePeople) == Access::Allowed;
        for role in Role::ALL {
            let decides = matches!(role, Role::PartnerOwner | Role::NuveraAdmin);
            assert_eq!(manages(role, HOME), decides, "{role:?}");
            assert_eq!(role.decides_on_people(), decides, "{role:?}");
            assert!(!manages(role, ELSEWHERE), "{role:?}");
        }
        assert_eq!(asks(Role::NuveraAdmin, ELSEWHERE, Operation::ViewPeople), Access::Allowed);
        assert_eq!(asks(Role::NuveraAuditor, HOME, Operation::ViewPeople), Access::Allowed);
    }

    #[test]
    fn nobody_is_given_the_role_of_a_customer() {
        for side in [ActorKind::Partner, ActorKind::Nuvera] {
            let given: Vec<_> = Role::ALL.into_iter().filter(|role| role.is_given_on(side)).collect();
            assert!(given.iter().all(|role| role.side() == side && *role != Role::CustomerUser));
            assert_eq!(given.iter().filter(|role| role.decides_on_people()).count(), 1);
        }
    }

    #[test]
    fn a_role_is_read_back_from_its_code() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_code(role.code()) == Some(role)));
        assert_eq!(Role::from_code("root"), None);
    }
}
