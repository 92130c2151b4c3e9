//! The database migrations, embedded in the program by `build.rs`.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use std::sync::LazyLock;

/// Version, description and SQL text of each file in `migrations/`.
const MIGRATIONS: &[(i64, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Applies the migrations of this version of the program.
pub(super) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(migrator);

/// Returns a separate migrator, from which a test can remove migrations.
pub fn migrator() -> Migrator {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}
