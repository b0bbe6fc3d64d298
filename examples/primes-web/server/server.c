/* A small HTTP server: /primes/N answers with the first N primes, other paths with the files of /www. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "primes.h"

#define MAX_PRIMES 1000

static void head(FILE *out, const char *status, const char *type, long length)
{
    fprintf(out, "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %ld\r\n\r\n", status, type, length);
}

static void send_text(FILE *out, const char *status, const char *text)
{
    head(out, status, "text/plain", (long)strlen(text));
    fputs(text, out);
}

static void send_primes(FILE *out, int count)
{
    static int primes[MAX_PRIMES];
    static char text[MAX_PRIMES * 6];
    char *end = text;

    if (count < 1 || count > MAX_PRIMES) {
        send_text(out, "400 Bad Request", "between 1 and 1000 primes\n");
        return;
    }
    first_primes(count, primes);
    for (int place = 0; place < count; place++)
        end += sprintf(end, "%d%c", primes[place], place + 1 < count ? ' ' : '\n');
    send_text(out, "200 OK", text);
}

static void send_file(FILE *out, const char *name, const char *type)
{
    char part[4096];
    size_t count;
    FILE *file = fopen(name, "rb");

    if (!file) {
        send_text(out, "404 Not Found", "no such page\n");
        return;
    }
    fseek(file, 0, SEEK_END);
    head(out, "200 OK", type, ftell(file));
    rewind(file);
    while ((count = fread(part, 1, sizeof part, file)) > 0)
        fwrite(part, 1, count, out);
    fclose(file);
}

static void answer(FILE *stream)
{
    char line[1024], path[1024], header[1024];

    if (!fgets(line, sizeof line, stream) || sscanf(line, "GET %1023s", path) != 1) {
        send_text(stream, "400 Bad Request", "only GET is understood\n");
        return;
    }
    while (fgets(header, sizeof header, stream) && strcmp(header, "\r\n") != 0)
        ;
    fseek(stream, 0, SEEK_CUR); /* from reading to writing */
    if (strncmp(path, "/primes/", 8) == 0)
        send_primes(stream, atoi(path + 8));
    else if (strcmp(path, "/main.js") == 0)
        send_file(stream, "/www/main.js", "text/javascript");
    else if (strcmp(path, "/") == 0)
        send_file(stream, "/www/index.html", "text/html; charset=utf-8");
    else
        send_text(stream, "404 Not Found", "no such page\n");
}

int main(void)
{
    const char *port = getenv("PORT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port ? port : "8080"))};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
        perror("server");
        return 1;
    }
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        FILE *stream = connection < 0 ? NULL : fdopen(connection, "r+");

        if (!stream)
            continue;
        answer(stream);
        fclose(stream);
    }
}
