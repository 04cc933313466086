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

// For the process that holds the authority's key, and for the daemon that is not to have it.

/// Becomes the user `name` with its group alone. 0, 1 where this process is not root and stays who it is, or -1 with errno
/// (ENOENT: no such user).
int sluice_become_user(const char *_Nonnull name);
/// Makes an open file that user's. 0, or -1 with errno (ENOENT: no such user).
int sluice_give_file(int descriptor, const char *_Nonnull name);
/// No core files, and no look into its memory by others of the same user. 0, or -1 with errno.
int sluice_hide_memory(void);
/// Refuses (EPERM) all system calls but those of a process that answers messages on descriptors it has; with `may_fork`
/// also those of one that starts the former and waits for it. 0, or -1 with errno.
int sluice_allow_messages_only(int may_fork);
/// fork(2), for a process of one thread.
int sluice_fork(void);
/// Puts the null device over a file, for this process and its children alone. 0, or -1 with errno.
int sluice_cover_file(const char *_Nonnull path);
/// A pair of sockets that keep messages apart: the first for this process, the second for a program that it starts.
/// 0, or -1 with errno.
int sluice_message_pair(int32_t *_Nonnull ends);
