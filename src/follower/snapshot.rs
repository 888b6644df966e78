//! The cache from start to start: a file for all of it, or one for each partition that is loaded.
//!
//! Written beside and renamed, so that whoever is killed meanwhile leaves the old one. Read only once, at
//! the start of the process, and only where it is of this very topic, decoded as records are decoded now, and
//! last at the end less than half as long ago as the topic keeps a tombstone. One that cannot be used is set
//! aside, and the topic is read from its beginning: a snapshot saves time and changes nothing else.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};

use super::Shared;
use super::plan::Point;
use super::settings::{ConsentFormat, SnapshotSettings};
use crate::cache::Cache;
use crate::cache::snapshot::{Head, Snapshot, write};
use crate::source::pace;
use crate::telemetry::Metric;
use crate::time::{Clock, Instant, Timestamp};

/// How often the writer looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes read or written at once.
const BUFFER: usize = 1 << 20;

/// What a cache was filled with.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Partitions, and the offset below which everything is in it.
    pub offsets: BTreeMap<i32, i64>,
    /// How long ago it was last at the end.
    pub age: Duration,
}

/// Fills the cache of all partitions (`None`) or of one from its file. The topic's partitions end at `ends` now.
/// `None`: there is no file that can be used, and the cache is as it was.
pub fn restore(shared: &Shared, partition: Option<i32>, ends: &[i64]) -> Option<Restored> {
    let settings = shared.settings.snapshot.as_ref()?;
    let path = file(settings, partition);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!(path = %path.display(), "there is no snapshot: the consent topic is read whole");
            return None;
        }
        Err(error) => return set_aside(&path, &error.to_string()),
    };
    let began = Instant::now();
    let cache = shared.caches.one(partition)?;
    let opened = match Snapshot::open(BufReader::with_capacity(BUFFER, file), &cache) {
        Ok(opened) => opened,
        Err(damage) => return set_aside(&path, &damage.to_string()),
    };
    let head = opened.head().clone();
    let age = match fitting(shared, &head, partition, ends) {
        Ok(age) => age,
        Err(why) => return set_aside(&path, &why),
    };
    match opened.restore(&cache) {
        Ok(subjects) => {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(path = %path.display(), subjects, seconds, age_s = age.as_secs(), "snapshot read");
            Some(Restored { offsets: head.offsets.into_iter().collect(), age })
        }
        Err(damage) => {
            cache.discard();
            set_aside(&path, &damage.to_string())
        }
    }
}

/// How long ago a snapshot was last at the end, if the cache may be continued from it; else why not.
fn fitting(shared: &Shared, head: &Head, partition: Option<i32>, ends: &[i64]) -> Result<Duration, String> {
    let state = shared.state();
    let Some((topic_id, partitions, kept)) = state.topic() else {
        return Err("nobody knows yet which topic this is".to_owned());
    };
    let max_grants = shared.caches.settings().max_grants;
    let counts_fit = match partition {
        None => head.partitions <= partitions,
        Some(own) => head.partitions == partitions && head.offsets.iter().all(|(of, _)| *of == own),
    };
    if head.topic != shared.settings.topic || head.topic_id != topic_id || !counts_fit {
        return Err(format!("it is of another topic than `{}` as it is now", shared.settings.topic));
    }
    let is_ahead = |(at, offset): &(i32, i64)| {
        usize::try_from(*at).ok().and_then(|at| ends.get(at)).is_none_or(|end| end < offset)
    };
    if head.offsets.iter().any(is_ahead) {
        return Err("the end of the topic went back behind what is in it".to_owned());
    }
    if head.format != format_name(shared.settings.format) || head.max_grants != max_grants {
        return Err("records were decoded by other settings".to_owned());
    }
    if head.signals != shared.settings.signals_hash {
        return Err("privacy strings were mapped otherwise (`policy.signals`)".to_owned());
    }
    let age_ms = Clock::default().now().0 - head.fresh_at().0;
    let Ok(age) = u64::try_from(age_ms).map(Duration::from_millis) else {
        return Err(format!("it is from the future ({}): is the clock right?", head.fresh_at()));
    };
    if age >= kept / 2 {
        let why = "half of what the topic keeps tombstones for (`delete.retention.ms`) or longer ago";
        return Err(format!("it was last at the end of the topic at {}, {why}", head.fresh_at()));
    }
    Ok(age)
}

