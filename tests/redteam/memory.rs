//! Reading memory: /proc/PID/mem, process_vm_readv(2), and ptrace(2) word by word.

use softsim_testkit::processes::thorough;

use crate::control::Control;
use crate::intruder::{Report, attack};
use crate::search::Search;
use crate::target::Target;

const WAYS: [&str; 3] = ["mem", "readv", "peek"];

/// The minimum size of keyd's stack and heap in octets. The heap grows with the vault.
const STACK_AND_HEAP: usize = 256 << 10;

#[test]
fn of_keyds_memory_root_reads_nothing_secret_idle_or_working() {
    let Some(target) = Target::new("reading keyd's memory") else {
        return;
    };
    let (keyd, search) = (target.keyd(), target.search());
    // The memory of a working process changes, so the test reads it several times.
    let times = if thorough() { 10 } else { 2 };
    for way in WAYS {
        finds_everything_in_the_control(&target, &search, way);
        let idle = attack(&[way, &keyd], &search);
        let secret = secret_octets_refused(&idle) >> 10;
        println!("redteam: keyd idle, {way}: {idle}, {secret} KiB of secret memory among them");
        assert!(idle.hits.is_empty(), "{idle}");
        assert!(secret_octets_refused(&idle) >= STACK_AND_HEAP);

        target.while_working(|| {
            let readings = (0..times).map(|_| attack(&[way, &keyd], &search));
            for working in readings {
                assert!(working.hits.is_empty(), "{working}");
                assert!(secret_octets_refused(&working) >= STACK_AND_HEAP);
            }
        });
        println!("redteam: keyd working, {way}: {times} times, hits: none");
    }
    target.still_works();
}

#[test]
fn netds_memory_holds_no_key_and_no_msk_that_keyd_has_compared() {
    let Some(target) = Target::new("reading netd's memory") else {
        return;
    };
    let netd = target.netd();
    let sent = target.msks_of_accepts();
    let of_accepts = Search::new(&sent);
    let search = target.search();
    for way in ["mem", "readv"] {
        let idle = attack(&[way, &netd], &search);
        println!("redteam: netd idle, {way}: {idle}");
        assert!(idle.hits.is_empty(), "{idle}");
        let after = attack(&[way, &netd], &of_accepts);
        println!(
            "redteam: netd after {} Access-Accepts, {way}: {after}",
            sent.len()
        );
        assert!(after.hits.is_empty(), "{after}");
        target.while_working(|| {
            let working = attack(&[way, &netd], &search);
            println!("redteam: netd working, {way}: {working}");
            assert!(working.hits.is_empty(), "{working}");
        });
    }
    target.still_works();
}

/// Asserts that the search finds the same secrets in ordinary memory in the same way.
fn finds_everything_in_the_control(target: &Target, search: &Search, way: &str) {
    let (secrets, folder) = (target.secrets(), tempfile::tempdir().unwrap());
    let control = Control::start(&secrets, folder.path());
    let found = attack(&[way, &control.id()], search);
    println!("redteam: control, {way}: {found}");
    assert!(found.hits.all_of(&secrets), "{found}");
}

/// The number of octets of secret memory that could not be read.
fn secret_octets_refused(report: &Report) -> usize {
    let length = |range: &str| {
        let (start, end) = range.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        Some(address(end)? - address(start)?)
    };
    let secret = report
        .refused
        .iter()
        .filter(|(_, what)| what.contains("/secretmem"));
    secret
        .filter_map(|(_, what)| length(what.split(' ').next()?))
        .sum()
}
