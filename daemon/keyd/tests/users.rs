//! Who may connect to which socket of the program, how keyd reports others, and what those can't
//! do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use softsim_keyd_proto::requests::{Hello, Status};
use softsim_keyd_proto::{
    MAX_REQUEST, PROTOCOL_VERSION, Refusal, RequestKind, Role, decode_answer, encode_request,
};
use softsim_sandbox::{process, seqpacket};
use softsim_testkit::host::{Host, Running, as_user, closes, receive};

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The number of connections, which is above the number of lines that keyd logs.
const CONNECTIONS: u64 = 500;

fn not_permitted(role: Role) -> Refusal {
    Refusal::NotPermitted {
        request: RequestKind::Hello,
        role,
    }
}

fn hello(connection: &seqpacket::Connection, version: u16) -> Result<Role, Refusal> {
    let mut buffer = [0; MAX_REQUEST];
    let request = encode_request(&Hello { version }, &mut buffer).unwrap();
    connection.send(request).unwrap();
    let answer = decode_answer::<Hello>(&receive(connection)).unwrap();
    answer.map(|answer| answer.role)
}

#[test]
fn a_role_whose_users_are_not_named_admits_nobody_and_says_so() {
    let host = Host::new(PROGRAM)
        .with_users_apart()
        .with("--network-user=4242");
    let running = host.start();
    for role in [Role::Network, Role::App, Role::Supplicant] {
        let refused = host.raw(role);
        let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
        assert_eq!(refusal.unwrap_err(), not_permitted(role));
        assert!(closes(&refused));
    }
    let admin = host.raw(Role::Admin);
    assert_eq!(hello(&admin, PROTOCOL_VERSION), Ok(Role::Admin));
    let said = running.kill();
    for role in [Role::App, Role::Supplicant] {
        let line = format!("the role {role} has a socket and admits nobody");
        assert!(said.contains(&line), "{said}");
    }
    assert!(!said.contains("the role network has a socket"), "{said}");
}

#[test]
fn connections_of_users_that_the_role_does_not_admit_are_counted_and_logged_in_one_line() {
    let host = Host::new(PROGRAM).with_users_apart();
    let running = host.start();
    for _ in 0..CONNECTIONS {
        let refused = host.raw(Role::App);
        let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
        assert_eq!(refusal.unwrap_err(), not_permitted(Role::App));
    }
    assert_eq!(host.status().counters.unwrap().refused_users, CONNECTIONS);
    let said = running.kill();
    let lines = said.lines().filter(|line| line.contains("doesn't admit"));
    assert_eq!(lines.count(), 1, "{said}");
    let first = format!("last uid {} to the role app", process::uid());
    assert!(said.contains(&first), "{said}");
}

#[test]
fn user_has_one_role_unless_same_user_is_given() {
    let own = process::uid();
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
    for (flag, why) in [
        (format!("--network-user={own}"), "the role network"),
        ("--app-user=0".to_owned(), "the role app"),
        ("--supplicant-user=0".to_owned(), "the role supplicant"),
        (format!("--app-user={}", overflow.trim()), "tell apart"),
        (format!("--admin-user={}", overflow.trim()), "tell apart"),
        (
            "--app-af=4242=af.example".to_owned(),
            "administrator, got 4242",
        ),
        ("--app-group=nobody-at-all".to_owned(), "got nobody-at-all"),
    ] {
        let refused = Host::new(PROGRAM).with_users_apart().with(&flag).refused();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(64), "{flag}: {said}");
        assert!(said.contains(why), "{flag}: {said}");
    }
    let host = Host::new(PROGRAM)
        .with("--app-user=0")
        .with(format!("--app-user={own}"));
    let _running = host.start();
    assert_eq!(hello(&host.raw(Role::App), PROTOCOL_VERSION), Ok(Role::App));
}

/// The groups in the tests, which no file names.
const ADMINISTRATORS: u32 = 4300;
const APPLICATIONS: u32 = 4301;

/// keyd with these groups, whose folder every user can enter.
fn host_with_groups() -> Host {
    let host = Host::new(PROGRAM)
        .with_users_apart()
        .with(format!("--admin-group={ADMINISTRATORS}"))
        .with(format!("--app-group={APPLICATIONS}"))
        .with("--app-user=4242");
    fs::set_permissions(host.path(""), Permissions::from_mode(0o755)).unwrap();
    host
}

/// Starts keyd, and opens its sockets to everybody, so that only keyd judges.
fn start_open(host: &Host) -> Running {
    let running = host.start();
    for role in Role::ALL {
        let everybody = Permissions::from_mode(0o666);
        fs::set_permissions(host.path(role.name()), everybody).unwrap();
    }
    running
}

