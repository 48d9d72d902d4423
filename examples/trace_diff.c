/* trace_diff A B - where do two trainings part?
 *
 * Compares two records written by detnn_trace_start and names the first tensor, in the order in
 * which they are computed, that differs: step, layer, name. Where both runs recorded that step in
 * full, also the first element and both its values. Prints "equal" and returns 0, or returns 1; 2
 * where a file is damaged. Reads line by line, so records may have any length. */
#include <stdio.h>
#include <string.h>

typedef struct reader {
    const char *name, *error;  /* error: what is wrong with this line */
    FILE *file;
    unsigned long line;
    char text[256];            /* the line */
    char place[128];           /* "step 3, layer 1, kernel" */
    char value[128];           /* "32x10 digest"; of the loss "1 bits" */
    const char *next;          /* in a line of elements: what comes next */
    unsigned long long index;  /* of the next element */
} reader;

/* Goes to the next line "step layer tensor shape digest"; or, where place is not null, to the next
 * "step layer tensor @index word word ..." of that place. 0 when there are no more. */
static int next_line(reader *t, const char *place)
{
    while (!t->error && fgets(t->text, sizeof t->text, t->file)) {
        char step[24], layer[24], tensor[40], shape[48], digest[72];
        int at = 0, end = 0;
        t->line++;
        if (!strchr(t->text, '\n')) return t->error = "the line is cut off or too long", 0;
        if (sscanf(t->text, "%23[0-9] %23[-0-9] %39[a-z.] %n", step, layer, tensor, &at) < 3 || !at)
            return t->error = "not a line of a trace", 0;
        sprintf(t->place, "step %s, layer %s, %s", step, layer, tensor);
        t->next = t->text + at;
        if (*t->next == '@' && place && !strcmp(t->place, place)) return 1;
        if (*t->next == '@') continue;
        if (sscanf(t->next, "%47[0-9x] %64[0-9a-f]%n", shape, digest, &end) != 2
            || t->next[end] != '\n' || strlen(digest) != (strcmp(tensor, "loss") ? 64u : 8u))
            return t->error = "neither a shape and a digest nor elements", 0;
        sprintf(t->value, "%s %s", shape, digest);
        if (!place) return 1;
    }
    if (!t->error && ferror(t->file)) t->error = "cannot be read";
    return 0;
}

/* The next element of the tensor at place, as bits; 0 when there are no more. */
static int next_element(reader *t, const char *place, unsigned *bits)
{
    int n = 0;
    while (*t->next == '\n') {
        unsigned long long index;
        if (!next_line(t, place)) return 0;
        if (sscanf(t->next, "@%llu%n", &index, &n) != 1 || index != t->index)
            return t->error = "elements are missing or out of order", 0;
        t->next += n;
    }
    if (sscanf(t->next, " %8x%n", bits, &n) != 1 || n != 9)
        return t->error = "not a word of 8 digits", 0;
    t->next += n;
    t->index++;
    return 1;
}

static double number(unsigned bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

/* The tensor at place differs: in which element? */
static void compare_elements(reader *a, reader *b, const char *place)
{
    unsigned x = 0, y = 0;
    rewind(a->file), rewind(b->file);
    a->next = b->next = "\n";
    a->line = b->line = 0;
    while (next_element(a, place, &x) && next_element(b, place, &y)) {
        if (x == y) continue;
        printf("element %llu: %08x (%.9g)", a->index - 1, x, number(x));
        printf(" and %08x (%.9g)\n", y, number(y));
        return;
    }
    if (!strstr(place, "loss")) printf("(the element: record this step in full in both runs)\n");
}

static int compare(reader *a, reader *b)
{
    int in_a, in_b;
    char place[sizeof a->place];
    do {
        in_a = next_line(a, NULL);
        in_b = next_line(b, NULL);
    } while (in_a && in_b && !strcmp(a->place, b->place) && !strcmp(a->value, b->value));
    if (a->error || b->error) return 2;
    if (!in_a && !in_b) return printf("equal\n") < 0;
    if (!in_a) return printf("only %s goes on: %s\n", b->name, b->place), 1;
    if (!in_b) return printf("only %s goes on: %s\n", a->name, a->place), 1;
    if (strcmp(a->place, b->place)) return printf("%s and %s\n", a->place, b->place), 1;
    printf("%s: %s and %s\n", a->place, a->value, b->value);
    compare_elements(a, b, strcpy(place, a->place));
    return a->error || b->error ? 2 : 1;
}

int main(int count, char **names)
{
    static reader t[2];
    int i, result;
    if (count != 3) return fprintf(stderr, "usage: trace_diff A B\n"), 2;
    for (i = 0; i < 2; i++) {
        t[i].name = names[i + 1];
        t[i].file = fopen(t[i].name, "r");
        if (!t[i].file) return perror(t[i].name), 2;
    }
    result = compare(&t[0], &t[1]);
    for (i = 0; i < 2; i++)
        if (t[i].error) fprintf(stderr, "%s:%lu: %s\n", t[i].name, t[i].line, t[i].error);
    return result;
}
