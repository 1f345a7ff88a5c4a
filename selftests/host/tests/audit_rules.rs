// SPDX-License-Identifier: GPL-2.0

//! Every rule by which the audit can end a domain is explained in Documentation/audit.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The strings that stand first in a call of `Violation::new`.
fn rules() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in ["side_stubs", "src"] {
        sources(&Path::new(TOP).join(folder), &mut texts);
    }
    let mut rules = BTreeSet::new();
    for text in &texts {
        for rest in text.split("Violation::new(").skip(1) {
            if let Some(rest) = rest.trim_start().strip_prefix('"') {
                rules.insert(rest.split('"').next().unwrap().to_string());
            }
        }
    }
    rules
}

#[test]
fn every_rule_is_explained() {
    let page = fs::read_to_string(Path::new(TOP).join("Documentation/audit.md")).unwrap();
    let rules = rules();
    assert!(
        rules.len() > 80,
        "the rules were not found: {}",
        rules.len()
    );
    let missing: Vec<_> = rules
        .iter()
        .filter(|rule| !page.contains(&format!("`{rule}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in Documentation/audit.md: {missing:?}"
    );
}
