/* plain.h - stands in for umbel.h when plain gcc compiles the same program: a thread of this process. */
#include <pthread.h>

typedef pthread_t dist_thr_t;
typedef void (*umbel_thr_fn)();

struct plain_start { umbel_thr_fn fn; long arg; };

static void *plain_thread(void *data)
{
    struct plain_start start = *(struct plain_start *)data;
    __builtin_free(data);
    start.fn(start.arg);
    return 0;
}

static __attribute__((noipa)) dist_thr_t plain_create(umbel_thr_fn fn, long arg)
{
    struct plain_start *start = __builtin_malloc(sizeof *start);
    pthread_t thread;
    *start = (struct plain_start){ fn, arg };
    pthread_create(&thread, 0, plain_thread, start);
    return thread;
}

#define dist_thr_create_on(node, fn, arg) ((void)(node), plain_create((umbel_thr_fn)(fn), (long)(arg)))
#define dist_thr_join(thread) pthread_join(thread, 0)
#define dist_node_count() 1
