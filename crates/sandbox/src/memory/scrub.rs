//! Wipes what a request has left on the stack and in the registers.

use std::arch::asm;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::Region;

/// How far below its caller [`scrub`] wipes the stack, in octets. The operation that needs the most
/// stack, opening a sealed profile with X-Wing, uses 63 KiB.
pub const SCRUB_DEPTH: usize = 96 << 10;

/// How far below its caller [`scrub_shallow`] wipes the stack, in octets: enough for elliptic
/// curves, Milenage, the vault's records and the log.
pub const SHALLOW_DEPTH: usize = 32 << 10;

/// The bounds of the secret stack; both are 0 until the entry switches to it.
static BASE: AtomicUsize = AtomicUsize::new(0);
static TOP: AtomicUsize = AtomicUsize::new(0);

/// The stack that the entry switches to.
pub(crate) struct SecretStack {
    top: *mut u8,
}

impl SecretStack {
    /// Makes the region the stack of this process, and touches all of it, so that no request has to
    /// wait for a page.
    pub(crate) fn prepare(region: Region) -> SecretStack {
        // SAFETY: the region is mapped and was ours alone: nothing lies in it yet.
        unsafe { super::heap::wipe(region.base(), region.length()) };
        let top = region.base().wrapping_add(region.length());
        BASE.store(region.base().addr(), Relaxed);
        TOP.store(top.addr(), Relaxed);
        SecretStack { top }
    }

    /// The end of the stack, aligned for a call.
    pub(crate) fn top(&self) -> *mut u8 {
        self.top
    }
}

/// Wipes what finished calls have left: the stack below the caller, [`SCRUB_DEPTH`] deep, and every
/// caller-saved register.
///
/// Callee-saved registers hold values of functions that still run. On a stack other than the secret
/// one, only registers are wiped.
#[inline(never)]
pub fn scrub() {
    wipe_below::<SCRUB_DEPTH>();
    wipe_registers();
}

/// Like [`scrub`], but only [`SHALLOW_DEPTH`] deep, in a third of the time. Use it if no call since
/// the last [`scrub`] can have gone deeper.
///
/// # Panics
/// In a build with debug assertions, it panics if there is anything below that depth. Since such a
/// build uses more stack than an optimised one, the tests of a process that calls this show that
/// the depth is enough.
#[inline(never)]
pub fn scrub_shallow() {
    debug_assert!(nothing_below_shallow(), "a call went deeper than it may");
    wipe_below::<SHALLOW_DEPTH>();
    wipe_registers();
}

#[inline(always)]
fn wipe_below<const DEPTH: usize>() {
    let here = stack_pointer();
    let base = BASE.load(Relaxed);
    if (base..TOP.load(Relaxed)).contains(&here) {
        let floor = here.saturating_sub(DEPTH).max(base);
        // SAFETY: from `floor` to the stack pointer, everything lies on the secret stack, below
        // the frame of the function this is part of, where no live value is.
        unsafe { wipe_stack_from(floor) };
    }
}

