//! A thread that may not use io_uring gets plain `recv` and one line saying why.

use std::os::fd::{AsFd, OwnedFd};

use corelane_net as net;
use net::Backend;
use net::io::{Io, Received};

/// Makes `io_uring_setup` fail with `errno` on the calling thread, as container sandboxes do.
fn forbid_io_uring(errno: u32) {
    let ld_nr = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let is_setup = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_io_uring_setup as u32 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | errno };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let mut filter = [ld_nr, is_setup, refuse, allow];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain integers; the flag only narrows what this thread may do.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: `program` and the filter it points to are alive during the call; the kernel copies them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(result, 0);
}

#[test]
fn a_forbidden_ring_falls_back_and_still_receives() {
    for (errno, words) in
        [(libc::EPERM, "not permitted"), (libc::ENOSYS, "not implemented"), (libc::ENOMEM, "memory")]
    {
        let on_a_thread_of_its_own = std::thread::spawn(move || {
            forbid_io_uring(errno as u32);
            let (mut io, refusal) = Io::open(Backend::Uring);
            let refusal = refusal.unwrap();
            assert!(refusal.contains("io_uring refused at setup") && refusal.contains(words), "{refusal}");
            assert!(!refusal.contains('\n'));
            assert_eq!(io.backend(), Backend::Recv);
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            io.attach(OwnedFd::from(ours)).unwrap();
            assert!(io.look().is_none());
            net::socket::send(theirs.as_fd(), b"hello").unwrap();
            let Some(Received::Bytes(bytes)) = io.look() else { panic!("nothing") };
            assert_eq!(bytes, b"hello");
        });
        on_a_thread_of_its_own.join().unwrap();
    }
}

#[test]
fn twenty_rings_on_one_thread_exceed_the_kernels_slots_and_work() {
    let mut rings = Vec::new();
    for _ in 0..20 {
        let (mut io, refusal) = Io::open(Backend::Uring);
        if let Some(refusal) = refusal {
            return eprintln!("skipped: {refusal}");
        }
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        io.attach(OwnedFd::from(ours)).unwrap();
        net::socket::send(theirs.as_fd(), b"hello").unwrap();
        rings.push((io, theirs));
    }
    for (io, theirs) in &mut rings {
        let Some(Received::Bytes(bytes)) = io.look() else { panic!("nothing") };
        assert_eq!(bytes, b"hello");
        // Detaching closes: the kernel's own reference is gone with the last operation.
        drop(io.detach());
        let mut rest = [0; 1];
        assert_eq!(net::socket::recv(theirs.as_fd(), &mut rest).unwrap(), 0);
    }
    drop(rings);
    for _ in 0..40 {
        // Slots are given back: opening and dropping goes on for ever.
        assert!(Io::open(Backend::Uring).1.is_none());
    }
}
