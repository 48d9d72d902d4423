/* Runs work() of tests/size.c on a board and prints "STACK BLOCK": the bytes of stack that it used, seen by what it
 * overwrote, and of its net. */
#include <stddef.h>
#include <stdint.h>

const float work_weights[195] = { 0.5f, -0.25f };
float work_x[128], work_y[48];
uint32_t work_labels[16];
size_t work_block;
int work(void);
void bare_print(const char *line);

enum { STACK = 4900, MARK = 0xa5 };

static void number(char *to, size_t v)
{
    int i;
    for (i = 7; i >= 0; i--, v /= 10) to[i] = (char)('0' + v % 10);
}

int main(void)
{
    static char line[18];
    unsigned char here, *p;
    volatile unsigned char *q = &here - 64;
    int i, result;
    for (i = 0; i < STACK; i++) q[-i] = MARK;
    result = work();
    for (p = &here - 64 - STACK + 1; *p == MARK; ) p++;
    number(line, (size_t)(&here - p));
    line[8] = ' ';
    number(line + 9, work_block);
    bare_print(result ? "work() failed" : line);
    return result;
}
