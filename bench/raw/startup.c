/*
 * startup COUNT COMMAND [ARGUMENT...]: runs the command so many times, one
 * after the other, and prints the median of the microseconds from starting
 * the process to having its end reported. A program cannot time its own
 * start; a script that timed it would add its own.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run_once(char **command)
{
    pid_t pid;
    int status;
    double start = now_us();
    if (posix_spawnp(&pid, command[0], NULL, NULL, command, environ) != 0 ||
        waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "startup: %s failed\n", command[0]);
        exit(1);
    }
    return now_us() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 3 || atoi(argv[1]) < 1)
        return 2;
    size_t count = (size_t)atoi(argv[1]);
    double *times = malloc(count * sizeof *times);
    run_once(argv + 2);
    for (size_t i = 0; i < count; i++)
        times[i] = run_once(argv + 2);
    qsort(times, count, sizeof *times, compare);
    printf("%.1f\n", times[count / 2]);
    free(times);
    return 0;
}
