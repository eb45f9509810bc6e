// An LD_PRELOAD shim that remembers how to take back everything under $POLYLOG_LOSS_DIR that was written and not synced.
// After a kill -9, lose_power.py takes back a random part of it: what a machine may do that loses power.
//
// The memory is $POLYLOG_LOSS_JOURNAL, a directory on the same file system but outside the data directory:
//
//   INODE.undo   one a file: a record for each unsynced write or change of size, oldest first
//   names        one line for each create, rename, unlink or mkdir whose directory was not synced since, oldest first:
//                SEQ OP SAVED DIRECTORY PATH [PATH2], separated by tabs; OP: C create, U unlink, R rename, D mkdir
//   saved.N      a second link to a file that an unlink or rename took away, so that it can come back
//
//   .undo record, little-endian:
//   0        8        16       24        32         40       48
//   | seq    | kind   | offset | length  | old size | image  | image bytes...
//   kind 1: write of `length` bytes at `offset`; the image is what was there (shorter past the old end of the file)
//   kind 2: the size became `offset`; the image is what a shrinking file lost
//
// A record is complete before its write begins, and goes when a sync that began after its write ended has succeeded; a
// write that raced with a sync stays. O_DSYNC writes leave no record. O_DIRECT is dropped, so that reading what was there
// does not go to the disk. While the file exists that POLYLOG_LOSS_NOSYNC names, no sync happens or counts: the negative
// control of a test.
//
// It calls the kernel directly, never libc's versions. Not seen: shared mappings, stdio, dup of a data file's descriptor,
// io_uring, syncfs, copy_file_range.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX (1 << 20)
#define RACING_MAX 256

typedef struct {
  uint64_t seq, kind, offset, length, old_size, image_length;
} RecordHeader;

typedef struct {
  uint64_t seq, at, size;  // where in the journal
  bool running;            // its write has not returned
} Record;

typedef struct File {
  struct File* next;
  uint64_t inode;
  pthread_mutex_t mutex;
  int journal;
  uint64_t journal_size;
  Record* records;
  size_t count, capacity;
} File;

typedef struct {
  File* file;       // a regular file's, or
  char* directory;  // a directory's path
  bool append, synced;
} Descriptor;

typedef struct {
  uint64_t seq;
  char* line;       // as in `names`
  char* directory;  // the one whose sync makes it durable
  char* saved;      // "" when nothing was
} Name;

static char root[PATH_MAX], journal_dir[PATH_MAX];
static size_t root_length;
static const char* nosync_switch;  // a path; NULL: syncs always count
static uint64_t next_seq, next_saved;
static Descriptor descriptors[FDS_MAX];
static File* files[4096];
static pthread_mutex_t files_mutex = PTHREAD_MUTEX_INITIALIZER, names_mutex = PTHREAD_MUTEX_INITIALIZER;
static Name* names;
static size_t names_count, names_capacity;
static __thread char* image;
static __thread size_t image_capacity;

static int sys_open(const char* path, int flags, int mode) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); }
static bool nosync(void) { return nosync_switch && syscall(SYS_faccessat, AT_FDCWD, nosync_switch, F_OK) == 0; }
static uint64_t take_seq(void) { return __atomic_fetch_add(&next_seq, 1, __ATOMIC_SEQ_CST); }

static void die(const char* what) {
  dprintf(2, "powerloss shim: %s: %s\n", what, strerror(errno));
  abort();
}

static void write_all(int fd, struct iovec* pieces, int count) {
  while (count > 0) {
    ssize_t n = syscall(SYS_writev, fd, pieces, count);
    if (n < 0) {
      if (errno == EINTR) continue;
      die("journal");
    }
    while (count > 0 && (size_t)n >= pieces->iov_len) n -= (ssize_t)(pieces++)->iov_len, --count;
    if (count > 0) pieces->iov_base = (char*)pieces->iov_base + n, pieces->iov_len -= (size_t)n;
  }
}

static size_t read_at(int fd, char* out, size_t size, uint64_t offset) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = syscall(SYS_pread64, fd, out + done, size - done, offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += (size_t)n;
  }
  return done;
}

