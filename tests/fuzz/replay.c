/*
** replay.c: stands in for libFuzzer: feeds a target with the files named, and
** with those in the directories named. For the corpus in the tests, and for
** finding out about an input that failed with any compiler and debugger.
**
** usage: TARGET (FILE | DIRECTORY)...
*/
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int files;

/* In a block of its own size, so that a byte beyond is seen. */
static bool feed(const char *path) {
  FILE *file = fopen(path, "rb");
  uint8_t *data;
  long size;
  bool ok;
  if (file == NULL) return false;
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  data = malloc(size > 0 ? (size_t)size : 1);
  ok = data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size;
  fclose(file);
  if (ok) LLVMFuzzerTestOneInput(data, (size_t)size);
  free(data);
  files += ok;
  return ok;
}

static bool feed_all(const char *path) {
  DIR *dir = opendir(path);
  bool ok = true;
  if (dir == NULL) return feed(path);
  for (struct dirent *entry; ok && (entry = readdir(dir)) != NULL;) {
    char name[4096];
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    ok = feed(name);
  }
  closedir(dir);
  return ok;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (feed_all(argv[i])) continue;
    perror(argv[i]);
    return EXIT_FAILURE;
  }
  printf("%d inputs\n", files);
  return files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
