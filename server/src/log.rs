//! The log: one JSON object a line, on standard error.
//!
//! The gateway writes a line for every request. They are gathered and written many at a time, within a tenth of a second;
//! a warning or an error is written at once, with what came before it. Whoever ends the process by SIGKILL loses the
//! lines of that tenth of a second.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How long a line may wait.
const DELAY: Duration = Duration::from_millis(100);

/// At how many bytes they are written without waiting.
const FULL: usize = 64 * 1024;

/// Begins to write the log. What is returned is to be kept until the end of the process: dropped, it writes what is left.
#[must_use]
pub fn start() -> LogEnd {
    let log = Log::new(io::stderr());
    let filter = EnvFilter::try_from_env("NUVERA_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(log.clone()).init();
    let gathered = log.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(DELAY);
            gathered.lock().write_out();
        }
    });
    LogEnd(Box::new(move || log.lock().write_out()))
}

/// Writes what is left of the log when it is dropped.
pub struct LogEnd(Box<dyn Fn()>);

impl Drop for LogEnd {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct Log<W>(Arc<Mutex<Gathered<W>>>);

struct Gathered<W> {
    lines: Vec<u8>,
    to: W,
}

impl<W: Write> Gathered<W> {
    fn write_out(&mut self) {
        if !self.lines.is_empty() {
            // Where the log cannot be written there is nobody to tell.
            let _ = self.to.write_all(&self.lines).and_then(|()| self.to.flush());
            self.lines.clear();
        }
    }
}

impl<W> Log<W> {
    fn new(to: W) -> Self {
        Self(Arc::new(Mutex::new(Gathered { lines: Vec::with_capacity(FULL + 4096), to })))
    }

    fn lock(&self) -> MutexGuard<'_, Gathered<W>> {
        // Lines are added whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Clone for Log<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Takes a line.
struct LineWriter<'a, W> {
    log: &'a Log<W>,
    is_urgent: bool,
}

impl<W: Write> Write for LineWriter<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = self.log.lock();
        gathered.lines.extend_from_slice(line);
        if self.is_urgent || gathered.lines.len() >= FULL {
            gathered.write_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Log<W> {
    type Writer = LineWriter<'a, W>;

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

    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_for_each_other_and_a_warning_takes_them_along() {
        let writes = Writes::default();
        let log = Log::new(writes.clone());
        let written = || writes.0.lock().unwrap().len();
        tracing::subscriber::with_default(tracing_subscriber::fmt().json().with_writer(log.clone()).finish(), || {
            tracing::info!("one");
            tracing::info!("two");
            assert_eq!(written(), 0);
            tracing::warn!("three");
            assert_eq!(written(), 1);
            tracing::info!("four");
            log.lock().write_out();
            log.lock().write_out();
            assert_eq!(written(), 2);
            for number in 0..2_000 {
                tracing::info!(number, "many");
            }
            assert!(written() > 2);
            log.lock().write_out();
        });
        let all = writes.0.lock().unwrap().concat();
        assert_eq!(all.lines().count(), 2_004);
        let [one, two, three, four] = ["one", "two", "three", "four"].map(|word| all.find(word).unwrap());
        assert!(one < two && two < three && three < four);
    }
}
