//! The control socket under peers that mean no good: it goes on serving, and the engine goes on trading.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::rig::{Scratch, alone, ctl_done, program, trading, until, venue};
use command::{Code, Inbox, REPLY_BYTES_MAX, Reply, Request, SOCKET_FILE, frame};
use stats::instance;

/// Everything the engine answers to these bytes; `None` when it hangs up without a reply.
fn answer(socket: &PathBuf, bytes: &[u8]) -> Option<Reply> {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    let _ = stream.write_all(bytes); // it may hang up in the middle
    let mut inbox = Inbox::new(REPLY_BYTES_MAX);
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => {
                if let Some(payload) = inbox.take(&buffer[..n]).expect("a frame") {
                    return Some(Reply::decode(payload).expect("a reply"));
                }
            }
            _ => return None,
        }
    }
}

#[test]
fn hostile_peers_are_survived_and_roles_hold() {
    let _machine = alone();
    let scratch = Scratch::new("hostile");
    // A place that other users can enter; whoever runs the tests may not be able to become one.
    let open = std::env::temp_dir().join(format!("corelane-open-{}", std::process::id()));
    fs::create_dir_all(&open).expect("a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("its mode");
    let place = open.join("ctl.sock");
    let more = format!(
        "[control]\nobserver_uids = [65533]\noperator_uids = [65532]\nsocket = \"{}\"\n",
        place.display()
    );
    let (venue, config) = venue(&scratch, 7, &more);
    let running = trading(&config);
    let shm = scratch.shm();
    let dir = instance::newest(&shm).expect("an instance").dir;
    let socket = dir.join(SOCKET_FILE);
    assert_eq!(fs::read_link(&socket).ok(), Some(place.clone()), "tools look in the instance's directory");

    // Garbage of every kind is answered, or hung up on.
    let malformed = |bytes: &[u8], says: &str| {
        let reply = answer(&socket, bytes).expect("an answer");
        assert!(reply.code == Code::Malformed && reply.body.contains(says), "{reply:?}");
    };
    malformed(&u32::MAX.to_le_bytes(), "4294967295 bytes");
    malformed(&[0, 0, 0, 0], "no bytes");
    malformed(&frame(&[1, 99]), "no request has code 99");
    malformed(&frame(&[7, 1]), "version 7");
    malformed(&[frame(&Request::Status.encode()), vec![1]].concat(), "behind");
    malformed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bytes");
    assert_eq!(answer(&socket, &frame(&Request::Status.encode())[..3]), None, "half a request, then silence");

    // Many that say nothing, and one that never reads: others are served as soon as they are thrown out.
    let idle: Vec<UnixStream> = (0..40).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    let mut deaf = UnixStream::connect(&socket).expect("a connection");
    let _ = deaf.write_all(&frame(&Request::Status.encode()));
    until("served in spite of them", || super::rig::ctl(&shm, "status").code == Some(0));
    drop((idle, deaf));
    // A byte at a time is slow, not wrong.
    let mut slow = UnixStream::connect(&socket).expect("a connection");
    for byte in frame(&Request::Mode.encode()) {
        slow.write_all(&[byte]).expect("taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut head = [0; 6];
    slow.read_exact(&mut head).expect("a reply");
    assert_eq!(head[5], Code::Done as u8);

    // Roles, by what the kernel says of the peer.
    let tool = program("corelane-ctl", "tools/ctl");
    let copy = open.join("ctl");
    fs::copy(&tool, &copy).expect("a copy that everybody can run");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("its mode");
    let as_user = |uid: u32, line: &str| {
        let mut command = Command::new(&copy);
        command.arg("--socket").arg(&place).args(line.split_whitespace()).current_dir("/").uid(uid).gid(uid);
        command
            .output()
            .ok()
            .map(|out| (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned()))
    };
    if instance::process_uid().is_ok_and(|uid| uid == 0) {
        for (uid, line, code) in [
            (65_533, "status", 0),
            (65_533, "orders", 0),
            (65_533, "mode pause", 3),
            (65_533, "kill", 3),
            (65_531, "status", 3),
            (65_531, "kill", 3),
            (65_532, "mode pause", 0),
            (65_532, "mode normal", 0),
        ] {
            let said = as_user(uid, line);
            assert_eq!(said.as_ref().and_then(|s| s.0), Some(code), "{uid} {line}: {said:?}");
        }
        let status = ctl_done(&shm, "--json status").json();
        assert_eq!(status["kill"]["tripped"], false, "what was not permitted was not done");
    } else {
        println!("skipped: only root can ask as another user");
    }

    running.signal("-TERM");
    let (code, said) = running.end();
    assert!(code == Some(0) && said.contains("balances agree"), "{said}");
    assert!(!place.exists() && !socket.exists(), "the socket goes with the engine");
    let log = fs::read_to_string(scratch.state().join("commands.log")).expect("a record");
    assert!(log.lines().any(|l| l.contains("malformed: ")), "{log}");
    assert!(venue.stop().expect("the venue").open_orders().is_empty());
    let _ = fs::remove_dir_all(&open);
}