/// Whether the stack between the two depths holds only zeros, as after the last [`scrub`].
fn nothing_below_shallow() -> bool {
    let here = stack_pointer();
    let base = BASE.load(Relaxed);
    if !(base..TOP.load(Relaxed)).contains(&here) {
        return true;
    }
    // The last scrub had another caller, and so reached to another depth.
    let lowest = here.saturating_sub(SCRUB_DEPTH - (8 << 10)).max(base);
    let highest = here.saturating_sub(SHALLOW_DEPTH).max(base);
    (lowest.next_multiple_of(8)..highest)
        .step_by(8)
        // SAFETY: the word lies on the secret stack, far below all live frames.
        .all(|word| unsafe { (word as *const u64).read_volatile() } == 0)
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use super::asm;

    pub(super) fn stack_pointer() -> usize {
        let here;
        // SAFETY: reads one register.
        unsafe { asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags)) };
        here
    }

    /// # Safety
    /// `floor` lies on the current stack, at or below the stack pointer.
    #[inline(always)]
    pub(super) unsafe fn wipe_stack_from(floor: usize) {
        // SAFETY: writes from `floor` up to the stack pointer, by the caller's promise below all
        // live frames; without `nostack` the compiler keeps nothing in the red zone either.
        unsafe {
            asm!(
                "mov rcx, rsp",
                "sub rcx, rdi",
                "xor eax, eax",
                "rep stosb",
                inout("rdi") floor => _,
                out("rcx") _,
                out("rax") _,
            );
        }
    }

    pub(super) fn wipe_registers() {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor and the kernel have AVX-512.
            unsafe { wipe_avx512() };
        }
        if is_x86_feature_detected!("avx") {
            // SAFETY: the processor and the kernel have AVX.
            unsafe { wipe_avx() };
        } else {
            wipe_sse();
        }
        wipe_mmx();
        wipe_general();
    }

    /// The eight registers that MMX and x87 share. No code of ours uses them; a C library's might.
    fn wipe_mmx() {
        // SAFETY: changes only registers that the C calling convention lets a function change, and
        // leaves the x87 stack empty, as that convention asks for.
        unsafe {
            asm!(
                "pxor mm0, mm0",
                "pxor mm1, mm1",
                "pxor mm2, mm2",
                "pxor mm3, mm3",
                "pxor mm4, mm4",
                "pxor mm5, mm5",
                "pxor mm6, mm6",
                "pxor mm7, mm7",
                "emms",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }

    /// zmm16 to zmm31, which no shorter form reaches, and the mask registers.
    #[target_feature(enable = "avx512f")]
    fn wipe_avx512() {
        // SAFETY: changes only registers that the C calling convention lets a function change.
        unsafe {
            asm!(
                "vpxord zmm16, zmm16, zmm16",
                "vpxord zmm17, zmm17, zmm17",
                "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19",
                "vpxord zmm20, zmm20, zmm20",
                "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22",
                "vpxord zmm23, zmm23, zmm23",
                "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25",
                "vpxord zmm26, zmm26, zmm26",
                "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28",
                "vpxord zmm29, zmm29, zmm29",
                "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31",
                "kxorw k0, k0, k0",
                "kxorw k1, k1, k1",
                "kxorw k2, k2, k2",
                "kxorw k3, k3, k3",
                "kxorw k4, k4, k4",
                "kxorw k5, k5, k5",
                "kxorw k6, k6, k6",
                "kxorw k7, k7, k7",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }

    /// The first sixteen vector registers at their full width, AVX-512's included.
    #[target_feature(enable = "avx")]
    fn wipe_avx() {
        // SAFETY: changes only registers that the C calling convention lets a function change.
        unsafe { asm!("vzeroall", clobber_abi("C"), options(nomem, nostack)) };
    }

    fn wipe_sse() {
        // SAFETY: changes only registers that the C calling convention lets a function change.
        unsafe {
            asm!(
                "xorps xmm0, xmm0",
                "xorps xmm1, xmm1",
                "xorps xmm2, xmm2",
                "xorps xmm3, xmm3",
                "xorps xmm4, xmm4",
                "xorps xmm5, xmm5",
                "xorps xmm6, xmm6",
                "xorps xmm7, xmm7",
                "xorps xmm8, xmm8",
                "xorps xmm9, xmm9",
                "xorps xmm10, xmm10",
                "xorps xmm11, xmm11",
                "xorps xmm12, xmm12",
                "xorps xmm13, xmm13",
                "xorps xmm14, xmm14",
                "xorps xmm15, xmm15",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }

    fn wipe_general() {
        // SAFETY: changes only registers that the C calling convention lets a function change.
        unsafe {
            asm!(
                "xor eax, eax",
                "xor ecx, ecx",
                "xor edx, edx",
                "xor esi, esi",
                "xor edi, edi",
                "xor r8d, r8d",
                "xor r9d, r9d",
                "xor r10d, r10d",
                "xor r11d, r11d",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    use super::asm;

    pub(super) fn stack_pointer() -> usize {
        let here;
        // SAFETY: reads one register.
        unsafe { asm!("mov {}, sp", out(reg) here, options(nomem, nostack, preserves_flags)) };
        here
    }

    /// # Safety
    /// `floor` lies on the current stack, at or below the stack pointer.
    #[inline(always)]
    pub(super) unsafe fn wipe_stack_from(floor: usize) {
        // The stack pointer is a multiple of 16, and so is the base; round up what lies between.
        let floor = floor.next_multiple_of(16);
        // SAFETY: writes from `floor` up to the stack pointer, by the caller's promise below all
        // live frames; without `nostack` the compiler keeps nothing below the stack pointer.
        unsafe {
            asm!(
                "mov {end}, sp",
                "2: cmp {floor}, {end}",
                "b.hs 3f",
                "stp xzr, xzr, [{floor}], #16",
                "b 2b",
                "3:",
                floor = inout(reg) floor => _,
                end = out(reg) _,
            );
        }
    }

    /// Writing a vector register clears the rest of its SVE register as well.
    pub(super) fn wipe_registers() {
        // SAFETY: changes only registers that are declared as changed; x18 belongs to the
        // platform, x19 to x30 to functions that still run.
        unsafe {
            asm!(
                "movi v0.2d, #0",
                "movi v1.2d, #0",
                "movi v2.2d, #0",
                "movi v3.2d, #0",
                "movi v4.2d, #0",
                "movi v5.2d, #0",
                "movi v6.2d, #0",
                "movi v7.2d, #0",
                "movi v8.2d, #0",
                "movi v9.2d, #0",
                "movi v10.2d, #0",
                "movi v11.2d, #0",
                "movi v12.2d, #0",
                "movi v13.2d, #0",
                "movi v14.2d, #0",
                "movi v15.2d, #0",
                "movi v16.2d, #0",
                "movi v17.2d, #0",
                "movi v18.2d, #0",
                "movi v19.2d, #0",
                "movi v20.2d, #0",
                "movi v21.2d, #0",
                "movi v22.2d, #0",
                "movi v23.2d, #0",
                "movi v24.2d, #0",
                "movi v25.2d, #0",
                "movi v26.2d, #0",
                "movi v27.2d, #0",
                "movi v28.2d, #0",
                "movi v29.2d, #0",
                "movi v30.2d, #0",
                "movi v31.2d, #0",
                out("v8") _, out("v9") _, out("v10") _, out("v11") _,
                out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                clobber_abi("C"),
                options(nomem, nostack),
            );
            asm!(
                "mov x0, xzr",
                "mov x1, xzr",
                "mov x2, xzr",
                "mov x3, xzr",
                "mov x4, xzr",
                "mov x5, xzr",
                "mov x6, xzr",
                "mov x7, xzr",
                "mov x8, xzr",
                "mov x9, xzr",
                "mov x10, xzr",
                "mov x11, xzr",
                "mov x12, xzr",
                "mov x13, xzr",
                "mov x14, xzr",
                "mov x15, xzr",
                "mov x16, xzr",
                "mov x17, xzr",
                clobber_abi("C"),
                options(nomem, nostack),
            );
        }
    }
}

use arch::{stack_pointer, wipe_registers, wipe_stack_from};
