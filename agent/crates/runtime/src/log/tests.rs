use super::files::LogFiles;
use super::reader::Reader;
use super::split::MAX_LINE;
use super::*;
use hull_model::{ContainerId, LogConfig, LogDriver};
use jiff::Timestamp;
use proptest::prelude::*;
use std::path::Path;

fn place(directory: &Path, driver: LogDriver) -> Place {
    let config = LogConfig { driver, ..LogConfig::default() };
    let place = Place::of(directory, &ContainerId::from_random([7; 32]), &config);
    std::fs::create_dir_all(&place.directory).unwrap();
    place
}

fn open(place: &Place, max_size: u64, max_files: u32) -> LogFiles {
    let config = LogConfig { max_size, max_files, ..LogConfig::default() };
    LogFiles::open(place.clone(), &config, String::new()).unwrap()
}

fn say(files: &mut LogFiles, text: &str) {
    files.record(Source::Stdout, Timestamp::UNIX_EPOCH, text.as_bytes());
    files.flush();
}

fn read(place: &Place, tail: Option<usize>) -> (Vec<Entry>, u64) {
    let mut reader = Reader::open(place, tail).unwrap();
    let mut all = Vec::new();
    loop {
        let some = reader.next_entries().unwrap();
        if some.is_empty() {
            return (all, reader.damaged);
        }
        all.extend(some);
    }
}

fn text(entries: &[Entry]) -> String {
    String::from_utf8(entries.iter().flat_map(|entry| entry.bytes.clone()).collect()).unwrap()
}

