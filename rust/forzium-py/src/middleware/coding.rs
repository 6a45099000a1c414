//! Content codings (RFC 9110, section 8.4.1): bodies written shorter, whole or in pieces.
//!
//! Whatever has been put in can be decoded when a piece is out: a stream is not held back.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Mutex;

use flate2::{Compress, Compression, FlushCompress, Status};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// A content coding that the core can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// The coding of that name, in lower case.
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What `Content-Encoding` calls it.
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Gzip => b"gzip",
            Self::Brotli => b"br",
            Self::Zstd => b"zstd",
        }
    }

    /// The levels it has.
    fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::Gzip => 0..=9,
            Self::Brotli => 0..=11,
            Self::Zstd => 1..=22,
        }
    }
}

/// The window of brotli, as a power of 2: bodies of answers are seldom longer, and 16 MiB would be set aside for each.
const BROTLI_WINDOW: u32 = 18;
/// Bytes brotli takes over at once.
const BROTLI_BUFFER: usize = 16 * 1024;
/// The window of gzip, as a power of 2; the greatest there is.
const GZIP_WINDOW: u8 = 15;

enum Writer {
    Gzip(Compress, i32),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::raw::Encoder<'static>, i32),
}

thread_local! {
    /// A compressor that has done its work: making one anew means to set aside and clear 256 KiB.
    static SPARE_GZIP: RefCell<Option<(Compress, i32)>> = const { RefCell::new(None) };
    /// The same for zstd, whose tables grow to 1 MiB and more with the level.
    static SPARE_ZSTD: RefCell<Option<(zstd::stream::raw::Encoder<'static>, i32)>> = const { RefCell::new(None) };
}

impl Writer {
    fn new(coding: Coding, level: i32) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => {
                let spare = SPARE_GZIP.with_borrow_mut(Option::take).filter(|(_, made_for)| *made_for == level);
                let compress = match spare {
                    Some((compress, _)) => compress,
                    None => Compress::new_gzip(Compression::new(level.unsigned_abs()), GZIP_WINDOW),
                };
                Self::Gzip(compress, level)
            }
            Coding::Brotli => {
                let quality = level.unsigned_abs();
                Self::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, quality, BROTLI_WINDOW)))
            }
            Coding::Zstd => {
                let spare = SPARE_ZSTD.with_borrow_mut(Option::take).filter(|(_, made_for)| *made_for == level);
                match spare {
                    Some((encoder, _)) => Self::Zstd(encoder, level),
                    None => Self::Zstd(zstd::stream::raw::Encoder::new(level)?, level),
                }
            }
        })
    }

    /// Writes a piece that is not the last.
    fn piece(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(compress, _) => deflate(compress, data, FlushCompress::Sync),
            Self::Brotli(writer) => {
                writer.write_all(data)?;
                writer.flush()?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Self::Zstd(encoder, _) => frame(encoder, data, false),
        }
    }

    /// Writes the last piece, which is the `only` one or not.
    fn last(self, data: &[u8], only: bool) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(mut compress, level) => {
                let written = deflate(&mut compress, data, FlushCompress::Finish)?;
                compress.reset();
                SPARE_GZIP.with_borrow_mut(|spare| *spare = Some((compress, level)));
                Ok(written)
            }
            Self::Brotli(mut writer) => {
                writer.write_all(data)?;
                Ok(writer.into_inner())
            }
            Self::Zstd(mut encoder, level) => {
                if only {
                    // Tables of the size that this needs.
                    encoder.set_pledged_src_size(u64::try_from(data.len()).ok())?;
                }
                let written = frame(&mut encoder, data, true)?;
                encoder.reinit()?;
                SPARE_ZSTD.with_borrow_mut(|spare| *spare = Some((encoder, level)));
                Ok(written)
            }
        }
    }
}

