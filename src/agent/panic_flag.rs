//! Raises a flag the moment a thread panics, before anything is printed.
//!
//! `catch_unwind` alone is late: the panic hook runs first, and with `RUST_BACKTRACE=1` it spends some hundred
//! milliseconds on symbols while other threads still believe in the dead one. So the hook is wrapped once per
//! process: it raises the flag that the panicking thread has registered, then goes on to the hook it found.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

thread_local! {
    static DEAD: OnceCell<Arc<AtomicBool>> = const { OnceCell::new() };
}

/// From now on any panic on this thread, caught or not, sets `dead`. A thread registers once; a second call
/// changes nothing.
pub(crate) fn raise_on_panic(dead: Arc<AtomicBool>) {
    static WRAP: Once = Once::new();
    WRAP.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Release: whoever sees the flag sees what the thread did before it died. `try_with` fails only
            // while the thread's locals are torn down, when its agents are gone already.
            let _ = DEAD.try_with(|flag| flag.get().map(|f| f.store(true, Ordering::Release)));
            earlier(info);
        }));
    });
    let _ = DEAD.try_with(|flag| flag.set(dead));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_flag_of_the_thread_that_panics_is_raised() {
        let (bad, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (b, g) = (bad.clone(), good.clone());
        let panics = std::thread::spawn(move || {
            raise_on_panic(b);
            panic!("on purpose");
        });
        let lives = std::thread::spawn(move || raise_on_panic(g));
        assert!(panics.join().is_err() && lives.join().is_ok());
        assert!(bad.load(Ordering::Acquire) && !good.load(Ordering::Acquire));
    }
}
