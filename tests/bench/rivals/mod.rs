//! Other systems that forward what a person permits, written as a careful user of theirs would write them.
//!
//! Their sources stand beside this file; what they stand on comes from Maven Central. Each is compiled into
//! the target directory when it is missing there or older than its source. Needs `java`, `javac` and `mvn`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::jars::{self, Artifact, LOGS};

/// A program in Java, and what it stands on.
pub struct Rival {
    /// The folder under `target/kafka`, with the versions in its name.
    folder: &'static str,
    /// The class with `main`, in the file of that name.
    class: &'static str,
    needs: &'static [Artifact],
    /// What its virtual machine must be told.
    flags: &'static [&'static str],
}

/// Used by every program.
const SHARED: &str = "Analytics.java";

pub const KAFKA_STREAMS: Rival = Rival {
    folder: "rivals/kafka-streams-4.2.0",
    class: "StreamsFilter",
    needs: &[
        ("org.apache.kafka", "kafka-streams", "4.2.0"),
        ("com.fasterxml.jackson.core", "jackson-databind", "2.19.2"),
        LOGS,
    ],
    flags: &[],
};

/// The newest Flink that there is a connector to Kafka for.
pub const FLINK: Rival = Rival {
    folder: "rivals/flink-2.2.1",
    class: "FlinkFilter",
    needs: &[
        ("org.apache.flink", "flink-streaming-java", "2.2.1"),
        ("org.apache.flink", "flink-clients", "2.2.1"),
        ("org.apache.flink", "flink-connector-base", "2.2.1"),
        ("org.apache.flink", "flink-connector-kafka", "5.0.0-2.2"),
        ("com.fasterxml.jackson.core", "jackson-core", "2.19.2"),
        ("com.fasterxml.jackson.core", "jackson-databind", "2.19.2"),
        LOGS,
    ],
    // As Flink's own start script opens them.
    flags: &["--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED"],
};

impl Rival {
    /// The program, compiled, to be given its arguments; or why it cannot be had.
    pub fn command(&self) -> Result<Command, String> {
        let jars = jars::fetched(self.folder, self.needs)?;
        let classes = jars::home().join(self.folder).join("classes");
        self.compile(&jars, &classes)?;
        let mut command = Command::new("java");
        command.arg("-Xmx1g").args(self.flags);
        command.arg("-cp").arg(format!("{}:{jars}", classes.display())).arg(self.class);
        Ok(command)
    }

    fn compile(&self, jars: &str, classes: &Path) -> Result<(), String> {
        let main = format!("{}.java", self.class);
        let sources: [PathBuf; 2] = [&main, SHARED].map(source);
        let complete = classes.join(".complete");
        let made = modified(&complete);
        if made.is_some() && sources.iter().all(|source| modified(source) < made) {
            return Ok(());
        }
        fs::create_dir_all(classes).map_err(|e| format!("`{}`: {e}", classes.display()))?;
        let out = Command::new("javac")
            .args(["-cp", jars, "-d"])
            .arg(classes)
            .args(&sources)
            .output()
            .map_err(|e| format!("no `javac`: {e}"))?;
        if !out.status.success() {
            return Err(format!("`javac {main}`: {}", String::from_utf8_lossy(&out.stderr)));
        }
        File::create(complete).map(drop).map_err(|e| e.to_string())
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/rivals").join(name)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}
