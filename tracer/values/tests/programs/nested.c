/* A function in a function in a function, and what it sees of them. */
#include "stop.h"

_Thread_local long before = 1;

static long outer(int n, const char *name)
{
    long total = n * 10L;
    int unshared = n + 77;
    int hidden = 1;
    int row[3] = {n, n + 1, n + 2};
    int sized[n];
    for (int i = 0; i < n; i++)
        sized[i] = i;
    {
        int block = 5;
        long middle(int a)
        {
            static _Thread_local long calls = 40;
            int own = a + 1, hidden = 2;
            long inner(long q)
            {
                static _Thread_local const char *mine = "mine";
                calls += 2;
                umbel_stop();
                return q + own + total + row[0] + name[0] + mine[0] + sized[1] + block;
            }
            return inner(own * 3L) + hidden;
        }
        return middle(n + 5) + unshared + hidden;
    }
}

int main(void)
{
    return outer(3, "name") + before == 0;
}
