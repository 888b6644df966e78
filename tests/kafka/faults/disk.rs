//! A small disk for one broker, which can be filled.
//!
//! It is a file system in memory that is seen in a mount namespace of its own alone: nobody else is bothered by it,
//! and it is gone when the last process there is. One sleeps there for as long as the tests run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::kafka::reaper;

/// Enough for what the faults write, and soon full.
const MIB: u32 = 256;

/// Says that it is there, and keeps it.
const KEEP: &str = r#"mount -t tmpfs -o size="$1"m tmpfs "$0" && echo mounted && exec sleep infinity"#;

pub struct Disk {
    keeper: Child,
    dir: PathBuf,
}

impl Disk {
    /// Puts one at this directory, which is made; or says why that cannot be done here.
    pub fn at(dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        let mut keeper = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", KEEP])
            .arg(dir)
            .arg(MIB.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("no `unshare`: {error}"))?;
        reaper::watch(keeper.id());
        let mut said = String::new();
        let out = keeper.stdout.take().expect("piped");
        let _ = BufReader::new(out).read_line(&mut said);
        if said.trim() == "mounted" {
            return Ok(Self { keeper, dir: dir.to_owned() });
        }
        let _ = keeper.kill();
        let _ = keeper.wait();
        reaper::forget(keeper.id());
        Err("a file system in memory cannot be mounted in a namespace of its own".to_owned())
    }

    /// What stands before a command that is to see it.
    pub fn enter(&self) -> Vec<String> {
        let keeper = self.keeper.id().to_string();
        let words = ["nsenter", "--user", "--preserve-credentials", "--mount", "--target", &keeper];
        words.map(str::to_owned).to_vec()
    }

    /// Not a byte is free any more.
    pub fn fill(&self) {
        self.run("cat /dev/zero >\"$0\"/ballast; true");
    }

    /// As much is free as before.
    pub fn free(&self) {
        self.run("rm -f \"$0\"/ballast");
    }

    fn run(&self, script: &str) {
        let [first, rest @ ..] = &self.enter()[..] else { return };
        let mut command = Command::new(first);
        command.args(rest).args(["sh", "-c", script]).arg(&self.dir).stderr(Stdio::null());
        assert!(command.status().is_ok_and(|status| status.success()), "`{script}` cannot be run");
    }
}
