/*
 * raw_server PORT: what libuv and llhttp alone cost for one request.
 *
 * The yardstick of the HTTP benchmark. Every request is parsed as a server
 * has to, then a canned answer goes out, one write for all requests of one
 * read. There are no routes, limits, timeouts, bodies or tasks.
 *
 * A connection is freed in its close callback; everything else lives as long
 * as the process.
 */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define ANSWER                                                               \
    "HTTP/1.1 202 Accepted\r\n"                                              \
    "Content-Type: application/json\r\n"                                     \
    "Content-Length: 35\r\n"                                                 \
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"                                \
    "\r\n"                                                                   \
    "{\"order\":1234567,\"power_user\":true}"

enum { ANSWER_SIZE = sizeof ANSWER - 1, BATCH = 64 };

/* handle is first, so that a pointer to it is one to the connection. */
struct connection {
    uv_tcp_t handle;
    llhttp_t parser;
    unsigned complete; /* requests of this read that are not answered */
};

struct answer {
    uv_write_t request;
    char rest[]; /* what the kernel did not take at once */
};

static llhttp_settings_t settings;
static char answers[BATCH * ANSWER_SIZE];
static char input[65536];

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

static void close_connection(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->handle))
        uv_close((uv_handle_t *)&c->handle, on_close);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

/* Keeps a copy of what could not be written at once. */
static void write_rest(struct connection *c, const char *data, size_t size)
{
    struct answer *a = malloc(sizeof *a + size);
    uv_buf_t buffer = uv_buf_init(a->rest, (unsigned)size);
    memcpy(a->rest, data, size);
    if (uv_write(&a->request, (uv_stream_t *)&c->handle, &buffer, 1,
                 on_written) < 0)
        free(a);
}

static void answer(struct connection *c)
{
    while (c->complete > 0) {
        unsigned n = c->complete < BATCH ? c->complete : BATCH;
        uv_buf_t buffer = uv_buf_init(answers, n * ANSWER_SIZE);
        int sent = uv_try_write((uv_stream_t *)&c->handle, &buffer, 1);
        size_t done = sent > 0 ? (size_t)sent : 0;
        if (sent < 0 && sent != UV_EAGAIN) {
            close_connection(c);
            return;
        }
        if (done < buffer.len)
            write_rest(c, answers + done, buffer.len - done);
        c->complete -= n;
    }
}

static int on_message_complete(llhttp_t *parser)
{
    struct connection *c = parser->data;
    c->complete++;
    return 0;
}

/* One buffer serves all: a read is parsed before the next one begins. */
static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)handle;
    (void)size;
    *buffer = uv_buf_init(input, sizeof input);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *c = (struct connection *)stream;
    if (n == 0)
        return;
    if (n < 0 ||
        llhttp_execute(&c->parser, buffer->base, (size_t)n) != HPE_OK) {
        close_connection(c);
        return;
    }
    answer(c);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct connection *c = status < 0 ? NULL : calloc(1, sizeof *c);
    if (!c)
        return;
    uv_tcp_init(server->loop, &c->handle);
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    if (uv_accept(server, (uv_stream_t *)&c->handle) < 0) {
        close_connection(c);
        return;
    }
    uv_tcp_nodelay(&c->handle, 1);
    uv_read_start((uv_stream_t *)&c->handle, on_alloc, on_read);
}

int main(int argc, char **argv)
{
    static uv_tcp_t server;
    struct sockaddr_in address;
    if (argc != 2)
        return 2;
    for (size_t i = 0; i < BATCH; i++)
        memcpy(answers + i * ANSWER_SIZE, ANSWER, ANSWER_SIZE);
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message_complete;
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    uv_tcp_init(uv_default_loop(), &server);
    int error = uv_tcp_bind(&server, (struct sockaddr *)&address, 0);
    if (!error)
        error = uv_listen((uv_stream_t *)&server, 1024, on_connection);
    if (error) {
        fprintf(stderr, "raw_server: %s\n", uv_strerror(error));
        return 1;
    }
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
