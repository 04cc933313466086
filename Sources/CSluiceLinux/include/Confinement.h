// What a process gives up for good before it meets traffic. For the first thread, before there are others.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Ends this process with SIGKILL when its parent ends. 0, or -1 with errno.
int sluice_end_with_parent(void);
/// Keeps the capabilities whose bits are set, of those there are, and no way back to others. 0, or -1 with errno.
int sluice_keep_capabilities(uint64_t kept);
/// No program that is run from here on gives more rights. 0, or -1 with errno.
int sluice_no_new_privileges(void);
/// Refuses (EPERM) system calls that have no place in a running daemon: programs, processes, modules, mounts, other
/// processes' memory, clocks, unknown kinds of sockets. 0, or -1 with errno.
int sluice_filter_system_calls(void);
/// Lets files be written below the `count` folders only, and none be run. Returns 1 where the kernel has no Landlock,
/// 0 when done, or -1 with errno.
int sluice_write_only_below(const char *_Nullable const *_Nonnull folders, size_t count);
/// The effective capabilities of this process, as bits.
uint64_t sluice_effective_capabilities(void);
