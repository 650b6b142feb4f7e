/*
** test_http_text.c: names, values, hosts, lists, percent-encoding, queries.
*/
#include "http_text.h"
#include "test.h"

static void names(void) {
  CHECK(sl_http_valid_name("Content-Type", 12));
  CHECK(sl_http_valid_name("!#$%&'*+-.^_`|~09azAZ", 21));
  CHECK(!sl_http_valid_name("", 0));
  const char *bad = " \t\r\n\"(),/:;<=>?@[\\]{}\x7f\x80\xff";
  for (const char *c = bad; *c != '\0'; c++)
    CHECK(!sl_http_valid_name((char[]){'a', *c}, 2));
  CHECK(!sl_http_valid_name("a\0", 2));
}

static void values(void) {
  CHECK(sl_http_valid_text("", 0));
  CHECK(sl_http_valid_text("text/html; q=\"0.5\"\t\xc3\xa9", 21));
  for (int c = 0; c < 256; c++) {
    char s[] = {'a', (char)c, 'b'};
    bool ok = c == '\t' || (c >= ' ' && c != 0x7f);
    CHECK_EQ(sl_http_valid_text(s, 3), ok);
  }
}

static bool host(const char *s) {
  return sl_http_valid_host(s, strlen(s));
}

static void hosts(void) {
  const char *good[] = {"", "a", "a.example", "127.0.0.1:8080", "a:", "[::1]",
                        "[::ffff:1.2.3.4]:80", "x_y~z-%2e", "a,b", ":80"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK(host(good[i]));
  const char *bad[] = {"a b", "a/", "a?", "u@a", "a:b", "a:80x", "a:8:0",
                       "[::1", "[]", "::1", "[::1]x", "[x]", "a%2", "a%zz",
                       "\xc3\xa9", "a#", "\"a\"", "a]"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!host(bad[i]));
  CHECK(!sl_http_valid_host("a\0b", 3));
}

static void letters_are_equal_whatever_their_case(void) {
  CHECK(sl_http_equal("HoSt", "hOsT", 4));
  CHECK(!sl_http_equal("host", "hose", 4));
  CHECK(!sl_http_equal("@[^", "`{~", 3));
  CHECK(sl_http_equal("", "", 0));
  for (int a = 0; a < 256; a++)
    for (int b = 0; b < 256; b++) {
      int low_a = a >= 'A' && a <= 'Z' ? a + 32 : a;
      int low_b = b >= 'A' && b <= 'Z' ? b + 32 : b;
      char x = (char)a, y = (char)b;
      CHECK_EQ(sl_http_equal(&x, &y, 1), low_a == low_b);
    }
}

static void lists(void) {
  const char *list = " a ,,\tb c\t, ,d", *end = list + strlen(list);
  const char *element;
  size_t len;
  CHECK(sl_http_next_element(&list, end, &element, &len));
  CHECK_STR(element, len, "a");
  CHECK(sl_http_next_element(&list, end, &element, &len));
  CHECK_STR(element, len, "b c");
  CHECK(sl_http_next_element(&list, end, &element, &len));
  CHECK_STR(element, len, "d");
  CHECK(!sl_http_next_element(&list, end, &element, &len));
  const char *none = " , \t,";
  CHECK(!sl_http_next_element(&none, none + 5, &element, &len));
}

static void decode(const char *src, bool plus, const char *want, bool valid) {
  char text[64];
  size_t n;
  size_t len = strlen(src);
  memcpy(text, src, len);
  CHECK_EQ(sl_http_decode(text, len, plus, text, &n), valid);
  CHECK_STR(text, n, want);
}

static void percent_encoding(void) {
  decode("", false, "", true);
  decode("/a%20b%2Fc%c3%A9", false, "/a b/c\xc3\xa9", true);
  decode("a+b%2b", false, "a+b+", true);
  decode("a+b%2b", true, "a b+", true);
  decode("100%", false, "100%", false);
  decode("%4", false, "%4", false);
  decode("%zz%41", false, "%zzA", false);
  decode("%%41", false, "%A", false);
  decode("%2541", false, "%41", true);
  char text[3];
  size_t n;
  CHECK(sl_http_decode("a%00", 4, false, text, &n));
  CHECK_BYTES(text, n, "a\0", 2);
}

static void check_pair(const char **at, const char *end, const char *name,
                       const char *value) {
  struct sl_http_pair pair;
  CHECK(sl_http_next_pair(at, end, &pair));
  CHECK_STR(pair.name, pair.name_len, name);
  CHECK_STR(pair.value, pair.value_len, value);
}

static void queries(void) {
  const char *query = "&a=1&&b&c==%26&=d&e=", *end = query + strlen(query);
  struct sl_http_pair pair;
  check_pair(&query, end, "a", "1");
  check_pair(&query, end, "b", "");
  check_pair(&query, end, "c", "=%26");
  check_pair(&query, end, "", "d");
  check_pair(&query, end, "e", "");
  CHECK(!sl_http_next_pair(&query, end, &pair));
  const char *none = "&&";
  CHECK(!sl_http_next_pair(&none, none + 2, &pair));
}

static void check_cookie(const char **at, const char *end, const char *name,
                         const char *value) {
  struct sl_http_pair pair;
  CHECK(sl_http_next_cookie(at, end, &pair));
  CHECK_STR(pair.name, pair.name_len, name);
  CHECK_STR(pair.value, pair.value_len, value);
}

static void cookies(void) {
  const char *text = "a=1; b=x=y ;c;=d;; e=\"q\";f=\"; g=; h=%41;";
  const char *end = text + strlen(text);
  struct sl_http_pair pair;
  check_cookie(&text, end, "a", "1");
  check_cookie(&text, end, "b", "x=y");
  check_cookie(&text, end, "e", "q");
  check_cookie(&text, end, "f", "\"");
  check_cookie(&text, end, "g", "");
  check_cookie(&text, end, "h", "%41");
  CHECK(!sl_http_next_cookie(&text, end, &pair));
  const char *none = " ; =\"\" ";
  CHECK(!sl_http_next_cookie(&none, none + 8, &pair));
}

int main(void) {
  RUN(names, "names are tokens");
  RUN(values, "values hold no controls");
  RUN(hosts, "hosts");
  RUN(letters_are_equal_whatever_their_case, "case does not matter");
  RUN(lists, "comma lists");
  RUN(percent_encoding, "percent-encoding");
  RUN(queries, "queries");
  RUN(cookies, "cookies");
  return test_report();
}
