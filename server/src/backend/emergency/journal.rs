//! The journal: a file for emergency stops that could not be recorded in the database, which survives a restart.
//!
//! One JSON object per line: a stop, or the id of a stop that was recorded since. The file is filled with empty lines
//! in advance and written in place, so that a stop can be added when the disk is full. If the file cannot be written, a
//! second one in the folder for temporary files is used; both are read on start. A line that a crash left incomplete is
//! skipped with a warning: its stop had not been confirmed to its actor.

use super::Stop;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use uuid::Uuid;

/// Number of bytes reserved for stops: about a hundred with long reasons.
const RESERVED: u64 = 256 * 1024;

/// The files to which unrecorded stops are written.
#[derive(Debug, Default)]
pub struct Journal {
    /// The files in the order in which they are tried; without any, stops are not persisted.
    files: Vec<PathBuf>,
    open: Mutex<Vec<OpenFile>>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    /// The offset at which the next line is written.
    end: u64,
    /// The stops in the file that are not marked as recorded.
    unrecorded: HashSet<Uuid>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Stop(Box<Stop>),
    Recorded(Uuid),
}

impl Journal {
    /// Creates a journal at `path`, with `fallback` for when `path` cannot be written.
    pub fn new(path: PathBuf, fallback: PathBuf) -> Self {
        Self { files: vec![path, fallback], open: Mutex::default() }
    }

    /// Opens the files and returns their stops that are not marked as recorded. Must be called once, before the first
    /// stop. Logs each file that cannot be used.
    pub fn open(&self) -> Vec<Stop> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stops = Vec::new();
        for (number, path) in self.files.iter().enumerate() {
            // The second file is created only when it is needed.
            match OpenFile::open(path, number == 0) {
                Ok((file, found)) => {
                    stops.extend(found);
                    open.push(file);
                }
                Err(error) if number > 0 && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the journal of emergency stops cannot be used; stops that the database cannot record go elsewhere");
                }
            }
        }
        stops
    }

    /// Writes a stop to disk, to the first file that accepts it.
    ///
    /// # Errors
    /// No file can be written; the error is that of the last one.
    pub fn add(&self, stop: &Stop) -> io::Result<PathBuf> {
        let line = Line::Stop(Box::new(stop.clone()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no journal is configured");
        for path in &self.files {
            let index = match open.iter().position(|known| known.path == *path) {
                Some(index) => index,
                None => match OpenFile::open(path, true) {
                    Ok((file, _)) => {
                        open.push(file);
                        open.len() - 1
                    }
                    Err(error) => {
                        last = error;
                        continue;
                    }
                },
            };
            let file = &mut open[index];
            match file.write(&line) {
                Ok(()) => {
                    file.unrecorded.insert(stop.id);
                    return Ok(path.clone());
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the journal of emergency stops cannot be written");
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// Marks a stop as recorded. Empties the file once all of its stops are recorded. If it cannot be written, the next
    /// start finds in the database that the stop was recorded.
    pub fn remove(&self, id: Uuid) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for file in open.iter_mut().filter(|file| file.unrecorded.contains(&id)) {
            file.unrecorded.remove(&id);
            let marked = if file.unrecorded.is_empty() { file.empty() } else { file.write(&Line::Recorded(id)) };
            if let Err(error) = marked {
                tracing::warn!(path = %file.path.display(), %error, "the journal of emergency stops cannot be written; the next start reads a stop again that is recorded");
            }
        }
    }
}

impl OpenFile {
    /// Opens the file at `path` with mode 0600 and reads its stops.
    fn open(path: &Path, create: bool) -> io::Result<(Self, Vec<Stop>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false).mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(path)?;
        let metadata = file.metadata()?;
        // The folder for temporary files is shared: a file of another user is not trusted.
        if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a file of this user's"));
        }
        // An older version or the operator may have left it readable to others.
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (stops, end) = read(&bytes, path);
        let unrecorded = stops.iter().map(|stop| stop.id).collect();
        let opened = Self { path: path.to_owned(), file, end, unrecorded };
        if let Err(error) = opened.reserve(bytes.len() as u64) {
            tracing::warn!(path = %path.display(), %error, "no room could be kept for emergency stops on a full disk");
        }
        Ok((opened, stops))
    }

    /// Fills the file with empty lines up to [`RESERVED`] bytes.
    fn reserve(&self, length: u64) -> io::Result<()> {
        if length < RESERVED {
            self.file.write_all_at(&vec![b'\n'; usize::try_from(RESERVED - length).unwrap_or_default()], length)?;
        }
        self.file.sync_all()?;
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        // Terminates what a failed write may have left, so that it is a line of its own.
        self.file.write_all_at(b"\n", self.end)?;
        self.file.write_all_at(&bytes, self.end + 1)?;
        self.file.sync_all()?;
        self.end += 1 + bytes.len() as u64;
        Ok(())
    }

    fn empty(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.write_all_at(&vec![b'\n'; usize::try_from(length).unwrap_or_default()], 0)?;
        self.file.sync_all()?;
        self.end = 0;
        Ok(())
    }
}

/// Returns the unrecorded stops, and the offset at which the next line can be written.
fn read(bytes: &[u8], path: &Path) -> (Vec<Stop>, u64) {
    let mut stops: Vec<Stop> = Vec::new();
    let (mut at, mut end) = (0, 0);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        at += line.len() as u64;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        end = at;
        match serde_json::from_slice(line) {
            Ok(Line::Stop(stop)) => stops.push(*stop),
            Ok(Line::Recorded(id)) => stops.retain(|stop| stop.id != id),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a line of the journal of emergency stops cannot be read and is skipped");
            }
        }
    }
    (stops, end)
}

