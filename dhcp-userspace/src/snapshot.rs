//! How does a thread come by the newest version of something that others replace as a whole?

use crate::sync::{AtomicU64, Mutex, Ordering};
use std::sync::Arc;

/// A value that is only ever replaced as a whole: the policy, an interface's addresses.
#[derive(Debug)]
pub struct Shared<T> {
    generation: AtomicU64,
    current: Mutex<Arc<T>>,
}

/// One thread's copy of a [`Shared`] value.
#[derive(Debug)]
pub struct View<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> Shared<T> {
    /// The first version, generation 1.
    pub fn new(value: T) -> Self {
        Self {
            generation: AtomicU64::new(1),
            current: Mutex::new(Arc::new(value)),
        }
    }

    /// Puts a new version in force; returns its generation.
    pub fn replace(&self, value: Arc<T>) -> u64 {
        let mut current = self.current.lock();
        *current = value;
        self.generation.fetch_add(1, Ordering::Release) + 1
    }

    /// The generation of the version in force.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The version in force.
    pub fn load(&self) -> Arc<T> {
        Arc::clone(&self.current.lock())
    }

    /// A thread's own copy.
    pub fn view(&self) -> View<T> {
        let current = self.current.lock();
        View {
            generation: self.generation.load(Ordering::Acquire),
            value: Arc::clone(&current),
        }
    }
}

impl<T> View<T> {
    /// Takes over a newer version if there is one: one load when there is none. Whether there was.
    pub fn refresh(&mut self, shared: &Shared<T>) -> bool {
        if shared.generation.load(Ordering::Acquire) == self.generation {
            return false;
        }
        *self = shared.view();
        true
    }

    /// Which version this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl<T> std::ops::Deref for View<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_changes_only_when_it_is_refreshed() {
        let shared = Shared::new(1);
        let mut view = shared.view();
        assert_eq!(shared.replace(Arc::new(2)), 2);
        assert_eq!(*view, 1);
        assert!(view.refresh(&shared));
        assert_eq!((*view, view.generation()), (2, 2));
        assert!(!view.refresh(&shared));
    }
}
