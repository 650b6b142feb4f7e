/*
** test_multipart.c: forms in parts: what they hold however the bytes are cut,
** what is refused, limits, memory that fails, mutated bytes.
*/
#include "multipart.h"
#include "test.h"

static const char *const BOUNDARY = "AaB03x";

struct run {
  struct test_heap heap;
  struct sl_bytes log; /* what happened, in words */
  struct sl_multipart form;
  bool in_data;
};

static void put(struct run *run, const char *s, size_t len) {
  CHECK(sl_bytes_append(&run->log, s, len));
}

static void puts_(struct run *run, const char *s) { put(run, s, strlen(s)); }

static void put_text(struct run *run, const char *what,
                     struct sl_multipart_text text) {
  if (text.data == NULL) return;
  puts_(run, what);
  put(run, text.data, text.len);
}

static void *plain_alloc(void *ud, void *ptr, size_t osize, size_t nsize) {
  (void)ud, (void)osize;
  if (nsize > 0) return realloc(ptr, nsize);
  free(ptr);
  return NULL;
}

static void open_run(struct run *run, const char *boundary,
                     struct sl_multipart_limits limits, long fail_at) {
  struct sl_multipart_text text = {boundary, strlen(boundary)};
  run->heap = test_heap_new(fail_at);
  run->in_data = false;
  sl_bytes_init(&run->log, plain_alloc, NULL);
  sl_multipart_init(&run->form, text, limits, test_alloc, &run->heap);
}

static void close_run(struct run *run) {
  sl_multipart_fini(&run->form);
  CHECK_EQ(run->heap.blocks, 0);
  sl_bytes_fini(&run->log);
}

static void note(struct run *run, enum sl_multipart_event event) {
  const struct sl_multipart *form = &run->form;
  if (event == SL_MULTIPART_NEED_MORE) return;
  if (event != SL_MULTIPART_DATA) run->in_data = false;
  switch (event) {
  case SL_MULTIPART_PART:
    put_text(run, "part ", form->name);
    put_text(run, " file ", form->filename);
    put_text(run, " type ", form->type);
    puts_(run, "\n");
    break;
  case SL_MULTIPART_DATA:
    CHECK(form->span_len > 0);
    if (!run->in_data) puts_(run, "data ");
    run->in_data = true;
    put(run, form->span, form->span_len);
    break;
  case SL_MULTIPART_END: puts_(run, "|end\n"); break;
  case SL_MULTIPART_DONE: puts_(run, "done"); break;
  default: puts_(run, form->error); break;
  }
}

/* Feeds a piece; true once the form is over. */
static bool feed(struct run *run, const char *data, size_t len) {
  while (len > 0) {
    size_t used;
    /* A copy of the exact size, so that a byte too far is found. */
    char *copy = malloc(len);
    memcpy(copy, data, len);
    enum sl_multipart_event event =
      sl_multipart_feed(&run->form, copy, len, &used);
    CHECK(used <= len && (used > 0 || event == SL_MULTIPART_DATA));
    note(run, event);
    free(copy);
    data += used;
    len -= used;
    if (event >= SL_MULTIPART_DONE) return true;
  }
  return false;
}

static const struct sl_multipart_limits usual = {100, 1000};

/* Checks what the bytes come to, whole, byte by byte, cut at each place. */
static void check_bytes(const char *data, size_t len, const char *want,
                        struct sl_multipart_limits limits) {
  for (size_t cut = 0; cut <= len + 1; cut++) {
    struct run run;
    open_run(&run, BOUNDARY, limits, -1);
    bool over = false;
    if (cut == len + 1)
      for (size_t i = 0; i < len && !over; i++) over = feed(&run, data + i, 1);
    else
      over = feed(&run, data, cut) || feed(&run, data + cut, len - cut);
    if (!over) puts_(&run, "cut off");
    CHECK_STR(run.log.data, run.log.len, want);
    close_run(&run);
    if (test_tally.broken > 0) return;
  }
}