/// As the supervisor does, but waiting for it.
fn pack_all(place: &Place, max_files: u32) {
    loop {
        let Some(number) = (1..max_files).rev().find(|n| place.path(*n).exists()) else { return };
        use std::io::Write as _;
        use std::os::unix::fs::MetadataExt as _;
        let inode = std::fs::metadata(place.path(number)).unwrap().ino();
        let header = flate2::GzBuilder::new().comment(packing::comment(inode));
        let mut packer =
            header.write(std::fs::File::create(place.packed(number)).unwrap(), flate2::Compression::fast());
        packer.write_all(&std::fs::read(place.path(number)).unwrap()).unwrap();
        packer.finish().unwrap();
        std::fs::remove_file(place.path(number)).unwrap();
    }
}

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

    #[test]
    fn what_is_written_is_read(pieces in proptest::collection::vec((any::<bool>(), 0i64..4_000_000_000, ".{0,30}", any::<bool>()), 0..20)) {
        for format in [Format::Compact, Format::Json] {
            let mut out = Vec::new();
            let mut expected = Vec::new();
            for (stderr, second, body, whole) in &pieces {
                let body = body.replace('\n', " ") + if *whole { "\n" } else { "" };
                let at = Timestamp::from_second(*second).unwrap();
                let source = if *stderr { Source::Stderr } else { Source::Stdout };
                format.encode(&mut out, source, at, body.as_bytes(), "\"attrs\":{\"a\":\"b\"},");
                let attributes = (format == Format::Json).then(|| [("a".to_owned(), "b".to_owned())].into());
                expected.push(Entry { stderr: *stderr, at, bytes: body.into_bytes(), attributes });
            }
            let (mut scanner, mut seen) = (scan::Scanner::default(), Vec::new());
            scanner.feed(&out, |record| seen.push(format.decode(record).unwrap()));
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn rubbish_in_a_log_costs_its_own_lines_and_no_more(
        rubbish in proptest::collection::vec(any::<u8>(), 0..3000), at in 0usize..40, json in any::<bool>(), cut in 0usize..30,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path(), if json { LogDriver::JsonFile } else { LogDriver::Local });
        let mut files = open(&place, 0, 1);
        for number in 0..40 {
            say(&mut files, &format!("line {number}\n"));
        }
        let bytes = std::fs::read(place.path(0)).unwrap();
        let begins: Vec<usize> = std::iter::once(0).chain((0..bytes.len()).filter(|i| bytes[*i] == b'\n').map(|i| i + 1)).collect();
        // A record is cut off, as by a lost power supply, and something else comes after it.
        let from = begins[at] + cut.min(begins[at + 1] - begins[at] - 1);
        let damaged = [&bytes[..from], &rubbish, b"\n", &bytes[begins[at + 1]..]].concat();
        std::fs::write(place.path(0), damaged).unwrap();
        let (entries, _) = read(&place, None);
        let seen: Vec<String> = entries.iter().map(|e| String::from_utf8_lossy(&e.bytes).into_owned()).collect();
        let mut rest = seen.iter();
        for number in (0..40).filter(|n| *n != at) {
            let wanted = format!("line {number}\n");
            prop_assert!(rest.any(|line| *line == wanted), "{} is missing in {:?}", number, seen);
        }
        let (last, _) = read(&place, Some(1));
        prop_assert!(at == 39 || text(&last) == "line 39\n");
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
fn json_is_written_as_docker_writes_it() {
    let attributes = json::attributes(&[("a".to_owned(), "b&c".to_owned())].into());
    let at = "2026-11-21T05:08:03.10125Z".parse().unwrap();
    let mut out = Vec::new();
    let bytes = b"tab\there <a&b> \x01\x7f\"\\ \xff\xfe\xe2\x80\xa8 \xc3\xa9\r\n";
    Format::Json.encode(&mut out, Source::Stdout, at, bytes, &attributes);
    let expected = concat!(
        r#"{"log":"tab\u0009here \u003ca\u0026b\u003e \u0001"#,
        "\x7f",
        r#"\"\\ \ufffd\ufffd\u2028 é\r\n","stream":"stdout","attrs":{"a":"b\u0026c"},"time":"2026-11-21T05:08:03.10125Z"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn files_are_rotated_bounded_and_compressed_and_read_as_one() {
    for driver in [LogDriver::Local, LogDriver::JsonFile] {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path(), driver);
        let mut files = open(&place, 1000, 3);
        for number in 0..100 {
            say(&mut files, &format!("line {number}\n"));
        }
        assert!(files.take_rotated() && !files.take_rotated());
        for number in 0..3 {
            let length = std::fs::metadata(place.path(number)).unwrap().len();
            assert!(length <= 1000, "{number}: {length}");
        }
        assert!(!place.path(3).exists());
        let (plain, damaged) = read(&place, None);
        let first = 100 - plain.len();
        let expected: String = (first..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!((text(&plain), damaged), (expected, 0));
        let tails: Vec<_> = (0..=plain.len() + 1).map(|n| read(&place, Some(n)).0).collect();
        pack_all(&place, 3);
        assert!(place.packed(2).exists() && !place.path(2).exists());
        assert_eq!(read(&place, None).0, plain);
        for (number, tail) in tails.iter().enumerate() {
            assert_eq!(tail, &plain[plain.len() - number.min(plain.len())..], "tail {number}");
            assert_eq!(&read(&place, Some(number)).0, tail, "tail {number}");
        }
        // Compressed files take part in rotation.
        for number in 100..200 {
            say(&mut files, &format!("line {number}\n"));
        }
        assert!(!place.packed(3).exists() && text(&read(&place, None).0).ends_with("line 199\n"));
    }
}

#[test]
fn one_file_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::Local);
    let mut files = open(&place, 150, 1);
    for number in 0..10 {
        say(&mut files, &format!("number {number}\n"));
    }
    assert!(!files.take_rotated(), "there is nothing to compress");
    assert_eq!(std::fs::read_dir(&place.directory).unwrap().count(), 1);
    assert!(text(&read(&place, None).0).ends_with("number 9\n"));
}

#[test]
fn a_reader_goes_on_over_rotation_and_compression() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::Local);
    let mut files = open(&place, 300, 4);
    let mut reader = Reader::open(&place, None).unwrap();
    let mut seen = String::new();
    for number in 0..200 {
        say(&mut files, &format!("line {number}\n"));
        if number % 9 == 0 {
            pack_all(&place, 4);
        }
        if number % 17 == 0 {
            loop {
                let some = reader.next_entries().unwrap();
                if some.is_empty() {
                    break;
                }
                seen.push_str(&text(&some));
            }
        }
    }
    while let some @ [_, ..] = &reader.next_entries().unwrap()[..] {
        seen.push_str(&text(some));
    }
    let expected: String = (0..200).map(|n| format!("line {n}\n")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_comes_later_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::Local);
    let mut files = open(&place, 300, 4);
    for number in 0..20 {
        say(&mut files, &format!("line {number}\n"));
    }
    for tail in [None, Some(3)] {
        let (before, _) = read(&place, tail);
        let mut reader = Reader::open(&place, tail).unwrap().until_now().unwrap();
        let mut seen = Vec::new();
        for _ in 0..100 {
            say(&mut files, "later\n");
            seen.extend(reader.next_entries().unwrap());
        }
        assert_eq!(seen, before);
    }
}

