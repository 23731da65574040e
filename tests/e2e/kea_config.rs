//! The corpus of the importer is Kea's own language, and what is made of it is ours.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use dhcp_tests::lab::process::{run, try_run};
use dhcp_tests::lab::server::binary;
use std::path::{Path, PathBuf};
use std::process::Command;

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/kea");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "conf"))
        .collect();
    files.sort();
    files
}

#[test]
fn kea_takes_the_corpus_and_the_check_takes_what_is_made_of_it() {
    let files = corpus();
    assert!(files.len() >= 5, "{files:?}");
    let name = format!("xdhcpd-kea-config-{}.toml", std::process::id());
    let result = std::env::temp_dir().join(name);
    for file in files {
        let is_v6 = std::fs::read_to_string(&file)
            .unwrap()
            .contains("\"Dhcp6\"");
        let (kea, family) = if is_v6 {
            ("kea-dhcp6", "--dhcp6")
        } else {
            ("kea-dhcp4", "--dhcp4")
        };
        // Kea looks for included files from where it stands.
        let mut kea = Command::new(kea);
        kea.arg("-t").arg(&file).current_dir(file.parent().unwrap());
        run(&mut kea);
        let import = |lenient: bool| {
            let mut import = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
            import.args(["config", "import-kea", family]).arg(&file);
            import.arg("-o").arg(&result);
            import.args(lenient.then_some("--lenient"));
            try_run(&mut import)
        };
        let (is_whole, said) = import(false);
        assert_eq!(
            !is_whole,
            said.contains("could not be carried over"),
            "{said}"
        );
        let (has_succeeded, said) = import(true);
        assert!(has_succeeded, "{}: {said}", file.display());
        let mut check = Command::new(binary("XDHCPD_BIN", "xdhcpd"));
        check.arg("check").arg("--config").arg(&result);
        assert!(run(&mut check).contains("valid"), "{}", file.display());
    }
    std::fs::remove_file(&result).unwrap();
}
