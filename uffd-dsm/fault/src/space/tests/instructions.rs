//! What single instructions need: each runs on a window where it has no rights, and must be done after one fault that
//! asks for exactly its pages. With userfaultfd the kernel reports the pages one after another.

use std::arch::asm;
use std::collections::BTreeMap;

use super::*;

/// Runs one instruction with these operands.
macro_rules! run {
    ($($operand:tt)*) => {
        // SAFETY: the instruction touches what the test maps, and the registers that are named.
        unsafe { asm!($($operand)*) }
    };
}

mod redirected;

/// Pages of the window, by number, and whether they are stored to.
type Pages = BTreeMap<usize, bool>;

fn pages(list: &[(usize, bool)]) -> Pages {
    list.iter().copied().collect()
}

const LOAD: bool = false;
const STORE: bool = true;

/// Runs `access` on every backend, and checks what it asks for. It gets the window's start; on each page of it, words
/// of that page's own are stored before.
fn check(what: &str, expected: &[(usize, bool)], access: impl Fn(usize) + Sync) {
    let expected = pages(expected);
    on_every_backend(|mut space, window| {
        for page in 0..16u64 {
            space.write(page * PAGE_BYTES as u64, &[page as u8 + 1; PAGE_BYTES]);
        }
        let mut turns = Vec::new();
        serve_turns(&mut space, &mut turns, || access(window));
        let asked = |faults: &Vec<Fault>| -> Pages {
            let pages = faults.iter();
            pages
                .map(|fault| ((fault.address - window) / PAGE_BYTES, fault.write))
                .collect()
        };
        let name = space.backend().name();
        if matches!(space.backend(), Backend::Guard | Backend::Mprotect) {
            assert_eq!(turns.len(), 1, "{what} on {name}: {turns:?}");
            assert_eq!(asked(&turns[0]), expected, "{what} on {name}");
        } else {
            let all: Pages = turns.iter().flat_map(asked).collect();
            let is_known = all.iter().all(|(page, _)| expected.contains_key(page));
            assert!(is_known, "{what} on {name}: {all:?}, not {expected:?}");
        }
    });
}

/// Serves with the rights asked for, all of one turn together; the turns that had faults.
fn serve_turns(space: &mut Space, turns: &mut Vec<Vec<Fault>>, access: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            access();
            done.store(true, Ordering::Release);
        });
        let mut faults = Vec::new();
        while !done.load(Ordering::Acquire) {
            space.take_faults(&mut faults).unwrap();
            for fault in &faults {
                let rights = match fault.write {
                    true => Rights::Write,
                    false => Rights::Read,
                };
                space.set_rights(fault.address, 1, rights).unwrap();
            }
            if !faults.is_empty() {
                turns.push(faults.clone());
            }
        }
    });
}

/// The last bytes of a page: an operand here goes on on the next.
const END: usize = PAGE_BYTES - 3;

#[test]
fn operands_that_cross_the_end_of_a_page_need_both() {
    check("mov load", &[(0, LOAD), (1, LOAD)], |window| {
        let value: u64;
        run!("mov {}, [{}]", out(reg) value, in(reg) window + END);
        assert_eq!(value, 0x0202_0202_0201_0101);
    });
    check("mov store", &[(0, STORE), (1, STORE)], |window| {
        run!("mov [{}], {}", in(reg) window + END, in(reg) 5u64);
    });
    check("movups", &[(2, LOAD), (3, LOAD)], |window| {
        run!("movups {}, [{}]", out(xmm_reg) _, in(reg) window + 2 * PAGE_BYTES + END);
    });
    check("fstp", &[(0, STORE), (1, STORE)], |window| {
        run!("fldz", "fstp tbyte ptr [{}]", in(reg) window + END, out("st(0)") _);
    });
}

#[test]
fn what_reads_first_and_then_writes_asks_for_writing() {
    check("inc", &[(0, STORE)], |window| {
        run!("inc dword ptr [{}]", in(reg) window + 8);
    });
    check("add across", &[(0, STORE), (1, STORE)], |window| {
        run!("add qword ptr [{}], 1", in(reg) window + END);
    });
    check("a failing lock cmpxchg", &[(0, STORE)], |window| {
        run!("lock cmpxchg [{}], {}", in(reg) window, in(reg) 1u64, inout("rax") 7u64 => _);
    });
    check("lock cmpxchg16b", &[(1, STORE)], |window| {
        run!("push rbx", "xor ebx, ebx", "lock cmpxchg16b [{}]", "pop rbx", in(reg) window + PAGE_BYTES,
            inout("rax") 0u64 => _, inout("rdx") 0u64 => _, in("rcx") 0u64);
    });
    check("xchg", &[(0, STORE)], |window| {
        run!("xchg [{}], {}", in(reg) window, inout(reg) 3u64 => _);
    });
    check("bts beyond its operand", &[(2, STORE)], |window| {
        let bit = (2 * PAGE_BYTES * 8 + 5) as u64;
        run!("bts [{}], {}", in(reg) window, in(reg) bit);
    });
    check("bt before its operand", &[(1, LOAD)], |window| {
        run!("bt [{}], {}", in(reg) window + 2 * PAGE_BYTES, in(reg) -1i64);
    });
}

