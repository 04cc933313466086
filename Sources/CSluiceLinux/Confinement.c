#include "Confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int sluice_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }
int sluice_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

static int get_capabilities(struct __user_cap_data_struct data[2]) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  return (int)syscall(SYS_capget, &header, data);
}

uint64_t sluice_effective_capabilities(void) {
  struct __user_cap_data_struct data[2];
  return get_capabilities(data) ? 0 : data[0].effective | (uint64_t)data[1].effective << 32;
}

int sluice_keep_capabilities(uint64_t kept) {
  struct __user_cap_data_struct data[2];
  if (get_capabilities(data)) return -1;
  // Without CAP_SETPCAP the bounding set stays; with no-new-privileges it gives nothing back.
  for (int number = 0; number < 64; number++) {
    if (!(kept >> number & 1)) prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
  for (int word = 0; word < 2; word++) {
    uint32_t mask = (uint32_t)(kept >> 32 * word);
    data[word].effective &= mask;
    data[word].permitted &= mask;
    data[word].inheritable = 0;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  return (int)syscall(SYS_capset, &header, data);
}

#if defined(__x86_64__)
#define SLUICE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SLUICE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

int sluice_filter_system_calls(void) {
#ifndef SLUICE_ARCHITECTURE
  errno = ENOSYS;
  return -1;
#else
  static const int refused[] = {
      SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount, SYS_umount2,
      SYS_pivot_root, SYS_chroot, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_bpf,
      SYS_perf_event_open, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_swapon, SYS_swapoff, SYS_reboot,
      SYS_sethostname, SYS_setdomainname, SYS_setns, SYS_unshare, SYS_userfaultfd, SYS_open_by_handle_at, SYS_acct,
      SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_quotactl, SYS_personality,
      SYS_nfsservctl, SYS_vhangup, SYS_syslog, SYS_lookup_dcookie, SYS_move_pages, SYS_migrate_pages, SYS_fanotify_init,
      SYS_pidfd_getfd, SYS_process_madvise, SYS_mount_setattr, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsmount,
#ifdef SYS_fork
      SYS_fork, SYS_vfork, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load,
#endif
      SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
  };
  static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
  enum { REFUSED = sizeof refused / sizeof refused[0], FAMILIES = sizeof families / sizeof families[0] };
  struct sock_filter program[REFUSED * 2 + FAMILIES + 32];
  unsigned at = 0;
#define ADD(...) program[at++] = (struct sock_filter)__VA_ARGS__
#define LOAD(field) ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field)))
#define ANSWER(value) ADD(BPF_STMT(BPF_RET | BPF_K, value))
#define UNLESS_EQUAL(value, skip) ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, skip))
  LOAD(arch);
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SLUICE_ARCHITECTURE, 1, 0));
  ANSWER(SECCOMP_RET_KILL_PROCESS);
  LOAD(nr);
#if defined(__x86_64__)
  // The x32 numbers would go around the list.
  ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
  ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
#endif
  for (unsigned i = 0; i < REFUSED; i++) {
    UNLESS_EQUAL(refused[i], 1);
    ANSWER(SECCOMP_RET_ERRNO | EPERM);
  }
  // Its flags lie in memory, where a filter cannot look: libc then uses clone.
  UNLESS_EQUAL(SYS_clone3, 1);
  ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
  // Threads, no processes.
  UNLESS_EQUAL(SYS_clone, 4);
  LOAD(args[0]);
  ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
  ANSWER(SECCOMP_RET_ALLOW);
  ANSWER(SECCOMP_RET_ERRNO | EPERM);
  UNLESS_EQUAL(SYS_socket, FAMILIES + 3);
  LOAD(args[0]);
  for (unsigned i = 0; i < FAMILIES; i++) {
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)families[i], (uint8_t)(FAMILIES - i), 0));
  }
  ANSWER(SECCOMP_RET_ERRNO | EAFNOSUPPORT);
  ANSWER(SECCOMP_RET_ALLOW);
  ANSWER(SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {.len = (unsigned short)at, .filter = program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
#endif
}

// linux/landlock.h, version 1, for systems whose headers are older.
struct sluice_landlock_ruleset { uint64_t handled_access_fs; };
struct sluice_landlock_path { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));
enum { SLUICE_LANDLOCK_CREATE = 444, SLUICE_LANDLOCK_ADD = 445, SLUICE_LANDLOCK_RESTRICT = 446, SLUICE_LANDLOCK_PATH = 1 };
enum {
  SLUICE_FS_EXECUTE = 1 << 0,
  SLUICE_FS_WRITE_FILE = 1 << 1,
  // Removing and making of everything: bits 4 to 12.
  SLUICE_FS_CHANGE = 0x1ff0,
};

