//! The API key and secret, from where nobody else can read them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::market::Venue;

/// Longest key or secret, bytes; an Ed25519 key in PEM has some 120.
const BYTES_MAX: u64 = 8 * 1024;

/// A text that prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the signer only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a venue needs to know us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// API key. Not secret by itself, and still nobody's business.
    pub api_key: Secret,
    /// API secret: signs requests.
    pub api_secret: Secret,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Neither a file is named nor the variable set.
    #[error("{what}: environment variable {env} is not set, and {file_key} names no file")]
    Missing {
        /// Which of the two.
        what: &'static str,
        /// The variable.
        env: String,
        /// The key that could name a file.
        file_key: &'static str,
    },
    /// The file cannot be read.
    #[error("{what}: cannot read {path}: {error}", path = path.display())]
    Read {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A directory, device or pipe.
    #[error("{what}: {path} is not a regular file", path = path.display())]
    NotAFile {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("{what}: {path} has mode {mode:04o}, must be 0600 or 0400; run chmod 600", path = path.display())]
    Mode {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{what}: {path} belongs to user {owner}, must be this program's user or root", path = path.display())]
    Owner {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Empty, too long, or with characters that no key has.
    #[error("{what}: must be 1..=8192 bytes of printable ASCII")]
    Text {
        /// Which of the two.
        what: &'static str,
    },
}

impl Credentials {
    /// Reads key and secret: from the file when one is named, else from the environment. `env` looks a
    /// variable up; programs pass `|name| std::env::var(name).ok()`. White space around either is dropped.
    ///
    /// # Errors
    /// [`CredentialsError`]; none of them shows a byte of a secret.
    pub fn read(
        venue: &Venue,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Credentials, CredentialsError> {
        let key = Place {
            what: "api key",
            env: &venue.api_key_env,
            file: &venue.api_key_file,
            file_key: "venue.api_key_file",
        };
        let secret = Place {
            what: "api secret",
            env: &venue.api_secret_env,
            file: &venue.api_secret_file,
            file_key: "venue.api_secret_file",
        };
        Ok(Credentials { api_key: key.read(&env)?, api_secret: secret.read(&env)? })
    }
}

/// Where one of the two may be found.
struct Place<'a> {
    what: &'static str,
    env: &'a str,
    file: &'a Path,
    file_key: &'static str,
}

impl Place<'_> {
    fn read(&self, env: impl Fn(&str) -> Option<String>) -> Result<Secret, CredentialsError> {
        let what = self.what;
        let text = if !self.file.as_os_str().is_empty() {
            self.read_file()?
        } else {
            let missing =
                || CredentialsError::Missing { what, env: self.env.to_owned(), file_key: self.file_key };
            env(self.env).ok_or_else(missing)?
        };
        let trimmed = text.trim();
        let plain = trimmed.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\n');
        if trimmed.is_empty() || trimmed.len() as u64 > BYTES_MAX || !plain {
            return Err(CredentialsError::Text { what });
        }
        Ok(Secret(trimmed.to_owned()))
    }

    fn read_file(&self) -> Result<String, CredentialsError> {
        let (what, path) = (self.what, self.file.to_path_buf());
        let failed = |error| CredentialsError::Read { what, path: self.file.to_path_buf(), error };
        // A pipe would block the open; what is opened is judged again below, by its descriptor.
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(CredentialsError::NotAFile { what, path });
        }
        let file = File::open(&path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(CredentialsError::NotAFile { what, path });
        }
        let mode = meta.mode() & 0o7777;
        if mode & 0o177 != 0 {
            return Err(CredentialsError::Mode { what, path, mode });
        }
        // /proc/self belongs to the effective user of this process.
        let me = fs::metadata("/proc/self").map_err(failed)?.uid();
        let owner = meta.uid();
        if owner != me && owner != 0 {
            return Err(CredentialsError::Owner { what, path, owner });
        }
        let mut text = String::new();
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn env(name: &str) -> Option<String> {
        match name {
            "CORELANE_API_KEY" => Some("  the-key\n".to_owned()),
            "CORELANE_API_SECRET" => Some("the-secret".to_owned()),
            _ => None,
        }
    }

    /// A directory of this test alone, removed at the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir =
                std::env::temp_dir().join(format!("corelane-credentials-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).expect("a temporary directory");
            Dir(dir)
        }

        fn file(&self, text: &[u8], mode: u32) -> PathBuf {
            let path = self.0.join("secret");
            let _ = fs::remove_file(&path);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn environment_is_read_and_prints_as_nothing() {
        let c = Credentials::read(&Venue::default(), env).expect("both are set");
        assert_eq!((c.api_key.expose(), c.api_secret.expose()), ("the-key", "the-secret"));
        let printed = format!("{c:?} {c:#?}");
        assert!(!printed.contains("the-key") && !printed.contains("the-secret"), "{printed}");
        let e = Credentials::read(&Venue::default(), |_| None).expect_err("nothing is set");
        assert!(e.to_string().contains("CORELANE_API_KEY"), "{e}");
    }

    #[test]
    fn a_file_goes_before_the_environment_and_must_be_private() {
        let dir = Dir::new("mode");
        for mode in [0o600, 0o400] {
            let venue = Venue { api_secret_file: dir.file(b"from-file\n", mode), ..Venue::default() };
            let c = Credentials::read(&venue, env).expect("a private file");
            assert_eq!(c.api_secret.expose(), "from-file");
        }
        for mode in [0o640, 0o604, 0o620, 0o700, 0o644] {
            let venue = Venue { api_secret_file: dir.file(b"from-file", mode), ..Venue::default() };
            let e = Credentials::read(&venue, env).expect_err("others may look");
            assert!(matches!(e, CredentialsError::Mode { mode: m, .. } if m == mode), "{e}");
            assert!(!e.to_string().contains("from-file"));
        }
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let dir = Dir::new("text");
        let with = |path: PathBuf| {
            let venue = Venue { api_key_file: path, ..Venue::default() };
            Credentials::read(&venue, env).expect_err("no key")
        };
        assert!(matches!(with(dir.0.clone()), CredentialsError::NotAFile { .. }));
        assert!(matches!(with(dir.0.join("absent")), CredentialsError::Read { .. }));
        for bad in [&b" \n"[..], b"a\x07b", "ключ".as_bytes(), &[b'x'; 8_193]] {
            assert!(matches!(with(dir.file(bad, 0o600)), CredentialsError::Text { .. }), "{bad:?}");
        }
        assert!(matches!(with(dir.file(b"\xff\xfe", 0o600)), CredentialsError::Read { .. }));
    }
}
