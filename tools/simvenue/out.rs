//! What is written for whoever connects: certificate, API keys, a configuration for `corelane run`.

use anyhow::{Context, Result, bail};
use corelane::demo::market::DEMO_TOML;
use corelane::simvenue::pem;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use topology::Config;

/// First line of the configuration; a file without it is somebody's own and stays.
const HEAD: &str = "# Written by corelane-simvenue, anew at every start. Keep changes in a file of your own.";
/// Name of the configuration.
const CONFIG: &str = "corelane.toml";
/// Characters of an API key, as many as the venue's.
const KEY_CHARS: usize = 64;

/// The account's key and secret.
pub(crate) struct Keys {
    /// Public part.
    pub(crate) key: String,
    /// HMAC secret.
    pub(crate) secret: String,
}

impl Keys {
    /// A fresh pair from the kernel's random numbers.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn random() -> Result<Keys> {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789xy";
        let mut bytes = [0u8; 2 * KEY_CHARS];
        File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).context("/dev/urandom")?;
        let text = |half: &[u8]| half.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect();
        let (key, secret) = bytes.split_at(KEY_CHARS);
        Ok(Keys { key: text(key), secret: text(secret) })
    }
}

/// The directory, made when missing.
pub(crate) struct Out {
    dir: PathBuf,
}

impl Out {
    /// Makes the directory (0700) and sees that nothing of somebody else's would be overwritten.
    ///
    /// # Errors
    /// The file system's refusal, or a configuration that this program did not write.
    pub(crate) fn create(dir: &Path) -> Result<Out> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| dir.display().to_string())?;
        let dir = fs::canonicalize(dir).with_context(|| dir.display().to_string())?;
        let config = dir.join(CONFIG);
        match fs::read_to_string(&config) {
            Ok(text) if !text.starts_with(HEAD) => {
                bail!("{} was not written by this program: give another --out", config.display())
            }
            _ => Ok(Out { dir }),
        }
    }

    /// Writes certificate, keys and configuration; says where the last is.
    ///
    /// # Errors
    /// The file system's refusal.
    pub(crate) fn write(
        &self,
        cert_der: &[u8],
        keys: &Keys,
        port: u16,
        pair: &(String, String),
    ) -> Result<PathBuf> {
        self.put("ca.pem", 0o644, &pem(cert_der))?;
        self.put("api.key", 0o600, &keys.key)?;
        self.put("api.secret", 0o600, &keys.secret)?;
        self.put(CONFIG, 0o644, &self.config(port, pair))?;
        Ok(self.dir.join(CONFIG))
    }

    /// The configuration that lists what is traded; only its instrument matters here.
    ///
    /// # Errors
    /// Names that the configuration refuses.
    pub(crate) fn listing(&self, pair: &(String, String)) -> Result<Config> {
        Config::parse(&self.config(1, pair)).context("configuration")
    }

    fn config(&self, port: u16, (base, quote): &(String, String)) -> String {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let endpoint = |name: &str| format!("[venue.{name}]\nhost = \"127.0.0.1\"\nport = {port}\n\n");
        let market = DEMO_TOML
            .replace("symbol = \"BTCUSDT\"", &format!("symbol = \"{base}{quote}\""))
            .replace("base = \"BTC\"", &format!("base = \"{base}\""))
            .replace("quote = \"USDT\"", &format!("quote = \"{quote}\""))
            .replace(
                "# Only when it is asked for: --journal DIR.\non = false",
                &format!("dir = \"{}\"", at("journal")),
            );
        format!(
            "{HEAD}\n\n[engine]\nstate_dir = \"{}\"\n\n[venue]\nca_file = \"{}\"\napi_key_file = \"{}\"\n\
             api_secret_file = \"{}\"\n\n{}{}{}{market}",
            at("state"),
            at("ca.pem"),
            at("api.key"),
            at("api.secret"),
            endpoint("rest"),
            endpoint("stream"),
            endpoint("order"),
        )
    }

    /// Replaces a file whole: whoever reads it meanwhile sees the old or the new one.
    fn put(&self, name: &str, mode: u32, text: &str) -> Result<()> {
        let (path, aside) = (self.dir.join(name), self.dir.join(format!(".{name}.new")));
        let write = || {
            let _ = fs::remove_file(&aside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&aside, &path)
        };
        write().with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_long_as_the_venues_and_never_the_same() {
        let (a, b) = (Keys::random().expect("keys"), Keys::random().expect("keys"));
        assert_eq!((a.key.len(), a.secret.len()), (64, 64));
        assert!(a.key != b.key && a.secret != b.secret && a.key != a.secret);
        assert!(a.key.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn a_configuration_of_somebody_else_stays() {
        let dir = std::env::temp_dir().join(format!("corelane-simvenue-out-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join(CONFIG), "[risk]\n").expect("a file");
        assert!(Out::create(&dir).is_err());
        fs::write(dir.join(CONFIG), format!("{HEAD}\n")).expect("a file");
        let out = Out::create(&dir).expect("its own");
        let keys = Keys::random().expect("keys");
        let path = out.write(&[1, 2, 3], &keys, 9443, &("ETH".into(), "BTC".into())).expect("written");
        let text = fs::read_to_string(path).expect("text");
        let config = topology::Config::parse(&text).expect("a configuration that is sound");
        assert_eq!((config.venue.order.port, config.instrument.symbol.as_str()), (9443, "ETHBTC"));
        assert!(config.journal.on && config.journal.dir.ends_with("journal"));
        assert!(!text.contains(&keys.key) && !text.contains(&keys.secret));
        let _ = fs::remove_dir_all(&dir);
    }
}
