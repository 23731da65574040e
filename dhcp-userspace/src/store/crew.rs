//! How do all processors help to open a store?

use parking_lot::Mutex;
use std::thread::{self, Builder};

/// Runs `work` once on each of so many threads, this one included, and returns when all have returned.
pub(super) fn run(threads: usize, work: &(dyn Fn() + Sync)) {
    thread::scope(|scope| {
        for _ in 1..threads {
            let builder = Builder::new().name("open".to_owned());
            // Without one more thread there is more to do for the others, of whom this one is sure.
            let _ = builder.spawn_scoped(scope, work);
        }
        work();
    });
}

/// What `make` makes of each item, in order, on so many threads.
///
/// # Errors
/// That of the first item with one.
pub(super) fn make_all<I: Send, T: Send, E: Send>(
    threads: usize,
    items: impl IntoIterator<Item = I, IntoIter: Send>,
    make: impl Fn(I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let items = Mutex::new(items.into_iter().enumerate());
    let made = Mutex::new(Vec::new());
    run(threads, &|| {
        loop {
            let next = items.lock().next();
            let Some((number, item)) = next else { return };
            let result = make(item);
            made.lock().push((number, result));
        }
    });
    let mut made = made.into_inner();
    made.sort_unstable_by_key(|(number, _)| *number);
    made.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_made_in_order_and_the_first_error_is_told() {
        let all: Result<Vec<u32>, u32> = make_all(3, 0..1000, |number| Ok(number * 2));
        assert_eq!(all, Ok((0..1000).map(|number| number * 2).collect()));
        let some = make_all(3, 0..1000, |number| match number % 100 {
            99 => Err(number),
            _ => Ok(number),
        });
        assert_eq!(some, Err(99));
    }
}
