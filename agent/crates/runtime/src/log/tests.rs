use super::CURRENT;
use super::line::{Line, Source};
use super::writer::{MAX_LINE, Splitter, Writer};
use hull_model::LogConfig;
use jiff::Timestamp;
use proptest::prelude::*;

proptest! {
    #[test]
    fn pieces_make_up_the_stream(chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), 0..20)) {
        let (mut splitter, mut pieces) = (Splitter::default(), Vec::<Vec<u8>>::new());
        for chunk in &chunks {
            splitter.push(chunk, |line| pieces.push(line.to_vec()));
        }
        splitter.finish(|line| pieces.push(line.to_vec()));
        prop_assert_eq!(pieces.concat(), chunks.concat());
        for piece in &pieces {
            prop_assert!(!piece.is_empty() && piece.len() <= MAX_LINE);
            prop_assert!(!piece[..piece.len() - 1].contains(&b'\n'));
        }
    }
}

#[test]
fn a_long_line_is_cut_at_16_kib() {
    let (mut splitter, mut sizes) = (Splitter::default(), Vec::new());
    splitter.push(&vec![b'x'; 40_000], |line| sizes.push(line.len()));
    splitter.push(b"\n", |line| sizes.push(line.len()));
    assert_eq!(sizes, [MAX_LINE, MAX_LINE, 40_000 - 2 * MAX_LINE + 1]);
}

#[test]
fn files_are_rotated_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let config = LogConfig { max_size: 1000, max_files: 3, ..LogConfig::default() };
    let mut writer = Writer::open(directory.path(), &config).unwrap();
    for number in 0..100 {
        writer.line(Source::Stdout, Timestamp::UNIX_EPOCH, format!("line {number}\n").as_bytes()).unwrap();
        if number % 7 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["current.json", "current.json.1", "current.json.2"]);
    let mut all = String::new();
    for name in names.iter().rev() {
        let text = std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(text.len() <= 1000, "{name}: {}", text.len());
        all.push_str(&text);
    }
    let logs: Vec<String> =
        all.lines().map(|l| serde_json::from_str::<Line<'_>>(l).unwrap().log.into_owned()).collect();
    let first = 100 - logs.len();
    let expected: Vec<String> = (first..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(logs, expected);
}

#[test]
fn one_file_is_replaced_and_bytes_are_shown_as_text() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer =
        Writer::open(directory.path(), &LogConfig { max_size: 150, max_files: 1, ..LogConfig::default() })
            .unwrap();
    for _ in 0..10 {
        writer.line(Source::Stderr, Timestamp::UNIX_EPOCH, b"\xff\"x\"\n").unwrap();
    }
    writer.flush().unwrap();
    let text = std::fs::read_to_string(directory.path().join(CURRENT)).unwrap();
    let expected = "{\"log\":\"\u{fffd}\\\"x\\\"\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:00.000000000Z\"}";
    assert!(text.lines().all(|line| line == expected) && text.lines().count() >= 1, "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
