/*
 * Counts the calls that change files below a directory, in every process that is started with it, and
 * lets the one whose turn it is fail; or ends the process there, as kill -9 at that very call does.
 *
 *   LD_PRELOAD=faulty-disk.so FAULTY_PLAN=<file of struct plan> FAULTY_UNDER=<directory>
 *
 * Each counted call is one line in FAULTY_PLAN with `.log` behind it: number, process, call, path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SYNC = 1, WRITE = 2, NAME = 4, REMOVE = 8 };

/* Shared by the test, which sets it, and every process. All fields are little-endian 64-bit numbers. */
struct plan {
  long long count; /* of the calls so far, of the kinds that are watched */
  long long kinds;
  long long first; /* the number of the first call that fails; the first of all is 1, and 0 is none */
  long long last;  /* and of the last */
  long long error; /* errno; negative: the process is killed */
};

static struct plan *plan;
static char under[4096];
static size_t under_length;
static int log_file = -1;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("FAULTY_PLAN"), *directory = getenv("FAULTY_UNDER");
  if (name == NULL || directory == NULL) return;
  char path[4096];
  int file = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
  if (file < 0) return;
  void *at = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  syscall(SYS_close, file);
  if (at == MAP_FAILED) return;
  snprintf(path, sizeof path, "%s.log", name);
  log_file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  snprintf(under, sizeof under, "%s/", directory);
  under_length = strlen(under);
  plan = at;
}

/* Whether this call is to fail; errno is set then. */
static int fails(int kind, const char *call, const char *path) {
  if (plan == NULL || (plan->kinds & kind) == 0 || strncmp(path, under, under_length) != 0) return 0;
  long long number = __atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST);
  char line[5000];
  int kept = errno;
  int length = snprintf(line, sizeof line, "%lld %d %s %s\n", number, (int)getpid(), call, path + under_length);
  syscall(SYS_write, log_file, line, length);
  errno = kept;
  if (plan->first == 0 || number < plan->first || number > plan->last) return 0;
  if (plan->error < 0) syscall(SYS_kill, getpid(), SIGKILL);
  errno = (int)plan->error;
  return 1;
}

static int fails_file(int kind, const char *call, int file) {
  if (plan == NULL) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return fails(kind, call, path);
}

static int fails_at(int kind, const char *call, int directory, const char *name) {
  if (plan == NULL) return 0;
  if (name[0] == '/') return fails(kind, call, name);
  char link[64], path[8192];
  snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, 4000);
  if (length < 0) return 0;
  snprintf(path + length, sizeof path - length, "/%s", name);
  return fails(kind, call, path);
}

#define NEXT(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FILE(kind, result, name, parameters, ...) \
  result name parameters { \
    NEXT(name); \
    return fails_file(kind, #name, file) ? -1 : real(__VA_ARGS__); \
  }

ON_FILE(SYNC, int, fsync, (int file), file)
ON_FILE(SYNC, int, fdatasync, (int file), file)
ON_FILE(WRITE, ssize_t, write, (int file, const void *from, size_t size), file, from, size)
ON_FILE(WRITE, ssize_t, writev, (int file, const struct iovec *from, int many), file, from, many)
ON_FILE(WRITE, ssize_t, pwrite, (int file, const void *from, size_t size, off_t at), file, from, size, at)
ON_FILE(WRITE, ssize_t, pwrite64, (int file, const void *from, size_t size, off64_t at), file, from, size, at)
ON_FILE(WRITE, int, ftruncate, (int file, off_t size), file, size)
ON_FILE(WRITE, int, ftruncate64, (int file, off64_t size), file, size)

int rename(const char *from, const char *to) {
  NEXT(rename);
  return fails_at(NAME, "rename", AT_FDCWD, to) ? -1 : real(from, to);
}

int link(const char *from, const char *to) {
  NEXT(link);
  return fails_at(NAME, "link", AT_FDCWD, to) ? -1 : real(from, to);
}

int unlink(const char *path) {
  NEXT(unlink);
  return fails_at(REMOVE, "unlink", AT_FDCWD, path) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir);
  return fails_at(NAME, "mkdir", AT_FDCWD, path) ? -1 : real(path, mode);
}

/* Only what may create a file: opening to read changes nothing. */
#define ON_OPEN(name) \
  int name(const char *path, int flags, ...) { \
    NEXT(name); \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0; \
    va_end(more); \
    if ((flags & O_CREAT) && fails_at(NAME, "create", AT_FDCWD, path)) return -1; \
    return real(path, flags, mode); \
  }

ON_OPEN(open)
ON_OPEN(open64)
