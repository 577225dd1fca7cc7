//! A sealed segment of a long history: `history-000007.jsonl.gz`.
//!
//! - It is a gzip file of several members, each a line of JSON: the head, which says what follows, then one line of operations for
//!   each bucket of keys. `zcat` shows them; a reader that wants some keys alone goes straight to their members.
//! - Operations are written in columns, times and numbers as distances, which takes fewer bytes than whole lines, also before they
//!   are compressed. What repeats (keys, actions, answers) is written once.
//! - Each member has a checksum of its own, which gzip brings along. What is torn or changed costs the operations of the members that
//!   it is in.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::columns::{Block, Lates};
use super::{FORMAT_VERSION, Header};
use crate::history::{KeyPart, OpId, Operation, latest};

/// Operations of one segment; in tests there are to be many.
const OPERATIONS: usize = if cfg!(test) { 16 } else { 1 << 17 };
/// Bytes in memory at which one is full in any case.
const WEIGHT: u64 = 64 << 20;
/// Buckets that keys are divided into: each part of the keys, of so many or fewer parts, is whole buckets, if their number is a power of two.
pub(super) const BUCKETS: u32 = 256;
/// The member of what concerns every part: the serial control, and late answers.
const SHARED: u32 = BUCKETS;
/// No member is larger than this when it is unpacked.
const LARGEST: u64 = 1 << 30;
/// Below the usual 6: segments are packed while the load goes on, which needs the processors. Which level is best was not measured.
const LEVEL: Compression = Compression::new(4);

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    #[serde(flatten)]
    pub(super) header: Header,
    /// Which one it is.
    pub(super) segment: u32,
    /// What follows.
    pub(super) members: Vec<Member>,
    /// What its operations say together; absent in segments of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<Summary>,
}

/// What the operations of a segment say together, so that not all of them have to be met for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Of each kind the one that began last.
    pub(super) latest: Vec<Operation>,
    /// The first and the last number of those whose outcome is unknown: another segment may have the answer to one.
    unknown: Option<(OpId, OpId)>,
}

impl Summary {
    fn of(operations: &[Operation]) -> Self {
        let unknown = || operations.iter().filter(|operation| operation.is_unknown()).map(|operation| operation.id);
        Summary { latest: latest(operations), unknown: unknown().min().zip(unknown().max()) }
    }

    /// Whether answers to these may be such as it does not know of. They are ascending.
    pub(super) fn may_lack(&self, answered: &[OpId]) -> bool {
        self.unknown.is_some_and(|(first, last)| {
            let next = answered.partition_point(|op| *op < first);
            answered.get(next).is_some_and(|op| *op <= last)
        })
    }
}

/// A member of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// Whose operations; [`SHARED`] is that of what concerns every part.
    pub(super) bucket: u32,
    /// How many.
    pub(super) operations: u64,
    /// What they take in memory, about.
    pub(super) weight: u64,
    /// What they take in the file.
    bytes: u64,
}

impl Member {
    /// Whether it is the one of what concerns every part.
    pub(super) fn is_shared(&self) -> bool {
        self.bucket == SHARED
    }

    /// Whether operations on keys of this part may be in it.
    pub(super) fn is_of(&self, part: KeyPart) -> bool {
        let (index, of) = (u64::from(part.index), u64::from(part.of.max(1)));
        let buckets = u64::from(BUCKETS);
        let (first, last) = (index * buckets / of, ((index + 1) * buckets - 1) / of);
        !self.is_shared() && (first..=last).contains(&self.bucket.into())
    }
}

/// Whether a segment of so many operations, which weigh so much, is full.
pub(super) fn is_full(operations: usize, weight: u64) -> bool {
    operations >= OPERATIONS || weight >= WEIGHT
}

/// How many segments so many operations make at most, the last of which may be empty.
pub(super) fn reserved(operations: u64, weight: u64) -> u32 {
    u32::try_from(operations / OPERATIONS as u64 + weight / WEIGHT + 1).unwrap_or(u32::MAX)
}

/// Writes a file so that it is there whole, or as it was before.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file is that is created: what the user's mask says.
    let rights = std::fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".onlyone-").permissions(rights).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename is durable when the folder is; only then the lines may go.
    File::open(folder)?.sync_all()
}

