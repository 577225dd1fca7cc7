//! Deliveries of images and videos to a chat: each content may come several times, by several code paths.

use serde::{Deserialize, Serialize};

/// The code path that pushes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CodePath {
    /// An image that a batch has generated.
    Generated,
    /// Two images merged by hand.
    ManualMerge,
    /// An image of the gallery that is met again.
    GalleryFound,
    /// An image that is added to the gallery.
    GalleryAdded,
    /// The general way to append a message.
    GeneralAppend,
    /// A video.
    Video,
}

impl CodePath {
    /// The word in requests and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            CodePath::Generated => "generated",
            CodePath::ManualMerge => "manual-merge",
            CodePath::GalleryFound => "gallery-found",
            CodePath::GalleryAdded => "gallery-added",
            CodePath::GeneralAppend => "general-append",
            CodePath::Video => "video",
        }
    }
}

/// How the service learns of a content. Both ways report the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// It is told.
    Webhook,
    /// It asks.
    Polling,
}

impl Via {
    /// The word in requests and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Webhook => "webhook",
            Via::Polling => "polling",
        }
    }
}

/// One delivery of one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Delivery {
    /// Number of the content within its chat; its kind follows from it.
    pub content: u32,
    /// Which delivery of it, counted from 0.
    pub nth: u32,
    /// The code path.
    pub path: CodePath,
    /// How the service learned of it.
    pub via: Via,
}

/// Kind of a content: it decides by which of its keys it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// A merged image: by `mergeId`. Several of one batch share `batchId` and `batchIndex`.
    Merged,
    /// An image of a batch: by `batchId` and `batchIndex`.
    Batch,
    /// A plain image: by `imageId`.
    Plain,
    /// A video: by `videoId`.
    Video,
}

impl Delivery {
    /// Contents of one batch.
    const BATCH: u32 = 16;

    /// The content's kind.
    pub fn kind(self) -> ContentKind {
        match self.content % 4 {
            0 => ContentKind::Merged,
            1 => ContentKind::Batch,
            2 => ContentKind::Plain,
            _ => ContentKind::Video,
        }
    }

    /// Code paths by which contents of this kind come.
    pub fn paths(content: u32) -> &'static [CodePath] {
        let first = Delivery { content, nth: 0, path: CodePath::Video, via: Via::Webhook };
        match first.kind() {
            ContentKind::Merged => &[CodePath::ManualMerge, CodePath::GeneralAppend],
            ContentKind::Batch => &[CodePath::Generated],
            ContentKind::Plain => &[CodePath::GalleryFound, CodePath::GalleryAdded, CodePath::GeneralAppend],
            ContentKind::Video => &[CodePath::Video],
        }
    }

    /// `mergeId` of a merged image.
    pub fn merge_id(self) -> Option<String> {
        (self.kind() == ContentKind::Merged).then(|| format!("m{}", self.content))
    }

    /// `batchId` and `batchIndex` of what comes from a batch. Every merged image of a batch has index 0.
    pub fn batch(self) -> Option<(String, u32)> {
        let batch = format!("b{}", self.content / Self::BATCH);
        match self.kind() {
            ContentKind::Merged => Some((batch, 0)),
            ContentKind::Batch => Some((batch, self.content % Self::BATCH)),
            ContentKind::Plain | ContentKind::Video => None,
        }
    }

    /// `imageId` of an image.
    pub fn image_id(self) -> Option<String> {
        (self.kind() != ContentKind::Video).then(|| format!("i{}", self.content))
    }

    /// `videoId` of a video.
    pub fn video_id(self) -> Option<String> {
        (self.kind() == ContentKind::Video).then(|| format!("v{}", self.content))
    }

    /// By what the content is known, in canonical form: `mergeId`, else `batchId` and `batchIndex`, else `imageId`, and
    /// for videos `videoId`.
    pub fn identity(self) -> String {
        match self.kind() {
            ContentKind::Merged => format!("merge:m{}", self.content),
            ContentKind::Batch => format!("batch:b{}:{}", self.content / Self::BATCH, self.content % Self::BATCH),
            ContentKind::Plain => format!("image:i{}", self.content),
            ContentKind::Video => format!("video:v{}", self.content),
        }
    }

    /// What this delivery carries. Two deliveries of one content may differ in it.
    pub fn payload(self) -> String {
        format!("https://media.example/{}?delivery={}", self.content, self.nth)
    }
}

/// What a delivery was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Delivered {
    /// The message was pushed; otherwise it was taken for one that is there already.
    pub applied: bool,
    /// Whether a read told that the chat exists, after an update had matched nothing: that alone is ambiguous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_seen: Option<bool>,
}
