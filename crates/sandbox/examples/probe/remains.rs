//! Where the memory of the process is, and what is left in it.

use std::arch::asm;
use std::fs;
use std::hint::black_box;
use std::ops::Range;

use softsim_sandbox::memory::{self, KeyMemory, SCRUB_DEPTH, SHALLOW_DEPTH};

/// A word that nobody else writes.
const PATTERN: u64 = 0x5ee7_c0de_5ee7_c0de;

/// Every kind of memory that the program itself writes to lies in the two secret maps.
pub(crate) fn maps() {
    let local = black_box(0_u8);
    let boxed = black_box(Box::new(0_u8));
    let formatted = black_box(format!("{local}"));
    let stack = map_around((&raw const local).addr());
    let heap = map_around((&raw const *boxed).addr());
    assert!(heap.range.contains(&formatted.as_ptr().addr()));
    assert_ne!(heap.range, stack.range);
    assert_eq!(stack.range.len(), 128 << 10);
    assert_eq!(heap.range.len(), 256 << 10);
    for map in [stack, heap] {
        let secret = map.name.starts_with("/secretmem");
        assert_eq!(secret, memory::key_memory() == KeyMemory::SecretMemory);
    }
}

/// A further area is of the reported kind, is between guard pages, and takes what has no room in
/// the first.
pub(crate) fn extend(octets: &str) {
    let octets: usize = octets.parse().expect("a number");
    let (before, needed) = (memory::key_memory(), memory::lock_limit_needed());
    assert_eq!(needed, (128 + 256) << 10);
    memory::extend_heap(0).expect("nothing to do");
    assert_eq!(memory::lock_limit_needed(), needed);
    assert!(Vec::<u8>::new().try_reserve(300 << 10).is_err());

    memory::extend_heap(octets).expect("memory");
    let area = octets.next_multiple_of(4096);
    assert_eq!(memory::lock_limit_needed(), needed + area);
    let large = black_box(vec![1_u8; area - 1024]);
    let heap = map_around(large.as_ptr().addr());
    assert_eq!(heap.range.len(), area);
    assert!(maps_of_self().iter().all(|map| {
        (map.range.end != heap.range.start && map.range.start != heap.range.end)
            || map.permissions == "---p"
    }));
    let secret = heap.name.starts_with("/secretmem");
    assert_eq!(secret, memory::key_memory() == KeyMemory::SecretMemory);
    println!("{before} {}", memory::key_memory());
}

/// The heap takes promised memory only as it is needed.
pub(crate) fn extend_by_need() {
    let resident = || {
        let statm = fs::read_to_string("/proc/self/statm").expect("its own memory");
        let pages = statm.split(' ').nth(1).expect("a field");
        pages.parse::<usize>().expect("a number") * 4096
    };
    let before = resident();
    memory::extend_heap(8 << 20).expect("address space");
    assert!(resident() < before + (1 << 20)); // Older kernels count in batches of 64 pages.
    let blocks: Vec<_> = (0..64).map(|_| black_box(vec![1_u8; 64 << 10])).collect();
    let grown = resident() - before;
    assert!((3 << 20..5 << 20).contains(&grown), "{grown}");
    drop(blocks);
    // The heap uses freed blocks again.
    black_box(vec![1_u8; 4 << 20]);
    assert!(resident() - before < 5 << 20);
    assert!(Vec::<u8>::new().try_reserve(9 << 20).is_err());
    assert!(resident() - before < 5 << 20);
}

/// An area that doesn't fit into the address space is an error, and the process goes on.
pub(crate) fn extend_beyond_reason() {
    for octets in [usize::MAX, usize::MAX - (1 << 13), 1 << 60] {
        let error = memory::extend_heap(octets).expect_err("no room");
        assert!(error.to_string().contains(&octets.to_string()), "{error}");
    }
    assert_eq!(memory::lock_limit_needed(), (128 + 256) << 10);
}

/// Nothing that a block held is left after it was freed, moved or shrunk.
pub(crate) fn freed() {
    let heap = map_around((&raw const *black_box(Box::new(0_u8))).addr()).range;
    let before = occurrences(heap.clone());
    drop(black_box(vec![PATTERN; 1000]));
    assert_eq!(occurrences(heap.clone()), before, "freed");

    let mut moving = black_box(vec![PATTERN; 1000]);
    let _wall = black_box(Box::new([0_u8; 64]));
    moving.reserve(4000);
    assert_eq!(occurrences(heap.clone()), before + 1000, "moved");
    moving.truncate(10);
    moving.shrink_to_fit();
    assert_eq!(occurrences(heap.clone()), before + 10, "shrunk");
    drop(moving);
    assert_eq!(occurrences(heap), before, "freed at last");
}

