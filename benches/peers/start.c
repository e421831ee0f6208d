/* start.c: one thread on each node. How long a job takes that does nothing: from the launcher's start to its end.
 *
 * Estimate: 30 ms for each node: a process, its mappings, greetings; on fewer processors one after the other. */

int main(void)
{
    void nothing(int unused) { (void)unused; }
    for (int node = 0; node < dist_node_count(); node++)
        dist_thr_create_on(node, nothing, 0);
    dist_thr_join_all();
}