fn set_aside(path: &Path, why: &str) -> Option<Restored> {
    let moved = fs::rename(path, beside(path, ".set-aside"));
    tracing::warn!(
        path = %path.display(),
        why,
        set_aside = moved.is_ok(),
        "the snapshot cannot be used: the consent topic is read from its beginning"
    );
    None
}

/// Writes snapshots.
pub struct Keeper {
    shared: Arc<Shared>,
    settings: SnapshotSettings,
    time: Gauge,
    failures: Counter,
}

impl Keeper {
    /// One that has not written yet.
    pub fn new(shared: Arc<Shared>, settings: SnapshotSettings) -> Self {
        let time = Metric::SnapshotTime.gauge(&[]);
        Self { shared, settings, time, failures: Metric::SnapshotFailures.counter(&[]) }
    }

    /// Writes as often as it is to, and once more when the follower stops.
    pub fn run(self) {
        while !self.shared.is_stopping() {
            let began = Instant::now();
            while began.elapsed() < self.settings.every && !self.shared.is_stopping() {
                pace::sleep(LOOK_EVERY);
            }
            self.keep();
        }
    }

    fn keep(&self) {
        let Some(point) = self.point() else { return };
        let Ok(age_ms) = i64::try_from(point.age.as_millis()) else { return };
        let fresh_at = Timestamp(Clock::default().now().0 - age_ms);
        let began = Instant::now();
        for (partition, cache) in self.shared.caches.each() {
            let path = file(&self.settings, partition);
            let Some(head) = self.head(&point, fresh_at, partition) else { continue };
            match self.write(&path, &point, &head, &cache) {
                Ok(None) => return,
                Ok(Some(subjects)) => {
                    let seconds = began.elapsed().as_secs_f64();
                    tracing::info!(path = %path.display(), subjects, seconds, "snapshot written");
                    #[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
                    self.time.set(Clock::default().now().0 as f64 / 1000.0);
                }
                Err(error) => {
                    self.failures.increment(1);
                    tracing::error!(path = %path.display(), %error, "the snapshot cannot be written");
                }
            }
        }
    }

    /// What may be written now. While a key stops decisions, or there was no room for a change, nothing is: a
    /// snapshot would not know it.
    fn point(&self) -> Option<Point> {
        let point = self.shared.state().point()?;
        (self.shared.kept().is_empty() && !self.shared.caches.is_over()).then_some(point)
    }

    /// The number of entries; `None` where the cache was given up meanwhile.
    fn write(&self, path: &Path, point: &Point, head: &Head, cache: &Cache) -> io::Result<Option<u64>> {
        let new = beside(path, ".new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let entries = write(cache, head, &mut out)?;
        out.flush()?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        // Whatever was given up while it was written is not all there.
        let now = self.point().filter(|now| now.resets == point.resets);
        let same = |at: &i32| {
            let number = |point: &Point| Some(point.passed.get(&usize::try_from(*at).ok()?)?.0);
            now.as_ref().is_some_and(|now| number(now) == number(point))
        };
        if now.is_none() || !head.offsets.iter().all(|(partition, _)| same(partition)) {
            fs::remove_file(&new)?;
            return Ok(None);
        }
        fs::rename(&new, path)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Some(entries))
    }

    /// `None` where nothing of it is followed.
    fn head(&self, point: &Point, fresh_at: Timestamp, partition: Option<i32>) -> Option<Head> {
        let own = |at: &i32| partition.is_none_or(|partition| partition == *at);
        let offsets = point.passed.iter().map(|(at, (_, passed))| Some((i32::try_from(*at).ok()?, *passed)));
        let mut offsets: Vec<_> = offsets.collect::<Option<_>>()?;
        offsets.retain(|(at, _)| own(at));
        (!offsets.is_empty()).then(|| Head {
            topic: self.shared.settings.topic.clone(),
            topic_id: point.topic_id.clone(),
            partitions: point.partitions,
            format: format_name(self.shared.settings.format).to_owned(),
            max_grants: self.shared.caches.settings().max_grants,
            signals: self.shared.settings.signals_hash.clone(),
            fresh_at_ms: fresh_at.0,
            offsets,
        })
    }
}

fn file(settings: &SnapshotSettings, partition: Option<i32>) -> PathBuf {
    match partition {
        None => settings.path.clone(),
        Some(partition) => beside(&settings.path, &format!(".{partition}")),
    }
}

/// The file whose name is this one's and more.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

const fn format_name(format: ConsentFormat) -> &'static str {
    match format {
        ConsentFormat::Json => "json",
        ConsentFormat::Protobuf => "protobuf",
    }
}
