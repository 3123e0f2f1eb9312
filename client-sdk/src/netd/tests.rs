#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

fn netd(answer: Vec<u8>) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(client.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        client.write_all(&answer).unwrap();
    });
    (directory, path)
}

#[test]
fn events_end_with_the_one_that_says_so() {
    let events = [
        Event::Step {
            microseconds: 5,
            text: "DTLS".into(),
        },
        Event::Failed {
            failure: Failure::Unavailable,
            reason: "no answer".into(),
        },
        Event::Step {
            microseconds: 9,
            text: "after the end".into(),
        },
    ];
    let lines: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap() + "\n")
        .collect();
    let (_directory, path) = netd(lines.concat().into_bytes());
    let got: Vec<Event> = Control::run(&path, &Command::Bootstrap {})
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(got, events[..2]);
}

#[test]
fn a_stream_that_ends_early_says_closed() {
    let (_directory, path) = netd(b"{\"event\":\"st".to_vec());
    let mut control = Control::run(&path, &Command::Status {}).unwrap();
    assert!(matches!(control.next(), Some(Err(Error::Closed))));
    assert!(control.next().is_none());
}

#[test]
fn a_line_without_end_is_not_collected() {
    let (_directory, path) = netd(vec![b'x'; 2 * MAX_LINE]);
    let mut control = Control::run(&path, &Command::Status {}).unwrap();
    assert!(matches!(control.next(), Some(Err(Error::TooLong))));
}

#[test]
fn the_command_on_the_wire_is_as_documented() {
    let command = Command::EapTest {
        radius: "127.0.0.1:1812".into(),
        secret: RadiusSecret::new(b"testing".to_vec()),
        identity: None,
    };
    assert_eq!(
        serde_json::to_string(&command).unwrap(),
        r#"{"command":"eap-test","radius":"127.0.0.1:1812","secret":"74657374696e67","identity":null}"#
    );
    assert!(format!("{command:?}").contains("[redacted]"));
    let unknown = r#"{"command":"status","verbose":true}"#;
    assert!(serde_json::from_str::<Command>(unknown).is_err());
}

#[test]
fn a_secret_that_is_not_hex_is_refused_without_being_shown() {
    let line = r#"{"command":"eap-test","radius":"127.0.0.1:1812","secret":"hunter2"}"#;
    let error = serde_json::from_str::<Command>(line).unwrap_err();
    assert!(error.to_string().starts_with("secret: expected hex"));
}
