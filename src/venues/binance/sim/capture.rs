//! Lines of a recording, read lazily.

use flate2::read::MultiGzDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read, bytes: a full-depth snapshot is under 1 MB.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Where recorded lines come from, one after the other.
pub trait CaptureSource: Send {
    /// Puts the next line without its line end into `line` (cleared first); `false` at the end.
    ///
    /// # Errors
    /// The recording cannot be read on.
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, CaptureError>;
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file is missing, unreadable or not what its name says.
    #[error("capture {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line without end.
    #[error("capture {path}: a line is longer than {max} bytes")]
    LineTooLong {
        /// Which file.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
}

/// Files of lines, played one after the other: gzip (any number of members) when the name ends in `.gz`, plain
/// otherwise. A file is opened when the one before it is used up; decompression runs as lines are asked for.
pub struct CaptureFiles {
    current: Option<(PathBuf, Box<dyn BufRead + Send>)>,
    rest: VecDeque<PathBuf>,
}

impl CaptureFiles {
    /// Takes the files in order; the first is opened here.
    ///
    /// # Errors
    /// The first file cannot be opened. An empty list is an empty recording.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<CaptureFiles, CaptureError> {
        let mut files =
            CaptureFiles { current: None, rest: paths.iter().map(|p| p.as_ref().to_path_buf()).collect() };
        files.open_next()?;
        Ok(files)
    }

    fn open_next(&mut self) -> Result<(), CaptureError> {
        self.current = None;
        if let Some(path) = self.rest.pop_front() {
            let file = File::open(&path).map_err(|source| CaptureError::Io { path: path.clone(), source })?;
            let reader: Box<dyn BufRead + Send> = if path.extension().is_some_and(|e| e == "gz") {
                Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
            } else {
                Box::new(BufReader::with_capacity(1 << 16, file))
            };
            self.current = Some((path, reader));
        }
        Ok(())
    }
}

impl CaptureSource for CaptureFiles {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, CaptureError> {
        loop {
            line.clear();
            let Some((path, reader)) = self.current.as_mut() else { return Ok(false) };
            let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line);
            match read {
                Err(source) => return Err(CaptureError::Io { path: path.clone(), source }),
                Ok(0) => self.open_next()?,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    } else if line.len() as u64 == LINE_BYTES_MAX {
                        return Err(CaptureError::LineTooLong { path: path.clone(), max: LINE_BYTES_MAX });
                    }
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    return Ok(true);
                }
            }
        }
    }
}

/// Lines held in memory.
pub struct CaptureLines {
    lines: VecDeque<Vec<u8>>,
}

impl CaptureLines {
    /// Takes the lines in order.
    pub fn new(lines: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> CaptureLines {
        CaptureLines { lines: lines.into_iter().map(Into::into).collect() }
    }
}

impl CaptureSource for CaptureLines {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, CaptureError> {
        line.clear();
        match self.lines.pop_front() {
            Some(next) => {
                *line = next;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn plain_and_gzip_files_play_one_after_the_other() {
        let dir = std::env::temp_dir().join(format!("corelane-capture-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("temporary directory");
        let plain = dir.join("a.txt");
        std::fs::write(&plain, b"1 a\r\n2 b").expect("write");
        let zipped = dir.join("b.gz");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"3 c\n\n4 d\n").expect("compress");
        std::fs::write(&zipped, gz.finish().expect("finish")).expect("write");

        let mut files = CaptureFiles::open(&[&plain, &zipped]).expect("open");
        let (mut line, mut all) = (Vec::new(), Vec::new());
        while files.next_line(&mut line).expect("read") {
            all.push(String::from_utf8(line.clone()).expect("text"));
        }
        assert_eq!(all, ["1 a", "2 b", "3 c", "", "4 d"]);
        assert!(!files.next_line(&mut line).expect("stays at the end"));

        std::fs::write(&zipped, b"not gzip").expect("write");
        let mut files = CaptureFiles::open(&[&zipped]).expect("opens");
        assert!(matches!(files.next_line(&mut line), Err(CaptureError::Io { .. })));
        assert!(CaptureFiles::open(&[dir.join("missing")]).is_err());
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
}