int sluice_write_only_below(const char *const *folders, size_t count) {
  struct sluice_landlock_ruleset handled = {SLUICE_FS_EXECUTE | SLUICE_FS_WRITE_FILE | SLUICE_FS_CHANGE};
  int ruleset = (int)syscall(SLUICE_LANDLOCK_CREATE, &handled, sizeof handled, 0);
  if (ruleset < 0) return errno == ENOSYS || errno == EOPNOTSUPP ? 1 : -1;
  for (size_t i = 0; i < count; i++) {
    if (!folders[i]) continue;
    struct sluice_landlock_path rule = {.allowed_access = SLUICE_FS_WRITE_FILE | SLUICE_FS_CHANGE};
    rule.parent_fd = open(folders[i], O_PATH | O_CLOEXEC);
    // A folder that is not there is written to by nobody.
    if (rule.parent_fd < 0) continue;
    if (syscall(SLUICE_LANDLOCK_ADD, ruleset, SLUICE_LANDLOCK_PATH, &rule, 0)) {
      // What only folders have is refused for a file.
      rule.allowed_access = SLUICE_FS_WRITE_FILE;
      syscall(SLUICE_LANDLOCK_ADD, ruleset, SLUICE_LANDLOCK_PATH, &rule, 0);
    }
    close(rule.parent_fd);
  }
  int result = (int)syscall(SLUICE_LANDLOCK_RESTRICT, ruleset, 0);
  int code = errno;
  close(ruleset);
  errno = code;
  return result;
}

static const struct passwd *user_named(const char *name) {
  errno = 0;
  const struct passwd *user = getpwnam(name);
  if (!user && !errno) errno = ENOENT;
  return user;
}

int sluice_become_user(const char *name) {
  if (geteuid() != 0) return 1;
  const struct passwd *user = user_named(name);
  if (!user) return -1;
  uid_t uid = user->pw_uid;
  gid_t gid = user->pw_gid;
  if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) return -1;
  return 0;
}

int sluice_give_file(int descriptor, const char *name) {
  const struct passwd *user = user_named(name);
  return user ? fchown(descriptor, user->pw_uid, user->pw_gid) : -1;
}

int sluice_hide_memory(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none)) return -1;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int sluice_allow_messages_only(int may_fork) {
#ifndef SLUICE_ARCHITECTURE
  errno = ENOSYS;
  return -1;
#else
  static const int always[] = {
      SYS_read, SYS_pread64, SYS_recvfrom, SYS_recvmsg, SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg, SYS_ppoll, SYS_close,
      SYS_exit, SYS_exit_group, SYS_futex, SYS_getrandom, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_brk,
      SYS_madvise, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_sigaltstack, SYS_clock_gettime, SYS_getpid,
      SYS_gettid, SYS_sched_yield, SYS_restart_syscall, SYS_fstat, SYS_lseek,
#ifdef SYS_poll
      SYS_poll,
#endif
  };
  // The one that is started has fewer rights still, which it sees to itself.
  static const int forking[] = {
      SYS_clone, SYS_wait4, SYS_clock_nanosleep, SYS_nanosleep, SYS_prctl, SYS_seccomp, SYS_set_robust_list, SYS_getppid,
      SYS_kill,
#ifdef SYS_fork
      SYS_fork,
#endif
  };
  enum { ALWAYS = sizeof always / sizeof always[0], FORKING = sizeof forking / sizeof forking[0] };
  struct sock_filter program[(ALWAYS + FORKING) * 2 + 16];
  unsigned at = 0;
  LOAD(arch);
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SLUICE_ARCHITECTURE, 1, 0));
  ANSWER(SECCOMP_RET_KILL_PROCESS);
  LOAD(nr);
  for (unsigned i = 0; i < ALWAYS; i++) {
    UNLESS_EQUAL(always[i], 1);
    ANSWER(SECCOMP_RET_ALLOW);
  }
  for (unsigned i = 0; may_fork && i < FORKING; i++) {
    UNLESS_EQUAL(forking[i], 1);
    ANSWER(SECCOMP_RET_ALLOW);
  }
  ANSWER(SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog filter = {.len = (unsigned short)at, .filter = program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
#endif
}

int sluice_fork(void) { return fork(); }

int sluice_cover_file(const char *path) {
  if (unshare(CLONE_NEWNS)) return -1;
  // What is mounted elsewhere later is seen here; what is mounted here is seen nowhere else.
  if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL)) return -1;
  return mount("/dev/null", path, NULL, MS_BIND, NULL);
}

int sluice_message_pair(int32_t *ends) {
  int both[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both)) return -1;
  if (fcntl(both[0], F_SETFL, O_NONBLOCK) || fcntl(both[1], F_SETFD, 0)) {
    int code = errno;
    close(both[0]);
    close(both[1]);
    errno = code;
    return -1;
  }
  ends[0] = both[0];
  ends[1] = both[1];
  return 0;
}
