//! The program itself: it serves what it wrote down, and ends with a summary when asked.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use topology::{Config, Credentials};

const TOOL: &str = env!("CARGO_BIN_EXE_corelane-simvenue");

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("corelane-simvenue-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(out: &Path, more: &[&str]) -> (Child, Vec<String>, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(TOOL)
        .arg("--out")
        .arg(out)
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    let mut said = Vec::new();
    while !said.last().is_some_and(|l: &String| l.starts_with("next: ")) {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("text") > 0, "it ended after {said:?}");
        said.push(line.trim_end().to_owned());
    }
    (child, said, lines)
}

#[test]
fn it_serves_what_it_wrote_down_and_ends_with_a_summary() {
    let scratch = Scratch::new("serve");
    let (mut child, said, mut rest) = start(&scratch.0, &["--symbol", "ETHUSDT", "--seed", "9"]);
    let path = scratch.0.join("corelane.toml");
    let next = said.last().expect("a line").strip_prefix("next: corelane run --config ").expect("a command");
    assert_eq!(fs::canonicalize(next).ok(), fs::canonicalize(&path).ok());
    let config = Config::parse(&fs::read_to_string(&path).expect("a file")).expect("a sound configuration");
    assert_eq!(config.instrument.symbol, "ETHUSDT");
    // Credentials are read from files of mode 0600; the reader refuses any other.
    let credentials = Credentials::read(&config.venue, |_| None).expect("credentials");
    assert_eq!(credentials.api_key.expose().len(), 64);
    assert_eq!(fs::metadata(&scratch.0).expect("a directory").permissions().mode() & 0o777, 0o700);
    // Its certificate is the one that vouches for it.
    let tls = net::ClientTls::new(&net::Trust::PemFile(config.venue.ca_file)).expect("a certificate");
    let endpoint = net::Endpoint {
        host: config.venue.rest.host,
        port: config.venue.rest.port,
        address: None,
        tls: Some(tls),
    };
    let request = net::http::Request::get("/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22%5D");
    let reply = net::http::call(&endpoint, &request, &net::http::CallConfig::default()).expect("an answer");
    let body = String::from_utf8(reply.body).expect("text");
    assert!(reply.status == 200 && body.contains("\"ETHUSDT\""), "{} {body}", reply.status);

    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let mut summary = String::new();
    rest.read_to_string(&mut summary).expect("text");
    assert!(child.wait().expect("it ends").success(), "{summary}");
    for line in ["orders   0 arrived, 0 cancelled", "fills    0", "open     0", "balance  10 ETH"] {
        assert!(summary.contains(line), "{line}: {summary}");
    }
}

#[test]
fn what_cannot_be_served_is_said() {
    let scratch = Scratch::new("refused");
    let run = |args: &[&str]| {
        let out = Command::new(TOOL).args(args).output().expect("it runs");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (code, said) = run(&["--port", "1"]);
    assert!(code == Some(2) && said.contains("--out is required"), "{said}");
    let out = scratch.0.to_str().expect("a plain path");
    let (code, said) = run(&["--out", out, "--replay", "/no/such/recording.gz"]);
    assert!(code == Some(1) && said.contains("/no/such/recording.gz"), "{said}");
    fs::write(scratch.0.join("corelane.toml"), "[risk]\n").expect("a file of somebody's");
    let (code, said) = run(&["--out", out]);
    assert!(code == Some(1) && said.contains("was not written by this program"), "{said}");
}
