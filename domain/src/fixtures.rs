//! Test fixtures shared by several modules.

use crate::{
    access::Role,
    actor::Actor,
    api_key::{ApiKeyHash, KeyPrefix, NewApiKey},
    application::{ApiApplication, By, NewApplication, NewSigningKey},
    id::{ApiKeyId, ApplicationId, OrganizationId, SigningKeyId, UserId},
    permission::PermissionSet,
    public_key::PublicKey,
    second_factor::Factors,
    text::ApplicationName,
    time::Timestamp,
};
use uuid::Uuid;

pub const START: Timestamp = Timestamp::from_millis(1_795_404_310_000);

const PEMS: [&str; 5] = [
    include_str!("testdata/rsa-2048-a.pem"),
    include_str!("testdata/rsa-2048-b.pem"),
    include_str!("testdata/rsa-2048-c.pem"),
    include_str!("testdata/rsa-2048-d.pem"),
    include_str!("testdata/rsa-2048-e.pem"),
];

/// Returns an owner of a partner organization.
pub fn actor() -> Actor {
    Actor {
        user_id: UserId(Uuid::from_u128(1)),
        name: "Olivia".into(),
        email: "olivia@partner.example".into(),
        organization_id: OrganizationId(Uuid::from_u128(2)),
        organization_name: "Partner".into(),
        role: Role::PartnerOwner,
        address: None,
        session: None,
        is_proven: true,
        factors: Factors::default(),
        must_have_factor: false,
    }
}

pub fn new_api_key(number: u128) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId(Uuid::from_u128(number)),
        prefix: KeyPrefix::from_stored(format!("nvk_{number:08}")),
        last_four: "wxyz".into(),
        hash: ApiKeyHash([0; 32]),
        pepper_id: "p".into(),
    }
}

/// Returns a signing key made from one of [`PEMS`].
pub fn new_signing_key(pem: usize) -> NewSigningKey {
    NewSigningKey {
        id: SigningKeyId(Uuid::from_u128(100 + pem as u128)),
        public_key: PublicKey::from_pem(PEMS[pem]).unwrap(),
        is_proven: false,
    }
}

/// Returns an application with one API key and one signing key, both created at [`START`].
pub fn application() -> ApiApplication {
    let new = NewApplication {
        id: ApplicationId(Uuid::from_u128(3)),
        name: ApplicationName::new("Ledger").unwrap(),
        permissions: PermissionSet::default(),
        signing_key: new_signing_key(0),
        api_key: new_api_key(1),
    };
    ApiApplication::create(new, By { actor: &actor(), at: START, reason: None }).application
}