static char* image_of(size_t size) {
  if (size > image_capacity) {
    free(image);
    image = malloc(size);
    image_capacity = size;
    if (!image) die("memory");
  }
  return image;
}

// ---- data: one journal a file

static void journal_path(const File* file, const char* suffix, char* out) {
  snprintf(out, PATH_MAX, "%s/%lu.%s", journal_dir, file->inode, suffix);
}

static Record* push_record(File* file, Record record) {
  if (file->count == file->capacity) {
    file->capacity = file->capacity ? 2 * file->capacity : 16;
    file->records = realloc(file->records, file->capacity * sizeof(Record));
    if (!file->records) die("memory");
  }
  file->records[file->count] = record;
  return &file->records[file->count++];
}

// What an earlier process left is still not synced.
static void load_journal(File* file) {
  RecordHeader header;
  while (read_at(file->journal, (char*)&header, sizeof header, file->journal_size) == sizeof header) {
    uint64_t size = sizeof header + header.image_length;
    struct stat st;
    if (fstat(file->journal, &st) != 0 || file->journal_size + size > (uint64_t)st.st_size) break;
    push_record(file, (Record){header.seq, file->journal_size, size, false});
    file->journal_size += size;
  }
  syscall(SYS_ftruncate, file->journal, file->journal_size);
}

static void empty_journal(File* file) {
  file->count = 0;
  file->journal_size = 0;
  syscall(SYS_ftruncate, file->journal, 0);
}

static File* file_of(uint64_t inode, bool created) {
  pthread_mutex_lock(&files_mutex);
  File** slot = &files[inode % 4096];
  File* file = *slot;
  while (file && file->inode != inode) file = file->next;
  if (!file) {
    file = calloc(1, sizeof *file);
    if (!file) die("memory");
    file->inode = inode;
    pthread_mutex_init(&file->mutex, NULL);
    char path[PATH_MAX];
    journal_path(file, "undo", path);
    file->journal = sys_open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file->journal < 0) die(path);
    load_journal(file);
    file->next = *slot;
    *slot = file;
  }
  pthread_mutex_unlock(&files_mutex);
  if (created) {  // the inode number may have had an earlier life
    pthread_mutex_lock(&file->mutex);
    empty_journal(file);
    pthread_mutex_unlock(&file->mutex);
  }
  return file;
}

// Appends a record and returns its seq; the change itself is still to come.
static uint64_t begin_change(File* file, int fd, uint64_t kind, uint64_t offset, uint64_t length, bool append) {
  pthread_mutex_lock(&file->mutex);
  struct stat st;
  if (fstat(fd, &st) != 0) die("fstat");
  const uint64_t old_size = (uint64_t)st.st_size;
  if (append) offset = old_size;
  // What gets lost: the range itself, or for a change of size everything past the new end.
  uint64_t image_length = 0;
  if (kind == 1 && offset < old_size) image_length = offset + length < old_size ? length : old_size - offset;
  if (kind == 2 && offset < old_size) image_length = old_size - offset;
  char* bytes = image_of(image_length);
  image_length = read_at(fd, bytes, image_length, offset);
  RecordHeader header = {take_seq(), kind, offset, length, old_size, image_length};
  struct iovec pieces[2] = {{&header, sizeof header}, {bytes, image_length}};
  write_all(file->journal, pieces, 2);
  push_record(file, (Record){header.seq, file->journal_size, sizeof header + image_length, true});
  file->journal_size += sizeof header + image_length;
  pthread_mutex_unlock(&file->mutex);
  return header.seq;
}

