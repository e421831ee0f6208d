// Calls the hooks itself, with chosen registers: rbx is a pointer that the test's plan follows, r12 a number, r14 the frame's CFA.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PLAIN __attribute__((no_instrument_function))
#define FAILS(call) do { if (call) { perror(#call); exit(1); } } while (0)

__attribute__((noinline)) PLAIN void traced(void) { __asm__ volatile(""); }

// One call site: one plan. The number is in r12, and on the stack at rsp + 8.
__attribute__((noipa)) PLAIN void event(const volatile void *pointer, uint64_t number) {
    register uint64_t rbx __asm__("rbx") = (uint64_t)pointer;
    register uint64_t r12 __asm__("r12") = number;
    register uint64_t r14 __asm__("r14") = (uint64_t)__builtin_dwarf_cfa();
    __asm__ volatile(
        "mov %%rsp, %%r13\n\t"
        "sub $160, %%rsp\n\t"
        "and $-16, %%rsp\n\t"
        "mov %%r12, 8(%%rsp)\n\t"
        "mov %[function], %%rdi\n\t"
        "xor %%esi, %%esi\n\t"
        "call __cyg_profile_func_enter@plt\n\t"
        "mov %%r13, %%rsp\n\t"
        : "+r"(rbx), "+r"(r12), "+r"(r14)
        : [function] "r"(traced)
        : "r13", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    if (rbx != (uint64_t)pointer || r12 != number) {
        fprintf(stderr, "the hook changed a register\n");
        _exit(3);
    }
}

// Each word of the pattern is its own address: whoever reads it knows what it must be.
PLAIN static void fill(uint64_t *words, size_t bytes) {
    for (size_t i = 0; i < bytes / 8; i++) words[i] = (uint64_t)&words[i];
}

static uint64_t *pages;
static char *churned;
static volatile int ends;
#define CHURNED_PAGES 64ul

// Maps and unmaps, so that what was there a moment ago isn't, and the other way round. No two pages side by side are unmapped: others' mappings
// (a stack, the tracer's memory) would get the hole, and this thread would map over them.
PLAIN static void *churn(void *seed) {
    unsigned state = (unsigned)(uintptr_t)seed;
    while (!ends) {
        unsigned number = rand_r(&state) % CHURNED_PAGES;
        char *page = churned + number * PAGE;
        int rights = rand_r(&state) % 4 == 0 ? PROT_NONE : PROT_READ | PROT_WRITE;
        void *at = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (at == MAP_FAILED) exit(1);
        fill(at, PAGE);
        mprotect(at, PAGE, rights);
        if (number % 2 && rand_r(&state) % 2) munmap(page, PAGE);
    }
    return NULL;
}

static sigjmp_buf back;
static volatile sig_atomic_t faults;
static void *volatile fault_address;
static volatile sig_atomic_t on_own_stack;
static stack_t own_stack;

PLAIN static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    char here;
    fault_address = info->si_addr;
    on_own_stack = &here >= (char *)own_stack.ss_sp && &here < (char *)own_stack.ss_sp + own_stack.ss_size;
    faults++;
    // Values are captured in here too: from bad pointers.
    event((void *)0x1000, 1);
    event(pages, 2);
    siglongjmp(back, 1);
}

PLAIN static void own_handler(void) {
    own_stack.ss_size = 64 * 1024;
    own_stack.ss_sp = malloc(own_stack.ss_size);
    FAILS(sigaltstack(&own_stack, NULL));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    FAILS(sigaction(SIGSEGV, &action, NULL));
    FAILS(sigaction(SIGBUS, &action, NULL));
    struct sigaction now;
    FAILS(sigaction(SIGSEGV, NULL, &now));
    if (now.sa_sigaction != on_fault || !(now.sa_flags & SA_ONSTACK) || !sigismember(&now.sa_mask, SIGUSR1)) {
        fprintf(stderr, "sigaction forgot what it was told\n");
        exit(1);
    }
}

// The program's own handler gets what it must, again and again.
PLAIN static void own_faults(int count) {
    for (volatile int i = 0; i < count; i++) {
        volatile char *bad = (char *)(16ul + (unsigned long)i);
        if (sigsetjmp(back, 1) == 0) {
            *bad = 1;
            exit(1);
        }
        if (fault_address != bad || !on_own_stack) exit(1);
    }
    printf("faults %d\n", (int)faults);
}

