//! The program itself, where there is no engine: what it says, and its exit codes.

use std::fs::{self, DirBuilder};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use command::{Code, Inbox, REQUEST_BYTES_MAX, Reply, Request, frame};
use kill::KillSwitch;
use rings::Ident;
use stats::instance::Instance;

const TOOL: &str = env!("CARGO_BIN_EXE_corelane-ctl");

struct Base(PathBuf);

impl Base {
    fn new(name: &str) -> Base {
        let dir = std::env::temp_dir().join(format!("corelane-ctl-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        DirBuilder::new().mode(0o700).create(&dir).expect("a directory");
        Base(dir)
    }

    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let out = Command::new(TOOL)
            .args(line.split_whitespace())
            .env("CORELANE_SHM_DIR", &self.0)
            .output()
            .expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_an_engine_it_says_what_to_do() {
    let base = Base::new("none");
    for line in ["status", "kill", "mode pause"] {
        let (code, out, err) = base.run(line);
        assert!(code == Some(4) && out.is_empty() && err.contains("corelane run --config"), "{line}: {err}");
    }
    let (code, _, err) = base.run("fly");
    assert!(code == Some(2) && err.contains("unknown command \"fly\"") && err.contains("usage:"), "{err}");
    assert_eq!(base.run("--help").0, Some(0));
    let path = base.0.join("no.sock");
    let (code, _, err) = base.run(&format!("--socket {} status", path.display()));
    assert!(code == Some(4) && err.contains("no.sock"), "{err}");
}

#[test]
fn two_engines_are_one_too_many() {
    let base = Base::new("two");
    let engines = ["one", "two"].map(|name| Instance::create(&base.0, name).expect("an instance"));
    let _sockets =
        engines.each_ref().map(|e| UnixListener::bind(e.dir().join(command::SOCKET_FILE)).expect("a socket"));
    let (code, _, err) = base.run("kill");
    assert!(code == Some(1) && err.contains("more than one engine runs"), "{err}");
    assert!(engines.iter().all(|e| err.contains(e.dir().to_str().expect("plain"))), "{err}");
}

/// An engine that answers as told, or hangs up.
fn serve(listener: UnixListener, reply: Option<Reply>) -> std::thread::JoinHandle<Option<Request>> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut inbox = Inbox::new(REQUEST_BYTES_MAX);
        let mut bytes = [0; 64];
        let request = loop {
            let n = stream.read(&mut bytes).expect("bytes");
            if let Some(payload) = inbox.take(&bytes[..n]).expect("a frame") {
                break Request::decode(payload).ok();
            }
        };
        if let Some(reply) = reply {
            stream.write_all(&frame(&reply.encode())).expect("taken");
        }
        request
    })
}

#[test]
fn replies_are_shown_and_told_by_the_exit_code() {
    let base = Base::new("reply");
    let engine = Instance::create(&base.0, "run").expect("an instance");
    for (code, exit) in [
        (Code::Done, 0),
        (Code::Refused, 1),
        (Code::Failed, 1),
        (Code::Malformed, 1),
        (Code::NotPermitted, 3),
    ] {
        let socket = engine.dir().join(command::SOCKET_FILE);
        let _ = fs::remove_file(&socket);
        let body = "{\"message\":\"so it is\"}".to_owned();
        let served = serve(UnixListener::bind(&socket).expect("a socket"), Some(Reply { code, body }));
        let (got, out, err) = base.run("cancel-all");
        assert!(got == Some(exit) && (out + &err).contains("so it is"), "{code:?}: {got:?} {err}");
        assert_eq!(served.join().expect("served"), Some(Request::CancelAll));
    }
}

#[test]
fn a_kill_that_the_socket_does_not_answer_goes_by_the_control_segment() {
    let base = Base::new("segment");
    let engine = Instance::create(&base.0, "run").expect("an instance");
    let mut switch = KillSwitch::create(engine.dir(), &["gateway"], &Ident::default()).expect("a segment");
    let ack = switch.sender("gateway").expect("a sender");
    switch.arm();
    let socket = engine.dir().join(command::SOCKET_FILE);
    let served = serve(UnixListener::bind(&socket).expect("a socket"), None);
    let before = switch.command();
    let kill_thread = std::thread::spawn(move || {
        while switch.command() == before {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let epoch = switch.trip();
        ack.acknowledge(epoch, wire::Ts(1), 1, 0);
        switch
    });
    let (code, out, err) = base.run("kill");
    assert!(code == Some(0) && out.contains("the gate is shut"), "{out}{err}");
    assert!(err.contains("control segment"), "{err}");
    assert_eq!(served.join().expect("served"), Some(Request::Kill));
    kill_thread.join().expect("tripped");
    // Only a stop goes that way.
    let _ = fs::remove_file(&socket);
    let served = serve(UnixListener::bind(&socket).expect("a socket"), None);
    let (code, _, err) = base.run("mode normal");
    assert!(code == Some(1) && err.contains("without a reply"), "{err}");
    drop(served);
}
