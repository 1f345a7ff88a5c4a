// SPDX-License-Identifier: GPL-2.0

//! Sorts what a file has many of: in place, without an allocation, and never slower than n log n, whatever the order.
//!
//! A heap sort of our own, since the kernel's `objtool` cannot follow the compiled `sort_unstable` of Rust's library.

/// Sorts `items` so that `less` holds of no item and the one before it.
pub fn sort_by<T: Copy>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let len = items.len();
    for root in (0..len / 2).rev() {
        sink(items, root, &less);
    }
    for end in (1..len).rev() {
        items.swap(0, end);
        if let Some(heap) = items.get_mut(..end) {
            sink(heap, 0, &less);
        }
    }
}

/// Moves the item at `at` down until none below it is greater.
fn sink<T: Copy>(heap: &mut [T], mut at: usize, less: &impl Fn(&T, &T) -> bool) {
    loop {
        let child = 2 * at + 1;
        let (Some(&item), Some(&left)) = (heap.get(at), heap.get(child)) else {
            return;
        };
        let (greater, child) = match heap.get(child + 1) {
            Some(right) if less(&left, right) => (*right, child + 1),
            _ => (left, child),
        };
        if !less(&item, &greater) {
            return;
        }
        heap.swap(at, child);
        at = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn any_order_is_sorted_in_few_steps() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for len in [0, 1, 2, 3, 100, 4096] {
            let steps = Cell::new(0usize);
            for kind in 0..4 {
                let mut items: Vec<u32> = (0..len)
                    .map(|n| match kind {
                        0 => n,
                        1 => len - n,
                        2 => n % 3,
                        _ => random(),
                    })
                    .collect();
                let mut wanted = items.clone();
                wanted.sort_unstable();
                steps.set(0);
                sort_by(&mut items, |a, b| {
                    steps.set(steps.get() + 1);
                    a < b
                });
                assert_eq!(items, wanted);
                let bound = 2 * len as usize * (len.max(2).ilog2() as usize + 1);
                assert!(steps.get() <= bound, "{} steps for {len}", steps.get());
            }
        }
    }
}
