//! The code blocks of a Markdown page, with the remarks to the tests before them:
//!
//! | remark, in `<!-- test: … -->` | effect |
//! |---|---|
//! | `not run, REASON` | The block is not run. The test prints the reason. |
//! | `stdin TEXT` | The commands read this line. |
//! | `NAME is COMMAND` | In this block and later ones, NAME stands for the output of the command. |
//! | `before COMMAND` | Runs a command first. |
//! | `keeps running` | The last command serves until the end of the page. |
//! | `output not compared, REASON` | The printed output is an example. |

/// A code block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    pub(crate) remarks: Vec<String>,
}

impl Block {
    /// Returns the text of the remark that begins so.
    pub(crate) fn remark(&self, start: &str) -> Option<&str> {
        let mut texts = self.remarks.iter().filter_map(|remark| remark.strip_prefix(start));
        texts.next().map(str::trim)
    }

    /// Returns the names that stand for the output of a command, with the command.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.remarks.iter().filter_map(|remark| remark.split_once(" is "))
    }

    /// Returns the commands, each with its printed output. A block of `sh` has no output.
    pub(crate) fn commands(&self) -> Vec<(String, String)> {
        if self.language != "console" {
            return vec![(self.text.clone(), String::new())];
        }
        let mut commands: Vec<(String, String)> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => *output += &format!("{line}\n"),
                (None, None) => panic!("line {}: a console block begins with $", self.line),
            }
        }
        commands
    }
}

/// Returns all code blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut remarks) = (Vec::new(), Vec::new());
    let mut lines = (1..).zip(page.lines());
    while let Some((number, line)) = lines.next() {
        let text = line.trim_start();
        if let Some(remark) = text.strip_prefix("<!-- test: ") {
            remarks.push(remark.strip_suffix(" -->").expect("a remark on one line").to_owned());
        } else if let Some(language) = text.strip_prefix("```") {
            let indent = line.len() - text.len();
            let content = lines.by_ref().map(|(_, line)| line.get(indent..).unwrap_or_default());
            let content = content.take_while(|line| *line != "```");
            blocks.push(Block {
                line: number,
                language: language.to_owned(),
                text: content.map(|line| format!("{line}\n")).collect(),
                remarks: std::mem::take(&mut remarks),
            });
        } else if !text.is_empty() {
            assert!(remarks.is_empty(), "line {number}: a remark stands before a code block");
        }
    }
    blocks
}

/// Compares an output with the printed one, in which `…` stands for any text. Returns the words that
/// were shortened by `…`, with their whole text, or `None` if the output is another one.
pub(crate) fn matches(printed: &str, output: &str) -> Option<Vec<(String, String)>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let (mut words, mut rest) = (Vec::new(), output.trim());
    let parts: Vec<&str> = printed.trim().split('…').collect();
    let mut shortened: Option<&str> = None;
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let literal = if is_last { part } else { part.trim_end_matches(is_word) };
        let at = match shortened {
            None => rest.starts_with(literal).then_some(0),
            Some(_) if is_last && literal.is_empty() => Some(rest.len()),
            Some(_) => rest.find(literal),
        };
        let (skipped, found) = rest.split_at_checked(at?)?;
        if let Some(word) = shortened.filter(|word| !word.is_empty()) {
            words.push((format!("{word}…"), skipped.to_owned()));
        }
        rest = &found[literal.len()..];
        shortened = Some(&part[literal.len()..]);
    }
    rest.is_empty().then_some(words)
}

#[test]
fn blocks_are_found_with_their_remarks() {
    let page = "\
text
<!-- test: stdin a word -->
<!-- test: NAME is echo x -->

```console
$ one
out

$ two
```
- item

  ```sh
  three
    four
  ```
";
    let blocks = blocks(page);
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    assert_eq!(blocks[0].remark("stdin "), Some("a word"));
    assert_eq!(blocks[0].names().collect::<Vec<_>>(), [("NAME", "echo x")]);
    let console = blocks[0].commands();
    assert_eq!(console, [("one".into(), "out\n\n".into()), ("two".into(), String::new())]);
    assert_eq!((blocks[1].line, &*blocks[1].text), (13, "three\n  four\n"));
    assert_eq!(blocks[1].remark("not run"), None);
}

#[test]
fn a_printed_output_matches_if_only_shortened_words_differ() {
    let words = |list: &[(&str, &str)]| {
        let owned = list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Some(owned.collect::<Vec<_>>())
    };
    for (printed, output, expected) in [
        ("ok\n", "ok", words(&[])),
        ("ok", "ok more", None),
        ("{\"a\":\"AV…\",\"b\":1}", "{\"a\":\"xyz\",\"b\":1}", words(&[("AV…", "xyz")])),
        ("{\"a\":\"AV…\",\"b\":1}", "{\"a\":\"xyz\",\"b\":2}", None),
        ("{\"a\":1,…}", "{\"a\":1,\"b\":2}", words(&[])),
        (
            "id  client_4…\nsecret  s…",
            "id  client_9\nsecret  t",
            words(&[("client_4…", "client_9"), ("s…", "t")]),
        ),
        ("HTTP 204", "HTTP 200", None),
    ] {
        assert_eq!(matches(printed, output), expected, "{printed}");
    }
}
