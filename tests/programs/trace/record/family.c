/* The first process forks and ends at once; its child forks one that becomes another program (this one, with an argument), and
   goes on when its parent is long gone. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) void first(void) {}
__attribute__((noinline)) void child(void) {}
__attribute__((noinline)) void other(void) {}
__attribute__((noinline)) void last(void) {}

int main(int count, char **arguments)
{
    if (count > 1 && !strcmp(arguments[1], "other")) {
        other();
        return 5;
    }
    first();
    if (fork())
        return 3;
    /* Until the first process is gone. */
    while (getppid() != 1 && count-- > -2000)
        usleep(1000);
    child();
    int status = 0;
    pid_t grandchild = fork();
    if (!grandchild) {
        execl("/proc/self/exe", arguments[0], "other", (char *)0);
        _exit(1);
    }
    waitpid(grandchild, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 5)
        last();
    return 4;
}
