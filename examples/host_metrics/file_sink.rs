//! A line-protocol file that holds whole batches only.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_influx::Line;
use parking_lot::Mutex;

/// A new file with one line for each point.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    whole: Mutex<WholeBatches>,
}

/// Invariant: the first `good` bytes of `file` are the batches that were delivered.
#[derive(Debug)]
struct WholeBatches {
    file: File,
    good: u64,
}

impl FileSink {
    /// Creates the folder if it is missing, and in it a file named by the time.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let path = folder.join(format!("{}.lp", now.as_millis()));
        let file = File::create_new(&path)?;
        Ok(Self {
            path,
            whole: Mutex::new(WholeBatches { file, good: 0 }),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends all of `lines` or none.
    ///
    /// It blocks the thread, which is fine for a batch of a few kilobytes: moving it to another thread would take longer. There is no
    /// await in it, so no time limit stops it half way.
    pub fn append<'a>(&self, lines: impl IntoIterator<Item = &'a Line>) -> Result<(), FlushError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_str());
            text.push('\n');
        }
        self.whole.lock().append(text.as_bytes()).map_err(out)
    }

    /// Waits until the disk has what was written.
    pub fn sync(&self) -> Result<(), FlushError> {
        self.whole.lock().file.sync_all().map_err(out)
    }
}

#[async_trait]
impl Flush<Line> for FileSink {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        self.append(batch.iter())
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.sync()
    }
}

impl WholeBatches {
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.cut()?;
        let written = self.file.write_all(text);
        match written {
            Ok(()) => self.good += text.len() as u64,
            // If this cut fails too, the next attempt begins with another one.
            Err(_) => drop(self.cut()),
        }
        written
    }

    /// Cuts off what a failed attempt left.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.good)?;
        self.file.seek(SeekFrom::Start(self.good)).map(drop)
    }
}

/// What is wrong with the file, such as a full disk, is wrong for every batch: they wait until it is right again.
fn out(error: io::Error) -> FlushError {
    FlushError::unavailable(error)
}
