//! The latest audit event's number, kept outside the database, so that a start detects a database that has lost its
//! latest changes.
//!
//! SQLite silently opens a database whose write-ahead log is missing or damaged, in its state at the last checkpoint;
//! and yesterday's copy is a valid database, too. In both, an application that was disabled since then is enabled
//! again. Every change writes an audit event, so the latest event's number shows it: if it is lower than the mark,
//! changes are missing.
//!
//! The mark is written after the commit, at most twice a second, and only if the history has grown. It may be behind,
//! but never ahead: a crash cannot make an intact database look old.

use crate::{
    clock::Clock,
    fence, random,
    store::{
        Store, StoreError, audit,
        organizations::{self, OrganizationKind},
    },
};
use domain::{
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent},
    id::{OrganizationId, UserId},
    text::{Reason, Why},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Interval at which the mark is compared with the history.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long the last update may take when the server stops.
const LAST: Duration = Duration::from_secs(2);

/// The mark, and the file that it is stored in.
#[derive(Debug)]
pub struct AuditMark {
    path: PathBuf,
    sequence: Option<i64>,
}

impl AuditMark {
    /// Reads the mark from the data folder `data`. There is none before the first change.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(data: &Path) -> io::Result<Self> {
        let path = data.join("audit-mark");
        let sequence = match fs::read_to_string(&path) {
            Ok(text) => {
                let sequence = text.trim().parse().ok();
                if sequence.is_none() {
                    tracing::warn!(file = %path.display(), "the mark of the audit history is not a number and is ignored");
                }
                sequence
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, sequence })
    }

    /// Path of the file, for error messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the latest audit event that is known to have been committed; 0 if there is none.
    pub fn sequence(&self) -> i64 {
        self.sequence.unwrap_or(0)
    }

    /// Writes the mark durably, so that it survives a power failure.
    fn write(&mut self, sequence: i64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(format!("{sequence}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        self.sequence = Some(sequence);
        Ok(())
    }

    /// Keeps the mark up to date until `stop`, and updates it a last time then.
    pub async fn keep(mut self, store: Store, stop: CancellationToken) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut has_failed = false;
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let Some(followed) = stop.run_until_cancelled(self.follow(&store)).await else { break };
            match followed {
                // A failing database is already logged by its writers.
                Ok(()) | Err(FollowError::Store(_)) => has_failed = false,
                Err(FollowError::File(error)) => {
                    if !has_failed {
                        tracing::warn!(
                            file = %self.path.display(), %error,
                            "the mark of the audit history could not be written; it will be tried again"
                        );
                    }
                    has_failed = true;
                }
            }
        }
        if !matches!(timeout(LAST, self.follow(&store)).await, Ok(Ok(()))) {
            tracing::warn!("the mark of the audit history is behind: a loss of the last changes would not be noticed");
        }
    }

    async fn follow(&mut self, store: &Store) -> Result<(), FollowError> {
        let latest = audit::latest(&mut *store.read().await?).await?;
        if Some(latest) != self.sequence {
            tokio::task::block_in_place(|| self.write(latest))?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Records that the operator accepts a database whose history ends at `found` although it had reached `expected`. New
/// events are numbered after `expected`, and the replay fence is set as after a crash.
///
/// # Errors
/// The database fails.
pub async fn accept(store: &Store, clock: &Clock, found: i64, expected: i64) -> Result<(), StoreError> {
    let now = clock.now();
    let mut transaction = store.write().await?;
    let organization_id = match organizations::find_nuvera(&mut transaction).await? {
        Some(id) => id,
        None => {
            let id = OrganizationId(random::uuid(now));
            organizations::insert(&mut transaction, id, OrganizationKind::Nuvera, "Nuvera", now).await?;
            id
        }
    };
    audit::continue_after(&mut transaction, expected).await?;
    let event = AuditEvent {
        at: now,
        actor: AuditActor {
            user_id: UserId(Uuid::nil()),
            name: "Server operator".to_owned(),
            kind: ActorKind::Nuvera,
            address: None,
        },
        organization_id,
        application_id: None,
        action: AuditAction::OlderDatabaseAccepted,
        target: "audit history".to_owned(),
        before: Some(format!("up to event {expected}")),
        after: Some(format!("up to event {found}")),
        reason: Reason::new("On the server’s command line (--accept-older-database)").ok().map(Why::from),
    };
    audit::append(&mut transaction, &[event]).await?;
    fence::distrust(&mut transaction, now).await?;
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = AuditMark::load(folder.path()).unwrap();
        assert_eq!(mark.sequence(), 0);
        for sequence in [7, 41] {
            mark.write(sequence).unwrap();
            assert_eq!(AuditMark::load(folder.path()).unwrap().sequence(), sequence);
        }
        fs::write(mark.path(), "4x1\n").unwrap();
        assert_eq!(AuditMark::load(folder.path()).unwrap().sequence(), 0);
    }
}
