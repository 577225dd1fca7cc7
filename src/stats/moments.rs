//! When operations were in flight, in little space: [`Moments`]. The most that were in flight at one moment is found by joining
//! the moments of all parts of a run, in order, a stretch of time at a time.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::history::{Nanos, Operation};

/// Events of one kind that are sorted at a time, about.
const AT_A_TIME: usize = 1 << 16;

/// When operations began to be in flight, and when they ended: each ascending, each as the distance from the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moments {
    #[serde(with = "packed")]
    pub(crate) starts: Vec<u8>,
    #[serde(with = "packed")]
    pub(crate) ends: Vec<u8>,
}

impl Moments {
    /// Those of operations.
    pub(crate) fn of<'a>(operations: impl Iterator<Item = &'a Operation> + Clone) -> Self {
        let mut starts: Vec<Nanos> = operations.clone().map(Operation::started).collect();
        let mut ends: Vec<Nanos> = operations.map(ended).collect();
        super::nearly::sort(&mut starts);
        super::nearly::sort(&mut ends);
        Moments { starts: distances(&starts), ends: distances(&ends) }
    }

    /// The most operations in flight at one moment, over all parts. Parts may lie in files.
    pub(crate) fn peak<R: Read + Send>(starts: Vec<R>, ends: Vec<R>) -> io::Result<u32> {
        thread::scope(|scope| {
            let read = |inputs: Vec<R>| {
                let (hand_over, stretches) = sync_channel(1);
                scope.spawn(move || Joined::hand_over(inputs, &hand_over));
                Ascending { stretches, ready: Vec::new().into_iter() }
            };
            let (mut starts, mut ends) = (read(starts), read(ends));
            let (mut begun, mut ended, mut peak) = (0_u64, 0_u64, 0_u64);
            while let Some(start) = starts.next()? {
                begun += 1;
                while ends.peek()?.is_some_and(|end| end <= start) {
                    ends.next()?;
                    ended += 1;
                }
                peak = peak.max(begun - ended);
            }
            Ok(u32::try_from(peak).unwrap_or(u32::MAX))
        })
    }
}

/// When an operation ended. One that is shorter than the clock's step was in flight all the same.
pub(super) fn ended(operation: &Operation) -> Nanos {
    operation.completed.max(operation.started().saturating_add(1))
}

fn distances(sorted: &[Nanos]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sorted.len() * 3);
    let mut before = 0;
    for at in sorted {
        let mut rest = at - before;
        before = *at;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
    bytes
}

/// One part's moments.
struct Source<R> {
    input: io::BufReader<R>,
    /// The next one.
    next: Option<Nanos>,
}

impl<R: Read> Source<R> {
    fn advance(&mut self) -> io::Result<()> {
        let Some(before) = self.next else { return Ok(()) };
        let (mut distance, mut shift) = (0_u64, 0_u32);
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                self.next = None;
                return match shift {
                    0 => Ok(()),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            for (read, byte) in bytes.iter().enumerate() {
                if shift > 63 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                distance |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if *byte < 0x80 {
                    self.input.consume(read + 1);
                    self.next = Some(before.saturating_add(distance));
                    return Ok(());
                }
            }
            let all = bytes.len();
            self.input.consume(all);
        }
    }
}

/// The moments of all parts.
struct Joined<R> {
    sources: Vec<Source<R>>,
    /// How long the stretch is that is taken at a time.
    stretch: Nanos,
}

impl<R: Read> Joined<R> {
    /// Hands the moments over, ascending, a stretch at a time, until nobody listens any more.
    fn hand_over(inputs: Vec<R>, to: &SyncSender<io::Result<Vec<Nanos>>>) {
        let source = |input| Source { input: io::BufReader::new(input), next: Some(0) };
        let mut joined = Joined { sources: inputs.into_iter().map(source).collect(), stretch: 1 << 20 };
        if let Err(error) = joined.sources.iter_mut().try_for_each(Source::advance) {
            // Whoever no longer listens has failed for a reason of its own.
            to.send(Err(error)).ok();
            return;
        }
        while let Some(stretch) = joined.next_stretch().transpose() {
            let failed = stretch.is_err();
            if to.send(stretch).is_err() || failed {
                return;
            }
        }
    }

    /// Takes the next stretch from each part. Its length follows from how much the last one held.
    fn next_stretch(&mut self) -> io::Result<Option<Vec<Nanos>>> {
        let Some(from) = self.sources.iter().filter_map(|source| source.next).min() else { return Ok(None) };
        let until = from.saturating_add(self.stretch);
        let mut taken = Vec::with_capacity(AT_A_TIME);
        for source in &mut self.sources {
            while let Some(at) = source.next.filter(|at| *at <= until) {
                taken.push(at);
                source.advance()?;
            }
        }
        match taken.len() {
            many if many > AT_A_TIME => self.stretch = (self.stretch / 2).max(1),
            few if few < AT_A_TIME / 4 => self.stretch = self.stretch.saturating_mul(2),
            _ => {}
        }
        taken.sort_unstable();
        Ok(Some(taken))
    }
}

/// Moments that another thread hands over, ascending.
struct Ascending {
    stretches: Receiver<io::Result<Vec<Nanos>>>,
    ready: std::vec::IntoIter<Nanos>,
}

impl Ascending {
    fn peek(&mut self) -> io::Result<Option<Nanos>> {
        while self.ready.as_slice().is_empty() {
            // The other thread has ended: there are no more.
            let Ok(stretch) = self.stretches.recv() else { return Ok(None) };
            self.ready = stretch?.into_iter();
        }
        Ok(self.ready.as_slice().first().copied())
    }

    fn next(&mut self) -> io::Result<Option<Nanos>> {
        self.peek()?;
        Ok(self.ready.next())
    }
}

/// Bytes as text.
mod packed {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::timeline::tests::answered;

    /// The peak, by asking at each beginning who is in flight.
    fn counted(operations: &[Operation]) -> u32 {
        let in_flight =
            |at: Nanos| operations.iter().filter(|one| one.started() <= at && at < ended(one)).count() as u32;
        operations.iter().map(|one| in_flight(one.started())).max().unwrap_or(0)
    }

    #[test]
    fn the_peak_of_parts_is_that_of_the_whole() {
        for spread in [1, 7, 1_000, 3_000_000] {
            let operation = |at: u64| answered(at * 7_919 % 301 * spread, at * 104_729 % 17 * spread, false);
            let operations: Vec<Operation> = (0..300).map(operation).collect();
            for of in [1, 2, 7] {
                let part = |index: usize| Moments::of(operations.iter().skip(index).step_by(of));
                let parts: Vec<Moments> = (0..of).map(part).collect();
                let starts = parts.iter().map(|part| part.starts.as_slice()).collect();
                let ends = parts.iter().map(|part| part.ends.as_slice()).collect();
                assert_eq!(Moments::peak(starts, ends).unwrap(), counted(&operations), "{spread} {of}");
            }
        }
        assert_eq!(Moments::peak(Vec::<&[u8]>::new(), Vec::new()).unwrap(), 0);
        assert!(Moments::peak(vec![&[0x80_u8][..]], vec![&[][..]]).is_err(), "cut off in the middle of a number");
    }
}
