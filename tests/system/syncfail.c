// An LD_PRELOAD shim: while the file $POLYLOG_SYNCFAIL exists, every sync of a file whose path contains the file's content
// fails with EIO, as a disk that loses writes makes it. Without the file, syncs pass through.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_to_fail(int fd) {
  const char* path = getenv("POLYLOG_SYNCFAIL");
  const int asked = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0) : -1;
  if (asked < 0) return 0;
  char part[PATH_MAX] = "", link[64], name[PATH_MAX] = "";
  const long length = syscall(SYS_read, asked, part, sizeof part - 1);
  syscall(SYS_close, asked);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return length > 0 && readlink(link, name, sizeof name - 1) > 0 && strstr(name, part) != NULL;
}

static int sync_by(long call, int fd) {
  if (is_to_fail(fd)) {
    errno = EIO;
    return -1;
  }
  return (int)syscall(call, fd);
}

int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }
int fsync(int fd) { return sync_by(SYS_fsync, fd); }