#[test]
fn a_member_of_a_roles_group_may_connect_unless_it_administers() {
    if process::uid() != 0 {
        // Nobody else can take groups.
        return;
    }
    let host = host_with_groups();
    let running = start_open(&host);
    let assert_judged = |role, uid, groups: &[u32], admitted| {
        let connection = as_user(uid, groups, || host.raw(role));
        let answer = match admitted {
            true => hello(&connection, PROTOCOL_VERSION),
            // keyd leaves at once, and forgets what was sent.
            false => decode_answer::<Hello>(&receive(&connection))
                .unwrap()
                .map(|answer| answer.role),
        };
        let expected = match admitted {
            true => Ok(role),
            false => Err(not_permitted(role)),
        };
        assert_eq!(answer, expected, "{role} {uid} {groups:?}");
    };
    // Of 64 groups, each is seen.
    let mut many: Vec<_> = (5000..5063).chain([APPLICATIONS]).collect();
    for (role, uid, groups, admitted) in [
        (Role::App, 4243, &[9, APPLICATIONS][..], true),
        (Role::App, APPLICATIONS, &[], true),
        (Role::App, 4243, &[9], false),
        (Role::App, 4243, &[ADMINISTRATORS, APPLICATIONS], false),
        (Role::App, 4242, &[ADMINISTRATORS], false),
        (Role::App, 4242, &[], true),
        (Role::App, 0, &[APPLICATIONS], false),
        (Role::Admin, 4243, &[ADMINISTRATORS], true),
        (Role::Admin, 4243, &[APPLICATIONS], false),
        (Role::Network, 4243, &[APPLICATIONS], false),
        (Role::App, 4243, &many, true),
    ] {
        assert_judged(role, uid, groups, admitted);
    }
    assert_eq!(host.status().counters.unwrap().refused_users, 6);
    drop(running);
    many.push(9);
    let running = start_open(&host);
    assert_judged(Role::App, 4243, &many, false);
    assert_judged(Role::App, 4242, &many, true);
    assert_eq!(host.status().counters.unwrap().refused_users, 1);
    let said = running.kill();
    let line = "last uid 4243 to the role app, which is in more than 64 groups, so that none of them counts";
    assert!(said.contains(line), "{said}");
}

#[test]
fn a_hidden_user_learns_of_private_users() {
    if process::uid() != 0 {
        // Nobody else can be another user.
        return;
    }
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
    let uid = overflow.trim().parse().unwrap();
    let host = host_with_groups();
    let running = start_open(&host);
    let answer = as_user(uid, &[APPLICATIONS], || receive(&host.raw(Role::App)));
    let refusal = decode_answer::<Hello>(&answer).unwrap().unwrap_err();
    assert_eq!(refusal, Refusal::HiddenUser { uid });
    assert!(refusal.to_string().contains("PrivateUsers=yes"));
    assert_eq!(host.status().counters.unwrap().refused_users, 1);
    let said = running.kill();
    assert!(said.contains("PrivateUsers=yes"), "{said}");
}

#[test]
fn members_of_a_group_share_a_number_of_connections_and_leave_room_for_others() {
    if process::uid() != 0 {
        // Nobody else can take groups.
        return;
    }
    let host = host_with_groups();
    let _running = start_open(&host);
    let connect = |uid, groups: &[u32]| as_user(uid, groups, || host.raw(Role::App));
    let of_members: Vec<_> = (5000..5032)
        .map(|uid| {
            let connection = connect(uid, &[APPLICATIONS]);
            assert_eq!(hello(&connection, PROTOCOL_VERSION), Ok(Role::App));
            connection
        })
        .collect();
    let limit = of_members.len() as u8;
    let answer = receive(&connect(5032, &[APPLICATIONS]));
    let refusal = decode_answer::<Hello>(&answer).unwrap().unwrap_err();
    assert_eq!(refusal, Refusal::TooManyConnections { limit });
    assert_eq!(hello(&connect(4242, &[]), PROTOCOL_VERSION), Ok(Role::App));
}

#[test]
fn a_socket_is_open_to_its_folders_group_only_where_others_are_on_the_list() {
    // Root can change the directory's owner; other users use their own group.
    let group = if process::uid() == 0 {
        4242
    } else {
        process::gid()
    };
    let host = Host::new(PROGRAM)
        .with_users_apart()
        .with("--network-user=4242")
        .with("--supplicant-group=4242");
    chown(host.path(""), None, Some(group)).unwrap();
    fs::set_permissions(host.path(""), Permissions::from_mode(0o2750)).unwrap();
    let _running = host.start();
    for (role, mode) in [
        (Role::Network, 0o660),
        (Role::Admin, 0o600),
        (Role::App, 0o600),
        (Role::Supplicant, 0o660),
    ] {
        let socket = fs::metadata(host.path(role.name())).unwrap();
        assert_eq!(socket.mode() & 0o777, mode, "{role}");
        assert_eq!(socket.gid(), group, "{role}");
    }
}

#[test]
fn a_refused_hello_ends_its_conversation_and_no_other() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let good = host.raw(Role::Network);
    let refusal = Refusal::Version {
        expected: PROTOCOL_VERSION,
        got: 99,
    };
    let version = host.raw(Role::Network);
    assert_eq!(hello(&version, 99), Err(refusal));
    let malformed = host.raw(Role::Network);
    malformed.send(&[RequestKind::Hello as u8]).unwrap();
    assert!(
        decode_answer::<Hello>(&receive(&malformed))
            .unwrap()
            .is_err()
    );
    for refused in [&version, &malformed] {
        assert!(closes(refused));
        assert!(refused.send(&[RequestKind::Status as u8]).is_err());
    }
    assert_eq!(hello(&good, PROTOCOL_VERSION), Ok(Role::Network));
    good.send(&[RequestKind::Status as u8]).unwrap();
    assert!(decode_answer::<Status>(&receive(&good)).unwrap().is_ok());
}
