//! Counts the frames of HTTP/2 that carry no request: a client may send them for ever, at our cost.

use std::time::Duration;

/// The bytes before the first frame of a client.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER: usize = 9;

/// Follows the frames in what a client sends, whatever pieces it comes in.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes until the next frame begins.
    skip: usize,
    header: [u8; HEADER],
    /// How much of the header has come.
    filled: usize,
    /// Control frames in the current second.
    count: u32,
    second: u64,
}

impl Frames {
    /// At the beginning of a connection.
    pub(crate) fn new() -> Self {
        Frames { skip: PREFACE.len(), header: [0; HEADER], filled: 0, count: 0, second: 0 }
    }

    /// Takes what came, and says how many control frames there were in this second.
    pub(crate) fn take(&mut self, mut bytes: &[u8], time: Duration) -> u32 {
        if time.as_secs() != self.second {
            (self.second, self.count) = (time.as_secs(), 0);
        }
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return self.count;
            }
            let count = (HEADER - self.filled).min(bytes.len());
            self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
            if self.filled == HEADER {
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        let [a, b, c, kind, ..] = self.header;
        self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.filled = 0;
        // DATA, HEADERS, WINDOW_UPDATE and CONTINUATION belong to requests, and have limits of their own.
        if !matches!(kind, 0 | 1 | 8 | 9) {
            self.count = self.count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Frames, PREFACE};

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        frame.resize(9 + usize::from(length), 6);
        frame
    }

    #[test]
    fn control_frames_are_counted_in_whatever_pieces_they_come() {
        let mut sent = PREFACE.to_vec();
        for (kind, length) in [(4, 0), (0, 200), (6, 8), (8, 4), (1, 30), (9, 1), (3, 4), (99, 3)] {
            sent.extend(frame(kind, length));
        }
        for size in 1..sent.len() {
            let mut frames = Frames::new();
            let counts: Vec<_> = sent.chunks(size).map(|piece| frames.take(piece, AT(0))).collect();
            assert_eq!(counts.last(), Some(&4), "in pieces of {size}");
        }
    }

    #[test]
    fn each_second_counts_anew() {
        let mut frames = Frames::new();
        frames.take(PREFACE, AT(0));
        assert_eq!(frames.take(&frame(6, 8), AT(1)), 1);
        assert_eq!(frames.take(&frame(6, 8), AT(1)), 2);
        assert_eq!(frames.take(&frame(6, 8), AT(2)), 1);
    }
}
