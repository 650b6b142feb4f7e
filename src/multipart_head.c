/*
** multipart_head.c: see multipart_head.h. Also the boundary, which is a
** parameter of a field, too.
**
** A value in quotes: `\"` and `\\` stand for `"` and `\`, as clients such as
** curl write them; any other backslash is one, as in the paths of Windows.
** The `%22` of browsers stays as it is, since they do not escape `%`.
*/
#include "multipart_head.h"

#include "http_text.h"

struct span {
  char *at;
  size_t len;
};

static bool is(struct span span, const char *word) {
  return span.len == strlen(word) && sl_http_equal(span.at, word, span.len);
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Passes over blanks at the begin. */
static void skip_blanks(struct span *text) {
  while (text->len > 0 && is_blank(*text->at)) text->at++, text->len--;
}

static void skip(struct span *text, size_t n) {
  text->at += n;
  text->len -= n;
}

/* Takes bytes up to one of `stops` or a blank. */
static struct span take_until(struct span *text, const char *stops) {
  struct span word = {text->at, 0};
  while (word.len < text->len && !is_blank(word.at[word.len]) &&
         strchr(stops, word.at[word.len]) == NULL)
    word.len++;
  skip(text, word.len);
  return word;
}

/* Takes what is in the quotes at the begin, its escapes undone in place.
   False: they are not closed. */
static bool take_quoted(struct span *text, struct span *value) {
  size_t i = 1;
  value->at = text->at + 1;
  value->len = 0;
  for (; i < text->len && text->at[i] != '"'; i++) {
    char next = i + 1 < text->len ? text->at[i + 1] : '\0';
    if (text->at[i] == '\\' && (next == '"' || next == '\\')) i++;
    if (value->at + value->len != text->at + i)
      value->at[value->len] = text->at[i];
    value->len++;
  }
  if (i == text->len) return false;
  skip(text, i + 1);
  return true;
}

enum found { FOUND, NO_MORE, MALFORMED };

/* The next `; name=value`. */
static enum found next_parameter(struct span *text, struct span *name,
                                 struct span *value) {
  skip_blanks(text);
  if (text->len == 0) return NO_MORE;
  if (*text->at != ';') return MALFORMED;
  skip(text, 1);
  skip_blanks(text);
  if (text->len == 0) return NO_MORE;
  *name = take_until(text, "=;\"");
  if (name->len == 0 || text->len == 0 || *text->at != '=') return MALFORMED;
  skip(text, 1);
  if (text->len > 0 && *text->at == '"')
    return take_quoted(text, value) ? FOUND : MALFORMED;
  *value = take_until(text, ";\"");
  return value->len > 0 ? FOUND : MALFORMED;
}

static bool set(struct sl_multipart_text *text, struct span value) {
  if (text->data != NULL) return false;
  text->data = value.at;
  text->len = value.len;
  return true;
}

/* A name of a file that says how it is encoded: UTF-8''caf%C3%A9. Another
   encoding than UTF-8 is passed over. */
static const char *set_extended(struct sl_multipart_text *text,
                                struct span value) {
  static const char utf8[] = "UTF-8'";
  char *quote;
  if (value.len < sizeof utf8 - 1 ||
      !sl_http_equal(value.at, utf8, sizeof utf8 - 1))
    return NULL;
  skip(&value, sizeof utf8 - 1);
  quote = memchr(value.at, '\'', value.len);
  if (quote == NULL) return "malformed name of a file";
  skip(&value, (size_t)(quote + 1 - value.at));
  if (!sl_http_decode(value.at, value.len, false, value.at, &value.len) ||
      !sl_http_valid_text(value.at, value.len) || !set(text, value))
    return "malformed name of a file";
  return NULL;
}

/* What follows the last slash or backslash, if that is no directory, too. */
static void cut_directory(struct sl_multipart_text *name) {
  for (size_t i = name->len; i > 0; i--) {
    char c = name->data[i - 1];
    if (c != '/' && c != '\\') continue;
    name->data += i;
    name->len -= i;
    break;
  }
  if (name->len > 0 && name->len <= 2 &&
      memcmp(name->data, "..", name->len) == 0)
    name->len = 0;
}

static const char *read_disposition(struct sl_multipart *form,
                                    struct span text) {
  struct sl_multipart_text plain = {NULL, 0}, extended = {NULL, 0};
  struct span name, value;
  enum found found;
  if (!is(take_until(&text, ";"), "form-data"))
    return "a part is not form-data";
  while ((found = next_parameter(&text, &name, &value)) == FOUND) {
    bool once = true;
    const char *error = NULL;
    if (is(name, "name")) once = set(&form->name, value);
    if (is(name, "filename")) once = set(&plain, value);
    if (is(name, "filename*")) error = set_extended(&extended, value);
    if (!once) return "a part has two names";
    if (error != NULL) return error;
  }
  if (found == MALFORMED) return "malformed Content-Disposition of a part";
  form->filename = extended.data != NULL ? extended : plain;
  cut_directory(&form->filename);
  return NULL;
}

/* One line, without its end. */
static const char *read_field(struct sl_multipart *form, struct span line,
                              bool *disposed) {
  char *colon = memchr(line.at, ':', line.len);
  struct span name = line, value = line;
  if (colon == NULL) return "malformed head of a part";
  name.len = (size_t)(colon - line.at);
  skip(&value, name.len + 1);
  skip_blanks(&value);
  while (value.len > 0 && is_blank(value.at[value.len - 1])) value.len--;
  if (!sl_http_valid_name(name.at, name.len) ||
      !sl_http_valid_text(value.at, value.len))
    return "malformed head of a part";
  if (is(name, "content-type") && !set(&form->type, value))
    return "a part has two types";
  if (!is(name, "content-disposition")) return NULL;
  if (*disposed) return "a part has two names";
  *disposed = true;
  return read_disposition(form, value);
}

const char *sl_multipart_read_head(struct sl_multipart *form) {
  static const struct sl_multipart_text none = {NULL, 0};
  struct span rest = {form->head.data, form->head.len};
  const char *error = NULL;
  bool disposed = false;
  form->name = form->filename = form->type = none;
  while (error == NULL && rest.len > 2) {
    struct span line = rest;
    char *lf = memchr(rest.at, '\n', rest.len);
    line.len = (size_t)(lf - rest.at);
    skip(&rest, line.len + 1);
    if (line.len == 0 || line.at[--line.len] != '\r')
      return "a line of a part's head does not end in CRLF";
    error = read_field(form, line, &disposed);
  }
  if (error != NULL) return error;
  return form->name.data != NULL ? NULL : "a part has no name";
}

/* -- the boundary -- */

static bool is_boundary(const char *s, size_t len) {
  static const char extra[] = "'()+_,-./:=? ";
  if (len == 0 || len > SL_MULTIPART_BOUNDARY || s[len - 1] == ' ')
    return false;
  for (size_t i = 0; i < len; i++) {
    char c = s[i], low = (char)(c | 0x20);
    bool alphanumeric = (c >= '0' && c <= '9') || (low >= 'a' && low <= 'z');
    if (!alphanumeric && memchr(extra, c, sizeof extra - 1) == NULL)
      return false;
  }
  return true;
}

/* Nothing is written to the value: only an escape would be, and one with a
   backslash is refused before. */
bool sl_multipart_boundary(const char *type, size_t len,
                           struct sl_multipart_text *boundary) {
  struct span text = {(char *)type, len}, name, value;
  enum found found;
  boundary->data = NULL;
  if (memchr(type, '\\', len) != NULL) return false;
  skip_blanks(&text);
  if (!is(take_until(&text, ";"), "multipart/form-data")) return false;
  while ((found = next_parameter(&text, &name, &value)) == FOUND)
    if (is(name, "boundary") && !set(boundary, value)) return false;
  return found == NO_MORE && boundary->data != NULL &&
         is_boundary(boundary->data, boundary->len);
}