#[test]
fn instructions_with_two_operands_in_memory_need_both() {
    check("movsq", &[(0, LOAD), (3, STORE)], |window| {
        run!("movsq", inout("rsi") window => _, inout("rdi") window + 3 * PAGE_BYTES => _);
    });
    check("cmpsb", &[(0, LOAD), (1, LOAD)], |window| {
        run!("cmpsb", inout("rsi") window => _, inout("rdi") window + PAGE_BYTES => _);
    });
    check("push", &[(0, LOAD)], |window| {
        run!("push qword ptr [{}]", "pop {}", in(reg) window, out(reg) _);
    });
    check("pop", &[(0, STORE)], |window| {
        run!("push 4", "pop qword ptr [{}]", in(reg) window);
    });
    check(
        "a store relative to a 32-bit index",
        &[(1, STORE)],
        |window| {
            run!("mov dword ptr [{} + 4*{}], 1", in(reg) window, in(reg) PAGE_BYTES / 4);
        },
    );
    check("xlat", &[(0, LOAD)], |window| {
        run!("push rbx", "mov rbx, {}", "xlatb", "pop rbx", in(reg) window, inout("al") 9u8 => _);
    });
}

#[test]
fn string_instructions_need_what_they_go_through() {
    let bytes = 2 * PAGE_BYTES;
    check(
        "rep movsb",
        &[(0, LOAD), (1, LOAD), (2, LOAD), (8, STORE), (9, STORE)],
        |window| {
            run!("rep movsb", inout("rsi") window + 5 => _,
                inout("rdi") window + 8 * PAGE_BYTES => _, inout("rcx") bytes => _);
        },
    );
    check("rep stosq", &[(1, STORE), (2, STORE)], |window| {
        run!("rep stosq", inout("rdi") window + PAGE_BYTES => _, inout("rcx") bytes / 8 => _, in("rax") 0);
    });
    check("rep stosb downward", &[(1, STORE), (2, STORE)], |window| {
        run!("std", "rep stosb", "cld", inout("rdi") window + 3 * PAGE_BYTES - 1 => _, inout("rcx") bytes => _,
            in("al") 0u8);
    });
    // It finds what it looks for on the first page.
    check("repne scasb", &[(4, LOAD)], |window| {
        run!("repne scasb", inout("rdi") window + 4 * PAGE_BYTES => _, inout("rcx") bytes => _, in("al") 5u8);
    });
    check(
        "rep movsb of nothing, then a load",
        &[(0, LOAD)],
        |window| {
            run!("rep movsb", "mov {}, [{}]", out(reg) _, in(reg) window,
            inout("rsi") window => _, inout("rdi") window + PAGE_BYTES => _, inout("rcx") 0 => _);
        },
    );
}

#[test]
fn gathers_need_the_pages_of_the_elements_that_their_mask_wants() {
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    // Element 7 lies outside of the window.
    let indices: [i32; 8] = [0, 0x400, 0x800, 0x3ff, 0xfff, 0, 0, i32::MIN];
    let wanted: [i32; 8] = [-1, -1, 0, -1, -1, 0, 0, 0];
    check("vpgatherdd", &[(0, LOAD), (1, LOAD), (3, LOAD)], |window| {
        run!("vmovdqu ymm1, [{}]", "vmovdqu ymm2, [{}]", "vpgatherdd ymm0, [{} + 4*ymm1], ymm2",
            in(reg) &indices, in(reg) &wanted, in(reg) window,
            out("ymm0") _, out("ymm1") _, out("ymm2") _);
    });
    let indices: [i64; 4] = [PAGE_BYTES as i64 - 4, 0, 5 * PAGE_BYTES as i64, 0];
    let wanted: [i64; 4] = [-1, -1, -1, 0];
    check(
        "vgatherqpd across a page",
        &[(0, LOAD), (1, LOAD), (5, LOAD)],
        |window| {
            run!("vmovdqu ymm1, [{}]", "vmovdqu ymm2, [{}]", "vgatherqpd ymm0, [{} + ymm1], ymm2",
                in(reg) &indices, in(reg) &wanted, in(reg) window,
                out("ymm0") _, out("ymm1") _, out("ymm2") _);
        },
    );
}

