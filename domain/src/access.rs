//! Who may do what: one table, and what it does not allow is refused.

use serde::{Deserialize, Serialize};

/// What somebody is, in their organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owns a partner organization.
    PartnerOwner,
    /// Builds a partner's integration.
    PartnerDeveloper,
    /// Supports partners on Nuvera's side.
    NuveraAdmin,
    /// Uses a customer platform; has no business here.
    CustomerUser,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::PartnerOwner, Self::PartnerDeveloper, Self::NuveraAdmin, Self::CustomerUser];

    /// The code it is stored under.
    pub fn code(self) -> &'static str {
        match self {
            Self::PartnerOwner => "partner_owner",
            Self::PartnerDeveloper => "partner_developer",
            Self::NuveraAdmin => "nuvera_admin",
            Self::CustomerUser => "customer_user",
        }
    }

    /// Reads [`Role::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }

    /// The role's name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::PartnerOwner => "Owner",
            Self::PartnerDeveloper => "Developer",
            Self::NuveraAdmin => "Nuvera admin",
            Self::CustomerUser => "Customer user",
        }
    }
}

/// What somebody can ask the console to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// See the API applications of one's own organization, and their audit history.
    ViewOwnApplications,
    /// Create and change the API applications of one's own organization.
    ManageOwnApplications,
    /// See partner organizations in the organization hub.
    ViewOrganizationHub,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::ViewOwnApplications, Self::ManageOwnApplications, Self::ViewOrganizationHub];
}

/// Whether `role` may do `operation`.
pub fn allows(role: Role, operation: Operation) -> bool {
    use Operation::{ManageOwnApplications, ViewOrganizationHub, ViewOwnApplications};
    match role {
        Role::PartnerOwner | Role::PartnerDeveloper => {
            matches!(operation, ViewOwnApplications | ManageOwnApplications)
        }
        Role::NuveraAdmin => matches!(operation, ViewOrganizationHub),
        Role::CustomerUser => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_platform_user_may_do_nothing_here() {
        assert!(Operation::ALL.into_iter().all(|operation| !allows(Role::CustomerUser, operation)));
    }

    #[test]
    fn partners_and_nuvera_have_each_their_own() {
        for role in [Role::PartnerOwner, Role::PartnerDeveloper] {
            assert!(allows(role, Operation::ManageOwnApplications));
            assert!(!allows(role, Operation::ViewOrganizationHub));
        }
        assert!(allows(Role::NuveraAdmin, Operation::ViewOrganizationHub));
        assert!(!allows(Role::NuveraAdmin, Operation::ManageOwnApplications));
    }

    #[test]
    fn a_role_is_read_back_from_its_code() {
        assert!(Role::ALL.into_iter().all(|role| Role::from_code(role.code()) == Some(role)));
        assert_eq!(Role::from_code("root"), None);
    }
}
