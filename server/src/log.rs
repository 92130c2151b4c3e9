//! The log: one JSON object per line, on standard error.
//!
//! The gateway logs a line for every request. Lines are collected and written in batches, within 100 milliseconds; a
//! warning or an error is written at once, together with the lines before it. A dedicated thread writes them: if the
//! reader of standard error does not keep up, that thread waits, but no request does. Lines that do not fit into the
//! buffer are dropped, and their number is logged once there is room again. If the process is killed with SIGKILL, the
//! lines of the last 100 milliseconds are lost.

use crate::events::EVENTS;
use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How long a line may wait to be written.
const DELAY: Duration = Duration::from_millis(100);

/// Number of bytes at which lines are written without waiting.
const FULL: usize = 64 * 1024;

/// Maximum number of bytes that may wait while others are being written.
const ROOM: usize = 8 * 1024 * 1024;

/// How long the process waits at its end for the remaining lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts the log. The returned guard must be kept until the end of the process: when it is dropped, it writes the
/// remaining lines.
#[must_use]
pub fn start() -> LogEnd {
    let log = Log::new(ROOM);
    let filter = EnvFilter::try_from_env("NUVERA_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(filter)
        .with_writer(log.clone())
        .init();
    let writing = log.clone();
    thread::spawn(move || writing.run(io::stderr(), DELAY));
    LogEnd(log)
}

/// Guard that writes the remaining lines when it is dropped.
pub struct LogEnd(Log);

impl Drop for LogEnd {
    fn drop(&mut self) {
        let mut gathered = self.0.lock();
        gathered.end = End::Asked;
        self.0.0.changed.notify_all();
        // If the reader has stalled, the process ends all the same.
        let _ = self.0.0.changed.wait_timeout_while(gathered, LAST_WORDS, |gathered| gathered.end != End::Reached);
    }
}

#[derive(Clone)]
struct Log(Arc<Shared>);

struct Shared {
    gathered: Mutex<Gathered>,
    changed: Condvar,
    room: usize,
}

/// Lines waiting to be written.
struct Gathered {
    lines: Vec<u8>,
    /// Number of lines that did not fit.
    dropped: u64,
    is_urgent: bool,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Asked,
    Reached,
}

impl Gathered {
    /// Whether the lines should be written without waiting for more.
    fn is_due(&self) -> bool {
        self.is_urgent || self.lines.len() >= FULL || self.end == End::Asked
    }
}

impl Log {
    fn new(room: usize) -> Self {
        let gathered =
            Gathered { lines: Vec::with_capacity(FULL + 4096), dropped: 0, is_urgent: false, end: End::Open };
        Self(Arc::new(Shared { gathered: Mutex::new(gathered), changed: Condvar::new(), room }))
    }

    /// Writes lines to `to`, each within `delay` after it was added, until the end is requested.
    fn run(&self, mut to: impl Write, delay: Duration) {
        let mut taken = Vec::with_capacity(FULL + 4096);
        loop {
            let waited = self.0.changed.wait_timeout_while(self.lock(), delay, |gathered| !gathered.is_due());
            let (gathered, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let is_over = gathered.end == End::Asked;
            self.write_out(gathered, &mut taken, &mut to);
            if is_over {
                self.lock().end = End::Reached;
                self.0.changed.notify_all();
                return;
            }
        }
    }

    /// Writes the collected lines. Swaps them into `taken` first, so that further lines can be added meanwhile.
    fn write_out(&self, mut gathered: MutexGuard<'_, Gathered>, taken: &mut Vec<u8>, to: &mut impl Write) {
        std::mem::swap(&mut gathered.lines, taken);
        let dropped = std::mem::take(&mut gathered.dropped);
        gathered.is_urgent = false;
        drop(gathered);
        if !taken.is_empty() {
            // If the log cannot be written, there is nowhere to report it.
            let _ = to.write_all(taken).and_then(|()| to.flush());
            taken.clear();
            taken.shrink_to(FULL + 4096);
        }
        if dropped > 0 {
            tracing::warn!(lines = dropped, "the log was read too slowly, and lines of it were dropped");
        }
    }

    fn add(&self, line: &[u8], is_urgent: bool) {
        let mut gathered = self.lock();
        if gathered.lines.len() + line.len() > self.0.room {
            gathered.dropped += 1;
            EVENTS.dropped_log_lines(1);
            return;
        }
        let was_due = gathered.is_due();
        gathered.lines.extend_from_slice(line);
        gathered.is_urgent |= is_urgent;
        if !was_due && gathered.is_due() {
            self.0.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // Lines are added whole, so a poisoned lock is usable.
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds each line that is written to it to the log.
struct LineWriter<'a> {
    log: &'a Log,
    is_urgent: bool,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.add(line, self.is_urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter { log: self, is_urgent: true }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        LineWriter { log: self, is_urgent: *event.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(60);

    /// A writer that waits for a permit before each write, and then hands over the bytes.
    struct Reader {
        written: Sender<String>,
        may_write: Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // After the test has ended, writes are not held up.
            let _ = self.may_write.recv();
            let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged<T>(log: &Log, events: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(tracing_subscriber::fmt().json().with_writer(log.clone()).finish(), events)
    }

    /// A log whose thread only writes when lines are due, and the ends of the channels of its [`Reader`].
    fn running(room: usize) -> (Log, Sender<()>, Receiver<String>) {
        let log = Log::new(room);
        let ((written, all_written), (let_write, may_write)) = (channel(), channel());
        let writing = log.clone();
        thread::spawn(move || logged(&writing, || writing.run(Reader { written, may_write }, LONG)));
        (log, let_write, all_written)
    }

    #[test]
    fn lines_wait_for_each_other_and_a_warning_takes_them_along() {
        let (log, let_write, written) = running(ROOM);
        let is_due = || log.lock().is_due();
        let mut all = String::new();
        logged(&log, || {
            tracing::info!("one");
            tracing::info!("two");
            assert!(!is_due());
            tracing::warn!("three");
            let_write.send(()).unwrap();
            all.push_str(&written.recv_timeout(LONG).unwrap());
            assert_eq!(all.lines().count(), 3);
            tracing::info!("four");
            assert!(!is_due());
            // A large number of lines is written without a warning.
            for number in 0..2_000 {
                tracing::info!(number, "many");
            }
            let_write.send(()).unwrap();
            all.push_str(&written.recv_timeout(LONG).unwrap());
            assert!(all.lines().count() > 100);
        });
        let [one, two, three, four] = ["one", "two", "three", "four"].map(|word| all.find(word).unwrap());
        assert!(one < two && two < three && three < four);
    }

    #[test]
    fn what_is_left_is_written_at_the_end_and_where_nobody_reads_the_end_comes_all_the_same() {
        for is_read in [true, false] {
            let (log, let_write, written) = running(ROOM);
            logged(&log, || tracing::info!("last"));
            if is_read {
                let_write.send(()).unwrap();
            }
            drop(LogEnd(log));
            assert_eq!(written.try_recv().is_ok_and(|line| line.contains("last")), is_read);
        }
    }

    #[test]
    fn where_nobody_reads_no_line_waits_and_what_there_is_no_room_for_is_counted() {
        let (log, let_write, written) = running(FULL);
        logged(&log, || {
            tracing::warn!("the first, which nobody reads");
            while log.lock().is_due() {
                thread::yield_now();
            }
            for number in 0..2_000 {
                tracing::info!(number, "many");
            }
            assert!(log.lock().lines.len() <= FULL);
            // The reader resumes, and receives the collected lines and the number of dropped ones.
            tracing::warn!("no room for this either");
            for _ in 0..3 {
                let_write.send(()).unwrap();
            }
            log.add(b"", true);
        });
        let pieces = [(); 3].map(|()| written.recv_timeout(LONG).unwrap());
        let kept = pieces[1].lines().count();
        let told = format!("\"lines\":{}", 2_001 - kept);
        assert!(kept > 100 && pieces[2].contains(&told), "{kept} {}", pieces[2]);
    }
}
