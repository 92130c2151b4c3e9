//! The server's files are private to its own user: the database and its write-ahead log hold all data of every partner,
//! and with the pepper an attacker could test guesses against the stored hashes. New files get no permissions for other
//! users ([`restrict`]). A start with existing files that have some is refused, because another user may have read or
//! replaced them.

use rustix::{fs::Mode, process::umask};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Permission bits of the group and of other users.
const OTHERS: u32 = 0o077;

/// Error: other users of the machine can access a file or folder.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {kind} {} has mode {mode:04o}, so other users of this machine can use it. Check who had access, then run: \
     chmod {} {}", path.display(), if *.kind == "folder" { "700" } else { "600" }, path.display()
)]
pub struct LooseMode {
    kind: &'static str,
    path: PathBuf,
    mode: u32,
}

/// Makes every file, folder and socket that this process creates from now on private to its own user, whatever umask it
/// was started with.
pub fn restrict() {
    umask(Mode::from_raw_mode(OTHERS));
}

/// Checks that a file or folder, if it exists, is private to its owner. Follows symbolic links.
///
/// # Errors
/// The group or other users have a permission.
pub fn check(path: &Path) -> Result<(), LooseMode> {
    // If it cannot be inspected, opening it reports the error.
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let kind = if metadata.is_dir() { "folder" } else { "file" };
    Err(LooseMode { kind, path: path.to_owned(), mode })
}

/// Checks the file of a SQLite database, and those that SQLite creates next to it with the same mode.
///
/// # Errors
/// The group or other users have a permission for one of them.
pub fn check_database(file: &Path) -> Result<(), LooseMode> {
    check(file)?;
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(suffix);
        check(Path::new(&beside))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_of_others_is_refused_with_the_command_that_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pepper");
        assert!(check(&file).is_ok(), "there is none");
        fs::write(&file, "").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o777] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let said = check(&file).unwrap_err().to_string();
            assert!(said.contains(&format!("has mode {mode:04o}")), "{said}");
            assert!(said.ends_with(&format!("chmod 600 {}", file.display())), "{said}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            check(&file).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        check(folder.path()).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let said = check(folder.path()).unwrap_err().to_string();
        assert!(said.contains("the folder ") && said.contains("chmod 700 "), "{said}");
    }

    #[test]
    fn the_files_beside_a_database_are_checked_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        check_database(&file).unwrap();
        let wal = folder.path().join("test.db-wal");
        fs::write(&wal, "").unwrap();
        fs::set_permissions(&wal, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(check_database(&file).unwrap_err().to_string().contains("test.db-wal has mode 0644"));
    }
}
