//! Files made to hurt are refused, each for the reason that is its own.
//!
//! None of these tests looks at a clock: a file that is not refused by its
//! limit would take minutes or all memory, which nobody misses.

use crate::bad::environment;
use explr::config::load;
use std::fmt::Write;

/// The message for a file with these bytes.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.yaml");
    std::fs::write(&path, bytes).unwrap();
    let message = load(&path, &[], environment()).unwrap_err().to_string();
    assert!(message.len() < 20_000, "{} bytes of message", message.len());
    assert!(
        !message.contains(|c: char| c.is_control() && c != '\n'),
        "{message:?}"
    );
    message.replace(&format!("{}/", folder.path().display()), "")
}

const HEAD: &str = "experiment: digits\n";

#[test]
fn a_bomb_of_aliases_is_refused_by_what_it_expands_to() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ('b'..='i').zip('a'..) {
        let aliases = vec![format!("*{of}"); 9].join(", ");
        writeln!(bomb, "{name}: &{name} [{aliases}]").unwrap();
    }
    insta::assert_snapshot!(refusal(bomb.as_bytes()), @"
    error: more than 20000 values, aliases counted in full
     --> hostile.yaml:5:12
      |
    5 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
      |            ^^
      = help: a configuration describes an experiment; keep data in files of its own

    1 error in the configuration
    ");
}