// Rewrites the journal with the records that are left. A kill in between finds the old one or the new one.
static void rewrite_journal(File* file) {
  if (file->count == 0) {
    empty_journal(file);
    return;
  }
  char path[PATH_MAX], fresh[PATH_MAX];
  journal_path(file, "undo", path);
  journal_path(file, "fresh", fresh);
  int fd = sys_open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) die(fresh);
  uint64_t at = 0;
  for (size_t i = 0; i < file->count; ++i) {
    Record* record = &file->records[i];
    char* bytes = image_of(record->size);
    if (read_at(file->journal, bytes, record->size, record->at) != record->size) die("journal");
    struct iovec piece = {bytes, record->size};
    write_all(fd, &piece, 1);
    record->at = at;
    at += record->size;
  }
  if (syscall(SYS_rename, fresh, path) != 0) die(path);
  syscall(SYS_close, file->journal);
  file->journal = fd;
  file->journal_size = at;
}

static void end_change(File* file, uint64_t seq, bool durable) {
  pthread_mutex_lock(&file->mutex);
  for (size_t i = file->count; i-- > 0;) {
    if (file->records[i].seq != seq) continue;
    file->records[i].running = false;
    if (durable) {
      memmove(&file->records[i], &file->records[i + 1], (file->count - i - 1) * sizeof(Record));
      --file->count;
      rewrite_journal(file);
    }
    break;
  }
  pthread_mutex_unlock(&file->mutex);
}

static bool contains(const uint64_t* seqs, size_t count, uint64_t seq) {
  for (size_t i = 0; i < count; ++i) {
    if (seqs[i] == seq) return true;
  }
  return false;
}

static int sync_file(File* file, int fd, long call) {
  if (nosync()) return 0;
  uint64_t racing[RACING_MAX];
  size_t racing_count = 0;
  pthread_mutex_lock(&file->mutex);
  const uint64_t mark = take_seq();
  for (size_t i = 0; i < file->count; ++i) {
    if (!file->records[i].running) continue;
    if (racing_count == RACING_MAX) die("too many writes at once");
    racing[racing_count++] = file->records[i].seq;
  }
  pthread_mutex_unlock(&file->mutex);

  if (syscall(call, fd) != 0) return -1;

  pthread_mutex_lock(&file->mutex);
  size_t left = 0;
  for (size_t i = 0; i < file->count; ++i) {
    const uint64_t seq = file->records[i].seq;
    if (seq > mark || contains(racing, racing_count, seq)) file->records[left++] = file->records[i];
  }
  const bool changed = left != file->count;
  file->count = left;
  if (changed) rewrite_journal(file);
  pthread_mutex_unlock(&file->mutex);
  return 0;
}

// ---- names: one journal for all directories

// The absolute path with its directory resolved, in `out`; false when it is not below the data directory.
static bool below_root(int dirfd, const char* path, char* out) {
  if (!root_length || !path) return false;
  char joined[PATH_MAX], parent[PATH_MAX];
  if (path[0] == '/' || dirfd == AT_FDCWD) {
    snprintf(joined, sizeof joined, "%s", path);
  } else {
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    ssize_t n = readlink(link, base, sizeof base - 1);
    if (n < 0) return false;
    base[n] = 0;
    if (snprintf(joined, sizeof joined, "%s/%s", base, path) >= (int)sizeof joined) return false;
  }
  size_t length = strlen(joined);
  while (length > 1 && joined[length - 1] == '/') joined[--length] = 0;
  char* slash = strrchr(joined, '/');
  const char* name = slash ? slash + 1 : joined;
  if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) return realpath(joined, out) && !strcmp(out, root);
  char copy[PATH_MAX];
  memcpy(copy, joined, length + 1);
  if (slash) copy[slash == joined ? 1 : slash - joined] = 0;
  if (!realpath(slash ? copy : ".", parent)) return false;
  if (snprintf(out, PATH_MAX, "%s/%s", parent, name) >= PATH_MAX) return false;
  return strncmp(out, root, root_length) == 0 && (out[root_length] == '/' || out[root_length] == 0);
}

static void names_file(char* out, const char* suffix) { snprintf(out, PATH_MAX, "%s/names%s", journal_dir, suffix); }

