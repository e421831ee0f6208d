void main(void) {
    int a[3][100];                /* a sharable object local to main */
    void example(int space) {    /* nested; initializes part of the array */
        int counter;           /* object local to example */
        for(counter = 0; counter < 100; counter ++)
            a[space][counter] = space; /* access to shared non-local object "a" */
    }
    dist_thr_create(example, 0);  /* creation of child thread 1 */
    dist_thr_create(example, 1); /* creation of child thread 2 */
    dist_thr_create(example, 2); /* creation of child thread 3 */
}
