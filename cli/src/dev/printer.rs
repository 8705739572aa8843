//! Prints on a thread of its own: an output that nobody reads stands still, and nothing else may.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

/// Texts that wait to be printed: more than anybody reads at a time.
const WAITING_MAX: usize = 256;

/// Takes what is to be printed, and never waits.
#[derive(Debug)]
pub(super) struct Printer {
    texts: SyncSender<String>,
    /// Lines that found no room.
    lost: usize,
}

// === impl Printer ===

impl Printer {
    /// One that prints to standard output, until that is closed or this is dropped.
    pub(super) fn new() -> io::Result<Self> {
        let (texts, waiting) = sync_channel(WAITING_MAX);
        // Nobody waits for its end: it holds nothing but what is to be printed.
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || print(&waiting, &mut io::stdout()))?;
        Ok(Self { texts, lost: 0 })
    }

    pub(super) fn print(&mut self, mut lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let count = lines.len();
        if self.lost > 0 {
            lines.insert(0, format!("  and {} lines more, which nobody read in time", self.lost));
        }
        match self.texts.try_send(lines.join("\n") + "\n") {
            Ok(()) => self.lost = 0,
            Err(TrySendError::Full(_)) => self.lost += count,
            // The output is closed: nobody wants to know.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

fn print(texts: &Receiver<String>, output: &mut impl Write) {
    for text in texts {
        if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_is_counted_and_holds_up_nobody() {
        let (texts, waiting) = sync_channel(2);
        let mut printer = Printer { texts, lost: 0 };
        let line = |text: &str| vec![text.to_owned()];
        for text in ["a", "b", "c", "d"] {
            printer.print(line(text));
        }
        assert_eq!(waiting.recv().unwrap(), "a\n");
        printer.print(line("e"));
        drop(printer);
        let mut output = Vec::new();
        print(&waiting, &mut output);
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "b\n  and 2 lines more, which nobody read in time\ne\n"
        );
    }

    #[test]
    fn a_closed_output_ends_it() {
        let (texts, waiting) = sync_channel(2);
        texts.send("a".to_owned()).unwrap();
        texts.send("b".to_owned()).unwrap();
        let mut full = [0; 0];
        print(&waiting, &mut full.as_mut_slice());
        assert_eq!(waiting.recv().unwrap(), "b");
    }
}
