/* Word count in a search tree that threads on all nodes build together.
 *
 *     umbel cc -O2 tree.c -o tree
 *     umbel run -n 4 ./tree
 *
 * The entries come from the shared heap: whoever has a pointer to one can follow it, on any node, and through
 * it the whole tree.  An entry and its word are a group: they travel together, in one message.  One mutex
 * guards the tree.  A thread allocates on its own node, so the entries end up spread over the nodes; main
 * frees them all, wherever they are.
 *
 * Expect each word that occurs more than once, in alphabetical order, with its count.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 8 };

struct entry {
    struct entry *before, *after;
    char *word;
    int count;
};

/* What all nodes read; a constant of the program is the same on each. */
static const char text[] =
    "The river comes down from the hills and the rain comes down with it. In spring the river takes the bridge, "
    "and the miller builds the bridge again; in summer the children sit on the bridge and count the boats. The "
    "boats go to the town with flour and come back with salt, and the miller counts the sacks. When the snow "
    "comes, the river sleeps under the ice, the boats lie on the bank, and the miller has time to count the "
    "children.";

/* Copies the next word from `from` on, in small letters; where it ends, or 0 if there is none. */
static const char *next_word(const char *from, char word[static 32])
{
    int length = 0;
    while (*from && !isalpha((unsigned char)*from))
        from++;
    while (isalpha((unsigned char)*from) && length < 31)
        word[length++] = (char)tolower((unsigned char)*from++);
    word[length] = 0;
    return length ? from : 0;
}

/* An entry with its own copy of the word. */
static struct entry *new_entry(const char *word)
{
    unsigned long sizes[2] = { sizeof(struct entry), strlen(word) + 1 };
    void *parts[2];
    if (!dist_malloc_group(2, sizes, parts)) {
        perror("dist_malloc_group");
        return 0;
    }
    struct entry *entry = parts[0];
    entry->word = strcpy(parts[1], word);
    return entry;
}

/* Prints what occurs more than once, and frees everything. */
static void print_and_free(struct entry *entry)
{
    if (!entry)
        return;
    print_and_free(entry->before);
    if (entry->count > 1)
        printf("%-8s %d\n", entry->word, entry->count);
    print_and_free(entry->after);
    dist_free(entry);
}

int main(void)
{
    struct entry *root = 0;
    dist_mutex_t mutex = DIST_MUTEX_INITIALIZER;

    /* Each thread counts every THREADS-th word. */
    void count(int thread) {
        char word[32];
        int number = 0;
        for (const char *at = text; (at = next_word(at, word)); number++) {
            if (number % THREADS != thread)
                continue;
            dist_mutex_lock(&mutex);
            struct entry **place = &root;
            int order;
            while (*place && (order = strcmp(word, (*place)->word)) != 0)
                place = order < 0 ? &(*place)->before : &(*place)->after;
            if (!*place)
                *place = new_entry(word);
            if (*place)
                (*place)->count++;
            dist_mutex_unlock(&mutex);
        }
    }

    for (int thread = 0; thread < THREADS; thread++)
        dist_thr_create(count, thread);
    dist_thr_join_all();
    print_and_free(root);
    return 0;
}
