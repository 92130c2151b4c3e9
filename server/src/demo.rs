//! Demo users for trying out the console. They are created in an empty database if `--demo` is given.

use crate::{
    backend::{Backend, BackendError, accounts::NewPerson},
    store::{
        Store, StoreError,
        organizations::OrganizationKind::{Customer, Partner},
        users,
    },
};
use app::paths::Area;
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use domain::{
    access::Role,
    second_factor::{self, TotpSecret},
    time::Timestamp,
};
use std::path::Path;

/// The password of every demo user. It is public, because `--demo` is not for production.
pub const PASSWORD: &str = "nuvera-demo-password";

/// The TOTP secret of Nuvera's demo users. It is public as well.
const SECRET: &[u8; TotpSecret::BYTES] = b"nuvera demo secret 1";

/// E-mail address, name, role and organization of each demo user.
const PEOPLE: [(&str, &str, Role, &str); 7] = [
    ("owner@alpine.example", "Olivia Okafor", Role::PartnerOwner, "Alpine Pay"),
    ("developer@alpine.example", "Deniz Demir", Role::PartnerDeveloper, "Alpine Pay"),
    ("viewer@alpine.example", "Vera Vidal", Role::PartnerViewer, "Alpine Pay"),
    ("owner@borealis.example", "Bao Nguyen", Role::PartnerOwner, "Borealis Finance"),
    ("admin@nuvera.example", "Ada Admin", Role::NuveraAdmin, "Nuvera"),
    ("auditor@nuvera.example", "Aki Auditor", Role::NuveraAuditor, "Nuvera"),
    ("user@customer.example", "Casey Customer", Role::CustomerUser, "Customer Co"),
];

/// Creates the demo users, unless there are users already.
///
/// # Errors
/// The database fails.
pub async fn create_people(backend: &Backend) -> Result<(), BackendError> {
    if backend.has_people().await? {
        return Ok(());
    }
    let alpine = backend.add_organization(Partner, "Alpine Pay").await?;
    let borealis = backend.add_organization(Partner, "Borealis Finance").await?;
    let customer = backend.add_organization(Customer, "Customer Co").await?;
    let nuvera = backend.nuvera().await?;
    for (email, name, role, organization) in PEOPLE {
        let organization_id = match organization {
            "Alpine Pay" => alpine,
            "Borealis Finance" => borealis,
            "Customer Co" => customer,
            _ => nuvera,
        };
        let id = backend.add_person(NewPerson { organization_id, email, name, role, password: PASSWORD }).await?;
        if second_factor::is_required(role, false) {
            backend.give_factor(id, &TotpSecret::new(*SECRET)).await?;
        }
    }
    Ok(())
}

/// Returns the e-mail address of the first demo user in the database whose password is still the public one.
///
/// # Errors
/// The database fails.
pub async fn person_with_public_password(store: &Store) -> Result<Option<&'static str>, StoreError> {
    let mut conn = store.read().await?;
    for (email, ..) in PEOPLE {
        let hash = users::find_account(&mut conn, email).await?.and_then(|account| account.password_hash);
        let parsed = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
        if parsed.is_some_and(|hash| Argon2::default().verify_password(PASSWORD.as_bytes(), &hash).is_ok()) {
            return Ok(Some(email));
        }
    }
    Ok(None)
}

/// Returns the TOTP code of Nuvera's demo users at `now`.
pub fn code(now: Timestamp) -> String {
    TotpSecret::new(*SECRET).code(now)
}

/// Prints the addresses and how to sign in. `mail` is the folder that mail is written to if no mail server is set.
pub fn announce(console: &str, hub: Option<&str>, gateway: &str, mail: Option<&Path>) {
    println!("\nNuvera API Applications, with demo people\n");
    println!("  Console  {console}");
    println!("  Hub      {}{}", hub.unwrap_or(console), Area::Hub.home());
    println!("  Gateway  {gateway}\n");
    println!("  The password of all of them is {PASSWORD}");
    for (area, whom) in
        [(Area::Partner, "Sign in to the console as"), (Area::Hub, "Nuvera’s people sign in to the hub")]
    {
        println!("\n  {whom}");
        for (email, _, role, organization) in PEOPLE {
            if role.side() == area.side() {
                println!("    {email:<26} {} of {organization}", role.label());
            }
        }
    }
    println!(
        "\n  Nuvera’s people need a second factor. Their code of the moment is what `server demo-code` prints, or what an"
    );
    println!("  authenticator app shows for the secret {}.", TotpSecret::new(*SECRET).base32());
    if let Some(folder) = mail {
        println!("\n  Mail, such as the link of an invitation, is written to files in {}.", folder.display());
    }
    println!("\n  Stop with Ctrl-C.\n");
}
