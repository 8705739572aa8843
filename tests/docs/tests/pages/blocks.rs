//! Blocks and the table fit together.

use rollcall_docs::{Stage, TABLE, acts, assigned, commands, pages, row_of};

#[test]
fn every_command_block_is_run_or_the_table_says_why_not() {
    let problems = assigned(TABLE, &pages().unwrap());
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn every_command_block_can_be_read_and_its_page_can_be_played() {
    let pages = pages().unwrap();
    let mut found = 0;
    for page in &pages {
        for block in page.shell_blocks() {
            let commands =
                commands(&block.body).unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
            assert!(!commands.is_empty(), "{}:{}: nothing to run", page.path, block.line);
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
    for stage in [Stage::Here, Stage::Dev, Stage::App, Stage::Cluster] {
        for act in acts(TABLE, &pages, &[stage]) {
            assert!(!act.cues().unwrap().is_empty());
        }
    }
}

/// A word that a row replaces stands in its blocks, and so does the beginning of a command that goes on.
#[test]
fn what_rows_say_of_words_and_commands_is_of_their_blocks() {
    let pages = pages().unwrap();
    for row in TABLE {
        let texts: Vec<_> = pages
            .iter()
            .flat_map(|page| page.shell_blocks().map(move |block| (page, block)))
            .filter(|(page, block)| row_of(TABLE, page, block).is_some_and(|found| std::ptr::eq(found, row)))
            .map(|(_, block)| block.body.as_str())
            .collect();
        for (word, _) in row.words {
            assert!(
                texts.iter().any(|text| text.contains(word)),
                "{}: `{}`: no {word}",
                row.page,
                row.begins
            );
        }
        for begins in row.going_on {
            let has = |text: &&&str| text.lines().any(|line| line.starts_with(begins));
            assert!(texts.iter().any(|text| has(&text)), "{}: `{}`: no {begins}", row.page, row.begins);
        }
    }
}

/// What a reader is told to make in words alone is made in these words.
#[test]
fn what_is_made_before_a_block_is_made_as_its_page_says() {
    for row in TABLE.iter().filter(|row| row.before.starts_with("openssl")) {
        let pages = pages().unwrap();
        let page = pages.iter().find(|page| page.path == row.page).unwrap();
        assert!(page.text.contains(&format!("`{}`", row.before)), "{}: {}", row.page, row.before);
    }
}