static void keep_name(char* line) {
  if (names_count == names_capacity) {
    names_capacity = names_capacity ? 2 * names_capacity : 64;
    names = realloc(names, names_capacity * sizeof(Name));
    if (!names) die("memory");
  }
  char *copy = strdup(line), *rest = copy;
  Name name = {.line = line};
  name.seq = strtoull(strsep(&rest, "\t"), NULL, 10);
  strsep(&rest, "\t");
  name.saved = strdup(strsep(&rest, "\t"));
  name.directory = strdup(strsep(&rest, "\t"));
  free(copy);
  names[names_count++] = name;
}

static void append_name(char op, const char* saved, const char* path, const char* path2) {
  char directory[PATH_MAX], *line = NULL;
  snprintf(directory, sizeof directory, "%s", path2[0] ? path2 : path);
  *strrchr(directory, '/') = 0;
  const int length = asprintf(&line, "%lu\t%c\t%s\t%s\t%s\t%s\n", take_seq(), op, saved, directory, path, path2);
  if (length < 0) die("memory");
  char file[PATH_MAX];
  names_file(file, "");
  int fd = sys_open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) die(file);
  struct iovec piece = {line, (size_t)length};
  write_all(fd, &piece, 1);
  syscall(SYS_close, fd);
  keep_name(line);
}

// Links the file at `path` away, so that it outlives its name; "" when there is none.
static void save_away(const char* path, char* saved) {
  snprintf(saved, PATH_MAX, "%s/saved.%lu", journal_dir, next_saved++);
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, saved, 0) != 0) saved[0] = 0;
}

static int sync_directory(const char* directory, int fd, long call) {
  if (nosync()) return 0;
  pthread_mutex_lock(&names_mutex);
  const uint64_t mark = take_seq();
  pthread_mutex_unlock(&names_mutex);
  if (syscall(call, fd) != 0) return -1;
  pthread_mutex_lock(&names_mutex);
  char file[PATH_MAX], fresh[PATH_MAX];
  names_file(file, "");
  names_file(fresh, ".fresh");
  int out = sys_open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (out < 0) die(fresh);
  Name* gone = malloc((names_count + 1) * sizeof(Name));
  size_t left = 0, gone_count = 0;
  for (size_t i = 0; i < names_count; ++i) {
    if (names[i].seq < mark && !strcmp(names[i].directory, directory)) {
      gone[gone_count++] = names[i];
      continue;
    }
    struct iovec piece = {names[i].line, strlen(names[i].line)};
    write_all(out, &piece, 1);
    names[left++] = names[i];
  }
  names_count = left;
  syscall(SYS_close, out);
  if (syscall(SYS_rename, fresh, file) != 0) die(file);
  for (size_t i = 0; i < gone_count; ++i) {
    if (gone[i].saved[0]) syscall(SYS_unlink, gone[i].saved);
    free(gone[i].line), free(gone[i].saved), free(gone[i].directory);
  }
  free(gone);
  pthread_mutex_unlock(&names_mutex);
  return 0;
}

__attribute__((constructor)) static void start(void) {
  const char *dir = getenv("POLYLOG_LOSS_DIR"), *journal = getenv("POLYLOG_LOSS_JOURNAL");
  if (!dir || !journal) return;
  if (!realpath(journal, journal_dir) || !realpath(dir, root)) die("POLYLOG_LOSS_DIR and POLYLOG_LOSS_JOURNAL");
  nosync_switch = getenv("POLYLOG_LOSS_NOSYNC");
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  next_seq = next_saved = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;  // past every earlier process
  char path[PATH_MAX], *line = NULL;
  size_t capacity = 0;
  names_file(path, "");
  FILE* file = fopen(path, "re");
  while (file && getline(&line, &capacity, file) > 0) keep_name(strdup(line));
  free(line);
  if (file) fclose(file);
  root_length = strlen(root);
}

// ---- what the process calls

static Descriptor* descriptor(int fd) { return fd >= 0 && fd < FDS_MAX ? &descriptors[fd] : &descriptors[FDS_MAX - 1]; }

static void remember(int fd, const char* path, int flags, bool created) {
  struct stat st;
  Descriptor* d = descriptor(fd);
  *d = (Descriptor){0};
  if (fstat(fd, &st) != 0) return;
  if (S_ISDIR(st.st_mode)) {
    d->directory = strdup(path);
  } else if (S_ISREG(st.st_mode)) {
    d->file = file_of(st.st_ino, created);
    d->append = flags & O_APPEND;
    d->synced = flags & (O_DSYNC | O_SYNC);
  }
}