#[test]
fn a_chain_of_aliases_is_refused_when_it_gets_too_deep() {
    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..40 {
        writeln!(chain, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    insta::assert_snapshot!(refusal(chain.as_bytes()), @"
    error: nested more than 32 levels deep
      --> hostile.yaml:31:12
       |
    31 | a30: &a30 [*a29]
       |            ^^^^

    1 error in the configuration
    ");
}

#[test]
fn many_aliases_are_refused() {
    let aliases = "*a, ".repeat(500);
    insta::assert_snapshot!(refusal(format!("a: &a 1\nb: [{aliases}]\n").as_bytes()), @"
    error: more than 100 aliases (`*name`)
     --> hostile.yaml:2:405
      |
    2 | ... *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a,...
      |                                     ^^

    1 error in the configuration
    ");
}

#[test]
fn nested_anchors_are_refused_by_the_copies_that_they_need() {
    let mut nested = String::from("hyperparameters:\n  x: ");
    for level in 0..20 {
        write!(nested, "&a{level} [").unwrap();
    }
    nested.push_str(&"1, ".repeat(5000));
    nested.push_str(&"]".repeat(20));
    insta::assert_snapshot!(refusal(nested.as_bytes()), @"
    error: more than 20000 values, aliases counted in full
     --> hostile.yaml:2:97
      |
    2 | ...11 [&a12 [&a13 [&a14 [&a15 [&a16 [&a17 [&a18 [&a19 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ...
      |                                     ^
      = help: a configuration describes an experiment; keep data in files of its own

    1 error in the configuration
    ");
}

#[test]
fn a_hundred_thousand_brackets_are_refused() {
    for bracket in ["[", "{", "{a: [", "? ", "- "] {
        let message = refusal(bracket.repeat(100_000).as_bytes());
        let reasons = ["nested more than 32 levels deep", "can't be a key"];
        assert!(
            reasons.iter().any(|reason| message.contains(reason)),
            "{message}"
        );
    }
    insta::assert_snapshot!(refusal("[".repeat(100_000).as_bytes()), @"
    error: nested more than 32 levels deep
     --> hostile.yaml:1:34
      |
    1 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...
      |                                  ^

    1 error in the configuration
    ");
}

#[test]
fn a_staircase_of_keys_is_refused() {
    let stairs: String = (0..200)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    insta::assert_snapshot!(refusal(stairs.as_bytes()), @"
    error: nested more than 32 levels deep
      --> hostile.yaml:33:33
       |
    33 |                                 a:
       |                                 ^

    1 error in the configuration
    ");
}

#[test]
fn a_million_values_are_refused() {
    let list = format!("{HEAD}hyperparameters:\n  x: [{}]\n", "1,".repeat(400_000));
    insta::assert_snapshot!(refusal(list.as_bytes()), @"
    error: more than 20000 values, aliases counted in full
     --> hostile.yaml:3:39999
      |
    3 | ...,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1...
      |                                     ^
      = help: a configuration describes an experiment; keep data in files of its own

    1 error in the configuration
    ");
}

#[test]
fn a_file_of_two_megabytes_is_refused() {
    insta::assert_snapshot!(refusal(&vec![b'#'; 2 << 20]), @"
    error: `hostile.yaml` is larger than 1 MiB
     = help: a configuration describes an experiment; keep data in files of its own

    1 error in the configuration
    ");
}

#[test]
fn bytes_that_are_no_utf8_are_refused_at_their_place() {
    let bytes = [
        b"experiment: digits\ntags:\n  n\xc3\xa4me: \xff\xfe\n".as_slice(),
        HEAD.as_bytes(),
    ]
    .concat();
    insta::assert_snapshot!(refusal(&bytes), @"
    error: the byte 0xff here is not UTF-8
     --> hostile.yaml:3:9
      |
    3 |   näme: �
      |         ^
      = help: save the file as UTF-8 text

    1 error in the configuration
    ");
}

#[test]
fn text_in_utf16_is_refused() {
    let bytes: Vec<u8> = std::iter::once(0xfeff_u16)
        .chain(HEAD.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    insta::assert_snapshot!(refusal(&bytes), @"
    error: this is UTF-16, not UTF-8
     --> hostile.yaml:1:1
      |
    1 | �
      | ^
      = help: save the file as UTF-8 text

    1 error in the configuration
    ");
}

#[test]
fn nul_bytes_are_refused() {
    insta::assert_snapshot!(refusal(b"experiment: di\0gits\n"), @r#"
    error: the control character U+0000 can't be in a configuration
     --> hostile.yaml:1:15
      |
    1 | experiment: di�gits
      |               ^
      = help: is this a text file? In "..." quotes, write `\x1b` and the like

    1 error in the configuration
    "#);
}

#[test]
fn a_binary_is_refused() {
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0\xb0\xdb\n\0\xff";
    insta::assert_snapshot!(refusal(elf), @"
    error: the byte 0xb0 here is not UTF-8
     --> hostile.yaml:1:25
      |
    1 | �ELF��������������>������
      |                         ^
      = help: save the file as UTF-8 text

    1 error in the configuration
    ");
}

#[test]
fn a_line_of_a_hundred_thousand_characters_is_cut_around_the_caret() {
    let long = "x".repeat(100_000);
    insta::assert_snapshot!(refusal(format!("{HEAD}seed: {long}\n").as_bytes()), @"
    error: `seed` must be a whole number, not the text `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...`
     --> hostile.yaml:2:7
      |
    2 | seed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(format!("{HEAD}tags: {{a: {long}, b: [1], c: {long}}}\n").as_bytes()), @"
    error: `tags.b` must be text, not a list
     --> hostile.yaml:2:100016
      |
    2 | ...xxxxxxxxxxxxxxxxxxxxxxxxxxxx, b: [1], c: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
      |                                     ^^^

    1 error in the configuration
    ");
    insta::assert_snapshot!(refusal(format!("{HEAD}{long}: 1\n").as_bytes()), @"
    error: this line is no `key: value`
     --> hostile.yaml:2:1
      |
    2 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: a key is followed by a colon and a space

    1 error in the configuration
    ");
}

#[test]
fn thousands_of_mistakes_are_counted_and_the_first_ones_shown() {
    let keys: String = (0..15_000)
        .map(|number| format!("key{number}: 1\n"))
        .collect();
    let message = refusal(format!("{HEAD}{keys}").as_bytes());
    assert_eq!(message.matches("error: ").count(), 50);
    assert!(
        message.ends_with("... and 14950 more\n\n15000 errors in the configuration"),
        "{message}"
    );
}

#[test]
fn a_folder_and_a_missing_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let shown = |path: &std::path::Path| {
        let message = load(path, &[], environment()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "FOLDER")
    };
    std::fs::write(folder.path().join("digits.yaml"), HEAD).unwrap();
    insta::assert_snapshot!(shown(folder.path()), @"
    error: `FOLDER` is a folder
     = help: name a YAML file in it

    1 error in the configuration
    ");
    insta::assert_snapshot!(shown(&folder.path().join("digit.yaml")), @"
    error: can't read `FOLDER/digit.yaml`: there is no such file
     = help: did you mean `FOLDER/digits.yaml`?

    1 error in the configuration
    ");
    insta::assert_snapshot!(shown(&folder.path().join("nothing/at.yaml")), @"
    error: can't read `FOLDER/nothing/at.yaml`: there is no such file

    1 error in the configuration
    ");
}