#[test]
fn masked_moves_need_the_pages_of_the_elements_that_their_mask_wants() {
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    let wanted: [i32; 8] = [-1, 0, 0, 0, 0, 0, 0, 0];
    check("vpmaskmovd load", &[(0, LOAD)], |window| {
        run!("vmovdqu ymm1, [{}]", "vpmaskmovd ymm0, ymm1, [{}]", in(reg) &wanted,
            in(reg) window + PAGE_BYTES - 8, out("ymm0") _, out("ymm1") _);
    });
    let wanted: [i32; 8] = [-1, 0, 0, -1, 0, 0, 0, 0];
    check("vmaskmovps store", &[(0, STORE), (1, STORE)], |window| {
        run!("vmovdqu ymm1, [{}]", "vmaskmovps [{}], ymm1, ymm1", in(reg) &wanted,
            in(reg) window + PAGE_BYTES - 8, out("ymm1") _);
    });
}

#[test]
fn avx512_needs_what_its_masks_want() {
    if !is_x86_feature_detected!("avx512bw") {
        return;
    }
    check("vmovdqu8 with a mask", &[(0, LOAD)], |window| {
        run!("kmovq k1, {}", "vmovdqu8 zmm16{{k1}}{{z}}, [{}]", in(reg) 0b111u64,
            in(reg) window + END, out("zmm16") _, out("k1") _);
    });
    check(
        "vmovdqu32 store across",
        &[(0, STORE), (1, STORE)],
        |window| {
            run!("vpxord zmm16, zmm16, zmm16", "vmovdqu32 [{}], zmm16", in(reg) window + PAGE_BYTES - 32,
            out("zmm16") _);
        },
    );
    let indices: [i32; 16] = std::array::from_fn(|index| (index % 8 * PAGE_BYTES) as i32);
    let half: Vec<(usize, bool)> = (0..6).map(|page| (page, STORE)).collect();
    check("vpscatterdd", &half, |window| {
        run!("vmovdqu32 zmm17, [{}]", "kmovq k1, {}", "vpscatterdd [{} + zmm17]{{k1}}, zmm17", in(reg) &indices,
            in(reg) 0b111111u64, in(reg) window, out("zmm17") _, out("k1") _);
    });
    let indices: [i64; 8] = std::array::from_fn(|index| (index * PAGE_BYTES) as i64);
    let all: Vec<(usize, bool)> = (0..8).map(|page| (page, LOAD)).collect();
    check("vgatherqpd zmm", &all, |window| {
        run!("vmovdqu64 zmm20, [{}]", "kxnorb k2, k2, k2", "vgatherqpd zmm21{{k2}}, [{} + zmm20]", in(reg) &indices,
            in(reg) window, out("zmm20") _, out("zmm21") _, out("k2") _);
    });
    check("a broadcast", &[(0, LOAD)], |window| {
        run!("vpaddd zmm16, zmm16, dword ptr [{}]{{1to16}}", in(reg) window + PAGE_BYTES - 4, out("zmm16") _);
    });
    // Packed: how much it writes isn't worked out; the fault itself tells the page.
    check("vpcompressd", &[(0, STORE)], |window| {
        run!("kmovq k1, {}", "vpcompressd [{}]{{k1}}, zmm16", in(reg) 0b11u64, in(reg) window, out("k1") _);
    });
}

#[test]
fn an_instruction_at_the_end_of_its_page_is_read_no_further() {
    // mov rax, [rdi]; ret: the last bytes of a page, behind which nothing is mapped.
    let code = [0x48, 0x8b, 0x07, 0xc3];
    let file = memory_file(c"code", 2 * PAGE_BYTES as u64).unwrap();
    let page = Mapping::new(0, 2 * PAGE_BYTES, Some((&file, 0))).unwrap();
    page.protect(PAGE_BYTES, PAGE_BYTES, Rights::None).unwrap();
    let start = PAGE_BYTES - code.len();
    page.write(start, &code);
    let address = page.start() + start;
    // SAFETY: the page is this test's, and holds what was just written.
    let made = unsafe {
        libc::mprotect(
            page.start() as *mut libc::c_void,
            PAGE_BYTES,
            libc::PROT_READ | libc::PROT_EXEC,
        )
    };
    assert_eq!(made, 0);
    check("at the end of a page", &[(0, LOAD)], |window| {
        run!("call {}", in(reg) address, in("rdi") window, out("rax") _);
    });
}