#[cfg(test)]
mod tests {
    use super::{super::Stopper, *};
    use crate::gateway::DenyScope;
    use domain::{text::Why, time::Timestamp};
    use std::fs;

    fn stop(number: u128) -> Stop {
        Stop {
            id: Uuid::from_u128(number),
            at: Timestamp::from_millis(7),
            scope: DenyScope::Everything,
            by: Stopper::operator(0),
            reason: Why::in_emergency("stolen\nat night", "SUP-4711"),
        }
    }

    fn journal(folder: &Path) -> Journal {
        Journal::new(folder.join("stops.jsonl"), folder.join("fallback.jsonl"))
    }

    #[test]
    fn what_was_not_recorded_is_read_again_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let written = journal(folder.path());
        assert_eq!(written.open(), []);
        for number in 1..=3 {
            assert_eq!(written.add(&stop(number)).unwrap(), folder.path().join("stops.jsonl"));
        }
        written.remove(Uuid::from_u128(2));
        assert_eq!(journal(folder.path()).open(), [stop(1), stop(3)]);
        written.remove(Uuid::from_u128(1));
        written.remove(Uuid::from_u128(3));
        assert_eq!(journal(folder.path()).open(), []);
        let text = fs::read_to_string(folder.path().join("stops.jsonl")).unwrap();
        assert!(text.trim().is_empty(), "it is emptied: {}", text.trim());
        written.add(&stop(4)).unwrap();
        assert_eq!(journal(folder.path()).open(), [stop(4)]);
    }

    #[test]
    fn what_a_crash_left_of_a_line_is_skipped_and_the_next_stop_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let written = journal(folder.path());
        written.open();
        written.add(&stop(1)).unwrap();
        let end = written.open.lock().unwrap()[0].end;
        let path = folder.path().join("stops.jsonl");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"\n{\"stop\":{\"id\":\"0", end).unwrap();
        let again = journal(folder.path());
        assert_eq!(again.open(), [stop(1)]);
        again.add(&stop(2)).unwrap();
        assert_eq!(journal(folder.path()).open(), [stop(1), stop(2)]);
    }

    #[test]
    fn where_the_first_place_cannot_be_written_the_second_is_used_and_read() {
        let folder = tempfile::tempdir().unwrap();
        // A directory in place of the file: it cannot be opened for writing, not even by root.
        fs::create_dir(folder.path().join("stops.jsonl")).unwrap();
        let written = journal(folder.path());
        written.open();
        assert_eq!(written.add(&stop(1)).unwrap(), folder.path().join("fallback.jsonl"));
        assert_eq!(journal(folder.path()).open(), [stop(1)]);
        assert_eq!(Journal::default().add(&stop(1)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn it_is_for_its_owner_only_and_no_symbolic_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path()).open();
        let metadata = fs::metadata(folder.path().join("stops.jsonl")).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, RESERVED));
        let path = folder.path().join("stops.jsonl");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        journal(folder.path()).open();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "a loose mode is corrected");
        std::os::unix::fs::symlink(folder.path().join("stops.jsonl"), folder.path().join("link")).unwrap();
        assert!(OpenFile::open(&folder.path().join("link"), true).is_err());
    }
}
