//! What is run of one page at one stage, in the page's order and in one shell.

use crate::{Block, Cue, Manner, Page, Row, Shape, Stage, commands, row_of};
use anyhow::{Context, Result, bail};

/// What a page's commands that install begin with; the API server hears of the webhook a moment after helm is done, which the
/// README says.
const INSTALLS: [&str; 2] = ["helm install rollcall ", "helm upgrade rollcall "];
/// Waits until pods that ask for a sidecar get one. What is searched is read to its end: who writes it would fail otherwise.
const INJECTS: &str = r"_injects() {
    kubectl -n default run asks --image=none --annotations=rollcall.dev/inject=true --dry-run=server -o yaml |
        grep 'rollcall.dev/status: injected' >/dev/null
}
eventually _injects";
/// The command that needs no cluster, as pages write it.
const DEV: [&str; 2] = ["rollcall dev", "cargo run --release -- dev"];

/// Holds the blocks of a page that are run together.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    pub page: &'a Page,
    pub blocks: Vec<(&'a Block, &'a Row)>,
}

/// Holds what a command of an act printed.
#[derive(Debug, Clone)]
pub struct Printed {
    pub cue: Cue,
    /// Without what it complained of.
    pub text: String,
}

/// The acts of all pages at these stages.
pub fn acts<'a>(table: &'a [Row], pages: &'a [Page], wanted: &[Stage]) -> Vec<Act<'a>> {
    let all = pages.iter().map(|page| {
        let blocks = page.shell_blocks().filter_map(|block| Some((block, row_of(table, page, block)?)));
        Act { page, blocks: blocks.filter(|(_, row)| wanted.contains(&row.stage)).collect() }
    });
    all.filter(|act| !act.blocks.is_empty()).collect()
}

// === impl Act ===

impl Act<'_> {
    /// All that is run, in its order.
    pub fn cues(&self) -> Result<Vec<Cue>> {
        let mut cues = Vec::new();
        for (block, row) in &self.blocks {
            let unseen = |text: &str, line| Cue {
                line,
                block: block.line,
                text: text.to_owned(),
                manner: Manner::Unseen,
            };
            let of_the_table = |text: &str| (!text.is_empty()).then(|| unseen(text, block.line));
            cues.extend(of_the_table(row.before));
            let place = || format!("{}:{}", self.page.path, block.line);
            for command in commands(&block.body).with_context(place)? {
                let text =
                    row.words.iter().fold(command.text, |text, (theirs, ours)| text.replace(theirs, ours));
                let goes_on = row.going_on.iter().any(|begins| text.starts_with(begins));
                let manner = if goes_on { Manner::GoesOn } else { Manner::Ends(command.code) };
                let line = block.line + command.line;
                let installs = INSTALLS.iter().any(|begins| text.starts_with(begins));
                cues.push(Cue { line, block: block.line, text, manner });
                cues.extend(installs.then(|| unseen(INJECTS, line)));
            }
            cues.extend(of_the_table(row.after));
        }
        Ok(cues)
    }

    /// Whether the page itself starts `rollcall dev`.
    pub fn starts_dev(&self) -> bool {
        let lines = self.blocks.iter().flat_map(|(block, _)| block.body.lines());
        let mut commands = lines.map(str::trim);
        commands.any(|line| DEV.iter().any(|dev| line.starts_with(dev)))
    }

    /// Whether what the page shows as output was printed, in its form; the error says what was not.
    pub fn showed(&self, printed: &[Printed]) -> Result<()> {
        for (block, _) in &self.blocks {
            let of_the_block = printed.iter().filter(|one| one.cue.block == block.line);
            let text: String = of_the_block.map(|one| one.text.as_str()).collect();
            for shown in self.page.outputs_of(block) {
                if let Some(missing) = Shape::of(&shown.body).missing_in(&text) {
                    let (path, line) = (&self.page.path, shown.line);
                    bail!("{path}:{line}: the page shows {missing}; what was printed is\n{text}");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::row;

    const TABLE: &[Row] = &[
        row("docs/x.md", "helm", Stage::Cluster).words(&[("NAMESPACE", "shop")]).after("done"),
        row("docs/x.md", "curl", Stage::App).going_on(&["curl -N"]).before("app"),
        row("docs/x.md", "rollcall dev", Stage::Dev).going_on(&["rollcall dev"]),
    ];
    const PAGE: &str = "# A\n```sh\nhelm install rollcall x\nkubectl label NAMESPACE a\n```\n```sh\ncurl a # ends with 22\n\
        curl -N b\n```\n```text\nA B\n```\n```sh\nrollcall dev\n```\n";

    fn page() -> Page {
        Page::new("docs/x.md".to_owned(), PAGE.to_owned())
    }

    #[test]
    fn an_act_has_the_blocks_of_its_stage_in_their_order() {
        let pages = [page()];
        let cues = |stages: &[Stage]| {
            let acts = acts(TABLE, &pages, stages);
            assert_eq!(acts.len(), 1);
            acts[0].cues().unwrap()
        };
        let said = |cues: &[Cue]| -> Vec<_> {
            cues.iter().map(|cue| format!("{} {:?} {}", cue.line, cue.manner, cue.text)).collect()
        };
        let cluster = said(&cues(&[Stage::Cluster]));
        let expected = [
            "3 Ends(0) helm install rollcall x".to_owned(),
            format!("3 Unseen {INJECTS}"),
            "4 Ends(0) kubectl label shop a".to_owned(),
            "2 Unseen done".to_owned(),
        ];
        assert_eq!(cluster, expected);
        let app = said(&cues(&[Stage::App]));
        assert_eq!(app, ["6 Unseen app", "7 Ends(22) curl a # ends with 22", "8 GoesOn curl -N b"]);
        assert_eq!(cues(&[Stage::App, Stage::Cluster]).len(), 7);
        assert!(acts(TABLE, &pages, &[Stage::Here]).is_empty());
    }

    #[test]
    fn a_page_that_starts_dev_is_known_by_its_command() {
        let pages = [page()];
        let starts = |stage| acts(TABLE, &pages, &[stage])[0].starts_dev();
        assert!(starts(Stage::Dev) && !starts(Stage::App));
    }

    #[test]
    fn what_is_shown_is_compared_with_what_its_block_printed() {
        let pages = [page()];
        let acts = acts(TABLE, &pages, &[Stage::App]);
        let printed = |block, text: &str| {
            let cue = Cue { line: 7, block, text: String::new(), manner: Manner::Ends(0) };
            vec![Printed { cue, text: text.to_owned() }]
        };
        assert!(acts[0].showed(&printed(6, "A  B\n1  2\n")).is_ok());
        for printed in [printed(6, "A C"), printed(2, "A B")] {
            let error = acts[0].showed(&printed).unwrap_err().to_string();
            assert!(
                error.starts_with("docs/x.md:10: the page shows a table with the columns A B"),
                "{error}"
            );
        }
    }
}