static void check(const char *data, const char *want) {
  check_bytes(data, strlen(data), want, usual);
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

static void fields_and_files(void) {
  check("--AaB03x\r\n" FIELD("a") "\r\n1\r\n"
        "--AaB03x\r\n" FIELD("b") "X: y\r\n\r\n\r\nx\r\n\r\n"
        "--AaB03x\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "content-disposition: FORM-DATA; filename=f.txt ; name=c\r\n\r\nfile"
        "\r\n--AaB03x--\r\n",
        "part a\ndata 1|end\npart b\ndata \r\nx\r\n|end\n"
        "part c file f.txt type text/plain; charset=utf-8\ndata file|end\n"
        "done");
}

static void no_parts(void) {
  check("--AaB03x--", "done");
  check("--AaB03x--\r\n", "done");
  check("\r\n--AaB03x--\r\nepilogue --AaB03x\r\n", "done");
}

static void empty_content(void) {
  check("--AaB03x\r\n" FIELD("a") "\r\n\r\n--AaB03x--",
        "part a\n|end\ndone");
  check("--AaB03x\r\n" FIELD("a") "\r\n--AaB03x--", "part a\n|end\ndone");
  check("--AaB03x\r\n" FIELD("") "\r\n\r\n--AaB03x--", "part \n|end\ndone");
}

static void before_and_after(void) {
  check("preamble\r\n--AaB03\r\n-\r\r\n--AaB03x \t\r\n" FIELD("a") "\r\n1"
        "\r\n--AaB03x--anything\r\n--AaB03x\r\nat all",
        "part a\ndata 1|end\ndone");
}

static void nearly_delimiters(void) {
  static const char content[] =
    "\r\n--AaB03\r\r\n--AaB03\r\n-\r\n--\r\n--AaB03y\r\n\r\n--AaB03X--AaB03x"
    "\r--AaB03x\n--AaB03x\r\n-AaB03x\r\n --AaB03x\r\n\r";
  struct sl_bytes text, want;
  sl_bytes_init(&text, plain_alloc, NULL);
  sl_bytes_init(&want, plain_alloc, NULL);
  const char *head = "--AaB03x\r\n" FIELD("a") "\r\n";
  sl_bytes_append(&text, head, strlen(head));
  sl_bytes_append(&text, content, sizeof content - 1);
  sl_bytes_append(&text, "\r\n--AaB03x--", 12);
  sl_bytes_append(&want, "part a\ndata ", 12);
  sl_bytes_append(&want, content, sizeof content - 1);
  sl_bytes_append(&want, "|end\ndone", 10);
  check_bytes(text.data, text.len, want.data, usual);
  sl_bytes_fini(&text);
  sl_bytes_fini(&want);
}

static void content_is_binary_safe(void) {
  char data[512];
  struct run run;
  size_t n = (size_t)sprintf(data, "--AaB03x\r\n" FIELD("a") "\r\n");
  for (int i = 0; i < 256; i++) data[n++] = (char)i;
  memcpy(data + n, "\r\n--AaB03x--", 12);
  open_run(&run, BOUNDARY, usual, -1);
  CHECK(feed(&run, data, n + 12));
  CHECK_EQ(run.log.len, 7 + 5 + 256 + 5 + 4);
  CHECK_BYTES(run.log.data + 12, 256, data + n - 256, 256);
  close_run(&run);
}

static void check_name(const char *parameters, const char *want) {
  char data[512];
  sprintf(data, "--AaB03x\r\nContent-Disposition: form-data%s\r\n\r\n"
          "\r\n--AaB03x--", parameters);
  struct run run;
  open_run(&run, BOUNDARY, usual, -1);
  feed(&run, data, strlen(data));
  size_t len = run.log.len;
  const char *line = memchr(run.log.data, '\n', len);
  if (line != NULL) len = (size_t)(line - run.log.data);
  CHECK_STR(run.log.data, len, want);
  close_run(&run);
}

static void names(void) {
  check_name("; name=\"a\\\"b\\\\c\"", "part a\"b\\c");
  check_name(";name=a", "part a");
  check_name("; name=\"a;b=c\"; x=y;", "part a;b=c");
  check_name("; name=\"%22\"", "part %22");
  check_name("; NAME=\"a\"; FileName=\"\"", "part a file ");
  check_name("; name=a; filename=\"C:\\dir\\b.txt\"", "part a file b.txt");
  check_name("; name=a; filename=\"../../etc/passwd\"", "part a file passwd");
  check_name("; name=a; filename=\"dir/\"", "part a file ");
  check_name("; name=a; filename=\"dir/..\"", "part a file ");
  check_name("; name=a; filename=.", "part a file ");
  check_name("; name=a; filename=...", "part a file ...");
  check_name("; name=a; filename=\"a\\\"b\"", "part a file a\"b");
  check_name("; name=\xc3\xa9; filename=\"\xc3\xa9\"",
             "part \xc3\xa9 file \xc3\xa9");
  check_name("; name=a; filename=x; filename*=utf-8'en'caf%C3%A9%2Fy",
             "part a file y");
  check_name("; name=a; filename*=UTF-8''caf%C3%A9", "part a file caf\xc3\xa9");
  check_name("; name=a; filename=x; filename*=latin1''y", "part a file x");
}

static void malformed_names(void) {
  const char *other = "malformed Content-Disposition of a part";
  check_name("", "a part has no name");
  check_name("; filename=x", "a part has no name");
  check_name("x; name=a", "a part is not form-data");
  check_name("; name=a; name=b", "a part has two names");
  check_name("; name=a; filename=b; filename=c", "a part has two names");
  check_name("; name=\"a", other);
  check_name("; name=\"a\\\"", other);
  check_name("; name=", other);
  check_name("; name", other);
  check_name("; =a", other);
  check_name("; name=\"a\"b", other);
  check_name(" name=a", other);
  check_name("; name=a; filename*=utf-8''%0d", "malformed name of a file");
  check_name("; name=a; filename*=utf-8''%00", "malformed name of a file");
  check_name("; name=a; filename*=utf-8''%4", "malformed name of a file");
  check_name("; name=a; filename*=utf-8'x", "malformed name of a file");
}

static void malformed(void) {
  const char *head = "malformed head of a part";
  const char *line = "malformed line of a boundary";
  check("", "cut off");
  check("--AaB03x", "cut off");
  check("--AaB03x-", "cut off");
  check("--AaB03x\r\n" FIELD("a") "\r\n1\r\n--AaB03x\r\n",
        "part a\ndata 1|end\ncut off");
  check("--AaB03x-x", line);
  check("--AaB03xy\r\n", line);
  check("--AaB03x\n" FIELD("a"), line);
  check("--AaB03x\r\r\n", line);
  check("--AaB03x \t-", line);
  check("--AaB03x\r\n\r\n1\r\n--AaB03x--", "a part has no name");
  check("--AaB03x\r\nno colon\r\n\r\n", head);
  check("--AaB03x\r\n: no name\r\n\r\n", head);
  check("--AaB03x\r\nA b: c\r\n\r\n", head);
  check("--AaB03x\r\n" FIELD("a") " folded\r\n\r\n", head);
  check("--AaB03x\r\nA: b\x01\r\n\r\n", head);
  check("--AaB03x\r\nA: b\rc\r\n\r\n", head);
  check("--AaB03x\r\nA: b\n\r\n\r\n",
        "a line of a part's head does not end in CRLF");
  check("--AaB03x\r\n" FIELD("a") FIELD("a") "\r\n", "a part has two names");
  check("--AaB03x\r\nContent-Type: a\r\nContent-Type: a\r\n\r\n",
        "a part has two types");
}

static void limits(void) {
  static const char two[] = "--AaB03x\r\n" FIELD("a") "\r\n1\r\n"
                            "--AaB03x\r\n" FIELD("b") "\r\n2\r\n--AaB03x--";
  struct sl_multipart_limits some = {2, 50};
  check_bytes(two, sizeof two - 1,
              "part a\ndata 1|end\npart b\ndata 2|end\ndone", some);
  some.max_parts = 1;
  check_bytes(two, sizeof two - 1,
              "part a\ndata 1|end\nthe form has too many parts", some);
  some.max_parts = 0;
  check_bytes("--AaB03x--", 10, "done", some);
  some = (struct sl_multipart_limits){2, strlen(FIELD("a")) + 1};
  check_bytes(two, sizeof two - 1, "the head of a part is too long", some);
}

static void check_boundary(const char *type, const char *want) {
  struct sl_multipart_text boundary;
  bool found = sl_multipart_boundary(type, strlen(type), &boundary);
  CHECK_EQ(found, want != NULL);
  if (found && want != NULL) CHECK_STR(boundary.data, boundary.len, want);
}

static void boundaries(void) {
  char text[128] = "multipart/form-data; boundary=";
  check_boundary("multipart/form-data; boundary=a", "a");
  check_boundary(" Multipart/Form-Data;charset=x ; BOUNDARY=\"a b\" ", "a b");
  check_boundary("multipart/form-data; boundary=----=_Part'()+,-./:?1",
                 "----=_Part'()+,-./:?1");
  check_boundary("multipart/form-data", NULL);
  check_boundary("multipart/form-data; boundary=", NULL);
  check_boundary("multipart/form-data; boundary=\"\"", NULL);
  check_boundary("multipart/form-data; boundary=\"a \"", NULL);
  check_boundary("multipart/form-data; boundary=\"a\\\\\"", NULL);
  check_boundary("multipart/form-data; boundary=\"a", NULL);
  check_boundary("multipart/form-data; boundary=a; boundary=b", NULL);
  check_boundary("multipart/form-data; boundary=a b", NULL);
  check_boundary("multipart/form-data; boundary=\xc3\xa9", NULL);
  check_boundary("multipart/mixed; boundary=a", NULL);
  check_boundary("multipart/form-dataX; boundary=a", NULL);
  check_boundary("", NULL);
  size_t at = strlen(text);
  memset(text + at, 'x', 70);
  check_boundary(text, text + at);
  text[at + 70] = 'x';
  check_boundary(text, NULL);
}

static void long_boundaries(void) {
  char boundary[71], text[512];
  struct run run;
  memset(boundary, '-', 70);
  boundary[70] = '\0';
  sprintf(text, "--%s\r\n" FIELD("a") "\r\n\r\n--%.69s\r\n--%s--", boundary,
          boundary, boundary);
  open_run(&run, boundary, usual, -1);
  CHECK(feed(&run, text, strlen(text)));
  CHECK_EQ(run.log.len, 7 + 5 + 2 + 2 + 69 + 5 + 4);
  close_run(&run);
}

static void memory_fails(void) {
  static const char text[] = "--AaB03x\r\n" FIELD("a") "\r\n1\r\n--AaB03x--";
  struct run run;
  open_run(&run, BOUNDARY, usual, 0);
  CHECK(feed(&run, text, sizeof text - 1));
  CHECK_STR(run.log.data, run.log.len, "out of memory");
  close_run(&run);
}

/* -- mutated bytes -- */

static uint64_t seed = 1;

static size_t below(size_t n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (size_t)((seed >> 11) % n);
}

static size_t mutate(char *data, size_t len) {
  static const char *const pieces[] = {"\r\n--AaB03x", "--AaB03x--", "\r\n",
                                       "\r", "\"", ";", FIELD("z"), "\\", ":"};
  const char *piece = pieces[below(sizeof pieces / sizeof *pieces)];
  size_t at = below(len), n = strlen(piece);
  if (below(2)) {
    data[at] = (char)below(256);
    return len;
  }
  memmove(data + at + n, data + at, len - at);
  memcpy(data + at, piece, n);
  return len + n;
}

static void cuts_change_nothing(void) {
  static const char text[] =
    "--AaB03x\r\n" FIELD("a") "\r\n1\r\n--AaB03x\r\n"
    "Content-Disposition: form-data; name=b; filename=\"c\"\r\n"
    "Content-Type: text/plain\r\n\r\n\r\n-file-\r\n--AaB03x--\r\n";
  for (int round = 0; round < 20000; round++) {
    char data[1024];
    struct run whole, cut;
    size_t len = sizeof text - 1;
    memcpy(data, text, len);
    for (size_t n = below(6); n > 0; n--) len = mutate(data, len);
    open_run(&whole, BOUNDARY, usual, -1);
    feed(&whole, data, len);
    open_run(&cut, BOUNDARY, usual, -1);
    for (size_t at = 0; at < len;) {
      size_t n = 1 + below(40);
      if (n > len - at) n = len - at;
      if (feed(&cut, data + at, n)) break;
      at += n;
    }
    CHECK_BYTES(cut.log.data, cut.log.len, whole.log.data, whole.log.len);
    close_run(&whole);
    close_run(&cut);
    if (test_tally.broken > 0) return;
  }
}

int main(void) {
  RUN(fields_and_files, "fields and files");
  RUN(no_parts, "no parts");
  RUN(empty_content, "empty content");
  RUN(before_and_after, "what is before and after the parts");
  RUN(nearly_delimiters, "what is nearly a delimiter is content");
  RUN(content_is_binary_safe, "content is binary safe");
  RUN(names, "names");
  RUN(malformed_names, "malformed names");
  RUN(malformed, "what is malformed");
  RUN(limits, "limits");
  RUN(boundaries, "boundaries");
  RUN(long_boundaries, "long boundaries");
  RUN(memory_fails, "memory that fails");
  RUN(cuts_change_nothing, "cuts change nothing, whatever the bytes");
  return test_report();
}
