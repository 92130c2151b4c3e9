//! Permissions of an API application, as listed in the protocol. A write permission without its read permission cannot
//! be represented.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An area of the REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Each variant has the area's own name.
pub enum Area {
    Customers,
    Beneficiaries,
    Documents,
    CryptoReferenceData,
    Payments,
    Screening,
    Support,
}

impl Area {
    /// Every area, in the order in which the console lists them.
    pub const ALL: [Self; 7] = [
        Self::Customers,
        Self::Beneficiaries,
        Self::Documents,
        Self::CryptoReferenceData,
        Self::Payments,
        Self::Screening,
        Self::Support,
    ];

    /// Returns the display name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Customers => "Customers",
            Self::Beneficiaries => "Beneficiaries",
            Self::Documents => "Documents",
            Self::CryptoReferenceData => "Crypto reference data",
            Self::Payments => "Payments",
            Self::Screening => "Screening",
            Self::Support => "Support",
        }
    }

    /// Returns the permission to read the area.
    pub fn read(self) -> Permission {
        Permission { area: self, write: false }
    }

    /// Returns the permission to write to the area. Reference data and screening have none.
    pub fn write(self) -> Option<Permission> {
        let writable = !matches!(self, Self::CryptoReferenceData | Self::Screening);
        writable.then_some(Permission { area: self, write: true })
    }
}

/// A permission, such as `CUSTOMERS_READ`. Created by [`Area::read`], [`Area::write`] or from its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    area: Area,
    write: bool,
}

impl Permission {
    /// Returns every permission. The read permission of an area precedes its write permission.
    pub fn all() -> impl Iterator<Item = Self> {
        Area::ALL.into_iter().flat_map(|area| [Some(area.read()), area.write()]).flatten()
    }

    /// Returns its code in the protocol.
    pub fn code(self) -> &'static str {
        match (self.area, self.write) {
            (Area::Customers, false) => "CUSTOMERS_READ",
            (Area::Customers, true) => "CUSTOMERS_WRITE",
            (Area::Beneficiaries, false) => "BENEFICIARIES_READ",
            (Area::Beneficiaries, true) => "BENEFICIARIES_WRITE",
            (Area::Documents, false) => "DOCUMENTS_READ",
            (Area::Documents, true) => "DOCUMENTS_WRITE",
            (Area::CryptoReferenceData, _) => "CRYPTO_READ",
            (Area::Payments, false) => "PAYMENTS_READ",
            (Area::Payments, true) => "PAYMENTS_WRITE",
            (Area::Screening, _) => "SCREENING_READ",
            (Area::Support, false) => "SUPPORT_READ",
            (Area::Support, true) => "SUPPORT_WRITE",
        }
    }

    /// Returns the area to which it applies.
    pub fn area(self) -> Area {
        self.area
    }

    /// Whether it allows changes.
    pub fn is_write(self) -> bool {
        self.write
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::all().find(|permission| permission.code() == code).ok_or(PermissionError::Unknown)
    }
}

/// Reason why a set of permissions is rejected. The messages are shown to the user who selected them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// A code that is not in the protocol's table.
    #[error("Choose permissions from the list: one of those sent does not exist.")]
    Unknown,
    /// A write permission without its read permission.
    #[error("{0} needs {read} as well: select both, or neither.", read = .0.area.read())]
    WriteWithoutRead(Permission),
}

/// A set of permissions in which every write permission comes with its read permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PermissionSet(u16);

impl PermissionSet {
    /// Creates the set of `permissions`.
    ///
    /// # Errors
    /// [`PermissionError::WriteWithoutRead`] for the first write permission whose read permission is not included.
    pub fn new(permissions: impl IntoIterator<Item = Permission>) -> Result<Self, PermissionError> {
        let set = Self(permissions.into_iter().fold(0, |bits, permission| bits | bit(permission)));
        match set.iter().find(|p| p.write && !set.contains(p.area.read())) {
            Some(write) => Err(PermissionError::WriteWithoutRead(write)),
            None => Ok(set),
        }
    }

    /// Whether the set contains `permission`.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Returns its permissions, in the protocol's order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::all().filter(move |&permission| self.contains(permission))
    }

    /// Whether it contains no permission.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the permissions that are in this set and not in `other`.
    pub fn without(self, other: Self) -> impl Iterator<Item = Permission> {
        self.iter().filter(move |&permission| !other.contains(permission))
    }
}

impl fmt::Display for PermissionSet {
    /// Writes the codes, separated by spaces. `FromStr` parses them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, permission) in self.iter().enumerate() {
            write!(f, "{}{permission}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for PermissionSet {
    type Err = PermissionError;

    fn from_str(codes: &str) -> Result<Self, Self::Err> {
        Self::new(codes.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>()?)
    }
}

impl TryFrom<String> for PermissionSet {
    type Error = PermissionError;

    fn try_from(codes: String) -> Result<Self, Self::Error> {
        codes.parse()
    }
}

impl From<PermissionSet> for String {
    fn from(set: PermissionSet) -> Self {
        set.to_string()
    }
}

fn bit(permission: Permission) -> u16 {
    1 << (2 * permission.area as u16 + u16::from(permission.write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_protocols() {
        let codes: Vec<_> = Permission::all().map(Permission::code).collect();
        assert_eq!(
            codes.join(" "),
            "CUSTOMERS_READ CUSTOMERS_WRITE BENEFICIARIES_READ BENEFICIARIES_WRITE DOCUMENTS_READ DOCUMENTS_WRITE \
             CRYPTO_READ PAYMENTS_READ PAYMENTS_WRITE SCREENING_READ SUPPORT_READ SUPPORT_WRITE"
        );
    }

    #[test]
    fn a_write_without_its_read_is_refused_by_name() {
        let refused = "PAYMENTS_WRITE CUSTOMERS_READ".parse::<PermissionSet>().unwrap_err();
        assert_eq!(refused.to_string(), "PAYMENTS_WRITE needs PAYMENTS_READ as well: select both, or neither.");
        assert!("PAYMENTS_WRITE PAYMENTS_READ".parse::<PermissionSet>().is_ok());
        assert_eq!("CRYPTO_WRITE".parse::<PermissionSet>(), Err(PermissionError::Unknown));
    }

    #[test]
    fn every_subset_that_keeps_the_rule_survives_a_round_trip() {
        let all: Vec<_> = Permission::all().collect();
        for bits in 0..1_u32 << all.len() {
            let chosen: Vec<_> = all.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, p)| *p).collect();
            let allowed = chosen.iter().all(|p| !p.is_write() || chosen.contains(&p.area().read()));
            match PermissionSet::new(chosen.iter().copied()) {
                Ok(set) => {
                    assert!(allowed);
                    assert_eq!(set.iter().collect::<Vec<_>>(), chosen);
                    assert_eq!(set.to_string().parse(), Ok(set));
                }
                Err(_) => assert!(!allowed),
            }
        }
    }
}
