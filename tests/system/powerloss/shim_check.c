// What the shim itself is tested with: programs that write as a store does and say on stdout what is durable by now.
//   shim_check log DIR          one thread appends 6,000-byte blocks to a preallocated file, two others sync it; after each
//                               sync it prints the number of blocks that were written before the sync began
//   shim_check rename DIR       replaces DIR/state by write, fsync, rename, fsync of DIR; prints each version that is durable
//   shim_check rename-lazy DIR  the same without the sync of DIR
//   shim_check speed DIR N      N times: write 16 KiB, sync. Prints microseconds a round
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kBlock = 6000, kBlocksMax = 20000 };

static int log_fd;
static uint64_t written;
static pthread_mutex_t print_mutex = PTHREAD_MUTEX_INITIALIZER;

static void need(int ok, const char* what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static void say(uint64_t number) {
  char line[32];
  const int length = snprintf(line, sizeof line, "%lu\n", number);
  need(write(1, line, (size_t)length) == length, "stdout");
}

static void* sync_forever(void* unused) {
  for (;;) {
    const uint64_t before = __atomic_load_n(&written, __ATOMIC_SEQ_CST);
    need(fdatasync(log_fd) == 0, "fdatasync");
    pthread_mutex_lock(&print_mutex);
    say(before);
    pthread_mutex_unlock(&print_mutex);
  }
  return unused;
}

static void run_log(const char* dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/log", dir);
  log_fd = open(path, O_RDWR | O_CREAT, 0644);
  const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
  need(log_fd >= 0 && dir_fd >= 0, "open");
  need(ftruncate(log_fd, (off_t)kBlock * kBlocksMax / 2) == 0, "ftruncate");  // the second half grows by writing
  need(fsync(log_fd) == 0 && fsync(dir_fd) == 0, "fsync");
  pthread_t syncers[2];
  for (int i = 0; i < 2; ++i) pthread_create(&syncers[i], NULL, sync_forever, NULL);
  for (uint64_t i = 0; i < kBlocksMax; ++i) {
    uint64_t words[kBlock / 8];
    for (size_t w = 0; w < kBlock / 8; ++w) words[w] = i + 1;
    struct iovec pieces[2] = {{words, 1000}, {(char*)words + 1000, kBlock - 1000}};
    need(pwritev(log_fd, pieces, 2, (off_t)(i * kBlock)) == kBlock, "pwritev");
    __atomic_store_n(&written, i + 1, __ATOMIC_SEQ_CST);
    usleep(50);
  }
  for (;;) pause();
}

static void run_rename(const char* dir, int lazy) {
  need(chdir(dir) == 0, "chdir");
  const int dir_fd = open(".", O_RDONLY | O_DIRECTORY);
  for (uint64_t version = 1;; ++version) {
    const int fd = open("state.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    char text[8000];
    memset(text, (int)('a' + version % 26), sizeof text);
    snprintf(text, 32, "%lu ", version);
    need(fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text && fsync(fd) == 0, "write");
    close(fd);
    need(rename("state.new", "state") == 0, "rename");
    if (!lazy) need(fsync(dir_fd) == 0, "fsync");
    say(version);
  }
}

static void run_speed(const char* dir, int rounds) {
  char path[4096];
  static char block[16384];
  snprintf(path, sizeof path, "%s/speed", dir);
  const int fd = open(path, O_RDWR | O_CREAT, 0644);
  need(fd >= 0 && ftruncate(fd, 64 << 20) == 0, "open");
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < rounds; ++i) {
    struct iovec piece = {block, sizeof block};
    need(pwritev(fd, &piece, 1, (off_t)(i % 4096) * 16384) == 16384 && fdatasync(fd) == 0, "write");
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  say((uint64_t)((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000) / (uint64_t)rounds);
}

int main(int argc, char** argv) {
  if (argc >= 3 && !strcmp(argv[1], "log")) run_log(argv[2]);
  if (argc >= 3 && !strcmp(argv[1], "rename")) run_rename(argv[2], 0);
  if (argc >= 3 && !strcmp(argv[1], "rename-lazy")) run_rename(argv[2], 1);
  if (argc >= 4 && !strcmp(argv[1], "speed")) run_speed(argv[2], atoi(argv[3]));
  return argc >= 4 ? 0 : 2;
}
