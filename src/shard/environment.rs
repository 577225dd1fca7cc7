//! Which shard this is, as engines tell the processes that they start.

use super::identity::{NotAShard, Shard};

/// Variables that number processes, and those that count them.
const ENGINES: [(&str, &str); 3] = [
    // An Indexed Job of Kubernetes does not tell how many there are: the manifest does.
    ("JOB_COMPLETION_INDEX", "ONLYONE_SHARDS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
];

/// Why the environment tells no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoShard {
    /// None of the variables is there.
    #[error("the environment does not say which shard this is")]
    Nothing,
    /// One of two is.
    #[error("{0} is there, and {1} is not")]
    Half(&'static str, &'static str),
    /// They are no numbers of a shard.
    #[error("{0} and {1} name no shard: {2}")]
    Wrong(&'static str, &'static str, NotAShard),
}

/// The variables that are looked at, for messages.
pub fn variables() -> String {
    ENGINES.map(|(index, of)| format!("{index} with {of}")).join(", ")
}

/// The shard that the environment tells.
pub fn shard_of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Shard, NoShard> {
    for (index, of) in ENGINES {
        match (variable(index), variable(of)) {
            (Some(number), Some(all)) => {
                return format!("{number}/{all}").parse().map_err(|error| NoShard::Wrong(index, of, error));
            }
            (Some(_), None) => return Err(NoShard::Half(index, of)),
            (None, _) => {}
        }
    }
    Err(NoShard::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_is_understood_and_half_an_answer_is_none() {
        let told = |set: &[(&str, &str)]| {
            let set: std::collections::BTreeMap<String, String> =
                set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            shard_of_environment(&|name| set.get(name).cloned()).map(|shard| shard.to_string())
        };
        for (set, expected) in [
            (&[("JOB_COMPLETION_INDEX", "2"), ("ONLYONE_SHARDS", "4")][..], "2/4"),
            (&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "3")], "0/3"),
            (&[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")], "1/2"),
        ] {
            assert_eq!(told(set).as_deref(), Ok(expected));
        }
        assert_eq!(told(&[]), Err(NoShard::Nothing));
        assert_eq!(told(&[("ONLYONE_SHARDS", "4")]), Err(NoShard::Nothing));
        assert_eq!(
            told(&[("JOB_COMPLETION_INDEX", "1")]),
            Err(NoShard::Half("JOB_COMPLETION_INDEX", "ONLYONE_SHARDS"))
        );
        assert!(matches!(told(&[("SLURM_PROCID", "4"), ("SLURM_NTASKS", "4")]), Err(NoShard::Wrong(..))));
    }
}