#[test]
fn a_record_that_was_cut_off_is_ended_before_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::JsonFile);
    say(&mut open(&place, 0, 1), "first\n");
    let whole = std::fs::read(place.path(0)).unwrap();
    std::fs::write(place.path(0), [&whole[..], &whole[..20]].concat()).unwrap();
    say(&mut open(&place, 0, 1), "second\n");
    let (entries, damaged) = read(&place, None);
    assert_eq!((text(&entries).as_str(), damaged), ("first\nsecond\n", 1));
}

#[test]
fn a_record_of_four_gigabytes_is_passed_over_without_being_kept() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::Local);
    say(&mut open(&place, 0, 1), "before\n");
    let file = std::fs::File::options().write(true).open(place.path(0)).unwrap();
    // A hole of four gigabytes between two lines.
    let end = file.metadata().unwrap().len() + (4 << 30);
    file.write_all_at(b"\n", end).unwrap();
    say(&mut open(&place, 0, 1), "after\n");
    let mut reader = Reader::open(&place, Some(1)).unwrap();
    assert_eq!(text(&reader.next_entries().unwrap()), "after\n");
    let mut scanner = scan::Scanner::default();
    let block = vec![0u8; 1 << 20];
    for _ in 0..64 {
        scanner.feed(&block, |_| panic!("that is no record"));
    }
    scanner.feed(b"\nx\n", |record| assert_eq!(record, b"x"));
    assert_eq!(scanner.skipped, 1);
}

#[test]
fn a_compressed_file_that_is_broken_costs_its_own_lines() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path(), LogDriver::Local);
    let mut files = open(&place, 1000, 3);
    for number in 0..60 {
        say(&mut files, &format!("line {number}\n"));
    }
    pack_all(&place, 3);
    let whole = std::fs::read(place.packed(1)).unwrap();
    for broken in [&whole[..whole.len() / 2], &[0xff; 100][..], b""] {
        std::fs::write(place.packed(1), broken).unwrap();
        let (entries, damaged) = read(&place, None);
        assert!(text(&entries).ends_with("line 59\n") && damaged > 0, "{damaged}");
        assert!(text(&read(&place, Some(100)).0).ends_with("line 59\n"));
    }
}

#[test]
fn the_journal_is_told_and_a_copy_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("journal");
    let journal = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let id = ContainerId::from_random([7; 32]);
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = LogConfig {
        driver: LogDriver::Journald,
        options: pairs(&[("tag", "web/1"), ("container-name", "web"), ("image-name", "busybox:1")]),
        attributes: pairs(&[("com.example.a-b", "x\ny"), ("_9", "nine")]),
        ..LogConfig::default()
    };
    std::fs::create_dir(directory.path().join("log")).unwrap();
    let mut writer = Writer::open(directory.path(), &id, &config, &socket).unwrap();
    writer.piece(Source::Stdout, Timestamp::UNIX_EPOCH, b"hello\n");
    writer.piece(Source::Stderr, Timestamp::UNIX_EPOCH, b"part");
    writer.flush();
    let mut buffer = [0u8; 4096];
    let mut next = || {
        let length = journal.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let fields = format!(
        "CONTAINER_ID={}\nCONTAINER_ID_FULL={id}\nCONTAINER_NAME=web\nCONTAINER_TAG=web/1\nIMAGE_NAME=busybox:1\n\
         SYSLOG_IDENTIFIER=web/1\n9=nine\nCOM_EXAMPLE_A_B\n\u{3}\0\0\0\0\0\0\0x\ny\n",
        id.short()
    );
    assert_eq!(next(), format!("MESSAGE=hello\nPRIORITY=6\n{fields}"));
    assert_eq!(next(), format!("MESSAGE=part\nPRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\n{fields}"));
    let copy = Place::of(directory.path(), &id, &config);
    assert_eq!(text(&read(&copy, None).0), "hello\npart");
    // A journal that is restarted costs what was said meanwhile, and that is counted.
    drop(journal);
    std::fs::remove_file(&socket).unwrap();
    writer.piece(Source::Stdout, Timestamp::UNIX_EPOCH, b"lost\n");
    assert!(writer.has_room() && writer.finish().is_none());
}
