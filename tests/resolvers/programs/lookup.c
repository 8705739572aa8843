/* The resolver of the C library: for each name a line of the name, milliseconds, and addresses. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

int main(int count, char **names) {
    for (int at = 1; at < count; at++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        getaddrinfo(names[at], NULL, &hints, &found);
        clock_gettime(CLOCK_MONOTONIC, &end);
        long millis = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
        printf("%s %ld", names[at], millis);
        for (; found; found = found->ai_next) {
            char text[INET6_ADDRSTRLEN];
            void *address = found->ai_family == AF_INET
                ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
                : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
            printf(" %s", inet_ntop(found->ai_family, address, text, sizeof text));
        }
        printf("\n");
    }
}
