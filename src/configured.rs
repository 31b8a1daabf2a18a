//! The configuration of a program: file, then environment, then arguments.

use std::path::Path;

use topology::{ConfigError, Layered, Origin, Override};

use crate::demo::STATE_DIR_ENV;

/// Why there is no configuration; prints one problem a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfiguredError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Some value is refused.
    #[error("{}", named(path, error))]
    Refused {
        /// The file, empty when none was given.
        path: String,
        /// What is wrong, by layer.
        error: ConfigError,
    },
}

/// Problems, those of the file with its name.
fn named(path: &str, error: &ConfigError) -> String {
    let name = |problem: &topology::Problem| match problem.origin {
        Origin::Env(_) | Origin::Set => problem.to_string(),
        _ if path.is_empty() => problem.to_string(),
        _ => format!("{path}: {problem}"),
    };
    error.problems.iter().map(name).collect::<Vec<_>>().join("\n")
}

/// Reads `file`, or takes `shipped` in its place, and lays `CORELANE__...` and then `sets` (`key=value`) over it.
///
/// # Errors
/// The file cannot be read, or a value of some layer is refused: all of them are told.
pub fn load(file: Option<&Path>, shipped: &str, sets: &[String]) -> Result<Layered, ConfiguredError> {
    let path = file.map(|path| path.display().to_string()).unwrap_or_default();
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| ConfiguredError::Read { path: path.clone(), error })?,
        None => shipped.to_owned(),
    };
    let refuse = |error| ConfiguredError::Refused { path: path.clone(), error };
    let mut over = Override::from_env(std::env::vars_os()).map_err(refuse)?;
    for word in sets {
        over.push(Override::from_set(word).map_err(refuse)?);
    }
    Layered::read(&text, &over).map_err(refuse)
}

/// The same with `CORELANE_STATE_DIR` and `CORELANE_SHM_DIR` as what they are: `engine.state_dir` and `engine.shm_dir` of
/// the environment, before which only `--set` goes.
///
/// # Errors
/// As [`load`].
pub fn load_with_dirs(file: &Path, sets: &[String]) -> Result<Layered, ConfiguredError> {
    let path = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|error| ConfiguredError::Read { path: path.clone(), error })?;
    let refuse = |error| ConfiguredError::Refused { path: path.clone(), error };
    let mut over = Override::from_env(std::env::vars_os()).map_err(refuse)?;
    for (name, key) in [(STATE_DIR_ENV, "engine.state_dir"), (stats::instance::BASE_ENV, "engine.shm_dir")] {
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            let text = format!("{:?}", value.to_string_lossy());
            over.push(Override { key: key.into(), text, origin: Origin::Env(name.into()) });
        }
    }
    for word in sets {
        over.push(Override::from_set(word).map_err(refuse)?);
    }
    Layered::read(&text, &over).map_err(refuse)
}
