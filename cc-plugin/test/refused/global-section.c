/* warning: umbel: 'x' is not shared, each node has its own: it has a section; the attribute 'node_local' says that this is right */
/* options: -fplugin-arg-PLUGIN-share-globals */
int x __attribute__((section("own")));
