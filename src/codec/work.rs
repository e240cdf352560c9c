//! Work that a caller causes before anybody has admitted it, counted in steps where the tests run: a step is a byte that is looked
//! at, or a comparison. Every reader of what a stranger may send charges what it does; at the edge nothing is counted.

#[cfg(not(target_arch = "wasm32"))]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many steps are done now.
#[cfg(not(target_arch = "wasm32"))]
pub fn charge(steps: usize) {
    STEPS.with(|counted| counted.set(counted.get().saturating_add(u64::try_from(steps).unwrap_or(u64::MAX))));
}

/// The same at the edge: nothing.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
pub fn charge(_: usize) {}

/// The steps that this thread has done so far.
#[cfg(not(target_arch = "wasm32"))]
pub fn charged() -> u64 {
    STEPS.with(std::cell::Cell::get)
}
