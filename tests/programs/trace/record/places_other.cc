// Another `hidden` than that of places.cc.
static int hidden = 70;
int only_here = 71;

__attribute__((noinline)) int other_file(int n)
{
    hidden += n ? 0 : 1;
    return hidden + only_here;
}
