//! Regressions on purpose: a revision that differs from another in one place of the source.

use std::path::Path;

use crate::revision::{Repository, Revision, RevisionError};

/// One change of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plant {
    /// The file, from the top of the tree.
    pub(crate) file: &'static str,
    /// Text in it, the first of its kind.
    pub(crate) find: &'static str,
    /// What follows it in the planted revision, `{n}` being a number.
    pub(crate) then: &'static str,
}

/// Where every new order passes, once: the oms, at the head of what it does with an intent.
const INTENT: (&str, &str) = ("src/oms/intents.rs", "self.counts.intents += !warm_up as u64;");

/// A block asked for and given back.
pub(crate) const ALLOCATION: Plant =
    Plant { file: INTENT.0, find: INTENT.1, then: " drop(std::hint::black_box(Box::new(0u64)));" };

/// A question to the kernel.
pub(crate) const CALL: Plant =
    Plant { file: INTENT.0, find: INTENT.1, then: " std::hint::black_box(std::process::id());" };

/// `n` turns of a loop that does nothing.
pub(crate) const INSTRUCTIONS: Plant =
    Plant { file: INTENT.0, find: INTENT.1, then: " for n in 0u64..{n} { std::hint::black_box(n); }" };

/// Nothing on the path: another word on the demo's page.
pub(crate) const UNRELATED: Plant =
    Plant { file: "src/demo/report.rs", find: "received -> parsed", then: " at last" };

/// Why nothing was planted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlantError {
    /// git refused.
    #[error(transparent)]
    Git(#[from] RevisionError),
    /// The place is gone.
    #[error("{file} holds no {find:?} any more: give tools/gate/plant.rs another place on the hot path")]
    Gone {
        /// The file.
        file: &'static str,
        /// The text.
        find: &'static str,
    },
    /// The loop does not come to its size.
    #[error("the planted loop does not come to a fifth of the event's instructions; is valgrind installed?")]
    Size,
    /// The planted file could not be written.
    #[error("{0}")]
    File(#[from] std::io::Error),
}

/// Plants into `base`: a revision that no branch holds.
///
/// # Errors
/// [`PlantError`].
pub(crate) fn plant(
    repository: &Repository,
    base: &Revision,
    plant: &Plant,
    n: u64,
    scratch: &Path,
) -> Result<Revision, PlantError> {
    let source = repository.git(&["show", &format!("{}:{}", base.commit, plant.file)])?;
    let planted =
        planted(&source, plant, n).ok_or(PlantError::Gone { file: plant.file, find: plant.find })?;
    let file = scratch.join("planted");
    std::fs::write(&file, planted)?;
    let blob = repository.git(&["hash-object", "-w", &file.to_string_lossy()])?;
    let tree = repository.with_file(base, plant.file, &blob, scratch)?;
    let commit =
        repository.commit(&tree, &base.commit, &format!("planted in {}:{}", plant.file, plant.then))?;
    Ok(repository.resolve(&commit, scratch)?)
}

fn planted(source: &str, plant: &Plant, n: u64) -> Option<String> {
    let (before, after) = source.split_once(plant.find)?;
    let then = plant.then.replace("{n}", &n.to_string());
    Some(format!("{before}{}{then}{after}\n", plant.find))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_plant_has_its_place_in_this_tree() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        for plant in [ALLOCATION, CALL, INSTRUCTIONS, UNRELATED] {
            let source = std::fs::read_to_string(root.join(plant.file)).unwrap();
            let planted = planted(&source, &plant, 7).expect(plant.file);
            assert_eq!(planted.matches(&plant.then.replace("{n}", "7")).count(), 1);
            assert_eq!(planted.len(), source.len() + plant.then.replace("{n}", "7").len() + 1);
        }
        assert!(planted("fn main() {}", &CALL, 0).is_none());
    }
}
