//! Objects made before start and lent out on the message path.

/// The pool had nothing left to lend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {capacity} objects of the pool are lent out")]
pub struct Exhausted {
    /// How many objects the pool was made with.
    pub capacity: usize,
}

/// A fixed number of `T`, made up front. Never grows: when all are lent, [`Pool::take`] refuses.
///
/// The object last returned is lent first, for it is the one still in the cache. A lent object that is dropped
/// instead of returned frees its memory and is gone from the pool for good: [`Pool::lent`] keeps counting it.
///
/// ```
/// let mut pool = agent::Pool::new(2, || Vec::<u8>::with_capacity(4096));
/// let (a, b) = (pool.take()?, pool.take()?);
/// assert_eq!(pool.take(), Err(agent::pool::Exhausted { capacity: 2 }));
/// pool.put(a).expect("it came from here");
/// assert_eq!(pool.lent(), 1);
/// # drop(b);
/// # Ok::<(), agent::pool::Exhausted>(())
/// ```
#[derive(Debug)]
pub struct Pool<T> {
    free: Vec<Box<T>>,
    capacity: usize,
}

impl<T> Pool<T> {
    /// Makes `capacity` objects. The only call that allocates.
    pub fn new(capacity: usize, mut make: impl FnMut() -> T) -> Pool<T> {
        let mut free = Vec::with_capacity(capacity);
        free.extend((0..capacity).map(|_| Box::new(make())));
        Pool { free, capacity }
    }

    /// Lends an object in the state in which it was returned.
    ///
    /// # Errors
    /// [`Exhausted`]: all are lent.
    #[inline]
    pub fn take(&mut self) -> Result<Box<T>, Exhausted> {
        self.free.pop().ok_or(Exhausted { capacity: self.capacity })
    }

    /// Returns an object.
    ///
    /// # Errors
    /// The pool is full, so the object cannot be one of its own; it is handed back.
    #[inline]
    pub fn put(&mut self, object: Box<T>) -> Result<(), Box<T>> {
        if self.free.len() == self.capacity {
            return Err(object);
        }
        self.free.push(object);
        Ok(())
    }

    /// Objects not in the pool now.
    pub fn lent(&self) -> usize {
        self.capacity - self.free.len()
    }

    /// Objects that the pool was made with.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_refuses_and_returning_ends_it() {
        let mut made = 0u32;
        let mut pool = Pool::new(3, || {
            made += 1;
            made
        });
        let lent: Vec<Box<u32>> = (0..3).filter_map(|_| pool.take().ok()).collect();
        assert_eq!(lent.len(), 3);
        assert_eq!(pool.take(), Err(Exhausted { capacity: 3 }));
        let last = lent.into_iter().map(|o| pool.put(o)).filter(Result::is_ok).count();
        assert_eq!((last, pool.lent()), (3, 0));
        assert_eq!(pool.put(Box::new(9)), Err(Box::new(9)), "a stranger is handed back");
        assert_eq!(made, 3, "nothing was made after start");
        assert_eq!(pool.capacity(), 3);
    }

    #[test]
    fn last_returned_is_lent_first() {
        let mut pool = Pool::new(2, String::new);
        let mut a = pool.take().expect("two are free");
        a.push('a');
        pool.put(a).expect("own object");
        assert_eq!(*pool.take().expect("two are free"), "a");
    }
}
