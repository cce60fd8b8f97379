//! Names for containers that were given none.

use hull_model::Name;

const QUALITIES: &[&str] = &[
    "able", "airy", "amber", "ample", "azure", "blithe", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "clear", "clever", "cosy", "crisp", "daring", "deft", "eager", "early", "fair",
    "fleet", "fond", "frank", "fresh", "gentle", "gilded", "glad", "golden", "grand", "hale", "handy",
    "hardy", "hearty", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow",
    "merry", "mighty", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite",
    "prompt", "proud", "quick", "quiet", "ready", "robust", "rosy", "serene", "sharp", "silver", "sleek",
    "smooth", "sober", "solid", "spry", "steady", "stout", "sturdy", "sunny", "swift", "tidal", "tidy",
    "trim", "trusty", "upright", "valiant", "vivid", "warm", "wise", "witty", "zesty",
];
/// Ships, their parts, and what is around them.
const THINGS: &[&str] = &[
    "anchor",
    "ballast",
    "barge",
    "beacon",
    "berth",
    "bight",
    "binnacle",
    "bollard",
    "boom",
    "bosun",
    "bow",
    "brig",
    "bulkhead",
    "buoy",
    "cable",
    "canvas",
    "capstan",
    "caravel",
    "cargo",
    "channel",
    "chart",
    "clipper",
    "compass",
    "coral",
    "corvette",
    "cove",
    "crest",
    "current",
    "cutter",
    "davit",
    "deck",
    "dinghy",
    "dock",
    "dory",
    "estuary",
    "fathom",
    "ferry",
    "fjord",
    "forestay",
    "frigate",
    "galleon",
    "galley",
    "gangway",
    "halyard",
    "harbour",
    "hatch",
    "hawser",
    "helm",
    "hold",
    "island",
    "jetty",
    "jib",
    "kayak",
    "keel",
    "ketch",
    "lagoon",
    "lantern",
    "launch",
    "lighter",
    "lookout",
    "mainsail",
    "mast",
    "mizzen",
    "mooring",
    "oar",
    "pier",
    "pilot",
    "pinnace",
    "port",
    "prow",
    "pulley",
    "quay",
    "rigging",
    "rudder",
    "sail",
    "schooner",
    "scow",
    "sextant",
    "shoal",
    "shore",
    "skiff",
    "sloop",
    "spar",
    "spinnaker",
    "stern",
    "strait",
    "tender",
    "tide",
    "tiller",
    "topsail",
    "trawler",
    "tug",
    "wake",
    "wharf",
    "winch",
    "yawl",
];

/// A name that is not taken. The same randomness gives the same name; when it is taken a number is added to it.
pub(crate) fn choose(random: [u8; 32], taken: impl Fn(&str) -> bool) -> Option<Name> {
    let pick = |list: &[&'static str], at: usize| {
        let number = usize::from(u16::from_be_bytes([random[at], random[at + 1]]));
        list[number % list.len()]
    };
    let mut tries = (0..12).step_by(4).map(|at| format!("{}_{}", pick(QUALITIES, at), pick(THINGS, at + 2)));
    let plain = tries.find(|name| !taken(name));
    let numbered = || {
        let stem = format!("{}_{}", pick(QUALITIES, 0), pick(THINGS, 2));
        (1_u32..).map(|n| format!("{stem}{n}")).find(|name| !taken(name))
    };
    plain.or_else(numbered).and_then(|name| Name::new(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_always_found() {
        let mut taken = BTreeSet::new();
        for _ in 0..50 {
            let name = choose([7; 32], |n| taken.contains(n)).unwrap();
            assert!(taken.insert(name.to_string()), "{name} was taken");
        }
        let words: Vec<&str> = QUALITIES.iter().chain(THINGS).copied().collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "no word twice");
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase())));
    }
}
