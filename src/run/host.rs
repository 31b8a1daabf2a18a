//! What a start asks of the host: credentials, certificate authorities, directories, cores.

use std::path::{Path, PathBuf};

use net::{ClientTls, Endpoint, Trust};
use stats::instance;
use topology::{Config, Topology};
use venue_binance::Credentials;

use crate::engine::{EngineError, in_full};
use crate::wiring::Endpoints;

fn refused(what: &'static str, why: impl ToString) -> EngineError {
    EngineError::Start { what, why: why.to_string() }
}

/// Key and secret, from their files or the environment.
///
/// # Errors
/// Neither is to be had, or others could read it.
pub fn credentials(config: &Config) -> Result<Credentials, EngineError> {
    let found = topology::Credentials::read(&config.venue, |name| std::env::var(name).ok());
    let found = found.map_err(|e| refused("credentials", in_full(&e)))?;
    Ok(Credentials::new(found.api_key.expose().to_owned(), found.api_secret.expose().to_owned())?)
}

/// The venue's endpoints, each trusted by the configured authorities alone.
///
/// # Errors
/// The file of authorities cannot be used.
pub fn endpoints(config: &Config) -> Result<Endpoints, EngineError> {
    let venue = &config.venue;
    let tls = ClientTls::new(&Trust::PemFile(venue.ca_file.clone()))
        .map_err(|e| refused("venue.ca_file", in_full(&e)))?;
    let at = |endpoint: &topology::Endpoint| Endpoint {
        host: endpoint.host.clone(),
        port: endpoint.port,
        address: None,
        tls: Some(tls.clone()),
    };
    Ok(Endpoints { rest: at(&venue.rest), stream: at(&venue.stream), order: at(&venue.order) })
}

/// Base directory of instances.
///
/// # Errors
/// None is configured, and the user id cannot be read.
pub fn shm_base(config: &Config) -> Result<PathBuf, EngineError> {
    if config.engine.shm_dir.as_os_str().is_empty() {
        instance::base_dir().map_err(|e| refused("engine.shm_dir", e))
    } else {
        Ok(config.engine.shm_dir.clone())
    }
}

/// Everything about this host that would refuse a start, a line each; nothing is made or changed.
pub fn complaints(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(credentials(config).err().map(|e| in_full(&e)));
    found.extend(endpoints(config).err().map(|e| in_full(&e)));
    let cores = agent::cpu::allowed_cores();
    found.extend(Topology::build(config, &cores).err().map(|e| format!("topology: {e}")));
    let mut dirs = vec![("engine.state_dir", config.engine.state_dir.clone())];
    if config.journal.on {
        dirs.push(("journal.dir", config.journal.dir.clone()));
    }
    match shm_base(config) {
        Ok(base) => dirs.push(("engine.shm_dir", base)),
        Err(error) => found.push(in_full(&error)),
    }
    for (key, dir) in dirs {
        found.extend(unusable(&dir).map(|why| format!("{key}: {}: {why}", dir.display())));
    }
    found
}

/// Why a directory cannot be used; one that is missing can, when it can be made.
fn unusable(dir: &Path) -> Option<&'static str> {
    let mut at = dir;
    loop {
        match std::fs::metadata(at) {
            Ok(meta) if !meta.is_dir() => return Some("is not a directory"),
            Ok(meta) if meta.permissions().readonly() => return Some("is not writable"),
            Ok(_) => return None,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => at = at.parent()?,
            Err(_) => return Some("cannot be looked at"),
        }
    }
}
