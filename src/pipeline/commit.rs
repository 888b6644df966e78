//! Committing what was done, and undoing what cannot be committed.

use std::time::Duration;

use super::batch::Fetched;
use super::duty::{Errand, open_writer};
use super::{End, Worker};
use crate::source::{Cluster, Fault, Member, Message, Place, WriteError, Writer, pace};
use crate::telemetry::Cause;
use crate::time::Instant;

/// How long the group has to settle before offsets are committed again.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// So long nothing comes before the group's place is committed as it is.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// So often in a row it goes back at once.
const PATIENT_FAILURES: u32 = 3;
/// How often a producer is made anew before the worker starts over.
const TRIES: u32 = 5;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Everything is committed, or there was nothing.
    Committed,
    /// The group is between two generations: the same is to be committed again.
    NotYet,
    /// Everything since the last commit was undone and is read again.
    WentBack,
}

/// What says when the next commit is to begin.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// More waits than the last batch took.
    pub(super) is_behind: bool,
    /// When the last commit began, unless nothing came since: what is begun may have come right then.
    pub(super) since: Option<Instant>,
    /// How long commits take: not much less than any of the last few.
    took: Duration,
}

impl Rhythm {
    /// How long until what is begun is to be committed, which was begun `age` ago and may have come `came` ago: so that a
    /// reader has its first record an interval after that came. A tenth of the interval is for what follows a commit,
    /// the markers in the partitions and the way to the reader. Where more waits than a batch takes, records have
    /// waited for longer already, and a whole interval makes for the fewest commits.
    fn left(&self, interval: Duration, age: Duration, came: Duration) -> Duration {
        if self.is_behind {
            return interval.saturating_sub(age);
        }
        // Where commits take long they must not be all that is done.
        let lasts = (interval * 9 / 10).saturating_sub(self.took).max(interval / 4);
        lasts.saturating_sub(came)
    }

    fn took(&mut self, took: Duration) {
        self.took = took.max((self.took * 15 + took) / 16);
    }
}

