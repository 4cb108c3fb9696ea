/* The least that a child of `pipe` can do: acknowledges whatever comes. */
#include <stdio.h>
#include <string.h>

int main(void)
{
    static char line[1 << 20];
    while (fgets(line, sizeof line, stdin) != NULL) {
        /* Requests begin with {"id":17, */
        int digits = (int)strspn(line + 6, "0123456789");
        printf("{\"id\":%.*s,\"verdict\":\"ack\"}\n", digits, line + 6);
        fflush(stdout);
    }
    return 0;
}
