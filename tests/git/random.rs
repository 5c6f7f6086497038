//! Whatever the bytes, the parser answers and stays within bounds.

use homeostat::edge::git::{Limits, Parsed, RepoFile, parse};
use proptest::prelude::*;

const SEED: &str = concat!(
    "apiVersion: homeostat.dev/v1alpha1\nkind: ScalingPolicy # c\nmetadata: {name: checkout, namespace: shop}\nspec:\n",
    "  base: &b {x: 1, y: [a, 'b', \"c\\n\"]}\n  merged:\n    <<: *b\n  text: |-\n    one\n    two\n  folded: >+\n    x\n\n",
    "---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: z}\n  mode: 0644\n...\n",
);

fn both(content: &[u8]) -> [Parsed; 2] {
    ["a.yaml", "a.json"].map(|path| {
        let file = RepoFile {
            path: path.to_owned(),
            content: content.to_vec(),
        };
        parse(&[file], &Limits::default())
    })
}

fn sane(content: &[u8]) -> Result<(), TestCaseError> {
    let lines = content.split(|b| *b == b'\n').count() + 1;
    for parsed in both(content) {
        for manifest in &parsed.manifests {
            prop_assert!(!manifest.name.is_empty() && !manifest.kind.is_empty() && !manifest.api_version.is_empty());
        }
        for error in &parsed.errors {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
            prop_assert!(
                error.line.is_none_or(|line| line >= 1 && line <= lines),
                "{error} of {lines} lines"
            );
        }
    }
    Ok(())
}

/// At least 2,000 cases; more with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(2_000),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_bytes(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        sane(&content)?;
    }

    #[test]
    fn arbitrary_yaml_like_text(content in "([a-z0-9 :,&*!|>{}\\[\\]\"'#%?\n\t~-]|<<|---\n|\\.\\.\\.\n|: |- |\\*a|&a ){0,120}") {
        sane(content.as_bytes())?;
    }

    #[test]
    fn mutated(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8)) {
        let mut content = SEED.as_bytes().to_vec();
        for (index, byte, what) in edits {
            let at = index.index(content.len().max(1));
            match what {
                0 if at < content.len() => content[at] = byte,
                1 if at < content.len() => { content.remove(at); }
                2 => content.insert(at.min(content.len()), byte),
                _ => {
                    let tail = content.split_off(at.min(content.len()));
                    content.extend_from_slice(&tail);
                    content.extend_from_slice(&tail[..tail.len().min(40)]);
                }
            }
        }
        sane(&content)?;
    }
}

#[test]
fn the_seed_itself_is_fine() {
    let [yaml, _] = both(SEED.as_bytes());
    assert_eq!((yaml.manifests.len(), yaml.errors.len()), (2, 0), "{:?}", yaml.errors);
}