/// What a finished call has left on the stack is there before the scrub, and not after it.
pub(crate) fn scrub_stack() {
    let local = 0_u64;
    let here = (&raw const local).addr();
    let base = map_around(here).range.start;
    leave_on_stack();
    // Below the frame of this function and those of the checks themselves.
    let below = base..here - (16 << 10);
    assert!(occurrences(below.clone()) >= 1024, "the call left nothing");
    memory::scrub();
    assert_eq!(occurrences(below.clone()), 0);

    // The scrub reaches as deep as its documentation says.
    let deepest = here - SCRUB_DEPTH;
    assert!(deepest > base && below.contains(&deepest));
    write(deepest + 4096, PATTERN);
    assert_eq!(occurrences(below.clone()), 1);
    memory::scrub();
    assert_eq!(occurrences(below), 0);
}

/// The scrub wipes what the deepest permitted call has left.
pub(crate) fn scrub_shallow() {
    let local = 0_u64;
    let here = (&raw const local).addr();
    memory::scrub();
    let deepest = here - SHALLOW_DEPTH;
    write(deepest + 4096, PATTERN);
    memory::scrub_shallow();
    assert_eq!(occurrences(deepest..here - (4 << 10)), 0);
}

/// A call that goes deeper than is permitted is a defect, which a test finds.
pub(crate) fn scrub_shallow_too_deep() {
    let local = 0_u64;
    memory::scrub();
    write((&raw const local).addr() - SHALLOW_DEPTH - 4096, PATTERN);
    memory::scrub_shallow();
}

#[inline(never)]
fn leave_on_stack() {
    black_box(&[black_box(PATTERN); (32 << 10) / 8]);
}

/// The C library's own heap stays as it was, whatever the program allocates.
pub(crate) fn c_heap() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: only reads the statistics of the C library's heap.
        let used = || unsafe { libc::mallinfo2() };
        let before = used();
        let text: Vec<String> = (0..1000).map(|number| format!("{number}")).collect();
        drop(black_box(text));
        memory::scrub();
        let after = used();
        assert_eq!((before.arena, before.hblkhd), (after.arena, after.hblkhd));
        assert_eq!(before.uordblks, after.uordblks);
    }
}

/// Touches the word before or after a map, which ends the process.
pub(crate) fn guard(which: &str) {
    let local = 0_u8;
    let boxed = black_box(Box::new(0_u8));
    let stack = map_around((&raw const local).addr()).range;
    let heap = map_around((&raw const *boxed).addr()).range;
    let forbidden = match which {
        "below the stack" => stack.start - 8,
        "above the stack" => stack.end,
        "below the heap" => heap.start - 8,
        "above the heap" => heap.end,
        _ => panic!("unknown guard page"),
    };
    crate::confined();
    black_box(read(forbidden));
}

struct Map {
    range: Range<usize>,
    permissions: String,
    name: String,
}

fn map_around(address: usize) -> Map {
    let mut maps = maps_of_self().into_iter();
    maps.find(|map| map.range.contains(&address))
        .expect("a map")
}

fn maps_of_self() -> Vec<Map> {
    let maps = fs::read_to_string("/proc/self/maps").expect("its own maps");
    maps.lines().map(parse).collect()
}

/// `start-end permissions offset device inode name`
fn parse(line: &str) -> Map {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields
        .next()
        .and_then(|range| range.split_once('-'))
        .expect("a range");
    let address = |text| usize::from_str_radix(text, 16).expect("an address");
    Map {
        range: address(start)..address(end),
        permissions: fields.next().expect("permissions").to_owned(),
        name: fields.nth(3).unwrap_or_default().to_owned(),
    }
}

fn occurrences(range: Range<usize>) -> usize {
    range
        .step_by(8)
        .filter(|address| read(*address) == PATTERN)
        .count()
}

fn read(address: usize) -> u64 {
    // SAFETY: callers pass aligned addresses inside a map (or want to fault); what lies there
    // belongs to nobody while it is looked at.
    unsafe { (address as *const u64).read_volatile() }
}

fn write(address: usize, word: u64) {
    // SAFETY: callers pass aligned addresses on the stack below all live frames.
    unsafe { (address as *mut u64).write_volatile(word) }
}

