// SPDX-License-Identifier: GPL-2.0

//! Which operations of a network device change a setting that a fresh driver has to be told again,
//! and in which order.
//!
//! A dead driver cannot be asked, so what was set is remembered where it was set. The rest of a
//! device's settings (MTU, features, address, lists, up or down) the stack knows itself; those are
//! told before or after the ones here: MTU, these, features, address, up, VLANs, lists.

/// The operations, in the order in which they are told. A ring's size decides what memory the
/// others work on, so it comes first; the link's mode comes before what is negotiated over it.
const ORDER: [&str; 10] = [
    "set_ringparam",
    "set_channels",
    "set_coalesce",
    "set_pauseparam",
    "set_link_ksettings",
    "set_wol",
    "set_eee",
    "set_priv_flags",
    "set_msglevel",
    "ndo_hwtstamp_set",
];

/// Settings that are kept.
pub const COUNT: usize = ORDER.len();

/// The place in [`ORDER`] of an operation that changes a setting; `None` for all others: those that
/// ask, those that do something once (`set_phys_id`, `set_eeprom`, `nway_reset`), and those whose
/// effect the stack itself remembers.
pub fn place(operation: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == operation)
}

/// The operations that are told only once the device is up.
pub fn needs_up(place: usize) -> bool {
    ORDER.get(place) == Some(&"ndo_hwtstamp_set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_are_kept() {
        for name in ["get_ringparam", "set_phys_id", "set_eeprom", "nway_reset"] {
            assert_eq!(place(name), None, "{name}");
        }
        assert_eq!(place("set_ringparam"), Some(0));
        assert!(place("set_link_ksettings") < place("set_eee"));
        assert!(needs_up(place("ndo_hwtstamp_set").unwrap()));
        assert!(!needs_up(place("set_wol").unwrap()));
    }
}
