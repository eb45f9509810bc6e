// An LD_PRELOAD shim: while the file $POLYLOG_SLOWSTAT exists, statvfs does not return, as on a file system that does not
// answer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

int statvfs(const char* path, struct statvfs* status) {
  const char* slow = getenv("POLYLOG_SLOWSTAT");
  while (slow && access(slow, F_OK) == 0) nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
  int (*real)(const char*, struct statvfs*) = dlsym(RTLD_NEXT, "statvfs");
  return real(path, status);
}
