//! What an audit found in a database that exists, and what a repair does about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of defect. The names are stable: reports and scripts use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Documents that stand for the same thing as an older one.
    DuplicateKey,
    /// Documents without the key.
    MissingKey,
    /// Documents whose key is not what their participants give.
    WrongKey,
    /// No index of the key.
    MissingIndex,
    /// An index of the key that does not keep it unique.
    WeakIndex,
    /// Array elements that repeat an earlier one.
    DuplicateElement,
    /// Documents that refer to one that is gone.
    Orphan,
    /// Documents near the limit of 16 MB. The only kind that is no violation.
    LargeDocument,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 8] = [
        FindingKind::DuplicateKey,
        FindingKind::MissingKey,
        FindingKind::WrongKey,
        FindingKind::MissingIndex,
        FindingKind::WeakIndex,
        FindingKind::DuplicateElement,
        FindingKind::Orphan,
        FindingKind::LargeDocument,
    ];

    /// The word in files and on the terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::DuplicateKey => "duplicate-key",
            FindingKind::MissingKey => "missing-key",
            FindingKind::WrongKey => "wrong-key",
            FindingKind::MissingIndex => "missing-index",
            FindingKind::WeakIndex => "weak-index",
            FindingKind::DuplicateElement => "duplicate-element",
            FindingKind::Orphan => "orphan",
            FindingKind::LargeDocument => "large-document",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Defects of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// How many documents, elements or indexes have it.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<serde_json::Value>,
}

/// What a repair does to documents. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Gives a document its key.
    SetKey,
    /// Takes a duplicate's content into the oldest document.
    Merge,
    /// Removes a duplicate whose content was taken over.
    Remove,
    /// Removes repeated elements of an array.
    Deduplicate,
    /// Points a referring document at the document that is kept.
    Redirect,
    /// Creates the unique index.
    CreateIndex,
    /// Puts a document back as it was.
    Restore,
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ActionKind::SetKey => "set-key",
            ActionKind::Merge => "merge",
            ActionKind::Remove => "remove",
            ActionKind::Deduplicate => "deduplicate",
            ActionKind::Redirect => "redirect",
            ActionKind::CreateIndex => "create-index",
            ActionKind::Restore => "restore",
        })
    }
}

/// Actions of one kind, planned or done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepairAction {
    /// The kind.
    pub kind: ActionKind,
    /// How many.
    pub count: u64,
    /// The actions of a plan one by one; the first few of an applied one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<serde_json::Value>,
}