static int do_open(int dirfd, const char* path, int flags, int mode) {
  char full[PATH_MAX];
  if (!below_root(dirfd, path, full)) {
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0) *descriptor(fd) = (Descriptor){0};
    return fd;
  }
  flags &= ~O_DIRECT;
  if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;  // to read what was there
  pthread_mutex_lock(&names_mutex);
  struct stat st;
  const bool creates = (flags & O_CREAT) && lstat(full, &st) != 0 && errno == ENOENT;
  if (creates) append_name('C', "", full, "");
  const bool truncates = !creates && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY;
  int fd = (int)syscall(SYS_openat, dirfd, path, truncates ? flags & ~O_TRUNC : flags, mode);
  const int saved_errno = errno;
  if (fd >= 0) remember(fd, full, flags, creates);
  pthread_mutex_unlock(&names_mutex);
  if (fd >= 0 && truncates && ftruncate(fd, 0) != 0) die("ftruncate");
  errno = saved_errno;
  return fd;
}

static int mode_of(int flags, va_list args) { return (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(args, int) : 0; }

#define OPEN(name)                          \
  int name(const char* path, int flags, ...) { \
    va_list args;                           \
    va_start(args, flags);                  \
    int mode = mode_of(flags, args);        \
    va_end(args);                           \
    return do_open(AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name)                        \
  int name(int dirfd, const char* path, int flags, ...) { \
    va_list args;                           \
    va_start(args, flags);                  \
    int mode = mode_of(flags, args);        \
    va_end(args);                           \
    return do_open(dirfd, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __openat_2(int dirfd, const char* path, int flags) { return do_open(dirfd, path, flags, 0); }
int __openat64_2(int dirfd, const char* path, int flags) { return do_open(dirfd, path, flags, 0); }
int creat(const char* path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, (int)mode); }
int creat64(const char* path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
  Descriptor* d = descriptor(fd);
  free(d->directory);
  *d = (Descriptor){0};
  return (int)syscall(SYS_close, fd);
}

static ssize_t write_around(int fd, uint64_t offset, size_t length, bool dsync, long call, long a, long b, long c, long e,
                            long f) {
  Descriptor* d = descriptor(fd);
  File* file = d->file;
  if (!file) return syscall(call, fd, a, b, c, e, f);
  const uint64_t seq = begin_change(file, fd, 1, offset, length, d->append);
  const ssize_t n = syscall(call, fd, a, b, c, e, f);
  const int saved_errno = errno;
  end_change(file, seq, (dsync || d->synced) && n >= 0 && !nosync());
  errno = saved_errno;
  return n;
}

static uint64_t position(int fd) { return descriptor(fd)->file ? (uint64_t)lseek(fd, 0, SEEK_CUR) : 0; }

static size_t total(const struct iovec* pieces, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += pieces[i].iov_len;
  return sum;
}

ssize_t write(int fd, const void* data, size_t size) {
  return write_around(fd, position(fd), size, false, SYS_write, (long)data, (long)size, 0, 0, 0);
}
ssize_t writev(int fd, const struct iovec* pieces, int count) {
  return write_around(fd, position(fd), total(pieces, count), false, SYS_writev, (long)pieces, count, 0, 0, 0);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return write_around(fd, (uint64_t)offset, size, false, SYS_pwrite64, (long)data, (long)size, offset, 0, 0);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off_t offset) { return pwrite(fd, data, size, offset); }
ssize_t pwritev2(int fd, const struct iovec* pieces, int count, off_t offset, int flags) {
  const uint64_t at = offset == -1 ? position(fd) : (uint64_t)offset;
  const bool dsync = flags & (RWF_DSYNC | RWF_SYNC);
  return write_around(fd, at, total(pieces, count), dsync, SYS_pwritev2, (long)pieces, count, offset, 0, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec* pieces, int count, off_t offset, int flags) {
  return pwritev2(fd, pieces, count, offset, flags);
}
ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  return write_around(fd, (uint64_t)offset, total(pieces, count), false, SYS_pwritev, (long)pieces, count, offset, 0, 0);
}
ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off_t offset) { return pwritev(fd, pieces, count, offset); }

static long resize_around(int fd, uint64_t kind, uint64_t offset, uint64_t length, long call, long a, long b, long c) {
  File* file = descriptor(fd)->file;
  if (!file) return syscall(call, fd, a, b, c);
  const uint64_t seq = begin_change(file, fd, kind, offset, length, false);
  const long result = syscall(call, fd, a, b, c);
  const int saved_errno = errno;
  end_change(file, seq, false);
  errno = saved_errno;
  return result;
}

int ftruncate(int fd, off_t size) { return (int)resize_around(fd, 2, (uint64_t)size, 0, SYS_ftruncate, size, 0, 0); }
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
int truncate(const char* path, off_t size) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  const int result = ftruncate(fd, size), saved_errno = errno;
  close(fd);
  errno = saved_errno;
  return result;
}
int truncate64(const char* path, off_t size) { return truncate(path, size); }

// A plain fallocate only adds zeros at the end; the other modes change bytes like a write does.
int fallocate(int fd, int mode, off_t offset, off_t length) {
  if (mode == 0) {
    struct stat st = {0};
    if (descriptor(fd)->file && fstat(fd, &st) == 0 && offset + length > st.st_size) {
      return (int)resize_around(fd, 2, (uint64_t)(offset + length), 0, SYS_fallocate, mode, offset, length);
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
  }
  return (int)resize_around(fd, 1, (uint64_t)offset, (uint64_t)length, SYS_fallocate, mode, offset, length);
}
int fallocate64(int fd, int mode, off_t offset, off_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

static int sync_around(int fd, long call) {
  Descriptor* d = descriptor(fd);
  if (d->file) return sync_file(d->file, fd, call);
  if (d->directory) return sync_directory(d->directory, fd, call);
  return (int)syscall(call, fd);
}
int fsync(int fd) { return sync_around(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_around(fd, SYS_fdatasync); }

int unlinkat(int dirfd, const char* path, int flags) {
  char full[PATH_MAX], saved[PATH_MAX] = "";
  if ((flags & AT_REMOVEDIR) || !below_root(dirfd, path, full)) return (int)syscall(SYS_unlinkat, dirfd, path, flags);
  pthread_mutex_lock(&names_mutex);
  save_away(full, saved);
  if (saved[0]) append_name('U', saved, full, "");
  const int result = (int)syscall(SYS_unlinkat, dirfd, path, flags);
  pthread_mutex_unlock(&names_mutex);
  return result;
}
int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int remove(const char* path) {
  struct stat st;
  if (lstat(path, &st) != 0) return -1;
  return unlinkat(AT_FDCWD, path, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  char full_from[PATH_MAX], full_to[PATH_MAX], saved[PATH_MAX] = "";
  struct stat st;
  const bool watched = below_root(from_fd, from, full_from) && below_root(to_fd, to, full_to) && !lstat(full_from, &st);
  if (!watched) return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
  pthread_mutex_lock(&names_mutex);
  save_away(full_to, saved);
  append_name('R', saved, full_from, full_to);
  const int result = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
  pthread_mutex_unlock(&names_mutex);
  return result;
}
int renameat(int from_fd, const char* from, int to_fd, const char* to) { return renameat2(from_fd, from, to_fd, to, 0); }
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int dirfd, const char* path, mode_t mode) {
  char full[PATH_MAX];
  struct stat st;
  if (!below_root(dirfd, path, full) || lstat(full, &st) == 0) return (int)syscall(SYS_mkdirat, dirfd, path, mode);
  pthread_mutex_lock(&names_mutex);
  append_name('D', "", full, "");
  const int result = (int)syscall(SYS_mkdirat, dirfd, path, mode);
  pthread_mutex_unlock(&names_mutex);
  return result;
}
int mkdir(const char* path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