PLAIN static uint64_t random_number(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

PLAIN static const void *hostile(uint64_t *state, const char *behind_file) {
    uint64_t number = random_number(state);
    switch (number % 16) {
    case 0: return NULL;
    case 1: return (void *)(number >> 8);
    case 2: return (void *)(number >> 17);
    case 3: return (void *)(number | 1ull << 63);
    case 4: return (void *)((1ull << 47) - 1 - number % 64);
    case 5: return (char *)pages + 4 * PAGE - number / 16 % 64;
    case 6: return (char *)pages + 5 * PAGE + number / 16 % PAGE;
    case 7: return behind_file + number / 16 % PAGE;
    case 8: return (void *)event;
    case 9: return (char *)state - number / 16 % 1024;
    case 10: return (char *)pages + number / 16 % (4 * PAGE);
    case 11: return (void *)(0xffffffffff600000ull);
    default: return churned + number / 16 % (CHURNED_PAGES * PAGE);
    }
}

PLAIN static void *events(void *count) {
    uint64_t state = 88172645463325252ull ^ (uint64_t)&state;
    char name[] = "/tmp/umbel-probed-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    // A mapping that is longer than its file: SIGBUS.
    char *behind_file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    for (long i = 0; i < (long)(intptr_t)count; i++) event(hostile(&state, behind_file), (uint64_t)i);
    return NULL;
}

PLAIN static void many(long count) {
    pthread_t churner, other;
    FAILS(pthread_create(&churner, NULL, churn, (void *)7));
    FAILS(pthread_create(&other, NULL, events, (void *)(intptr_t)(count / 4)));
    events((void *)(intptr_t)count);
    pthread_join(other, NULL);
    ends = 1;
    pthread_join(churner, NULL);
}

static volatile int in_handler;

PLAIN static void on_signal(int signal) {
    (void)signal;
    in_handler++;
    event((void *)0x1000, 3);
    event(pages, 4);
}

PLAIN static void blocked(void) {
    sigset_t all, before, now;
    sigfillset(&all);
    FAILS(pthread_sigmask(SIG_BLOCK, &all, &before));
    FAILS(pthread_sigmask(SIG_BLOCK, NULL, &now));
    if (!sigismember(&now, SIGSEGV)) exit(1);
    event((void *)0x2000, 5);
    event(pages, 6);
    FAILS(pthread_sigmask(SIG_SETMASK, &before, NULL));
    event((void *)0x3000, 7);
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigfillset(&action.sa_mask);
    FAILS(sigaction(SIGUSR1, &action, NULL));
    FAILS(sigaction(SIGUSR1, NULL, &old));
    if (!sigismember(&old.sa_mask, SIGSEGV) || !sigismember(&old.sa_mask, SIGUSR2)) exit(1);
    raise(SIGUSR1);
    // A mask that the C library knows nothing of.
    uint64_t raw = 1ull << (SIGSEGV - 1);
    for (int i = 0; i < 3; i++) event((void *)0x4000, 8);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &raw, NULL, 8);
    sigdelset(&all, SIGUSR1);
    FAILS(pthread_sigmask(SIG_BLOCK, &all, NULL));
    raise(SIGUSR1);
    printf("handlers %d\n", in_handler);
}

// A stack for handlers that has hardly room for one.
PLAIN static void small_stack(void) {
    static char small[16 * 1024];
    stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
    FAILS(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    FAILS(sigaction(SIGUSR2, &action, NULL));
    for (int i = 0; i < 100; i++) raise(SIGUSR2);
    printf("handlers %d\n", in_handler);
}

#define ALLOW(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

PLAIN static void sandbox(int strict) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_write),
        ALLOW(SYS_exit),
        ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    // The plan is there already when system calls end.
    event(pages, 9);
    fflush(stdout);
    FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (strict) FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    else FAILS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    for (int i = 0; i < 100; i++) event(pages, 10);
    event((void *)0x1000, 11);
    char text[] = "sandboxed 1\n";
    if (write(1, text, sizeof text - 1) < 0) {}
    syscall(SYS_exit, 0);
}

PLAIN static void forked(void) {
    event(pages, 12);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        event((void *)0x1000, 13);
        event(pages, 14);
        own_faults(3);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", status);
}

PLAIN int main(int argc, char **argv) {
    if (argc < 2) return 2;
    pages = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(pages, 4 * PAGE);
    munmap((char *)pages + 4 * PAGE, PAGE);
    mprotect((char *)pages + 5 * PAGE, PAGE, PROT_NONE);
    churned = mmap(NULL, CHURNED_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    printf("pages %lu\n", (unsigned long)pages);
    const char *mode = argv[1];
    long count = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(mode, "many")) {
        own_handler();
        own_faults(3);
        many(count);
        own_faults(3);
    } else if (!strcmp(mode, "default")) {
        event((void *)0x1000, 0);
        fflush(stdout);
        char *volatile bad = (char *)24;
        *(volatile char *)bad = 1;
    } else if (!strcmp(mode, "blocked")) {
        blocked();
    } else if (!strcmp(mode, "small")) {
        small_stack();
    } else if (!strcmp(mode, "sandbox")) {
        sandbox(0);
    } else if (!strcmp(mode, "strict")) {
        sandbox(1);
    } else if (!strcmp(mode, "fork")) {
        own_handler();
        forked();
    } else if (!strcmp(mode, "time")) {
        struct timespec from, to;
        void *bad = argc > 3 ? (void *)strtoul(argv[3], NULL, 0) : pages;
        for (int i = 0; i < 1000; i++) event(bad, 1);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        for (long i = 0; i < count; i++) event(bad, 1);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        printf("ns %ld\n", (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec);
    }
    return 0;
}
