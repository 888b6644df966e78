//! Every configuration that is shipped is right.

use std::path::Path;

use consentry::config::{Given, Secrets, load};

#[test]
fn every_shipped_configuration_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let given = Given { secrets: Secrets::Skip, ..Given::default() };
            if let Err(problems) = load(&path, given) {
                panic!("{problems}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} files were looked at");
}
