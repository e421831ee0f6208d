//! Accesses on the engine view, by changed registers: the window's bytes, and no page shown.

use super::*;

/// Runs `access` where the kernel has no mappings left, so that it is made on the engine view: on the window's bytes, and
/// without any page shown.
fn redirected(access: impl Fn(usize) + Sync) {
    on_every_backend(|mut space, window| {
        let Driver::Signals(driver) = &space.driver else {
            return;
        };
        driver.refuse();
        for page in 0..16u64 {
            space.write(page * PAGE_BYTES as u64, &[page as u8 + 1; PAGE_BYTES]);
        }
        serve_turns(&mut space, &mut Vec::new(), || access(window));
    });
}

#[test]
fn what_no_mapping_can_show_is_accessed_on_the_engine_view() {
    redirected(|window| {
        let value: u64;
        run!("mov {}, [{}]", out(reg) value, in(reg) window + END);
        assert_eq!(value, 0x0202_0202_0201_0101);
        let value: u64;
        run!("mov rax, [rax]", inout("rax") window + END => value);
        assert_eq!(value, 0x0202_0202_0201_0101);
        let value: usize;
        run!("mov al, [rax]", inout("rax") window + 8 => value);
        assert_eq!(value, (window + 8) & !0xff | 1);
        let value: u64;
        run!("movzx eax, byte ptr [rax]", inout("rax") window => value);
        assert_eq!(value, 1);
    });
    redirected(|window| {
        let mut pointer = window + PAGE_BYTES;
        run!("mov dword ptr [{} + 8], 7", inout(reg) pointer);
        assert_eq!(pointer, window + PAGE_BYTES);
        let value: u32;
        run!("add dword ptr [{0} + 8], 5", "mov {1:e}, [{0} + 8]", in(reg) pointer, out(reg) value);
        assert_eq!(value, 12);
        let old: u32;
        run!("lock xadd [{0} + 8], {1:e}", in(reg) pointer, inout(reg) 3 => old);
        assert_eq!(old, 12);
        let index = pointer;
        let value: u32;
        run!("mov {0:e}, [{1}*1 + 8]", out(reg) value, in(reg) index);
        assert_eq!(value, 15);
        let value: u64;
        run!("push qword ptr [{0}]", "pop {1}", in(reg) pointer, out(reg) value);
        assert_eq!(value, 0x0202_0202_0202_0202);
    });
}

#[test]
fn string_instructions_go_through_the_engine_view() {
    redirected(|window| {
        let (mut from, mut to, mut count) = (
            window + PAGE_BYTES - 8,
            window + 3 * PAGE_BYTES - 3,
            16usize,
        );
        run!("rep movsb", inout("rsi") from, inout("rdi") to, inout("rcx") count);
        assert_eq!(
            (from, to, count),
            (window + PAGE_BYTES + 8, window + 3 * PAGE_BYTES + 13, 0)
        );
        let value: u64;
        run!("mov {}, [{}]", out(reg) value, in(reg) window + 3 * PAGE_BYTES + 1);
        assert_eq!(value, 0x0202_0202_0101_0101);
        // From private memory.
        let word = 0x1122_3344_5566_7788u64;
        run!("movsq", inout("rsi") &word => _, inout("rdi") window => _);
        let value: u64;
        run!("mov {}, [{}]", out(reg) value, in(reg) window);
        assert_eq!(value, word);
    });
}

#[test]
fn gathers_and_wide_moves_use_the_engine_view() {
    if !is_x86_feature_detected!("avx2") {
        return;
    }
    let indices: [i32; 8] = [0, 0x400, 0x800, 0x3ff, 0xfff, 0, 0, 0];
    redirected(|window| {
        let mut values = [0i32; 8];
        run!("vmovdqu ymm1, [{}]", "vpcmpeqd ymm2, ymm2, ymm2", "vpgatherdd ymm0, [{} + 4*ymm1], ymm2",
            "vmovdqu [{}], ymm0", in(reg) &indices, in(reg) window, in(reg) &mut values,
            out("ymm0") _, out("ymm1") _, out("ymm2") _);
        assert_eq!(values.map(|value| value as u8), [1, 2, 3, 1, 4, 1, 1, 1]);
        run!("vmovdqu ymm0, [{}]", "vmovdqu [{}], ymm0", in(reg) &values, in(reg) window + PAGE_BYTES - 16,
            out("ymm0") _);
        let value: u32;
        run!("mov {:e}, [{}]", out(reg) value, in(reg) window + PAGE_BYTES - 4);
        assert_eq!(value, 0x0101_0101);
    });
}