/// Fills the registers, calls the scrub, and reads them.
#[cfg(target_arch = "x86_64")]
pub(crate) fn scrub_registers() {
    let mut left = [[PATTERN; 8]; 32];
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512.
        unsafe { wide_registers_after_scrub(&mut left) };
        assert_eq!(left, [[0; 8]; 32]);
    }
    let mut left = [[PATTERN; 4]; 16];
    if is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX.
        unsafe { vector_registers_after_scrub(&mut left) };
        assert_eq!(left, [[0; 4]; 16]);
    }
    let mut left = [PATTERN; 8];
    mmx_registers_after_scrub(&mut left);
    assert_eq!(left, [0; 8]);
    let mut left = [PATTERN; 9];
    // SAFETY: a call to a function without arguments; the registers it may change are declared,
    // and `rbx` is restored. Nine words are written to nine words.
    unsafe {
        asm!(
            "push rbx",
            "push rbx",
            "mov rbx, {left}",
            "mov rax, [rbx]", "mov rcx, rax", "mov rdx, rax", "mov rsi, rax", "mov rdi, rax",
            "mov r8, rax", "mov r9, rax", "mov r10, rax", "mov r11, rax",
            "call {scrub}",
            "mov [rbx], rax", "mov [rbx + 8], rcx", "mov [rbx + 16], rdx", "mov [rbx + 24], rsi",
            "mov [rbx + 32], rdi", "mov [rbx + 40], r8", "mov [rbx + 48], r9",
            "mov [rbx + 56], r10", "mov [rbx + 64], r11",
            "pop rbx",
            "pop rbx",
            left = in(reg) left.as_mut_ptr(),
            scrub = sym memory::scrub,
            clobber_abi("C"),
        );
    }
    assert!(!left.contains(&PATTERN));
}

#[cfg(target_arch = "x86_64")]
fn mmx_registers_after_scrub(left: &mut [u64; 8]) {
    // SAFETY: as above; eight registers of eight octets are written to as much memory, and the x87
    // stack is empty again.
    unsafe {
        asm!(
            "mov r12, {left}",
            ".irp n, 0,1,2,3,4,5,6,7",
            "movq mm\\n, [r12]",
            ".endr",
            "call {scrub}",
            ".irp n, 0,1,2,3,4,5,6,7",
            "movq [r12 + 8 * \\n], mm\\n",
            ".endr",
            "emms",
            left = in(reg) left.as_mut_ptr(),
            scrub = sym memory::scrub,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn vector_registers_after_scrub(left: &mut [[u64; 4]; 16]) {
    macro_rules! each {
        ($template:literal) => {
            concat!(
                ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n",
                $template,
                "\n.endr"
            )
        };
    }
    // SAFETY: as above; 16 registers of 32 octets are written to as much memory.
    unsafe {
        asm!(
            "mov r12, {left}",
            each!("vmovdqu ymm\\n, [r12]"),
            "call {scrub}",
            each!("vmovdqu [r12 + 32 * \\n], ymm\\n"),
            left = in(reg) left.as_mut_ptr(),
            scrub = sym memory::scrub,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide_registers_after_scrub(left: &mut [[u64; 8]; 32]) {
    macro_rules! each {
        ($template:literal) => {
            concat!(
                ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,",
                "16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n",
                $template,
                "\n.endr"
            )
        };
    }
    // SAFETY: as above; 32 registers of 64 octets are written to as much memory.
    unsafe {
        asm!(
            "mov r12, {left}",
            each!("vmovdqu64 zmm\\n, [r12]"),
            "call {scrub}",
            each!("vmovdqu64 [r12 + 64 * \\n], zmm\\n"),
            left = in(reg) left.as_mut_ptr(),
            scrub = sym memory::scrub,
            out("r12") _,
            clobber_abi("C"),
        );
    }
}

/// Fills the vector registers, calls the scrub, and reads them.
#[cfg(target_arch = "aarch64")]
pub(crate) fn scrub_registers() {
    let mut left = [[PATTERN; 2]; 32];
    // SAFETY: a call to a function without arguments; the registers it may change are declared.
    // 32 registers of 16 octets are written to as much memory.
    unsafe {
        asm!(
            "mov x20, {left}",
            ".irp n, 0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "ldr q\\n, [x20]",
            ".endr",
            "bl {scrub}",
            ".irp n, 0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "str q\\n, [x20, #(16 * \\n)]",
            ".endr",
            left = in(reg) left.as_mut_ptr(),
            scrub = sym memory::scrub,
            out("x20") _,
            clobber_abi("C"),
        );
    }
    // q8 to q15 belong to the caller in part; they were left alone here.
    for register in left[..8].iter().chain(&left[16..]) {
        assert_eq!(register, &[0, 0]);
    }
}