fn deflate(compress: &mut Compress, data: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    /// Room for the frame of gzip, and for what little deflate adds to what it cannot make shorter.
    const FRAME: usize = 64;
    let mut written = Vec::with_capacity(data.len() / 2 + FRAME);
    let start = compress.total_in();
    loop {
        let taken = usize::try_from(compress.total_in() - start).unwrap_or(data.len());
        let status = compress.compress_vec(data.get(taken..).unwrap_or_default(), &mut written, flush)?;
        // As long as the room was all used up, there may be more to come.
        if status == Status::StreamEnd || (flush != FlushCompress::Finish && written.len() < written.capacity()) {
            return Ok(written);
        }
        written.reserve(data.len() / 2 + FRAME);
    }
}

fn frame(encoder: &mut zstd::stream::raw::Encoder<'static>, data: &[u8], last: bool) -> io::Result<Vec<u8>> {
    /// Room for the frame of zstd around what was hardly made shorter.
    const FRAME: usize = 64;
    let mut written = Vec::with_capacity(data.len() / 2 + FRAME);
    let mut input = InBuffer::around(data);
    loop {
        let at = written.len();
        let mut output = OutBuffer::around_pos(&mut written, at);
        if input.pos() < data.len() {
            encoder.run(&mut input, &mut output)?;
        }
        if input.pos() == data.len() {
            let left = if last { encoder.finish(&mut output, true)? } else { encoder.flush(&mut output)? };
            if left == 0 {
                return Ok(written);
            }
        }
        written.reserve(data.len() / 2 + FRAME);
    }
}

/// Writes one body in a content coding.
#[pyclass(module = "forzium._forzium", frozen)]
pub struct Coder {
    coding: Coding,
    level: i32,
    /// Made with the first piece, gone with the last.
    writer: Mutex<Option<Writer>>,
    ended: std::sync::atomic::AtomicBool,
}

impl Coder {
    pub fn new(coding: Coding, level: i32) -> Self {
        Self { coding, level, writer: Mutex::new(None), ended: false.into() }
    }

    pub fn name(&self) -> &'static [u8] {
        self.coding.name()
    }

    pub fn write(&self, data: &[u8], last: bool) -> PyResult<Vec<u8>> {
        let Ok(mut kept) = self.writer.lock() else {
            return Err(PyRuntimeError::new_err("forzium: a coder has failed before"));
        };
        if self.ended.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(data.to_vec());
        }
        let failed = |error: io::Error| PyOSError::new_err(format!("content coding: {error}"));
        let begun = kept.take();
        let only = begun.is_none();
        let mut writer = match begun {
            Some(writer) => writer,
            None => Writer::new(self.coding, self.level).map_err(failed)?,
        };
        if last {
            self.ended.store(true, std::sync::atomic::Ordering::Relaxed);
            return writer.last(data, only).map_err(failed);
        }
        let written = writer.piece(data).map_err(failed)?;
        *kept = Some(writer);
        Ok(written)
    }
}

/// A coding and a level of it, as declared.
///
/// Errors: `ValueError` for a coding that is not known, or a level that it has not.
pub fn declared(name: &str, level: i32) -> PyResult<(Coding, i32)> {
    let coding = Coding::named(name.as_bytes()).ok_or_else(|| {
        PyValueError::new_err(format!("expected a content coding ('gzip', 'br', 'zstd'), but found {name:?}"))
    })?;
    let levels = coding.levels();
    if !levels.contains(&level) {
        let (least, most) = (levels.start(), levels.end());
        return Err(PyValueError::new_err(format!(
            "expected a level from {least} to {most} for the content coding {name:?}, but found {level}"
        )));
    }
    Ok((coding, level))
}

#[pymethods]
impl Coder {
    #[new]
    fn new_(coding: &str, level: i32) -> PyResult<Self> {
        let (coding, level) = declared(coding, level)?;
        Ok(Self::new(coding, level))
    }

    /// The coded form of a piece of the body; with the last one the end of the coding. Other threads may run meanwhile.
    fn code<'py>(&self, py: Python<'py>, data: &Bound<'py, PyBytes>, last: bool) -> PyResult<Bound<'py, PyBytes>> {
        let data = data.as_bytes();
        let written = py.detach(|| self.write(data, last))?;
        Ok(PyBytes::new(py, &written))
    }
}
