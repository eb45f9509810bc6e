// An LD_PRELOAD shim: while the file $POLYLOG_SLOWSYNC exists, every fdatasync takes as many milliseconds longer as the file
// says, as on a disk that others keep busy.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd) {
  const char* path = getenv("POLYLOG_SLOWSYNC");
  const int asked = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0) : -1;
  if (asked >= 0) {
    char text[16] = "";
    const long length = syscall(SYS_read, asked, text, sizeof text - 1);
    syscall(SYS_close, asked);
    const long ms = length > 0 ? atol(text) : 0;
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
  }
  return (int)syscall(SYS_fdatasync, fd);
}
