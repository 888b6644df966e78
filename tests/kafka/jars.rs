//! Apache Kafka itself, as its project publishes it: plain jars from Maven Central.
//!
//! Fetched once per target directory, under a lock, because several test processes may start at once.
//! Nothing is installed and nothing outside the target directory is relied on but `java` and `mvn`;
//! where these are missing the answer is a reason, not a panic: whoever works on the pure parts needs
//! no Java.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KAFKA: &str = "4.2.0";

/// The newest Java class files in these jars are Java 17's.
const JAVA: u32 = 17;

/// What Maven Central calls a jar: group, artifact, version.
pub type Artifact = (&'static str, &'static str, &'static str);

/// What writes the logs of all these programs; says errors alone where nothing else is configured.
pub const LOGS: Artifact = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3");

const BROKER: [Artifact; 3] =
    [("org.apache.kafka", "kafka_2.13", KAFKA), ("org.apache.kafka", "kafka-tools", KAFKA), LOGS];

/// `target/kafka`: jars, and the data of brokers that run now.
pub fn home() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp).join("kafka")
}

/// The class path of a Kafka broker and its tools, or why there is none.
pub fn class_path() -> Result<String, String> {
    fetched(KAFKA, &BROKER)
}

/// The class path of these artifacts and all they need, kept in the folder of this name under [`home`], or
/// why there is none. The name holds the versions: what is there under it is not fetched again.
pub fn fetched(name: &str, needs: &[Artifact]) -> Result<String, String> {
    java_version()?;
    let lib = home().join(name).join("lib");
    fs::create_dir_all(&lib).map_err(|e| format!("`{}`: {e}", lib.display()))?;
    let lock = File::create(home().join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    let complete = lib.join(".complete");
    if !complete.exists() {
        fetch(&lib, needs)?;
        File::create(complete).map_err(|e| e.to_string())?;
    }
    Ok(format!("{}/*", lib.display()))
}

fn java_version() -> Result<(), String> {
    let out = Command::new("java").arg("-version").output().map_err(|e| format!("no `java`: {e}"))?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let major = text.split('"').nth(1).and_then(|v| v.split(['.', '-', '+']).next()?.parse::<u32>().ok());
    match major {
        Some(found) if found >= JAVA => Ok(()),
        _ => Err(format!("Java {JAVA} or newer is needed, `java -version` says: {}", text.trim())),
    }
}

fn fetch(lib: &Path, needs: &[Artifact]) -> Result<(), String> {
    let pom = lib.with_file_name("pom.xml");
    fs::write(&pom, pom_xml(needs)).map_err(|e| e.to_string())?;
    let out = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies"])
        .arg("-f")
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("no `mvn`: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stdout);
    Err(format!("`mvn` could not fetch what `{}` lists: {said}", pom.display()))
}

fn pom_xml(needs: &[Artifact]) -> String {
    let dependencies: String = needs
        .iter()
        .map(|(group, artifact, version)| {
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
                 <version>{version}</version></dependency>\n"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    )
}
