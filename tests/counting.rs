//! An allocator that counts, for tests that say how much heap something takes. Which thread asked is told
//! apart, for tests run beside each other.
#![allow(
    unsafe_code,
    reason = "counting allocations takes a GlobalAlloc, which is an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts what this thread asks of it.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread allocated or freed.
pub(crate) fn calls() -> u64 {
    CALLS.with(Cell::get)
}

/// Octets that this thread allocated and has not freed.
#[allow(dead_code, reason = "not every test that counts asks for it")]
pub(crate) fn octets() -> i64 {
    OCTETS.with(Cell::get)
}

fn counted(octets: i64) {
    // The counters need no destructor, so they are there as long as their thread is.
    CALLS.with(|calls| calls.set(calls.get() + 1));
    OCTETS.with(|sum| sum.set(sum.get() + octets));
}

// SAFETY: every method hands its arguments to the system's allocator unchanged and returns what that returns,
// so the promises of the trait are those of `System`. Counting touches thread-local integers only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted(layout.size() as i64);
        // SAFETY: the caller upholds what `alloc` asks of `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        counted(layout.size() as i64);
        // SAFETY: the caller upholds what `alloc_zeroed` asks of `layout`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        counted(-(layout.size() as i64));
        // SAFETY: the caller got `pointer` from this allocator, that is from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        counted(new_size as i64 - layout.size() as i64);
        // SAFETY: as for `dealloc`; the caller upholds what is asked of `new_size`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
