//! Stopping a process by ptrace(2) and reading all its registers.

use crate::control::Control;
use crate::intruder::attack;
use crate::target::Target;

/// How often the test stops a process.
const STOPS: &str = "500";
/// How often the test stops a process after each operation.
const STOPS_OF_EACH: &str = "50";

#[test]
fn an_idle_keyds_registers_hold_nothing_secret_and_a_working_ones_are_measured() {
    let Some(target) = Target::new("keyd's registers") else {
        return;
    };
    let (keyd, search) = (target.keyd(), target.search());
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start(&target.secrets(), folder.path());
    let found = attack(&["registers", &control.id(), STOPS], &search);
    println!("redteam: control, {STOPS} register stops: {found}");
    assert!(
        !found.hits.is_empty(),
        "the registers of an ordinary process hold keys"
    );
    drop(control);

    target.after_each_operation(|operation| {
        let idle = attack(&["registers", &keyd, STOPS_OF_EACH], &search);
        println!("redteam: keyd idle after {operation}, {STOPS_OF_EACH} register stops: {idle}");
        assert!(idle.hits.is_empty(), "{operation}: {idle}");
    });

    // A processor computes with secrets in its registers, so the values of the current computation
    // are visible there.
    let working = target.while_working(|| attack(&["registers", &keyd, STOPS], &search));
    println!("redteam: keyd working, {STOPS} register stops: {working}");

    let idle = attack(&["registers", &keyd, STOPS], &search);
    println!("redteam: keyd idle again, {STOPS} register stops: {idle}");
    assert!(idle.hits.is_empty(), "{idle}");
    target.still_works();
}

#[test]
fn netds_registers_hold_nothing_that_is_keyds_alone() {
    let Some(target) = Target::new("netd's registers") else {
        return;
    };
    let (netd, search) = (target.netd(), target.search());
    let working = target.while_working(|| attack(&["registers", &netd, STOPS], &search));
    println!("redteam: netd working, {STOPS} register stops of each thread: {working}");
    assert!(working.hits.is_empty(), "{working}");
    target.still_works();
}