/// The bytes of a segment.
pub(super) fn packed(
    header: &Header,
    segment: u32,
    mut operations: Vec<Operation>,
    lates: Lates,
) -> io::Result<Vec<u8>> {
    let lates = attached(&mut operations, lates);
    let summary = Some(Summary::of(&operations));
    let mut buckets: Vec<Vec<Operation>> = (0..=BUCKETS).map(|_| Vec::new()).collect();
    let mut known: FxHashMap<Arc<str>, usize> = FxHashMap::default();
    for operation in operations {
        let bucket = match operation.phase.is_main() {
            false => SHARED as usize,
            true => *known
                .entry(Arc::clone(&operation.key))
                .or_insert_with(|| KeyPart::index_of(&operation.key, BUCKETS) as usize),
        };
        buckets[bucket].push(operation);
    }
    let mut lates = Some(lates).filter(|lates| !lates.is_empty());
    let (mut members, mut bodies) = (Vec::new(), Vec::new());
    for (bucket, operations) in (0..).zip(buckets) {
        let lates = if bucket == SHARED { lates.take() } else { None };
        if operations.is_empty() && lates.is_none() {
            continue;
        }
        let before = bodies.len();
        let (count, weight) = (operations.len() as u64, operations.iter().map(Operation::weight).sum());
        bodies = line(bodies, &Block::of(operations, lates.unwrap_or_default())?)?;
        members.push(Member { bucket, operations: count, weight, bytes: (bodies.len() - before) as u64 });
    }
    // The history's own file may have another version by then; a segment has its own.
    let header = Header { format_version: FORMAT_VERSION, ..header.clone() };
    let mut bytes = line(Vec::new(), &Head { header, segment, members, summary })?;
    bytes.append(&mut bodies);
    Ok(bytes)
}

/// Attaches late answers to those of the operations that they belong to; what is left belongs to others.
fn attached(operations: &mut [Operation], lates: Lates) -> Lates {
    if lates.is_empty() {
        return lates;
    }
    let unknown = operations.iter_mut().filter(|operation| operation.is_unknown());
    let mut unknown: FxHashMap<OpId, &mut Operation> = unknown.map(|operation| (operation.id, operation)).collect();
    let others = lates.into_iter().filter_map(|(op, late)| match unknown.get_mut(&op) {
        Some(operation) => {
            operation.late = Some(Box::new(late));
            None
        }
        None => Some((op, late)),
    });
    others.collect()
}

/// Appends a member with one line.
fn line(to: Vec<u8>, value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut packer = flate2::write::GzEncoder::new(to, LEVEL);
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    packer.write_all(&text)?;
    packer.finish()
}

/// A segment that is read. Its file is open only meanwhile, because there may be thousands.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) head: Head,
    /// Where its first member begins.
    begin: u64,
}

impl Segment {
    /// Reads the head of what must be this segment of the run; `None` where it is damaged, or another one.
    pub(super) fn open(path: &Path, run_id: &str, segment: u32) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut unpacker = flate2::bufread::GzDecoder::new(BufReader::new(&file));
        let mut text = Vec::new();
        let read = unpacker.by_ref().take(LARGEST).read_to_end(&mut text);
        let Some(head) = read.ok().and_then(|_| serde_json::from_slice::<Head>(&text).ok()) else { return Ok(None) };
        let begin = unpacker.into_inner().stream_position()?;
        let Header { format_version, tool, run_id: found } = &head.header;
        let is_it =
            *format_version == FORMAT_VERSION && tool == "onlyone" && found == run_id && head.segment == segment;
        Ok(is_it.then_some(Segment { path: path.to_owned(), head, begin }))
    }

    /// Unpacks the members that are wanted, one after another; `None` in place of one that is damaged.
    pub(super) fn read(&self, wanted: impl Fn(&Member) -> bool, mut take: impl FnMut(Option<Block>)) -> io::Result<()> {
        if !self.head.members.iter().any(&wanted) {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        let (mut packed, mut text) = (Vec::new(), Vec::new());
        let mut begin = self.begin;
        for member in &self.head.members {
            if wanted(member) {
                file.seek(SeekFrom::Start(begin))?;
                packed.clear();
                (&file).take(member.bytes.min(LARGEST)).read_to_end(&mut packed)?;
                let block = unpacked(&packed, &mut text).filter(|block| block.len() as u64 == member.operations);
                take(block);
            }
            begin = begin.saturating_add(member.bytes);
        }
        Ok(())
    }
}

fn unpacked(packed: &[u8], text: &mut Vec<u8>) -> Option<Block> {
    let mut unpacker = flate2::bufread::GzDecoder::new(packed);
    text.clear();
    unpacker.by_ref().take(LARGEST).read_to_end(text).ok()?;
    if !unpacker.into_inner().is_empty() {
        return None;
    }
    Block::read(text)
}

/// Has a segment's head say as much as in older versions.
#[cfg(test)]
pub(super) fn without_summary(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let mut unpacker = flate2::bufread::GzDecoder::new(&bytes[..]);
    let mut head: Head = serde_json::from_reader(&mut unpacker).unwrap();
    head.summary = None;
    let text = serde_json::to_string(&head).unwrap();
    assert!(!text.contains("summary"), "{text}");
    let mut changed = line(Vec::new(), &head).unwrap();
    std::io::copy(&mut unpacker, &mut std::io::sink()).unwrap();
    changed.extend_from_slice(unpacker.into_inner());
    std::fs::write(path, changed).unwrap();
}
