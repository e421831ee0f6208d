/* error: umbel: 'x' cannot be shared: it has an assembler name */
int x __asm__("y") __attribute__((shadow));