impl<C: Cluster> Worker<'_, C> {
    /// Commits everything since the last commit: records, counts and offsets, or none of them. If it had to go
    /// back, whatever was fetched meanwhile will be fetched again.
    pub(super) fn commit(&mut self) -> Result<Done, End> {
        if self.open.is_empty() {
            return Ok(Done::Committed);
        }
        if let Err(mismatch) = self.tally.conserves(self.open.read) {
            self.abort()?;
            return Err(mismatch.into());
        }
        let began = Instant::now();
        self.rhythm.since = Some(began);
        let offsets = self.open.offsets();
        let call = self.duty.call(Errand::Commit);
        let committed = self.writer.commit(&self.member, &offsets);
        drop(call);
        match committed {
            Ok(()) => {
                let took = began.elapsed();
                self.rhythm.took(took);
                self.line.committed(took, self.open.oldest_ms);
                self.count()?;
                Ok(Done::Committed)
            }
            Err(error) if error.fault() == Fault::Again => {
                tracing::debug!(pipeline = self.line.name(), worker = self.number, %error, "commits again");
                pace::sleep(AGAIN_AFTER);
                Ok(Done::NotYet)
            }
            Err(error) => {
                self.recover(error)?;
                Ok(Done::WentBack)
            }
        }
    }

    /// How long until what is begun is to be committed.
    pub(super) fn until_commit(&self) -> Option<Duration> {
        let interval = self.line.commit_interval();
        let age = self.writer.age()?;
        Some(self.rhythm.left(interval, age, self.rhythm.since.map_or(age, Instant::elapsed)))
    }

    /// Whether what is begun is to be committed now.
    pub(super) fn is_due(&self) -> bool {
        self.until_commit().is_some_and(|left| left.is_zero())
    }

    /// Commits while a fetched batch waits. What it holds is fetched still, unless everything was undone: then
    /// it will be fetched again, and must not be judged twice.
    pub(super) fn commit_before(&mut self, fetched: &mut Fetched<impl Message>) -> Result<(), End> {
        match self.commit()? {
            Done::WentBack => fetched.clear(),
            Done::Committed | Done::NotYet => {
                for (message, _) in fetched.messages() {
                    self.open.waits(message.topic(), message.partition(), message.offset());
                }
            }
        }
        Ok(())
    }

    /// Where nothing has come for a while, commits where the group stands already. A process that has been
    /// replaced by a newer one of its name learns it by that, and the coordinator does not forget a producer
    /// that has nothing to write.
    pub(super) fn keep_place(&mut self) -> Result<(), End> {
        if !self.open.is_empty() || self.kept.elapsed() < KEEP_EVERY {
            return Ok(());
        }
        self.kept = Instant::now();
        if !self.line.is_transactional() {
            // A client that has locked itself up is found out by any question.
            self.ask(C::Member::assignment)?;
            return Ok(());
        }
        let standing = self.open.standing();
        if standing.places.is_empty() {
            return Ok(());
        }
        let call = self.duty.call(Errand::Commit);
        let kept = self.writer.commit(&self.member, &standing);
        drop(call);
        kept.or_else(|error| self.recover(error))
    }

    /// After a failed write: aborts or replaces the producer, and reads again what was not committed.
    pub(super) fn recover(&mut self, error: WriteError) -> Result<(), End> {
        if self.duty.is_relieved() {
            return Err(error.into());
        }
        let fault = self.learn_sizes(&error)?.unwrap_or_else(|| self.fault_of(&error));
        tracing::warn!(pipeline = self.line.name(), worker = self.number, %error, ?fault, "going back");
        self.pause_after_failures(&error);
        match fault {
            Fault::Fenced => Err(End::Fenced),
            Fault::Abort | Fault::Again => self.abort(),
            Fault::Replace => self.replace(),
        }
    }

    /// Where going back does not help, takes readiness away and goes slower.
    pub(super) fn pause_after_failures(&mut self, error: &WriteError) {
        self.failures += 1;
        if self.failures <= PATIENT_FAILURES {
            return;
        }
        self.line.block(Cause::Worker(self.line.name().to_owned(), self.number), error.to_string());
        let pause = AGAIN_AFTER * 2_u32.pow(self.failures.min(9));
        let began = Instant::now();
        while began.elapsed() < pause && !self.is_over() {
            pace::sleep(AGAIN_AFTER);
        }
    }

    /// What was committed is counted.
    fn count(&mut self) -> Result<(), End> {
        self.line.count(&mut self.tally, self.open.read);
        self.open.committed();
        self.holds_committed();
        self.kept = Instant::now();
        self.oversized.clear();
        if std::mem::take(&mut self.failures) > PATIENT_FAILURES {
            self.line.clear(&Cause::Worker(self.line.name().to_owned(), self.number));
        }
        if std::mem::take(&mut self.cautious) {
            self.writer = open_writer(self.line, self.number, self.duty, self.cautious)?;
        }
        Ok(())
    }

    /// What is to be done about an error. A transaction that was open for longer than its time-out was
    /// ended by the coordinator, which looks as if somebody had taken over.
    pub(super) fn fault_of(&self, error: &WriteError) -> Fault {
        let timed_out = self.writer.age().is_some_and(|age| age >= self.line.transaction_timeout());
        match error.fault() {
            Fault::Fenced if timed_out => Fault::Replace,
            fault @ (Fault::Again | Fault::Fenced | Fault::Abort | Fault::Replace) => fault,
        }
    }

    /// After a refusal for size: asks the sinks for their limits again, and a new producer sends one record
    /// at a time; a record that is refused then is set aside when it is read again.
    pub(super) fn learn_sizes(&mut self, error: &WriteError) -> Result<Option<Fault>, End> {
        let numbers = match error {
            WriteError::TooLarge(numbers) => numbers,
            WriteError::Nowhere(_) => {
                self.line.learn_limits()?;
                return Ok(None);
            }
            WriteError::Refused(_) | WriteError::Unsettled(_) | WriteError::Failed { .. } => return Ok(None),
        };
        if std::mem::replace(&mut self.cautious, true) {
            let refused = numbers.iter().filter_map(|number| self.open.origins.get(*number));
            self.oversized.extend(refused.cloned());
            return Ok(None);
        }
        self.line.learn_limits()?;
        Ok(Some(Fault::Replace))
    }

    /// Aborts what was begun and goes back to where it began.
    pub(super) fn abort(&mut self) -> Result<(), End> {
        self.line.aborted();
        let call = self.duty.call(Errand::Commit);
        let aborted = self.writer.abort();
        drop(call);
        match aborted {
            Ok(()) => self.go_back(),
            Err(error) if self.fault_of(&error) == Fault::Fenced => Err(End::Fenced),
            Err(error) => {
                tracing::warn!(pipeline = self.line.name(), worker = self.number, %error, "cannot abort");
                self.replace()
            }
        }
    }

    /// Reads again everything since the last commit.
    pub(super) fn go_back(&mut self) -> Result<(), End> {
        let assigned = self.ask(C::Member::assignment)?;
        let mut firsts = self.open.firsts();
        firsts.retain(|(place, _)| assigned.contains(place));
        if !firsts.is_empty() {
            self.ask(|member| member.seek(&firsts))?;
        }
        self.tally.clear();
        self.open.undone();
        self.holds_undone();
        Ok(())
    }

    /// Makes a new producer. What the old one left open is ended by that, one way or the other: which way,
    /// the committed offsets tell.
    pub(super) fn replace(&mut self) -> Result<(), End> {
        self.line.replaced();
        let mut pause = Duration::from_millis(100);
        let mut tries = 0;
        self.writer = loop {
            match open_writer(self.line, self.number, self.duty, self.cautious) {
                Ok(writer) => break writer,
                Err(error) if tries == TRIES || self.is_over() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(pipeline = self.line.name(), worker = self.number, %error, "no new producer yet");
                    pace::sleep(pause);
                    pause *= 2;
                    tries += 1;
                }
            }
        };
        let places = self.open.judged_places();
        if places.is_empty() {
            return self.go_back();
        }
        let stands = self.ask(|member| member.committed(&places))?;
        if !self.open.is_what_stands(&stands) {
            return self.go_back();
        }
        // It was committed after all. What was fetched and not judged is read again.
        let mut list = self.open.offsets().places;
        let is_judged = |place: &Place| places.contains(place);
        list.extend(self.open.firsts().into_iter().filter(|(place, _)| !is_judged(place)));
        self.open.settled();
        self.count()?;
        Ok(self.ask(|member| member.seek(&list))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_commit_begins_so_that_it_is_done_within_the_interval() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.left(ms(100), ms(10), ms(10)), ms(80));
        rhythm.took(ms(32));
        rhythm.took(ms(16));
        assert_eq!(rhythm.left(ms(100), ms(0), ms(0)), ms(59), "it took 31 ms, as far as one can tell");
        assert_eq!(rhythm.left(ms(100), ms(0), ms(16)), ms(43), "it came when the last one began");
        rhythm.took(ms(500));
        assert_eq!(rhythm.left(ms(100), ms(5), ms(5)), ms(20), "most of the time is for records");
    }

    #[test]
    fn where_more_waits_a_commit_comes_after_a_whole_interval() {
        let rhythm = Rhythm { is_behind: true, took: ms(30), ..Rhythm::default() };
        assert_eq!(rhythm.left(ms(100), ms(1), ms(50)), ms(99));
        assert_eq!(rhythm.left(ms(100), ms(101), ms(150)), ms(0));
    }
}
